//! `/logs/holds`: sources of which no line leaves the index.

use actix_web::{HttpResponse, web};
use callboard_entities::queries::holds;
use callboard_logs::SourceNames;
use callboard_protocol::{ErrorCode, LogHold, LogHoldId, LogHoldList, NewLogHold, Timestamp};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// Holds that may be in force.
const MOST: u64 = 200;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 1_000;

/// The holds in force.
#[utoipa::path(get, path = "/logs/holds", tag = "logs",
    responses((status = 200, body = LogHoldList)))]
pub(crate) async fn list_holds(
    _: Allowed<permit::LogsManage>,
    state: State,
) -> Result<web::Json<LogHoldList>, ApiError> {
    Ok(web::Json(LogHoldList { items: holds::list(&state.store).await? }))
}

/// Hold the lines of some sources: none of them leaves the index, whatever `logs.keep_days`,
/// `logs.keep_gb` and `logs.keep` say, until the hold is ended.
#[utoipa::path(post, path = "/logs/holds", tag = "logs", request_body = NewLogHold,
    responses((status = 201, body = LogHold)))]
pub(crate) async fn create_hold(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    body: web::Json<NewLogHold>,
) -> Result<HttpResponse, ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::ValidationFailed, message);
    let NewLogHold { sources, reason } = body.into_inner();
    let names = SourceNames::parse(&sources);
    let names =
        names.map_err(|problem| invalid(format!("`sources` names no sources: {problem}")))?;
    let reason = reason.trim();
    if !(1..=LONGEST_REASON).contains(&reason.len()) {
        return Err(invalid(format!("A reason has 1 to {LONGEST_REASON} bytes.")));
    }
    if holds::count(&state.store).await? >= MOST {
        return Err(invalid(format!("There are at most {MOST} holds.")));
    }
    let new = NewLogHold { sources: names.to_string(), reason: reason.to_owned() };
    let made = holds::create(&state.store, &new, caller.user.id, Timestamp::now()).await?;
    trail.note(&caller.user, "log_hold.create", made.id).await;
    Ok(HttpResponse::Created().json(made))
}

/// End a hold. What retention would have let go meanwhile goes within the hour.
#[utoipa::path(delete, path = "/logs/holds/{id}", tag = "logs",
    params(("id" = LogHoldId, Path)), responses((status = 204)))]
pub(crate) async fn delete_hold(
    caller: Allowed<permit::LogsManage>,
    (state, trail): (State, Trail),
    id: web::Path<LogHoldId>,
) -> Result<HttpResponse, ApiError> {
    holds::delete(&state.store, *id).await?;
    trail.note(&caller.user, "log_hold.delete", *id).await;
    Ok(HttpResponse::NoContent().finish())
}
