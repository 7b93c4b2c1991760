//! The id of the request that is being handled.
//!
//! `observe` sets it around the whole handling of a request; [`current`] reads it where an error
//! body is made, which has no request at hand.

use std::future::Future;

use actix_web::http::header::HeaderMap;
use callboard_protocol::RequestId;

/// The header that carries it, in and out.
pub(crate) const HEADER: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of the request that this task handles; a new one outside of any.
pub(crate) fn current() -> RequestId {
    CURRENT.try_with(|id| *id).unwrap_or_else(|_| RequestId::new())
}

/// Runs `handling` under `id`.
pub(crate) async fn scope<F: Future>(id: RequestId, handling: F) -> F::Output {
    CURRENT.scope(id, handling).await
}

/// The caller's own id when it is a UUID, else a new one: anything else would let a caller write
/// into the log.
pub(crate) fn of(headers: &HeaderMap) -> RequestId {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(RequestId::new)
}
