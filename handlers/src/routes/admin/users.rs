//! `/admin/users`: accounts and their sign-ins.

use actix_web::{HttpRequest, HttpResponse, web};
use callboard_entities::queries::accounts::AccountFilter;
use callboard_protocol::{
    Account, AccountCreated, AccountDeleted, AccountLink, AccountPage, ChangeAccount,
    CreateAccount, ErrorCode, Role, SignInList, SignInsEnded, Timestamp, TokenFamilyId, UserId,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    ApiError, Edge,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
    identity::Link,
    routes::conversations::checked_limit,
};

/// The longest text that is looked for, in bytes.
const LONGEST_TEXT: usize = 100;

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhichAccounts {
    /// A part of a name, or of the address for mail, in any case.
    #[param(max_length = 100)]
    q: Option<String>,
    /// Of this role.
    role: Option<Role>,
    /// Disabled ones, or the others; both when absent.
    disabled: Option<bool>,
    /// At most so many; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    #[param(max_length = 64)]
    cursor: Option<String>,
}

/// What happens to what an account has.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Inheritance {
    /// The account that gets the conversations; absent, they are deleted.
    transfer_to: Option<UserId>,
}

/// The accounts, by name.
#[utoipa::path(get, path = "/admin/users", tag = "admin", params(WhichAccounts),
    responses((status = 200, body = AccountPage)))]
pub(crate) async fn list_users(
    _: Allowed<permit::UsersManage>,
    state: State,
    which: web::Query<WhichAccounts>,
) -> Result<web::Json<AccountPage>, ApiError> {
    let WhichAccounts { q, role, disabled, limit, cursor } = which.into_inner();
    let long = [&q, &cursor].into_iter().flatten().any(|text| text.len() > LONGEST_TEXT);
    if long {
        let message = format!("q and cursor have at most {LONGEST_TEXT} bytes");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    let filter = AccountFilter { text: q, role, disabled };
    let limit = checked_limit(limit)?;
    Ok(web::Json(state.identity.accounts(&filter, cursor.as_deref(), limit).await?))
}

/// Make an account. Its owner chooses a password with the link in the reply, which is shown once.
#[utoipa::path(post, path = "/admin/users", tag = "admin", request_body = CreateAccount,
    responses((status = 201, body = AccountCreated)))]
pub(crate) async fn create_user(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Json<CreateAccount>,
) -> Result<HttpResponse, ApiError> {
    let (by, now) = (caller.user.id, Timestamp::now());
    let (account, link) = state.identity.invite(body.into_inner(), by, now).await?;
    let made = (None::<Account>, Some(&account));
    trail.change(&caller.user, "user.create", account.id, made).await;
    let link = shown(link, state.edge(), &request);
    Ok(HttpResponse::Created().json(AccountCreated { account, link }))
}

/// One account.
#[utoipa::path(get, path = "/admin/users/{id}", tag = "admin", params(("id" = UserId, Path)),
    responses((status = 200, body = Account)))]
pub(crate) async fn read_user(
    _: Allowed<permit::UsersManage>,
    state: State,
    id: web::Path<UserId>,
) -> Result<web::Json<Account>, ApiError> {
    Ok(web::Json(state.identity.account(*id).await?))
}

/// Change an account: its role, its names, or whether it opens anything. It counts at once.
#[utoipa::path(patch, path = "/admin/users/{id}", tag = "admin", params(("id" = UserId, Path)),
    request_body = ChangeAccount, responses((status = 200, body = Account)))]
pub(crate) async fn change_user(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    id: web::Path<UserId>,
    body: web::Json<ChangeAccount>,
) -> Result<web::Json<Account>, ApiError> {
    let change = body.into_inner();
    let (before, after) = state.identity.change_account(*id, change, Timestamp::now()).await?;
    trail.change(&caller.user, "user.change", *id, (Some(&before), Some(&after))).await;
    Ok(web::Json(after))
}

/// Delete an account with its keys, its sign-ins, and its conversations unless another account gets
/// those. Its name and its addresses are erased from the audit trail.
#[utoipa::path(delete, path = "/admin/users/{id}", tag = "admin",
    params(("id" = UserId, Path), Inheritance), responses((status = 200, body = AccountDeleted)))]
