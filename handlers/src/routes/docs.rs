//! The OpenAPI document, the pages to browse it, and the page of error codes.

use actix_web::{
    HttpResponse,
    http::header::{self, ContentEncoding},
    web,
};
use callboard_protocol::ErrorCode;
use utoipa_swagger_ui::Config;

use crate::{ApiError, Edge, error::error_codes_html, headers::DOCS_CSP};

/// The document.
pub(crate) async fn openapi(edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(edge.openapi().to_owned())
}

/// The page of error codes, which every error links to.
pub(crate) async fn errors() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(error_codes_html())
}

/// The browser loads its files by relative paths, so its address ends with a slash.
pub(crate) async fn browser_root() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/api/docs/")).finish()
}

/// The files of the browser.
pub(crate) async fn browser(file: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let config = std::sync::Arc::new(Config::from("/api/v1/openapi.json"));
    let file = utoipa_swagger_ui::serve(&file, config)
        .map_err(|error| ApiError::internal(error.to_string()))?
        .ok_or(ErrorCode::NotFound)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_SECURITY_POLICY, DOCS_CSP));
    if file.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    Ok(response.content_type(file.content_type).body(file.bytes.into_owned()))
}
