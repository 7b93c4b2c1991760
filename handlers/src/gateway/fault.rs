//! Why a call of the API for programs fails, before a vendor's words are put to it.

use std::fmt;

use actix_web::http::StatusCode;
use bytes::Bytes;
use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::{ProviderError, ProviderErrorKind};

use super::fields::Place;

/// Why a call fails. Each vendor's `error.rs` says it in that vendor's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From the table.
    pub(crate) code: ErrorCode,
    /// For people; nothing internal is in it.
    pub(crate) message: String,
    /// The parameter at fault: `messages.[2].content`.
    pub(crate) param: Option<String>,
    /// What is wrong with the parameter.
    pub(crate) flaw: Option<Flaw>,
    /// How long to wait before trying again, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is not there.
    Missing,
    /// There is none of this name.
    Unknown,
    /// It exists, but not here.
    Unsupported,
    /// It is of another type.
    Type,
    /// Its value is out of its range.
    Value,
}

/// A failed call as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorReply {
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// For the headers `retry-after-ms` and, rounded up to seconds, `retry-after`.
    pub(crate) retry_after_ms: Option<u64>,
    /// JSON.
    pub(crate) body: Bytes,
}

impl Flaw {
    /// OpenAI's `code` for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing_required_parameter",
            Self::Unknown => "unknown_parameter",
            Self::Unsupported => "unsupported_parameter",
            Self::Type => "invalid_type",
            Self::Value => "invalid_value",
        }
    }
}

impl Fault {
    /// With a message of its own.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ClientError::new(code, message).into()
    }

    /// A parameter at fault; `problem` continues a sentence that begins with its name.
    pub(super) fn at(place: Place<'_>, flaw: Flaw, problem: impl fmt::Display) -> Self {
        let param = place.to_string();
        let message = if param.is_empty() {
            format!("The body {problem}.")
        } else {
            format!("The parameter '{param}' {problem}.")
        };
        let param = Some(param).filter(|param| !param.is_empty());
        Self { param, flaw: Some(flaw), ..Self::new(ErrorCode::ValidationFailed, message) }
    }

    /// A value out of its range.
    pub(super) fn value(place: Place<'_>, problem: impl fmt::Display) -> Self {
        Self::at(place, Flaw::Value, problem)
    }

    /// A body that is no JSON.
    pub(super) fn no_json(error: &serde_json::Error) -> Self {
        Self::new(ErrorCode::InvalidJson, format!("The body cannot be read as JSON: {error}."))
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            param: None,
            flaw: None,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

impl From<&ProviderError> for Fault {
    /// Programs want to know whose fault it is, unlike the reader of a chat: a rate limit and a
    /// bad request keep their kinds. That a provider refuses the server's own key is none of
    /// theirs.
    fn from(error: &ProviderError) -> Self {
        let shown = error.to_client();
        let code = match error.kind {
            ProviderErrorKind::RateLimited { .. } => ErrorCode::RateLimited,
            ProviderErrorKind::BadRequest => ErrorCode::BadRequest,
            ProviderErrorKind::Overloaded
            | ProviderErrorKind::Unreachable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::Auth
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::ContentFiltered
            | ProviderErrorKind::Interrupted
            | ProviderErrorKind::Malformed => shown.code,
        };
        Self { code, ..shown.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_providers_fault_keeps_its_kind_and_hides_its_cause() {
        let limited = ProviderErrorKind::RateLimited { retry_after: Some(Duration::from_secs(2)) };
        let error = ProviderError::new(limited).because("key sk-1 is over its quota");
        let fault = Fault::from(&error);
        assert_eq!((fault.code, fault.retry_after_ms), (ErrorCode::RateLimited, Some(2_000)));
        assert!(!fault.to_string().contains("sk-1"));
        for (kind, code) in [
            (ProviderErrorKind::BadRequest, ErrorCode::BadRequest),
            (ProviderErrorKind::Auth, ErrorCode::ProviderUnavailable),
            (ProviderErrorKind::Timeout, ErrorCode::Timeout),
            (ProviderErrorKind::ContextTooLong, ErrorCode::ContextTooLong),
        ] {
            assert_eq!(Fault::from(&ProviderError::new(kind)).code, code);
        }
    }
}