pub(crate) async fn delete_user(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    id: web::Path<UserId>,
    what: web::Query<Inheritance>,
) -> Result<web::Json<AccountDeleted>, ApiError> {
    let (heir, now) = (what.transfer_to, Timestamp::now());
    let gone = state.identity.delete_account(*id, heir, now).await?;
    let details = serde_json::json!({ "transfer_to": heir, "gone": gone });
    trail.note_with(&caller.user, "user.delete", *id, details).await;
    Ok(web::Json(gone))
}

/// A new link with which the account's owner chooses a password. The one before is good no longer; the
/// password is, until the link is used.
#[utoipa::path(post, path = "/admin/users/{id}/link", tag = "admin",
    params(("id" = UserId, Path)), responses((status = 201, body = AccountLink)))]
pub(crate) async fn create_link(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    request: HttpRequest,
    id: web::Path<UserId>,
) -> Result<HttpResponse, ApiError> {
    let link = state.identity.issue_link(*id, caller.user.id, Timestamp::now()).await?;
    trail.note(&caller.user, "user.link", *id).await;
    Ok(HttpResponse::Created().json(shown(link, state.edge(), &request)))
}

/// Take an account's second factor away, when its owner has lost it and the recovery codes. They are
/// signed out everywhere.
#[utoipa::path(delete, path = "/admin/users/{id}/second-factor", tag = "admin",
    params(("id" = UserId, Path)), responses((status = 204)))]
pub(crate) async fn delete_user_second_factor(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    id: web::Path<UserId>,
) -> Result<HttpResponse, ApiError> {
    state.identity.account(*id).await?;
    state.identity.forget_second_factor(*id, Timestamp::now()).await?;
    trail.note(&caller.user, "user.second_factor_remove", *id).await;
    Ok(HttpResponse::NoContent().finish())
}

/// The sign-ins of an account that are in force.
#[utoipa::path(get, path = "/admin/users/{id}/sessions", tag = "admin",
    params(("id" = UserId, Path)), responses((status = 200, body = SignInList)))]
pub(crate) async fn list_user_sessions(
    caller: Allowed<permit::UsersManage>,
    state: State,
    id: web::Path<UserId>,
) -> Result<web::Json<SignInList>, ApiError> {
    state.identity.account(*id).await?;
    let items = state.identity.sign_ins(*id, caller.family, Timestamp::now()).await?;
    Ok(web::Json(SignInList { items }))
}

/// Sign an account out everywhere.
#[utoipa::path(delete, path = "/admin/users/{id}/sessions", tag = "admin",
    params(("id" = UserId, Path)), responses((status = 200, body = SignInsEnded)))]
pub(crate) async fn end_user_sessions(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    id: web::Path<UserId>,
) -> Result<web::Json<SignInsEnded>, ApiError> {
    state.identity.account(*id).await?;
    let ended = state.identity.end_sign_ins(*id, None, Timestamp::now()).await?;
    trail.note(&caller.user, "user.sessions_end", *id).await;
    Ok(web::Json(SignInsEnded { ended }))
}

/// End one sign-in of an account.
#[utoipa::path(delete, path = "/admin/users/{id}/sessions/{session}", tag = "admin",
    params(("id" = UserId, Path), ("session" = TokenFamilyId, Path)), responses((status = 204)))]
pub(crate) async fn end_user_session(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    path: web::Path<(UserId, TokenFamilyId)>,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = path.into_inner();
    state.identity.end_sign_in(id, session, Timestamp::now()).await?;
    trail.note(&caller.user, "user.session_end", id).await;
    Ok(HttpResponse::NoContent().finish())
}

/// A link as it is given on: at the address by which browsers reach the server.
fn shown(link: Link, edge: &Edge, request: &HttpRequest) -> AccountLink {
    let base = match &edge.config().public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => {
            let host = request.headers().get("host").and_then(|host| host.to_str().ok());
            host.map(|host| format!("http://{host}")).unwrap_or_default()
        }
    };
    AccountLink { url: format!("{base}{}", link.path), expires_at: link.expires_at }
}
