//! `/auth`: setup, sign-in, and one's own account.
//!
//! Who signed in, and who failed to, is in the audit trail, and in the server's log with the
//! address and the reason: `authentication failure` and `logged in`, as other programs say it, so
//! that our own index, and whatever bans addresses, finds them.

use actix_web::{HttpRequest, HttpResponse, web};
use callboard_entities::queries::sign_ins::SeenFrom;
use callboard_protocol::{
    ErrorCode, Login, Me, Refresh, Setup, SetupState, SignedIn, Timestamp, TokenTransport,
};

use crate::{
    ApiError, Edge,
    audit::{Actor, Trail},
    edge::State,
    extract::{self, Allowed, Principal, permit},
    identity::{RefreshError, Session, cookie},
};

/// As much of a user name as is noted when a sign-in fails.
const LONGEST_NOTED_NAME: usize = 64;

/// Whether the administrator has yet to be made.
#[utoipa::path(get, path = "/auth/setup", tag = "auth", responses((status = 200, body = SetupState)))]
pub(crate) async fn setup_state(state: State) -> Result<web::Json<SetupState>, ApiError> {
    let required = state.identity.setup_required().await?;
    Ok(web::Json(SetupState { required }))
}

/// Make the administrator, with the token of the one-time link.
#[utoipa::path(post, path = "/auth/setup", tag = "auth", request_body = Setup,
    responses((status = 200, body = SignedIn)))]
pub(crate) async fn set_up(
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Json<Setup>,
) -> Result<HttpResponse, ApiError> {
    let from = extract::seen_from(&request, state.edge().config());
    let transport = body.transport;
    let name = noted(&body.username);
    let session = state.identity.set_up(body.into_inner(), &from, Timestamp::now()).await;
    let session = session.inspect_err(|error| log_failure(&name, &from, error))?;
    log_success(&session, &from);
    trail.note(&session.user, "auth.setup", session.user.id).await;
    Ok(signed_in(state.edge(), session, transport))
}

/// Sign in with a password.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, body = SignedIn)))]
pub(crate) async fn login(
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Json<Login>,
) -> Result<HttpResponse, ApiError> {
    let from = extract::seen_from(&request, state.edge().config());
    let session = match state.identity.login(&body, &from, Timestamp::now()).await {
        Ok(session) => session,
        Err(error) => {
            let name = noted(&body.username);
            log_failure(&name, &from, &error);
            // Attempts over the limit are refused unread: noting each would make the trail a load.
            let wrong =
                [(ErrorCode::InvalidCredentials, "password"), (ErrorCode::InvalidCode, "code")];
            if let Some((_, what)) = wrong.into_iter().find(|(code, _)| *code == error.code()) {
                trail.note(Actor::claiming(name), "auth.login_failed", what).await;
            }
            return Err(error);
        }
    };
    log_success(&session, &from);
    trail.note(&session.user, "auth.login", session.family).await;
    Ok(signed_in(state.edge(), session, body.transport))
}

/// Renew the session. A refresh token is good for one use; used twice, it ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = Option<Refresh>,
    responses((status = 200, body = SignedIn)))]
pub(crate) async fn refresh(
    (state, trail): (State, Trail),
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let shown = shown_token(&state, &request, &body)?.ok_or(ErrorCode::InvalidRefreshToken)?;
    let from = extract::seen_from(&request, state.edge().config());
    let session = match state.identity.refresh(&shown.token, &from, Timestamp::now()).await {
        Ok(session) => session,
        Err(RefreshError { reused: Some((user, family)), error }) => {
            trail.note(user, "auth.refresh_reused", family).await;
            return Err(error);
        }
        Err(RefreshError { reused: None, error }) => {
            trail.note(Actor::unknown(), "auth.refresh_failed", error.code()).await;
            return Err(error);
        }
    };
    Ok(signed_in(state.edge(), session, shown.transport))
}

/// End the session: its refresh token and its access tokens are good no longer.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", request_body = Option<Refresh>,
    responses((status = 204)))]
pub(crate) async fn logout(
    (state, trail): (State, Trail),
    request: HttpRequest,
    caller: Option<Allowed<permit::AccountUse>>,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::now();
    if let Some(caller) = &caller {
        let family = caller.family.map(|family| family.to_string()).unwrap_or_default();
        trail.note(&caller.user, "auth.logout", family).await;
    }
    if let Some(shown) = shown_token(&state, &request, &body)? {
        state.identity.logout(&shown.token, now).await?;
    }
    // A program that kept only its access token ends its session with that.
    if let Some(family) = caller.and_then(|caller| caller.family) {
        state.identity.end(family, now).await?;
    }
    let mut response = HttpResponse::NoContent();
    for cookie in cookie::of_nobody(state.edge().config().is_https()) {
        response.cookie(cookie);
    }
    Ok(response.finish())
}

/// Who am I, and what may I do?
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Allowed<permit::AccountUse>) -> web::Json<Me> {
    let Principal { user, rights, .. } = caller.into_principal();
    web::Json(Me { user, permissions: rights.permissions.iter().collect() })
}

/// A name as somebody typed it, bounded and without control characters.
fn noted(name: &str) -> String {
    name.chars().take(LONGEST_NOTED_NAME).flat_map(char::escape_debug).collect()
}

/// Through the data folder's socket nobody has an address.
fn address_text(from: &SeenFrom) -> &str {
    from.address.as_deref().unwrap_or("local")
}

fn log_failure(user: &str, from: &SeenFrom, error: &ApiError) {
    let (address, reason) = (address_text(from), error.code().as_str());
    tracing::warn!(user, address, reason, "authentication failure");
}

fn log_success(session: &Session, from: &SeenFrom) {
    let (user, address) = (session.user.username.as_str(), address_text(from));
    tracing::info!(user, address, "logged in");
}

/// A refresh token, and how it came: the answer goes the same way.
struct Shown {
    token: String,
    transport: TokenTransport,
}

/// The refresh token in the body, or else in the cookie; for the cookie a CSRF token must be there
/// too.
fn shown_token(
    state: &State,
    request: &HttpRequest,
    body: &web::Bytes,
) -> Result<Option<Shown>, ApiError> {
    let body = if body.is_empty() { Refresh::default() } else { json(body)? };
    if let Some(token) = body.refresh_token {
        return Ok(Some(Shown { token, transport: TokenTransport::Body }));
    }
    let Some(cookie) = request.cookie(cookie::REFRESH) else { return Ok(None) };
    let token = cookie.value().to_owned();
    state.identity.check_refresh_csrf(extract::csrf_token(request), &token)?;
    Ok(Some(Shown { token, transport: TokenTransport::Cookie }))
}

/// A body that may be left out, so that it comes as bytes.
fn json(body: &web::Bytes) -> Result<Refresh, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::new(ErrorCode::InvalidJson, error.to_string()))
}

pub(super) fn signed_in(edge: &Edge, session: Session, transport: TokenTransport) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    let mut body = SignedIn {
        user: session.user.clone(),
        access_token: None,
        refresh_token: None,
        expires_in: session.access_lifetime.as_secs(),
        csrf_token: None,
    };
    match transport {
        TokenTransport::Body => {
            body.access_token = Some(session.access_token);
            body.refresh_token = Some(session.refresh_token);
        }
        TokenTransport::Cookie => {
            for cookie in cookie::of_session(&session, edge.config().is_https()) {
                response.cookie(cookie);
            }
            body.csrf_token = Some(session.csrf_token);
        }
    }
    response.json(body)
}
