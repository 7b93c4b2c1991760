//! `/keys`: the API keys of programs. Everybody sees and revokes their own; administrators all.
//! Keys open none of these routes, so a key cannot make another.

use actix_web::{HttpResponse, web};
use callboard_protocol::{
    ApiKeyCreated, ApiKeyId, ApiKeyPage, ErrorCode, NewApiKey, Permission, Timestamp,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::conversations::{checked_cursor, checked_limit};
use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhichKeys {
    /// Everybody's, for administrators.
    #[serde(default)]
    all: bool,
    /// At most so many; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

/// One's own keys, or everybody's, the latest first; those that are revoked, too.
#[utoipa::path(get, path = "/keys", tag = "keys", params(WhichKeys),
    responses((status = 200, body = ApiKeyPage)))]
pub(crate) async fn list_keys(
    caller: Allowed<permit::KeysUse>,
    state: State,
    which: web::Query<WhichKeys>,
) -> Result<web::Json<ApiKeyPage>, ApiError> {
    if which.all && !caller.may(Permission::KeysManage) {
        return Err(ErrorCode::Forbidden.into());
    }
    let owner = (!which.all).then_some(caller.user.id);
    let cursor = which.cursor.as_deref().map(checked_cursor).transpose()?;
    let limit = checked_limit(which.limit)?;
    Ok(web::Json(state.identity.keys(owner, cursor.as_ref(), limit).await?))
}

/// Make a key of one's own. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/keys", tag = "keys", request_body = NewApiKey,
    responses((status = 201, body = ApiKeyCreated)))]
pub(crate) async fn create_key(
    caller: Allowed<permit::KeysUse>,
    (state, trail): (State, Trail),
    body: web::Json<NewApiKey>,
) -> Result<HttpResponse, ApiError> {
    let (owner, now) = (caller.user.id, Timestamp::now());
    let new = body.into_inner();
    let made = state.identity.create_key(owner, new, now).await?;
    trail.note(&caller.user, "key.create", made.key.id).await;
    Ok(HttpResponse::Created().json(made))
}

/// Revoke a key: one's own, or, as an administrator, anybody's. It opens nothing from now on.
#[utoipa::path(delete, path = "/keys/{id}", tag = "keys", params(("id" = ApiKeyId, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke_key(
    caller: Allowed<permit::KeysUse>,
    (state, trail): (State, Trail),
    id: web::Path<ApiKeyId>,
) -> Result<HttpResponse, ApiError> {
    let owner = (!caller.may(Permission::KeysManage)).then_some(caller.user.id);
    state.identity.revoke_key(owner, *id, Timestamp::now()).await?;
    trail.note(&caller.user, "key.revoke", *id).await;
    Ok(HttpResponse::NoContent().finish())
}
