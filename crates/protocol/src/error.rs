//! The table of error codes, and the one shape that every error has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RequestId;

/// Whose turn it is after an error. The HTTP edge gives each class a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request is malformed; sending it again will not help.
    Invalid,
    /// Sign in first.
    Unauthenticated,
    /// Signed in, and not allowed.
    Forbidden,
    /// There is no such thing, or none that the caller may know of.
    NotFound,
    /// The path exists, with other methods.
    MethodNotAllowed,
    /// It clashes with what is there.
    Conflict,
    /// Larger than the limit.
    TooLarge,
    /// The body's type is not one that is read here.
    UnsupportedMedia,
    /// Too fast; again after a while.
    RateLimited,
    /// Not now; again after a while.
    Unavailable,
    /// It took longer than its limit.
    Timeout,
    /// Our fault.
    Internal,
}

macro_rules! error_codes {
    ($($name:ident, $code:literal, $class:ident, $summary:literal;)+) => {
        /// Every error that a client can meet, over REST and over WebSocket alike.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $(#[doc = $summary] #[serde(rename = $code)] $name,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)+ }
            }

            /// Whose turn it is after this error.
            #[must_use]
            pub fn class(self) -> ErrorClass {
                match self { $(Self::$name => ErrorClass::$class,)+ }
            }
        }
    };
}

error_codes! {
    BadRequest, "bad_request", Invalid, "The request is malformed.";
    InvalidJson, "invalid_json", Invalid, "The body or the frame is not the JSON that is expected here.";
    InvalidParameter, "invalid_parameter", Invalid, "A parameter of the path or the query has a bad value.";
    InvalidQuery, "invalid_query", Invalid, "The log query cannot be read.";
    ValidationFailed, "validation_failed", Invalid, "A field breaks a rule; `details` names it.";
    WeakPassword, "weak_password", Invalid, "The password is too short or too common.";
    UnknownFrame, "unknown_frame", Invalid, "There is no frame of this type.";
    UnknownModel, "unknown_model", Invalid, "No provider is configured for this model.";
    UnknownMode, "unknown_mode", Invalid, "There is no mode of this name.";
    ContextTooLong, "context_too_long", TooLarge, "The conversation is longer than the model can read.";
    ContentFiltered, "content_filtered", Invalid, "The provider's content filter refused the question.";
    BinaryInput, "binary_input", Invalid, "Text is expected here, and this is not text.";
    Unauthenticated, "unauthenticated", Unauthenticated, "Sign in first.";
    InvalidToken, "invalid_token", Unauthenticated, "The access token is malformed, expired or revoked.";
    InvalidCredentials, "invalid_credentials", Unauthenticated, "The user name or the password is wrong.";
    SecondFactorRequired, "second_factor_required", Unauthenticated, "The password is right; send the code of your authenticator with it.";
    InvalidCode, "invalid_code", Unauthenticated, "The code is wrong, too old, or was used before.";
    InvalidRefreshToken, "invalid_refresh_token", Unauthenticated, "The refresh token is unknown, expired, or was used before.";
    InvalidLink, "invalid_link", Forbidden, "The link is wrong, expired or already used.";
    InvalidSetupToken, "invalid_setup_token", Forbidden, "The setup link is wrong, expired or already used.";
    Forbidden, "forbidden", Forbidden, "Your role does not allow this.";
    CsrfFailed, "csrf_failed", Forbidden, "The CSRF token is missing or wrong.";
    OriginRefused, "origin_refused", Forbidden, "This origin may not open a socket here.";
    NotFound, "not_found", NotFound, "There is nothing here.";
    ConversationNotFound, "conversation_not_found", NotFound, "There is no such conversation.";
    TurnNotFound, "turn_not_found", NotFound, "There is no such turn, or it ended too long ago to follow.";
    LineNotFound, "line_not_found", NotFound, "There is no such log line.";
    JobNotFound, "job_not_found", NotFound, "There is no such job.";
    MethodNotAllowed, "method_not_allowed", MethodNotAllowed, "This path does not take this method.";
    Conflict, "conflict", Conflict, "It clashes with what is there already.";
    AlreadySetUp, "already_set_up", Conflict, "The administrator exists already.";
    TurnRunning, "turn_running", Conflict, "The conversation is still answering; wait or cancel.";
    PayloadTooLarge, "payload_too_large", TooLarge, "The body, the frame or the message is over its limit.";
    UnsupportedMediaType, "unsupported_media_type", UnsupportedMedia, "This content type is not read here.";
    RateLimited, "rate_limited", RateLimited, "Too many requests; wait for `retry_after_ms`.";
    SpoolFull, "spool_full", RateLimited, "More logs wait to be indexed than may wait; send them again after `retry_after_ms`.";
    BudgetExceeded, "budget_exceeded", RateLimited, "The budget is used up; it begins anew after `retry_after_ms`.";
    TooManyConnections, "too_many_connections", RateLimited, "Too many sockets are open for this user or address.";
    Overloaded, "overloaded", Unavailable, "The server is at its limit; try again.";
    Draining, "draining", Unavailable, "The server is shutting down; connect again.";
    NotReady, "not_ready", Unavailable, "The server is starting; try again.";
    ProviderUnavailable, "provider_unavailable", Unavailable, "No model could be reached.";
    NotifyFailed, "notify_failed", Unavailable, "The channel could not be told.";
    StorageUnavailable, "storage_unavailable", Unavailable, "The database cannot be reached.";
    Timeout, "timeout", Timeout, "It took longer than its limit.";
    QueryTooExpensive, "query_too_expensive", Timeout, "The query needs more time or memory than one query may use.";
    Internal, "internal", Internal, "Something went wrong on our side; the request id helps to find it.";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every failed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// From the table of codes; stable.
    pub code: ErrorCode,
    /// For people; may change.
    pub message: String,
    /// Where the code is explained.
    pub link: String,
    /// The id of the request, as in the server's log.
    pub request_id: RequestId,
    /// How long to wait before trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_ms: Option<u64>,
    /// More, for some codes: such as the fields that broke a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    pub details: Option<serde_json::Value>,
}

/// An error that may be shown to a client: a code, and a sentence with nothing internal in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// From the table.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// How long to wait before trying again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl ClientError {
    /// With a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }
}

impl From<ErrorCode> for ClientError {
    /// With the summary of the code as the message.
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.summary())
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice in the table");
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("{:?}", code.as_str()));
            assert_eq!(serde_json::from_str::<ErrorCode>(&json).unwrap(), *code);
        }
    }
}
