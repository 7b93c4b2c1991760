//! Who sent a request, and what they may do: authorisation in the type of a handler's argument.
//!
//! A handler that takes [`Allowed<permit::LogsRead>`](Allowed) runs only for those who hold that
//! right; a handler without such an argument is public, and stands as public in the table of
//! `routes.rs`, whose test walks every route with every role.

pub mod permit;

use std::{marker::PhantomData, net::IpAddr, sync::Arc};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
};
use base64::Engine as _;
use callboard_actors::{Payer, Rights};
use callboard_entities::queries::sign_ins::SeenFrom;
use callboard_protocol::{
    ErrorCode, KeyScope, KeySecret, Permission, Timestamp, TokenFamilyId, User,
};
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use crate::{
    ApiError, Edge, EdgeConfig, KeyOfCaller, audit::Trail, edge::not_ready, identity::cookie,
};

pub use permit::Permit;
pub(crate) use permit::scope_of;

/// The header in which a page sends its CSRF token back.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

/// The header in which Anthropic's clients send a key.
pub(crate) const KEY_HEADER: &str = "x-api-key";

/// Marks a connection that came in over the Unix socket in the data folder. The composition root
/// puts it there in `HttpServer::on_connect`; whoever may open that socket is the account `local`.
#[derive(Clone, Copy, Debug)]
pub struct LocalPeer;

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `Authorization: Bearer`.
    Bearer,
    /// The cookie `callboard_access`; requests that change something also need a CSRF token.
    Cookie,
    /// The permissions of the file system.
    LocalSocket,
    /// An API key, in `Authorization: Bearer` or `x-api-key`.
    ApiKey,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The account.
    pub user: User,
    /// What the account may do, and which logs it may see.
    pub rights: Arc<Rights>,
    /// The sign-in that the token descends from; none on the Unix socket.
    pub family: Option<TokenFamilyId>,
    /// Whether they showed a second factor.
    pub second_factor: bool,
    /// When the token ends; never on the Unix socket.
    pub expires_at: Option<Timestamp>,
    /// How they showed it.
    pub via: Via,
    /// The key that they showed, which bounds what they may do.
    pub key: Option<Arc<KeyOfCaller>>,
}

impl Principal {
    /// Whether they hold a right: by their role, and, with a key, by its scopes.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.check(permission, scope_of(permission)).is_ok()
    }

    /// What they may do now, if they still may read logs: for what goes on long after it was asked for.
    pub(crate) fn rights_now(&self, edge: &Edge) -> Option<Arc<Rights>> {
        let identity = &edge.state()?.identity;
        let (_, rights) =
            identity.standing(self.user.id, self.user.role, (self.family, self.second_factor))?;
        let revoked = self.key.as_ref().is_some_and(|key| identity.was_key_revoked(key.id));
        let over = revoked || self.expires_at.is_some_and(|end| Timestamp::now() >= end);
        rights.may(Permission::LogsRead).then_some(rights).filter(|_| !over)
    }

    /// Whose budgets their calls count to.
    pub(crate) fn payer(&self) -> Payer {
        Payer::new(&self.user, self.key.as_ref().map(|key| (key.id, key.budgets)))
    }

    /// Fails unless they came through the Unix socket.
    fn check_local(&self) -> Result<(), ApiError> {
        match self.via {
            Via::LocalSocket => Ok(()),
            Via::Bearer | Via::Cookie | Via::ApiKey => {
                let message = "only callers on the server's own machine may do this";
                Err(ApiError::new(ErrorCode::Forbidden, message))
            }
        }
    }

    /// Fails with what is missing.
    fn check(&self, permission: Permission, scope: Option<KeyScope>) -> Result<(), ApiError> {
        if !self.rights.may(permission) {
            return Err(ErrorCode::Forbidden.into());
        }
        let Some(key) = &self.key else { return Ok(()) };
        let refused = |message| Err(ApiError::new(ErrorCode::Forbidden, message));
        match scope {
            Some(scope) if key.scopes.contains(&scope) => Ok(()),
            Some(scope) => refused(format!("this key has not the scope {scope}")),
            None => refused("no API key may do this: sign in".to_owned()),
        }
    }
}

/// Somebody who holds the right `P`.
pub struct Allowed<P> {
    principal: Principal,
    right: PhantomData<P>,
}

impl<P> Allowed<P> {
    /// Who it is.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }
}

impl<P> std::ops::Deref for Allowed<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<P: Permit> FromRequest for Allowed<P> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let principal = identified(&request).await?;
            principal.check(P::PERMISSION, P::scope())?;
            Ok(Self { principal, right: PhantomData })
        })
    }
}

/// The account `local`, on the Unix socket in the data folder: for what only an operator on the
/// machine itself may do, such as reading files by their path.
pub struct LocalOperator(Principal);

impl std::ops::Deref for LocalOperator {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for LocalOperator {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            // Anonymous callers are told to sign in, as everywhere; others that it will not help.
            let principal = identified(&request).await?;
            principal.check_local()?;
            Ok(Self(principal))
        })
    }
}

