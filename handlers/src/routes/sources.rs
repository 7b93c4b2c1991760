//! `/logs/sources`: the files that are followed.

use actix_web::{HttpResponse, web};
use callboard_protocol::{FollowedSource, NewSource, SourceChange, SourceId, SourceList};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// The log sources that are followed, those that programs push to, and how they do.
#[utoipa::path(get, path = "/logs/sources", tag = "logs",
    responses((status = 200, body = SourceList)))]
pub(crate) async fn list_sources(
    _: Allowed<permit::LogsManage>,
    state: State,
) -> web::Json<SourceList> {
    let items = state.system.sources().list().await;
    web::Json(SourceList { items, pushed: state.system.intake().list() })
}

/// Follow a file, or the files of a pattern, below the folders of `logs.follow_below`.
///
/// Each file is a source of its own, called by its path; it is followed over rotation and truncation. A
/// path of the form `ssh://user@host/path` leads to another machine, when `logs.ssh` is set, and `journal:`
/// or `journal:UNIT` to systemd's journal, when `logs.journal` is.
#[utoipa::path(post, path = "/logs/sources", tag = "logs", request_body = NewSource,
    responses((status = 201, body = FollowedSource)))]
pub(crate) async fn create_source(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    body: web::Json<NewSource>,
) -> Result<HttpResponse, ApiError> {
    let made = state.system.sources().create(body.into_inner()).await?;
    trail.note(&caller.user, "source.create", made.id).await;
    Ok(HttpResponse::Created().json(made))
}

/// How one of them does.
#[utoipa::path(get, path = "/logs/sources/{id}", tag = "logs", params(("id" = SourceId, Path)),
    responses((status = 200, body = FollowedSource)))]
pub(crate) async fn read_source(
    _: Allowed<permit::LogsManage>,
    state: State,
    id: web::Path<SourceId>,
) -> Result<web::Json<FollowedSource>, ApiError> {
    Ok(web::Json(state.system.sources().get(*id).await?))
}

/// Pause or resume one, or follow another path. It goes on where it was.
#[utoipa::path(patch, path = "/logs/sources/{id}", tag = "logs", params(("id" = SourceId, Path)),
    request_body = SourceChange, responses((status = 200, body = FollowedSource)))]
pub(crate) async fn change_source(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    id: web::Path<SourceId>,
    body: web::Json<SourceChange>,
) -> Result<web::Json<FollowedSource>, ApiError> {
    let changed = state.system.sources().change(*id, body.into_inner()).await?;
    trail.note(&caller.user, "source.change", *id).await;
    Ok(web::Json(changed))
}

/// Follow it no longer. Its lines stay.
#[utoipa::path(delete, path = "/logs/sources/{id}", tag = "logs", params(("id" = SourceId, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_source(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    id: web::Path<SourceId>,
) -> Result<HttpResponse, ApiError> {
    state.system.sources().delete(*id).await?;
    trail.note(&caller.user, "source.delete", *id).await;
    Ok(HttpResponse::NoContent().finish())
}
