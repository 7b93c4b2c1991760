//! As much of Elasticsearch as its shippers ask for: who is there, and the bulk API. It lives below
//! `/elastic`, which is a part of the address that a shipper is given.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use callboard_logs::push::elastic::{self, BulkItem};
use serde_json::{Value, json};

use super::receive;
use crate::{
    ApiError,
    edge::State,
    extract::{Allowed, permit},
};

/// Clients of Elasticsearch talk to nobody who does not say this.
const PRODUCT: (&str, &str) = ("x-elastic-product", "Elasticsearch");

/// The version that is spoken.
const VERSION: &str = "8.17.0";

/// Who is there, as Elasticsearch says it.
#[utoipa::path(get, path = "/elastic", tag = "push", responses((status = 200, body = Value)))]
pub(crate) async fn elastic_root(_: Allowed<permit::LogsIngest>) -> HttpResponse {
    answer(&json!({
        "name": "callboard",
        "cluster_name": "callboard",
        "cluster_uuid": "callboard",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_snapshot": false,
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

/// The same, as some clients write it.
#[utoipa::path(get, path = "/elastic/", tag = "push", responses((status = 200, body = Value)))]
pub(crate) async fn elastic_top(allowed: Allowed<permit::LogsIngest>) -> HttpResponse {
    elastic_root(allowed).await
}

/// The licence, which shippers ask for before they send.
#[utoipa::path(get, path = "/elastic/_license", tag = "push",
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_license(_: Allowed<permit::LogsIngest>) -> HttpResponse {
    let license = json!({ "status": "active", "type": "basic", "mode": "basic" });
    answer(&json!({ "license": license }))
}

/// Whether all is well, which shippers ask for as well.
#[utoipa::path(get, path = "/elastic/_cluster/health", tag = "push",
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_health(_: Allowed<permit::LogsIngest>) -> HttpResponse {
    answer(&json!({ "cluster_name": "callboard", "status": "green", "timed_out": false }))
}

/// Push as to Elasticsearch; actions that name no index are for `elastic`.
#[utoipa::path(post, path = "/elastic/_bulk", tag = "push",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_bulk(
    _: Allowed<permit::LogsIngest>,
    state: State,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    bulk(&state, &request, body, None).await
}

/// The same; Elasticsearch takes both methods.
#[utoipa::path(put, path = "/elastic/_bulk", tag = "push",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_bulk_put(
    allowed: Allowed<permit::LogsIngest>,
    state: State,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    elastic_bulk(allowed, state, request, body).await
}

/// Push as to an index of Elasticsearch.
#[utoipa::path(post, path = "/elastic/{index}/_bulk", tag = "push",
    params(("index" = String, Path)),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_bulk_of(
    _: Allowed<permit::LogsIngest>,
    state: State,
    index: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    bulk(&state, &request, body, Some(index.into_inner())).await
}

/// The same.
#[utoipa::path(put, path = "/elastic/{index}/_bulk", tag = "push",
    params(("index" = String, Path)),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Value)))]
pub(crate) async fn elastic_bulk_of_put(
    allowed: Allowed<permit::LogsIngest>,
    state: State,
    index: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    elastic_bulk_of(allowed, state, index, request, body).await
}

async fn bulk(
    state: &State,
    request: &HttpRequest,
    body: web::Payload,
    index: Option<String>,
) -> Result<HttpResponse, ApiError> {
    let body = receive(state, request, body).await?;
    let bulk = move || elastic::bulk(&body, index.as_deref());
    let items = state.edge().read_push(bulk).await?;
    let records = items.iter().filter_map(|item| item.record.as_ref().ok().cloned()).collect();
    state.system.intake().take(records).await?;
    let told: Vec<Value> = items.iter().map(tell).collect();
    let errors = items.iter().any(|item| item.record.is_err());
    Ok(answer(&json!({ "took": 0, "errors": errors, "items": told })))
}

fn tell(BulkItem { action, index, id, record }: &BulkItem) -> Value {
    let result = match record {
        Ok(_) => json!({
            "_index": index, "_id": id, "_version": 1, "result": "created",
            "status": StatusCode::CREATED.as_u16(),
        }),
        Err(error) => json!({
            "_index": index, "_id": id, "status": StatusCode::BAD_REQUEST.as_u16(),
            "error": { "type": "document_parsing_exception", "reason": error.to_string() },
        }),
    };
    json!({ action: result })
}

fn answer(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header(PRODUCT).json(body)
}