/// Notes in the audit trail that somebody may not do what they asked for.
async fn note_refusal(request: &HttpRequest, principal: &Principal) {
    let route = request.match_pattern().unwrap_or_else(|| request.path().to_owned());
    let object = format!("{} {route}", request.method());
    let Ok(trail) = Trail::of(request) else { return };
    let key = principal.key.as_ref().map(|key| key.id);
    trail.note_with(&principal.user, "access.denied", object, json!({ "key": key })).await;
}

/// What a route demands of its callers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Demand {
    /// This right, and of a key this scope; with none no key is enough.
    Right(Permission, Option<KeyScope>),
    /// To come through the Unix socket.
    Local,
}

/// Finds out who sent the request, and whether they may, before its arguments are extracted: whoever may
/// not call a route is told so, and not what is wrong with the rest. (Extractors run side by side, and
/// one that needs no database would be first with its error.) A refusal is noted in the audit trail.
///
/// # Errors
/// Those of the handler behind it; whoever is refused gets an answer.
pub(crate) async fn admit<B: MessageBody + 'static>(
    demand: Demand,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let refused = match authenticate(request.request()).await {
        Ok(principal) => {
            let checked = match demand {
                Demand::Right(permission, scope) => principal.check(permission, scope),
                Demand::Local => principal.check_local(),
            };
            match checked {
                Ok(()) => {
                    request.extensions_mut().insert(principal);
                    return Ok(next.call(request).await?.map_into_left_body());
                }
                Err(refused) => {
                    note_refusal(request.request(), &principal).await;
                    refused
                }
            }
        }
        Err(unknown) => unknown,
    };
    Ok(request.error_response(refused).map_into_right_body())
}

/// Who sent the request, as [`admit`] has found out already, or else now.
async fn identified(request: &HttpRequest) -> Result<Principal, ApiError> {
    let known = request.extensions().get::<Principal>().cloned();
    match known {
        Some(principal) => Ok(principal),
        None => authenticate(request).await,
    }
}

/// Who sent the request.
async fn authenticate(request: &HttpRequest) -> Result<Principal, ApiError> {
    let identity = &Edge::of(request)?.state().ok_or_else(not_ready)?.identity;
    if is_local_socket(request) {
        return Ok(identity.local_operator());
    }
    let now = Timestamp::now();
    if let Some(key) = shipper_key(request) {
        return identity.check_key(&key, now).await;
    }
    if let Some(token) = bearer(request)? {
        return if KeySecret::is_meant(token) {
            identity.check_key(token, now).await
        } else {
            identity.check_access(token, Via::Bearer, now).await
        };
    }
    if let Some(key) = request.headers().get(KEY_HEADER) {
        let key = key.to_str().map_err(|_| ErrorCode::InvalidToken)?;
        return identity.check_key(key.trim(), now).await;
    }
    let token = request.cookie(cookie::ACCESS).ok_or(ErrorCode::Unauthenticated)?;
    let principal = identity.check_access(token.value(), Via::Cookie, now).await?;
    if !is_safe(request.method()) {
        let family = principal.family.ok_or(ErrorCode::CsrfFailed)?;
        identity.check_csrf(csrf_token(request), family)?;
    }
    Ok(principal)
}

/// The API key of a shipper: as the password of `Authorization: Basic`, which all of them can send, or
/// as Elasticsearch's `ApiKey`, with any name before it.
fn shipper_key(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, packed) = value.split_once(' ')?;
    if !["basic", "apikey"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed.trim()).ok()?;
    let pair = String::from_utf8(bytes).ok()?;
    let (_, secret) = pair.split_once(':')?;
    KeySecret::is_meant(secret).then(|| secret.to_owned())
}

/// The token of `Authorization: Bearer`. Another scheme is an error: a caller who meant to show
/// who they are must not fall back to the cookie unnoticed.
pub(crate) fn bearer(request: &HttpRequest) -> Result<Option<&str>, ApiError> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ErrorCode::InvalidToken)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        Some(_) | None => Err(ApiError::new(ErrorCode::InvalidToken, "use the Bearer scheme")),
    }
}

/// The CSRF token that came with the request.
pub(crate) fn csrf_token(request: &HttpRequest) -> &str {
    request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether the method changes nothing.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// From where a request came, as a sign-in shows it.
pub(crate) fn seen_from(request: &HttpRequest, config: &EdgeConfig) -> SeenFrom {
    let device = request.headers().get(header::USER_AGENT).and_then(|name| name.to_str().ok());
    let address = client_address(request, config).map(|address| address.to_string());
    SeenFrom { device: device.map(str::to_owned), address }
}

/// The address of the client: the peer's, or what a trusted proxy says that it is. None on a
/// Unix socket.
pub(crate) fn client_address(request: &HttpRequest, config: &EdgeConfig) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let trusted = |address: &IpAddr| config.trusted_proxies.contains(address);
    if !trusted(&peer) {
        return Some(peer);
    }
    // Each proxy appends the address that it saw; the last one that is not a proxy of ours is the
    // client. What stands before it is the client's own word.
    let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|v| v.to_str().ok());
    let addresses: Vec<&str> = forwarded.flat_map(|line| line.split(',')).map(str::trim).collect();
    let mut client = peer;
    for text in addresses.into_iter().rev() {
        let Ok(address) = text.parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !trusted(&client) {
            break;
        }
    }
    Some(client)
}

