//! What programs push, in the words of the programs that they were made for: our own, Loki's,
//! OpenTelemetry's, Elasticsearch's, and systemd's journal. All of it is on the disk when the answer
//! goes out, and in the index soon after.

mod elastic;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, dev::Decompress, http::header, web};
use bytes::{Bytes, BytesMut};
use callboard_logs::push::{self, PushError, Pushed, journal, loki, otlp};
use callboard_protocol::{ErrorCode, PushTaken};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

pub(crate) use self::elastic::*;
use crate::{
    ApiError,
    edge::State,
    extract::{Allowed, permit},
};

/// The longest that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the lines belong.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PushName {
    /// The name of the source; it is made when there is none.
    #[param(min_length = 1, max_length = 200)]
    source: String,
}

/// Push lines of text or of JSON, each of them a record; packed or not.
#[utoipa::path(post, path = "/logs/push", tag = "logs", params(PushName),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = PushTaken)))]
pub(crate) async fn push_lines(
    _: Allowed<permit::LogsIngest>,
    state: State,
    name: web::Query<PushName>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<web::Json<PushTaken>, ApiError> {
    let source = push::name(&name.source).into_owned();
    if source.is_empty() {
        return Err(ApiError::new(ErrorCode::ValidationFailed, "the source needs a name"));
    }
    let body = receive(&state, &request, body).await?;
    let taken = take(&state, move || Ok(push::lines(&source, &body))).await?;
    Ok(web::Json(PushTaken { taken }))
}

/// Push as to Loki.
#[utoipa::path(post, path = "/loki/api/v1/push", tag = "push",
    request_body(content = Value, content_type = "application/json"),
    responses((status = 204, description = "All of it was taken.")))]
pub(crate) async fn push_loki(
    _: Allowed<permit::LogsIngest>,
    state: State,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = receive(&state, &request, body).await?;
    let limit = state.edge().config().limits.push_bytes;
    let is_json = kind_of(&request).starts_with("application/json");
    let read = move || match is_json {
        true => loki::from_json(&body),
        false => loki::from_protobuf(&body, limit),
    };
    take(&state, read).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Push as to a collector of OpenTelemetry's.
#[utoipa::path(post, path = "/v1/logs", tag = "push",
    request_body(content = Value, content_type = "application/json"),
    responses((status = 200, description = "All of it was taken.", body = Value)))]
pub(crate) async fn push_otlp(
    _: Allowed<permit::LogsIngest>,
    state: State,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    const PROTOBUF: &str = "application/x-protobuf";
    let body = receive(&state, &request, body).await?;
    if !kind_of(&request).starts_with(PROTOBUF) {
        take(&state, move || otlp::from_json(&body)).await?;
        return Ok(HttpResponse::Ok().json(serde_json::json!({})));
    }
    match take(&state, move || otlp::from_protobuf(&body)).await {
        Ok(_) => Ok(HttpResponse::Ok().content_type(PROTOBUF).finish()),
        Err(error) if error.code() == ErrorCode::BadRequest => {
            let status = otlp::status_protobuf(&error.client().message);
            Ok(HttpResponse::BadRequest().content_type(PROTOBUF).body(status))
        }
        Err(error) => Err(error),
    }
}

/// Push as `systemd-journal-upload` does.
#[utoipa::path(post, path = "/journal/upload", tag = "push",
    request_body(content = String, content_type = "application/vnd.fdo.journal"),
    responses((status = 202, description = "All of it was taken.")))]
pub(crate) async fn push_journal(
    _: Allowed<permit::LogsIngest>,
    state: State,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = receive(&state, &request, body).await?;
    take(&state, move || journal::entries(&body)).await?;
    Ok(HttpResponse::Accepted().content_type("text/plain").body("OK.\n"))
}

fn kind_of(request: &HttpRequest) -> &str {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().trim()
}

/// The body, unpacked; bounded in size and in time.
async fn receive(
    state: &State,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Bytes, ApiError> {
    let limit = state.edge().config().limits.push_bytes;
    let mut pieces = Decompress::from_headers(body, request.headers());
    let received = async {
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(ApiError::from)?;
            if whole.len() + piece.len() > limit {
                let message = format!("a push has at most {limit} bytes when unpacked");
                return Err(ApiError::new(ErrorCode::PayloadTooLarge, message));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    };
    let received = tokio::time::timeout(BODY_TIMEOUT, received).await;
    received.map_err(|_| ApiError::from(ErrorCode::Timeout))?
}

/// Reads what was pushed, and takes it; how many records that were.
async fn take(
    state: &State,
    read: impl FnOnce() -> Result<Vec<Pushed>, PushError> + Send + 'static,
) -> Result<u64, ApiError> {
    let records = state.edge().read_push(read).await?;
    Ok(state.system.intake().take(records).await?)
}
