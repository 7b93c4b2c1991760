//! `/alerts`: rules that watch the logs, what they found, and who is told.

use actix_web::{HttpResponse, web};
use callboard_entities::queries::alerts;
use callboard_logs::LogStore;
use callboard_protocol::{
    AlertChannelList, AlertOutlook, AlertPage, AlertPreview, AlertRule, AlertRuleChange,
    AlertRuleId, AlertRuleList, AlertSearch, ErrorCode, Mute, NewAlertRule, Timestamp,
};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
    routes::bounded,
};

/// Alerts on a page, when nobody says how many …
const DEFAULT_LIMIT: u32 = 50;

/// … and at most.
const MAX_LIMIT: u32 = 200;

/// What the rules found, the last first.
#[utoipa::path(get, path = "/alerts", tag = "alerts", params(AlertSearch),
    responses((status = 200, body = AlertPage)))]
pub(crate) async fn list_alerts(
    _: Allowed<permit::AlertsUse>,
    state: State,
    query: web::Query<AlertSearch>,
) -> Result<web::Json<AlertPage>, ApiError> {
    let AlertSearch { state: stands, rule_id, limit, cursor } = query.into_inner();
    let bad = |message: String| ApiError::new(ErrorCode::InvalidParameter, message);
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad(format!("The limit must be between 1 and {MAX_LIMIT}.")));
    }
    let cursor = cursor.map(|cursor| cursor.parse()).transpose();
    let cursor = cursor.map_err(|error: &str| bad(error.to_owned()))?;
    Ok(web::Json(alerts::list(&state.store, (stands, rule_id), cursor, limit).await?))
}

/// When a condition would have fired.
#[utoipa::path(post, path = "/alerts/preview", tag = "alerts", request_body = AlertPreview,
    responses((status = 200, body = AlertOutlook)))]
pub(crate) async fn preview_alert(
    caller: Allowed<permit::AlertsUse>,
    state: State,
    body: web::Json<AlertPreview>,
) -> Result<web::Json<AlertOutlook>, ApiError> {
    bounded(&state, body.condition.query())?;
    let preview = body.into_inner();
    let outlook = move |logs: &LogStore| logs.outlook(&preview, Timestamp::now());
    Ok(web::Json(state.edge().read_logs(&caller.rights, outlook).await?))
}

/// Who can be told: the channels of the configuration.
#[utoipa::path(get, path = "/alerts/channels", tag = "alerts",
    responses((status = 200, body = AlertChannelList)))]
pub(crate) async fn list_channels(
    _: Allowed<permit::AlertsUse>,
    state: State,
) -> web::Json<AlertChannelList> {
    web::Json(state.system.alerts().channels())
}

/// Send a notice of no alert to a channel, to see whether it comes through.
#[utoipa::path(post, path = "/alerts/channels/{name}/test", tag = "alerts",
    params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn test_channel(
    caller: Allowed<permit::AlertsManage>,
    (state, trail): (State, Trail),
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.system.alerts().try_channel(&name).await?;
    trail.note(&caller.user, "alert_channel.test", name).await;
    Ok(HttpResponse::NoContent().finish())
}

/// The rules, and how each stands.
#[utoipa::path(get, path = "/alerts/rules", tag = "alerts",
    responses((status = 200, body = AlertRuleList)))]
pub(crate) async fn list_rules(
    _: Allowed<permit::AlertsUse>,
    state: State,
) -> Result<web::Json<AlertRuleList>, ApiError> {
    Ok(web::Json(AlertRuleList { items: alerts::rules(&state.store).await? }))
}

/// Make a rule. It is evaluated from then on.
#[utoipa::path(post, path = "/alerts/rules", tag = "alerts", request_body = NewAlertRule,
    responses((status = 201, body = AlertRule)))]
pub(crate) async fn create_rule(
    caller: Allowed<permit::AlertsManage>,
    (state, trail): (State, Trail),
    body: web::Json<NewAlertRule>,
) -> Result<HttpResponse, ApiError> {
    bounded(&state, body.condition.query())?;
    let made = state.system.alerts().create(caller.user.id, body.into_inner()).await?;
    trail.note(&caller.user, "alert_rule.create", made.id).await;
    Ok(HttpResponse::Created().json(made))
}

/// One rule.
#[utoipa::path(get, path = "/alerts/rules/{id}", tag = "alerts",
    params(("id" = AlertRuleId, Path)), responses((status = 200, body = AlertRule)))]
pub(crate) async fn read_rule(
    _: Allowed<permit::AlertsUse>,
    state: State,
    id: web::Path<AlertRuleId>,
) -> Result<web::Json<AlertRule>, ApiError> {
    Ok(web::Json(alerts::rule(&state.store, *id).await?))
}

/// Change a rule. With another condition, or turned off, what fires of it is over.
#[utoipa::path(patch, path = "/alerts/rules/{id}", tag = "alerts",
    params(("id" = AlertRuleId, Path)), request_body = AlertRuleChange,
    responses((status = 200, body = AlertRule)))]
pub(crate) async fn change_rule(
    caller: Allowed<permit::AlertsManage>,
    (state, trail): (State, Trail),
    id: web::Path<AlertRuleId>,
    body: web::Json<AlertRuleChange>,
) -> Result<web::Json<AlertRule>, ApiError> {
    bounded(&state, body.condition.as_ref().map_or("", |condition| condition.query()))?;
    let changed = state.system.alerts().change(*id, body.into_inner()).await?;
    trail.note(&caller.user, "alert_rule.change", *id).await;
    Ok(web::Json(changed))
}

/// Let a rule tell nobody for a while, or speak again. What it finds is kept all the same.
#[utoipa::path(post, path = "/alerts/rules/{id}/mute", tag = "alerts",
    params(("id" = AlertRuleId, Path)), request_body = Mute,
    responses((status = 200, body = AlertRule)))]
pub(crate) async fn mute_rule(
    caller: Allowed<permit::AlertsUse>,
    (state, trail): (State, Trail),
    id: web::Path<AlertRuleId>,
    body: web::Json<Mute>,
) -> Result<web::Json<AlertRule>, ApiError> {
    let muted = state.system.alerts().mute(*id, body.into_inner()).await?;
    trail.note(&caller.user, "alert_rule.mute", *id).await;
    Ok(web::Json(muted))
}

/// Forget a rule, and what it found.
#[utoipa::path(delete, path = "/alerts/rules/{id}", tag = "alerts",
    params(("id" = AlertRuleId, Path)), responses((status = 204)))]
pub(crate) async fn delete_rule(
    caller: Allowed<permit::AlertsManage>,
    (state, trail): (State, Trail),
    id: web::Path<AlertRuleId>,
) -> Result<HttpResponse, ApiError> {
    alerts::delete(&state.store, *id).await?;
    trail.note(&caller.user, "alert_rule.delete", *id).await;
    Ok(HttpResponse::NoContent().finish())
}
