//! Errors in OpenAI's shape: <https://platform.openai.com/docs/guides/error-codes>.
//!
//! The official clients choose the exception by the status, and show the message; programs look at
//! `code`. 408, 409, 429 and everything from 500 is tried again by the clients themselves.

use bytes::BytesMut;
use callboard_protocol::{ErrorClass, ErrorCode};

use crate::{
    error::status,
    gateway::{ErrorReply, Fault, write},
};

/// A failed call as it goes out.
pub(crate) fn reply(fault: &Fault) -> ErrorReply {
    let mut body = BytesMut::with_capacity(fault.message.len() + 128);
    put_object(&mut body, fault);
    ErrorReply {
        status: status(class(fault.code)),
        retry_after_ms: fault.retry_after_ms,
        body: body.freeze(),
    }
}

/// `{"error": …}`, as it stands in a body and in a stream.
pub(super) fn put_object(out: &mut BytesMut, fault: &Fault) {
    let (kind, code) = words(fault);
    write::raw(out, r#"{"error":{"message":"#);
    write::string(out, &fault.message);
    write::raw(out, r#","type":"#);
    write::string(out, kind);
    write::raw(out, r#","param":"#);
    write::optional(out, fault.param.as_deref());
    write::raw(out, r#","code":"#);
    write::string(out, code);
    write::raw(out, "}}");
}

/// The class as this vendor has it: no such model is 404, and too long a prompt is malformed.
fn class(code: ErrorCode) -> ErrorClass {
    if code == ErrorCode::UnknownModel {
        ErrorClass::NotFound
    } else if code == ErrorCode::ContextTooLong {
        ErrorClass::Invalid
    } else {
        code.class()
    }
}

/// `type` and `code`. Where OpenAI has no code of its own, ours stands there.
pub(super) fn words(fault: &Fault) -> (&'static str, &'static str) {
    let own = fault.flaw.map_or(fault.code.as_str(), |flaw| flaw.as_str());
    if fault.code == ErrorCode::BudgetExceeded {
        return ("insufficient_quota", "insufficient_quota");
    }
    match fault.code.class() {
        ErrorClass::Unauthenticated => ("invalid_request_error", "invalid_api_key"),
        ErrorClass::RateLimited => ("rate_limit_error", "rate_limit_exceeded"),
        ErrorClass::Unavailable | ErrorClass::Timeout | ErrorClass::Internal => {
            ("server_error", own)
        }
        ErrorClass::Forbidden => ("permission_error", own),
        ErrorClass::Invalid
        | ErrorClass::NotFound
        | ErrorClass::MethodNotAllowed
        | ErrorClass::Conflict
        | ErrorClass::TooLarge
        | ErrorClass::UnsupportedMedia => ("invalid_request_error", vendors_code(fault.code, own)),
    }
}

fn vendors_code(code: ErrorCode, own: &'static str) -> &'static str {
    let known = [
        (ErrorCode::UnknownModel, "model_not_found"),
        (ErrorCode::ContextTooLong, "context_length_exceeded"),
        (ErrorCode::ContentFiltered, "content_filter"),
    ];
    known.iter().find(|(ours, _)| *ours == code).map_or(own, |(_, theirs)| theirs)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use callboard_providers::{ProviderError, ProviderErrorKind};

    use super::*;
    use crate::gateway::fields::Place;

    #[test]
    fn every_code_has_its_status_and_words() {
        let mut table = String::new();
        for code in ErrorCode::ALL {
            let fault = Fault::new(*code, "m");
            let status = reply(&fault).status.as_u16();
            let (kind, theirs) = words(&fault);
            writeln!(table, "{code}: {status} {kind} {theirs}").unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_flaw_names_its_parameter() {
        let messages = Place::Field(&Place::Root, "messages");
        let place = Place::Item(&messages, 2);
        let fault = Fault::value(Place::Field(&place, "content"), "is \"bad\"");
        let reply = reply(&fault);
        assert_eq!(reply.status, 400);
        let body = r#"{"error":{"message":"The parameter 'messages.[2].content' is \"bad\".","type":"invalid_request_error","param":"messages.[2].content","code":"invalid_value"}}"#;
        assert_eq!(reply.body, body);
    }

    #[test]
    fn a_rate_limit_says_when_to_come_back() {
        let wait = Some(std::time::Duration::from_millis(1_500));
        let kind = ProviderErrorKind::RateLimited { retry_after: wait };
        let reply = reply(&Fault::from(&ProviderError::new(kind)));
        assert_eq!((reply.status.as_u16(), reply.retry_after_ms), (429, Some(1_500)));
        let body = r#"{"error":{"message":"The provider takes no more requests for now.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#;
        assert_eq!(reply.body, body);
    }
}
