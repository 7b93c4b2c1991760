//! The errors of the other rooms and of actix, as [`ApiError`]. Every match is exhaustive, so a new
//! kind of error does not compile until somebody has said what a client learns of it.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    error::{JsonPayloadError, PathError, PayloadError, QueryPayloadError},
    web,
};
use callboard_actors::SocketError;
use callboard_entities::StoreError;
use callboard_logs::SearchError;
use callboard_protocol::ErrorCode;

use super::ApiError;
use crate::blocking::Refused;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Full => {
                let wait = Duration::from_secs(1);
                return Self::from(ErrorCode::Overloaded).retry_after(wait).caused_by(refused);
            }
            Refused::TimedOut => ErrorCode::Timeout,
            Refused::Panicked => ErrorCode::Internal,
        };
        Self::from(code).caused_by(refused)
    }
}

impl From<PayloadError> for ApiError {
    fn from(error: PayloadError) -> Self {
        let code = match &error {
            PayloadError::Overflow => ErrorCode::PayloadTooLarge,
            PayloadError::Incomplete(_)
            | PayloadError::EncodingCorrupted
            | PayloadError::UnknownLength
            | PayloadError::Io(_)
            // The type is open to further kinds; all of them are of a body that could not be read.
            | _ => ErrorCode::BadRequest,
        };
        Self::from(code).caused_by(error.to_string())
    }
}

fn json_error(error: JsonPayloadError) -> ApiError {
    match error {
        JsonPayloadError::OverflowKnownLength { limit, .. }
        | JsonPayloadError::Overflow { limit } => {
            ApiError::new(ErrorCode::PayloadTooLarge, format!("a body has at most {limit} bytes"))
        }
        JsonPayloadError::ContentType => {
            ApiError::new(ErrorCode::UnsupportedMediaType, "send application/json")
        }
        JsonPayloadError::Deserialize(error) => {
            ApiError::new(ErrorCode::InvalidJson, error.to_string())
        }
        JsonPayloadError::Payload(error) => error.into(),
        JsonPayloadError::Serialize(error) => ApiError::internal(error),
        // The type is open to further kinds; all of them are of a body that could not be read.
        error => ApiError::from(ErrorCode::BadRequest).caused_by(error.to_string()),
    }
}

fn path_error(error: PathError) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameter, format!("in the path: {}", path_reason(&error)))
}

fn path_reason(error: &PathError) -> String {
    match error {
        PathError::Deserialize(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn query_error(error: QueryPayloadError) -> ApiError {
    let reason = match &error {
        QueryPayloadError::Deserialize(error) => error.to_string(),
        error => error.to_string(),
    };
    ApiError::new(ErrorCode::InvalidParameter, format!("in the query: {reason}"))
}

/// How JSON bodies are read: at most `limit` bytes, errors in our shape.
pub(crate) fn json_config(limit: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(limit)
        .error_handler(|error, _: &HttpRequest| json_error(error).into())
}

/// How parameters of the path are read: errors in our shape.
pub(crate) fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|error, _: &HttpRequest| path_error(error).into())
}

/// How the query is read: errors in our shape.
pub(crate) fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _: &HttpRequest| query_error(error).into())
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let shown = Self::from(error.client());
        match error {
            // An answer, not a fault: there is nothing more to log.
            StoreError::NotFound(_) | StoreError::Conflict { .. } => shown,
            StoreError::Unavailable(_) => {
                shown.retry_after(Duration::from_secs(1)).caused_by(error)
            }
            StoreError::Internal(_) => shown.caused_by(error),
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        let shown = Self::from(error.client_error());
        match error {
            SearchError::InvalidQuery { .. }
            | SearchError::InvalidParameter(_)
            | SearchError::TooExpensive
            | SearchError::LineNotFound(_) => shown,
            SearchError::Index(_) => shown.caused_by(error),
        }
    }
}

impl From<SocketError> for ApiError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Handshake(error) => Self::new(ErrorCode::BadRequest, error.to_string()),
            SocketError::Refused(error) => error.into(),
        }
    }
}
