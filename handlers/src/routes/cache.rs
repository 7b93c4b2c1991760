//! `/cache`: the cache of answers.

use actix_web::web;
use callboard_protocol::{CacheHealth, CacheStats, Invalidated};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// Which entries to drop.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Pattern {
    /// A key with `*` for any characters; `*` alone drops everything.
    #[param(min_length = 1, max_length = 256)]
    pattern: String,
}

/// What the cache holds and how it is used.
#[utoipa::path(get, path = "/cache/stats", tag = "cache",
    responses((status = 200, body = CacheStats)))]
pub(crate) async fn cache_stats(
    _: Allowed<permit::CacheRead>,
    state: State,
) -> Result<web::Json<CacheStats>, ApiError> {
    Ok(web::Json(state.system.cache().stats().await?))
}

/// Whether the levels of the cache work.
#[utoipa::path(get, path = "/cache/health", tag = "cache",
    responses((status = 200, body = CacheHealth)))]
pub(crate) async fn cache_health(
    _: Allowed<permit::CacheRead>,
    state: State,
) -> Result<web::Json<CacheHealth>, ApiError> {
    Ok(web::Json(state.system.cache().health().await))
}

/// Drop entries.
#[utoipa::path(post, path = "/cache/invalidate", tag = "cache", params(Pattern),
    responses((status = 200, body = Invalidated)))]
pub(crate) async fn invalidate_cache(
    caller: Allowed<permit::CacheManage>,
    (state, trail): (State, Trail),
    query: web::Query<Pattern>,
) -> Result<web::Json<Invalidated>, ApiError> {
    let dropped = state.system.cache().invalidate(&query.pattern).await?;
    trail.note(Some(caller.user.id), "cache.invalidate", &query.pattern).await;
    Ok(web::Json(dropped))
}
