//! `/cache`: the cache of answers.

use actix_web::web;
use callboard_actors::{CacheOrder, pattern_of_model, pattern_of_tag};
use callboard_protocol::{CacheHealth, CacheStats, ClientError, ErrorCode, Invalidated};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// Which entries to drop: exactly one of these.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// A key with `*` for any characters; `*` alone drops everything.
    #[param(min_length = 1, max_length = 256)]
    pattern: Option<String>,
    /// The replies to programs that named this model.
    model: Option<String>,
    /// The replies to programs that have this tag.
    #[param(min_length = 1, max_length = 64)]
    tag: Option<String>,
}

impl Which {
    fn pattern(self) -> Result<String, ClientError> {
        let message = match (self.pattern, self.model, self.tag) {
            (Some(pattern), None, None) => return Ok(pattern),
            (None, Some(model), None) => return Ok(pattern_of_model(&model)),
            (None, None, Some(tag)) if CacheOrder::allows_tag(&tag) => {
                return Ok(pattern_of_tag(&tag));
            }
            (None, None, Some(_)) => "a tag has 1 to 64 letters, digits, `.`, `_`, `-`",
            _ => "name one of `pattern`, `model` and `tag`",
        };
        Err(ClientError::new(ErrorCode::InvalidParameter, message))
    }
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
#[utoipa::path(post, path = "/cache/invalidate", tag = "cache", params(Which),
    responses((status = 200, body = Invalidated)))]
pub(crate) async fn invalidate_cache(
    caller: Allowed<permit::CacheManage>,
    (state, trail): (State, Trail),
    query: web::Query<Which>,
) -> Result<web::Json<Invalidated>, ApiError> {
    let pattern = query.into_inner().pattern()?;
    let dropped = state.system.cache().invalidate(&pattern).await?;
    trail.note(&caller.user, "cache.invalidate", &pattern).await;
    Ok(web::Json(dropped))
}
