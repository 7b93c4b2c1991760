//! `/usage`: what calls of models used and cost. Everybody sees their own calls, administrators all,
//! and a key those that were made with it.

use actix_web::web;
use callboard_entities::queries::usage::{self, UsageFilter};
use callboard_protocol::{
    BudgetList, CallList, CallsQuery, ClientError, ErrorCode, Permission, RequestId, Timestamp,
    UsageGroup, UsageQuery, UsageReport,
};

use crate::{
    ApiError,
    edge::State,
    extract::{Allowed, Principal, permit},
};

/// Calls listed at once, when the caller does not say, and at most.
const DEFAULT_CALLS: u32 = 100;
const MOST_CALLS: u32 = 1_000;

/// What calls used and cost: one's own, or, for administrators, everybody's.
#[utoipa::path(get, path = "/usage", tag = "usage", params(UsageQuery),
    responses((status = 200, body = UsageReport)))]
pub(crate) async fn report_usage(
    caller: Allowed<permit::UsageRead>,
    state: State,
    query: web::Query<UsageQuery>,
) -> Result<web::Json<UsageReport>, ApiError> {
    let query = query.into_inner();
    let group_by = query.group_by.unwrap_or(UsageGroup::None);
    let filter = filter_for(&caller, query)?;
    Ok(web::Json(usage::totals(&state.store, &filter, group_by).await?))
}

/// Calls of models one by one, the latest first: each attempt of a request with its end and its
/// reason. One's own, or, for administrators, everybody's.
#[utoipa::path(get, path = "/usage/calls", tag = "usage", params(CallsQuery),
    responses((status = 200, body = CallList)))]
pub(crate) async fn list_calls(
    caller: Allowed<permit::UsageRead>,
    state: State,
    query: web::Query<CallsQuery>,
) -> Result<web::Json<CallList>, ApiError> {
    let CallsQuery { request_id, from, to, user_id, api_key_id, model, provider, limit } =
        query.into_inner();
    let limit = limit.unwrap_or(DEFAULT_CALLS);
    if !(1..=MOST_CALLS).contains(&limit) {
        let message = format!("`limit` is 1 to {MOST_CALLS}");
        return Err(ClientError::new(ErrorCode::InvalidParameter, message).into());
    }
    let query = UsageQuery { from, to, user_id, api_key_id, model, provider, group_by: None };
    let mut filter = filter_for(&caller, query)?;
    filter.request = request_id;
    filter.from = filter.from.or(request_id.and_then(made_at));
    let items = usage::list(&state.store, &filter, limit).await?;
    Ok(web::Json(CallList { items }))
}

/// The instant that an id holds: no call of its request began before.
fn made_at(RequestId(id): RequestId) -> Option<Timestamp> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let millis = i64::try_from(seconds).ok()?.checked_mul(1_000)? + i64::from(nanos / 1_000_000);
    Some(Timestamp::from_millis(millis))
}

/// How one stands with one's budgets.
#[utoipa::path(get, path = "/budgets", tag = "usage",
    responses((status = 200, body = BudgetList)))]
pub(crate) async fn list_budgets(
    caller: Allowed<permit::UsageRead>,
    state: State,
) -> web::Json<BudgetList> {
    web::Json(state.system.budgets(caller.user.id, &caller.payer()))
}

/// The filter that was asked for, within what the caller may see.
fn filter_for(caller: &Principal, query: UsageQuery) -> Result<UsageFilter, ApiError> {
    let UsageQuery { from, to, user_id, api_key_id, model, provider, group_by: _ } = query;
    let (user, key) = (user_id, api_key_id);
    let mut filter = UsageFilter { request: None, user, key, model, provider, from, to };
    if !caller.may(Permission::UsageReadAll) {
        filter.user = Some(only(user_id, caller.user.id)?);
    }
    if let Some(key) = &caller.key {
        filter.key = Some(only(api_key_id, key.id)?);
    }
    Ok(filter)
}

/// What is one's own, if nothing else was asked for.
fn only<T: PartialEq>(asked: Option<T>, own: T) -> Result<T, ApiError> {
    if asked.is_none_or(|asked| asked == own) { Ok(own) } else { Err(ErrorCode::Forbidden.into()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use callboard_actors::Rights;
    use callboard_protocol::{ApiKeyId, KeyScope, Role, User, UserId};

    use super::*;
    use crate::{KeyOfCaller, Via};

    fn caller(role: Role, key: Option<ApiKeyId>) -> Principal {
        let (username, display_name) = ("ada".to_owned(), "Ada".to_owned());
        let key = key.map(|id| {
            let (scopes, budgets) =
                (vec![KeyScope::UsageRead], callboard_actors::Limits::default());
            Arc::new(KeyOfCaller { id, scopes, models: None, budgets })
        });
        let user = User { id: UserId::new(), username, display_name, role };
        let rights = Arc::new(Rights::of_built_in(user.role));
        Principal {
            user,
            rights,
            family: None,
            second_factor: false,
            expires_at: None,
            via: Via::Bearer,
            key,
        }
    }

    #[test]
    fn everybody_sees_what_is_theirs() {
        let other = UsageQuery { user_id: Some(UserId::new()), ..UsageQuery::default() };
        let admin = caller(Role::ADMIN, None);
        assert_eq!(filter_for(&admin, UsageQuery::default()).unwrap(), UsageFilter::default());
        assert_eq!(filter_for(&admin, other.clone()).unwrap().user, other.user_id);
        let viewer = caller(Role::VIEWER, None);
        let own = filter_for(&viewer, UsageQuery::default()).unwrap();
        assert_eq!((own.user, own.key), (Some(viewer.user.id), None));
        assert_eq!(filter_for(&viewer, other).unwrap_err().code(), ErrorCode::Forbidden);
    }

    #[test]
    fn a_key_sees_its_own_calls_also_an_administrators() {
        let key = ApiKeyId::new();
        let program = caller(Role::ADMIN, Some(key));
        let own = filter_for(&program, UsageQuery::default()).unwrap();
        assert_eq!((own.user, own.key), (Some(program.user.id), Some(key)));
        let other = UsageQuery { api_key_id: Some(ApiKeyId::new()), ..UsageQuery::default() };
        assert_eq!(filter_for(&program, other).unwrap_err().code(), ErrorCode::Forbidden);
    }
}
