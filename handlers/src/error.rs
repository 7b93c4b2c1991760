//! The one place that knows HTTP status codes.
//!
//! Handlers, extractors and middleware fail with [`ApiError`]: what the client may read, and
//! beside it what the log needs. `observe` (in `observe.rs`) logs it, once. `error/convert.rs`
//! turns the errors of the other rooms into it, `error/page.rs` prints the table for people.

mod convert;
mod page;

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use callboard_protocol::{ClientError, ErrorBody, ErrorClass, ErrorCode};

pub(crate) use convert::{json_config, path_config, query_config};
pub use page::{error_codes_html, error_codes_markdown};

use crate::request_id;

/// A cause, for the log only.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request failed: one message for the client and one for the log.
#[derive(Debug)]
pub struct ApiError {
    client: ClientError,
    details: Option<serde_json::Value>,
    cause: Option<Cause>,
}

impl ApiError {
    /// An error with a message of its own for the client.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ClientError::new(code, message).into()
    }

    /// A field of the body that breaks a rule; `details` names it.
    pub fn invalid(field: &str, rule: impl Into<String>) -> Self {
        let details = serde_json::json!({ "field": field });
        Self::new(ErrorCode::ValidationFailed, rule).with_details(details)
    }

    /// An error of ours: the client learns that there was one, the log learns which.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::from(ErrorCode::Internal).caused_by(cause)
    }

    /// Adds what the log needs.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what helps the client beyond the message.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, wait: std::time::Duration) -> Self {
        // Rounded up: a client that waits exactly this long must not come too early.
        let millis = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.client.retry_after_ms = Some(millis);
        self
    }

    /// From the table.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.client.code
    }

    /// What the client may read.
    #[must_use]
    pub fn client(&self) -> &ClientError {
        &self.client
    }

    /// The cause and its own causes, for the log.
    pub(crate) fn chain(&self) -> Option<String> {
        let mut cause: &dyn std::error::Error = self.cause.as_deref()?;
        let mut chain = cause.to_string();
        while let Some(next) = cause.source() {
            chain.push_str(": ");
            chain.push_str(&next.to_string());
            cause = next;
        }
        Some(chain)
    }

    fn body(&self) -> ErrorBody {
        ErrorBody {
            code: self.client.code,
            message: self.client.message.clone(),
            link: format!("/api/docs/errors#{}", self.client.code),
            request_id: request_id::current(),
            retry_after_ms: self.client.retry_after_ms,
            details: self.details.clone(),
        }
    }
}

impl From<ClientError> for ApiError {
    fn from(client: ClientError) -> Self {
        Self { client, details: None, cause: None }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        ClientError::from(code).into()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl std::error::Error for ApiError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(cause.as_ref()),
            None => None,
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status(self.client.code.class())
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(millis) = self.client.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, millis.div_ceil(1000)));
        }
        if self.client.code.class() == ErrorClass::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.json(self.body())
    }
}

/// The status of each class of errors.
#[must_use]
pub fn status(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Invalid => StatusCode::BAD_REQUEST,
        ErrorClass::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorClass::Forbidden => StatusCode::FORBIDDEN,
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorClass::Conflict => StatusCode::CONFLICT,
        ErrorClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorClass::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorClass::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code for an answer that something other than our code refused with `status`: an error of
/// actix itself.
pub(crate) fn code_of(status: StatusCode) -> ErrorCode {
    match status.as_u16() {
        401 => ErrorCode::Unauthenticated,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        408 | 504 => ErrorCode::Timeout,
        413 => ErrorCode::PayloadTooLarge,
        415 => ErrorCode::UnsupportedMediaType,
        429 => ErrorCode::RateLimited,
        503 => ErrorCode::Overloaded,
        400..=499 => ErrorCode::BadRequest,
        // Not an error of the client's, whatever it is.
        0..=399 | 500.. => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::body::MessageBody;

    use super::*;

    fn body(error: &ApiError) -> serde_json::Value {
        let bytes = error.error_response().into_body().try_into_bytes().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_cause_stays_in_the_log() {
        let error = ApiError::internal("table users is locked");
        assert_eq!(error.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(error.chain().as_deref(), Some("table users is locked"));
        let body = body(&error).to_string();
        assert!(!body.contains("locked"), "{body}");
    }

    #[test]
    fn the_shape_is_the_contract() {
        let error = ApiError::new(ErrorCode::RateLimited, "slow down")
            .retry_after(Duration::from_micros(1_500_100))
            .with_details(serde_json::json!({ "limit": 10 }));
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
        let body = body(&error);
        assert_eq!(body["code"], "rate_limited");
        assert_eq!(body["message"], "slow down");
        assert_eq!(body["link"], "/api/docs/errors#rate_limited");
        assert_eq!(body["retry_after_ms"], 1501);
        assert_eq!(body["details"]["limit"], 10);
        assert!(body["request_id"].is_string());
    }

    #[test]
    fn the_table_of_codes() {
        insta::assert_snapshot!(error_codes_markdown());
    }

    #[test]
    fn a_foreign_status_finds_a_code_of_its_own_class() {
        for code in [400, 401, 403, 404, 405, 413, 415, 429, 500, 503, 504] {
            let foreign = StatusCode::from_u16(code).unwrap();
            assert_eq!(status(code_of(foreign).class()), foreign);
        }
    }
}
