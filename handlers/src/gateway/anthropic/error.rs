//! Errors in Anthropic's shape: <https://docs.claude.com/en/api/errors>.
//!
//! The official clients choose the exception by the status and show the message. Programs know a
//! prompt that is too long, and an answer that was filtered, by the words of the message alone: so
//! these begin with the vendor's.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use bytes::BytesMut;
use callboard_protocol::{ErrorClass, ErrorCode};

use crate::{
    error::status,
    gateway::{ErrorReply, Fault, write},
};

/// The vendor's own status for "not now".
const OVERLOADED: u16 = 529;

/// A failed call as it goes out.
pub(crate) fn reply(fault: &Fault, request_id: &str) -> ErrorReply {
    let mut body = BytesMut::with_capacity(fault.message.len() + 128);
    put_object(&mut body, fault, request_id);
    let class = fault.code.class();
    let status = if fault.code == ErrorCode::UnknownModel {
        StatusCode::NOT_FOUND
    } else if fault.code == ErrorCode::ContextTooLong {
        StatusCode::BAD_REQUEST
    } else if class == ErrorClass::Unavailable {
        StatusCode::from_u16(OVERLOADED).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    } else {
        status(class)
    };
    ErrorReply { status, retry_after_ms: fault.retry_after_ms, body: body.freeze() }
}

/// The error as it stands in a body and in a stream.
pub(super) fn put_object(out: &mut BytesMut, fault: &Fault, request_id: &str) {
    write::raw(out, r#"{"type":"error","error":{"type":""#);
    write::raw(out, kind(fault.code));
    write::raw(out, r#"","message":"#);
    write::string(out, &message(fault));
    write::raw(out, r#"},"request_id":"#);
    write::string(out, request_id);
    write::raw(out, "}");
}

fn kind(code: ErrorCode) -> &'static str {
    if code == ErrorCode::UnknownModel {
        return "not_found_error";
    }
    match code.class() {
        ErrorClass::TooLarge if code != ErrorCode::ContextTooLong => "request_too_large",
        ErrorClass::Invalid
        | ErrorClass::TooLarge
        | ErrorClass::MethodNotAllowed
        | ErrorClass::Conflict
        | ErrorClass::UnsupportedMedia => "invalid_request_error",
        ErrorClass::Unauthenticated => "authentication_error",
        ErrorClass::Forbidden => "permission_error",
        ErrorClass::NotFound => "not_found_error",
        ErrorClass::RateLimited => "rate_limit_error",
        ErrorClass::Unavailable => "overloaded_error",
        ErrorClass::Timeout => "timeout_error",
        ErrorClass::Internal => "api_error",
    }
}

fn message(fault: &Fault) -> Cow<'_, str> {
    let known = [
        (ErrorCode::ContextTooLong, "prompt is too long: "),
        (ErrorCode::ContentFiltered, "Output blocked by content filtering policy: "),
    ];
    match known.iter().find(|(code, _)| *code == fault.code) {
        Some((_, front)) => Cow::Owned(format!("{front}{}", fault.message)),
        None => Cow::Borrowed(&fault.message),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::gateway::fields::Place;

    #[test]
    fn every_code_has_its_status_and_words() {
        let mut table = String::new();
        for code in ErrorCode::ALL {
            let status = reply(&Fault::new(*code, "m"), "req_1").status.as_u16();
            writeln!(table, "{code}: {status} {}", kind(*code)).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_shape_is_the_vendors() {
        let fault = Fault::value(Place::Field(&Place::Root, "max_tokens"), "is \"bad\"");
        let failed = reply(&fault, "req_1");
        assert_eq!(failed.status, 400);
        assert_eq!(
            failed.body,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"The parameter 'max_tokens' is \"bad\"."},"request_id":"req_1"}"#
        );
        let long = reply(&Fault::new(ErrorCode::ContextTooLong, "Too many."), "req_1");
        assert!(long.body.as_ref().windows(18).any(|part| part == b"prompt is too long"));
    }
}
