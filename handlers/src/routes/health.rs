//! Health and metrics, for whatever watches the server. These answer while it starts, too.

use actix_web::{HttpRequest, HttpResponse, web};
use callboard_actors::starting;
use callboard_protocol::{ErrorCode, Liveness, Readiness};
use secrecy::ExposeSecret;

use crate::{
    ApiError, Edge,
    edge::readiness_status,
    extract::{bearer, is_local},
    identity::same,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "health",
    responses((status = 200, body = Liveness)))]
pub(crate) async fn live(edge: web::Data<Edge>) -> web::Json<Liveness> {
    let uptime_s = edge.uptime().as_secs();
    web::Json(Liveness { version: VERSION.to_owned(), uptime_s })
}

/// Whether the server can do its work, with one entry for each thing that it depends on.
#[utoipa::path(get, path = "/health/ready", tag = "health", responses(
    (status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn ready(edge: web::Data<Edge>) -> HttpResponse {
    let readiness = match edge.state() {
        Some(state) => state.system.readiness().await,
        None => starting(),
    };
    HttpResponse::build(readiness_status(readiness.health)).json(readiness)
}

/// Everything that is counted, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(
    edge: web::Data<Edge>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    check_reader(&edge, &request)?;
    let text = edge.metrics().encode(edge.uptime()).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Callers on this machine, or with the token.
fn check_reader(edge: &Edge, request: &HttpRequest) -> Result<(), ApiError> {
    if is_local(request) {
        return Ok(());
    }
    let shown = bearer(request)?.ok_or(ErrorCode::Unauthenticated)?;
    match &edge.config().metrics.token {
        Some(token) if same(token.expose_secret().as_bytes(), shown.as_bytes()) => Ok(()),
        Some(_) => Err(ErrorCode::InvalidToken.into()),
        None => Err(ApiError::new(
            ErrorCode::Forbidden,
            "metrics are for callers on the server's machine until `metrics.token` is set",
        )),
    }
}
