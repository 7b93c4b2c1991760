//! `/auth`, for those who have an account: their password and their sign-ins.

use actix_web::{HttpRequest, HttpResponse, web};
use callboard_protocol::{
    ChangePassword, RecoveryCodes, SecondFactor, SecondFactorSecret, ShowCode, SignInList,
    SignInsEnded, SignedIn, Timestamp, TokenFamilyId, TokenTransport, UseLink,
};

use super::auth::signed_in;
use crate::{
    ApiError, Via,
    audit::Trail,
    edge::State,
    extract::{self, Allowed, permit},
};

/// Choose a password with a one-time link, and sign in with it. Other sign-ins of the account end.
#[utoipa::path(post, path = "/auth/link", tag = "auth", request_body = UseLink,
    responses((status = 200, body = SignedIn)))]
pub(crate) async fn use_link(
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Json<UseLink>,
) -> Result<HttpResponse, ApiError> {
    let from = extract::seen_from(&request, state.edge().config());
    let session = state.identity.use_link(&body, &from, Timestamp::now()).await?;
    trail.note(&session.user, "auth.link_used", session.user.id).await;
    Ok(signed_in(state.edge(), session, body.transport))
}

/// Choose another password. All sign-ins end, and a new one begins with the reply.
#[utoipa::path(post, path = "/auth/password", tag = "auth", request_body = ChangePassword,
    responses((status = 200, body = SignedIn)))]
pub(crate) async fn change_password(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Json<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let from = extract::seen_from(&request, state.edge().config());
    let now = Timestamp::now();
    let changed = state.identity.change_password(&caller, &body, &from, now).await;
    let session = match changed {
        Ok(session) => session,
        Err(error) => {
            trail.note(&caller.user, "auth.password_refused", error.code()).await;
            return Err(error);
        }
    };
    trail.note(&caller.user, "auth.password_change", caller.user.id).await;
    let transport =
        if caller.via == Via::Cookie { TokenTransport::Cookie } else { TokenTransport::Body };
    Ok(signed_in(state.edge(), session, transport))
}

/// One's own second factor.
#[utoipa::path(get, path = "/auth/second-factor", tag = "auth",
    responses((status = 200, body = SecondFactor)))]
pub(crate) async fn read_second_factor(
    caller: Allowed<permit::AccountUse>,
    state: State,
) -> Result<web::Json<SecondFactor>, ApiError> {
    Ok(web::Json(state.identity.second_factor(&caller).await?))
}

/// Begin with a second factor: a secret for an authenticator. It counts once a code of it is confirmed.
#[utoipa::path(post, path = "/auth/second-factor", tag = "auth",
    responses((status = 201, body = SecondFactorSecret)))]
pub(crate) async fn begin_second_factor(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
) -> Result<HttpResponse, ApiError> {
    let secret = state.identity.begin_second_factor(&caller.user, Timestamp::now()).await?;
    trail.note(&caller.user, "auth.second_factor_begin", caller.user.id).await;
    Ok(HttpResponse::Created().json(secret))
}

/// Put the second factor in force with a first code. From the next sign-in on a code is needed; the reply
/// has codes for when the authenticator is lost.
#[utoipa::path(post, path = "/auth/second-factor/confirm", tag = "auth", request_body = ShowCode,
    responses((status = 200, body = RecoveryCodes)))]
pub(crate) async fn confirm_second_factor(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
    body: web::Json<ShowCode>,
) -> Result<web::Json<RecoveryCodes>, ApiError> {
    let (user, now) = (&caller.user, Timestamp::now());
    let codes = state.identity.confirm_second_factor(user, &body.code, now).await?;
    trail.note(user, "auth.second_factor_confirm", user.id).await;
    Ok(web::Json(codes))
}

/// Take one's own second factor away, with a code of it.
#[utoipa::path(delete, path = "/auth/second-factor", tag = "auth", request_body = ShowCode,
    responses((status = 204)))]
pub(crate) async fn remove_second_factor(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
    body: web::Json<ShowCode>,
) -> Result<HttpResponse, ApiError> {
    let (user, now) = (&caller.user, Timestamp::now());
    state.identity.remove_second_factor(user, &body.code, now).await?;
    trail.note(user, "auth.second_factor_remove", user.id).await;
    Ok(HttpResponse::NoContent().finish())
}

/// One's own sign-ins that are in force, the one that was seen last first.
#[utoipa::path(get, path = "/auth/sessions", tag = "auth",
    responses((status = 200, body = SignInList)))]
pub(crate) async fn list_own_sessions(
    caller: Allowed<permit::AccountUse>,
    state: State,
) -> Result<web::Json<SignInList>, ApiError> {
    let now = Timestamp::now();
    let items = state.identity.sign_ins(caller.user.id, caller.family, now).await?;
    Ok(web::Json(SignInList { items }))
}

/// End all of one's own sign-ins but the one that asks.
#[utoipa::path(delete, path = "/auth/sessions", tag = "auth",
    responses((status = 200, body = SignInsEnded)))]
pub(crate) async fn end_other_sessions(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
) -> Result<web::Json<SignInsEnded>, ApiError> {
    let now = Timestamp::now();
    let ended = state.identity.end_sign_ins(caller.user.id, caller.family, now).await?;
    trail.note(&caller.user, "auth.sessions_end", caller.user.id).await;
    Ok(web::Json(SignInsEnded { ended }))
}

/// End one of one's own sign-ins.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "auth",
    params(("id" = TokenFamilyId, Path)), responses((status = 204)))]
pub(crate) async fn end_own_session(
    caller: Allowed<permit::AccountUse>,
    (state, trail): (State, Trail),
    id: web::Path<TokenFamilyId>,
) -> Result<HttpResponse, ApiError> {
    state.identity.end_sign_in(caller.user.id, *id, Timestamp::now()).await?;
    trail.note(&caller.user, "auth.session_end", *id).await;
    Ok(HttpResponse::NoContent().finish())
}