/// Whether the request was made on this machine and not merely passed on by a proxy on it.
pub(crate) fn is_local(request: &HttpRequest) -> bool {
    let here = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    is_local_socket(request) || (here && !is_forwarded(request))
}

/// Whether the request came over the Unix socket, from the operator and not from a proxy that was
/// pointed at it.
fn is_local_socket(request: &HttpRequest) -> bool {
    request.conn_data::<LocalPeer>().is_some() && !is_forwarded(request)
}

fn is_forwarded(request: &HttpRequest) -> bool {
    let names = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];
    names.iter().any(|name| request.headers().contains_key(*name))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn with_key(scopes: &[KeyScope]) -> Principal {
        let key = KeyOfCaller {
            id: callboard_protocol::ApiKeyId::new(),
            scopes: scopes.to_vec(),
            models: None,
            budgets: callboard_actors::Limits::default(),
        };
        let user = User {
            id: callboard_protocol::UserId::new(),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            role: callboard_protocol::Role::ADMIN,
        };
        let key = Some(Arc::new(key));
        let rights = Arc::new(Rights::of_built_in(user.role));
        let (family, expires_at, via) = (None, None, Via::ApiKey);
        Principal { user, rights, family, second_factor: false, expires_at, via, key }
    }

    #[test]
    fn a_key_holds_the_rights_of_its_scopes_and_no_other() {
        let open = [
            (Permission::GatewayUse, KeyScope::Chat),
            (Permission::LogsRead, KeyScope::LogsRead),
            (Permission::LogsIngest, KeyScope::LogsWrite),
            (Permission::UsageRead, KeyScope::UsageRead),
        ];
        for permission in Permission::ALL {
            for scope in KeyScope::ALL {
                let may = with_key(&[scope]).may(permission);
                assert_eq!(may, open.contains(&(permission, scope)), "{permission:?} {scope}");
            }
            let all = with_key(&KeyScope::ALL).may(permission);
            assert_eq!(all, open.iter().any(|(right, _)| *right == permission), "{permission:?}");
            assert!(!with_key(&[]).may(permission));
            let signed_in = Principal { key: None, ..with_key(&[]) };
            assert!(signed_in.may(permission), "{permission:?}");
        }
    }

    #[test]
    fn the_scopes_of_a_key_add_nothing_to_its_owners_role() {
        let mut caller = with_key(&KeyScope::ALL);
        caller.rights = Arc::new(Rights::of_built_in(callboard_protocol::Role::VIEWER));
        for permission in Permission::ALL {
            assert!(!caller.may(permission) || caller.rights.may(permission));
        }
    }

    fn request(peer: &str, forwarded: Option<&str>) -> HttpRequest {
        let mut request = TestRequest::get().peer_addr(format!("{peer}:1").parse().unwrap());
        if let Some(forwarded) = forwarded {
            request = request.insert_header(("x-forwarded-for", forwarded));
        }
        request.to_http_request()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let trusting = EdgeConfig {
            trusted_proxies: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
            ..EdgeConfig::default()
        };
        let client = |peer, forwarded| {
            client_address(&request(peer, forwarded), &trusting).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1", Some("203.0.113.9")), "192.0.2.1");
        assert_eq!(client("10.0.0.1", Some("1.1.1.1, 203.0.113.9")), "203.0.113.9");
        assert_eq!(client("10.0.0.1", Some("1.1.1.1, 203.0.113.9, 10.0.0.2")), "203.0.113.9");
        assert_eq!(client("10.0.0.1", Some("nonsense")), "10.0.0.1");
        assert_eq!(client("10.0.0.1", None), "10.0.0.1");
    }

    #[test]
    fn a_forwarded_request_is_not_local() {
        assert!(is_local(&request("127.0.0.1", None)));
        assert!(is_local(&request("[::1]", None)));
        assert!(!is_local(&request("127.0.0.1", Some("203.0.113.9"))));
        assert!(!is_local(&request("192.0.2.1", None)));
    }

    #[test]
    fn a_bearer_token_is_read_strictly() {
        let of = |value: &str| {
            let request = TestRequest::get().insert_header(("authorization", value));
            bearer(&request.to_http_request()).map(|token| token.map(str::to_owned))
        };
        assert_eq!(of("Bearer abc").unwrap().as_deref(), Some("abc"));
        assert_eq!(of("bearer abc").unwrap().as_deref(), Some("abc"));
        for value in ["Basic abc", "abc", ""] {
            assert_eq!(of(value).unwrap_err().code(), ErrorCode::InvalidToken, "{value}");
        }
    }
}
