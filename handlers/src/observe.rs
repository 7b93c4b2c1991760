//! The one middleware of the edge: request id, span, metrics, headers, and the log line of a
//! failure.
//!
//! Wrapped around the whole app by the composition root: `App::wrap(from_fn(observe))`. It is
//! outermost, so that every answer, also one of actix itself, leaves with a request id, the headers,
//! and the one shape of errors. (A panic is caught closer to the handler: see `routes.rs`.)

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use callboard_protocol::{ErrorClass, ErrorCode};
use tracing::Instrument;

use crate::{Edge, error::ApiError, error::code_of, headers, request_id};

/// Handles one request; see the file's header.
///
/// # Errors
/// Those of a middleware inside of this one; ours has none.
pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let id = request_id::of(request.headers());
    let edge = request.app_data::<web::Data<Edge>>().cloned();
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let method = method_label(request.method());
    let span = tracing::info_span!("http", request_id = %id, method, route);
    let mut response = request_id::scope(id, handle(request, next)).instrument(span).await?;
    let path = response.request().path().to_owned();
    let https = edge.as_ref().is_some_and(|edge| edge.config().is_https());
    headers::complete(response.headers_mut(), &path, https);
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(HeaderName::from_static(request_id::HEADER), value);
    }
    if let Some(edge) = edge {
        edge.count(&route, method, response.status());
    }
    Ok(response)
}

/// The answer of the inner service; an error that actix made is put into our shape.
async fn handle<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let response = next.call(request).await?;
    let Some(error) = of_actix(&response) else {
        if let Some(error) = response.response().error() {
            log(error.as_error::<ApiError>(), response.status());
        }
        return Ok(response.map_into_left_body());
    };
    log(Some(&error), error.status_code());
    let (request, _) = response.into_parts();
    Ok(ServiceResponse::new(request, error.error_response()).map_into_right_body())
}

/// An error that is not in our shape, because actix made it.
fn of_actix<B>(response: &ServiceResponse<B>) -> Option<ApiError> {
    let error = response.response().error()?;
    if error.as_error::<ApiError>().is_some() {
        return None;
    }
    Some(of_status(response.status(), error.to_string()))
}

fn of_status(status: StatusCode, cause: String) -> ApiError {
    ApiError::from(code_of(status)).caused_by(cause)
}

/// The one log line of a failed request: loud when it is our fault.
fn log(error: Option<&ApiError>, status: StatusCode) {
    let Some(error) = error else { return };
    let (code, message) = (error.code(), &error.client().message);
    let cause = error.chain();
    let status = status.as_u16();
    match code.class() {
        ErrorClass::Internal => {
            tracing::error!(%code, status, cause, "request failed");
        }
        ErrorClass::Unavailable | ErrorClass::Timeout => {
            tracing::warn!(%code, status, cause, message, "request failed");
        }
        ErrorClass::Invalid
        | ErrorClass::Unauthenticated
        | ErrorClass::Forbidden
        | ErrorClass::NotFound
        | ErrorClass::MethodNotAllowed
        | ErrorClass::Conflict
        | ErrorClass::TooLarge
        | ErrorClass::UnsupportedMedia
        | ErrorClass::RateLimited => {
            tracing::info!(%code, status, cause, "request refused");
        }
    }
}

/// The method as a label: one that nobody takes here must not make a new time series.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The answer to a path that is not there.
pub(crate) async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ErrorCode::NotFound.into())
}
