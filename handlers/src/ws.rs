//! The WebSocket: who may open one, and from which page.
//!
//! Browsers send cookies along with a socket that any page opens, and no CSRF token, so the page's
//! `Origin` is checked. What happens on the socket is the actors' (`callboard_actors::socket`).

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use callboard_actors::{SessionUser, start_session};
use callboard_protocol::{ErrorCode, SessionId, Timestamp};
use url::Url;

use crate::{
    ApiError, EdgeConfig,
    edge::State,
    extract::{self, Allowed, Principal, Via, permit},
    identity::SocketTokens,
};

/// A new session.
#[utoipa::path(get, path = "/ws/assistant", tag = "assistant", responses((status = 101)))]
pub(crate) async fn open(
    caller: Allowed<permit::ChatUse>,
    state: State,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    start(&state, caller.into_principal(), None, (&request, payload))
}

/// The same session after a reconnect.
#[utoipa::path(get, path = "/ws/assistant/{session_id}", tag = "assistant",
    params(("session_id" = SessionId, Path)), responses((status = 101)))]
pub(crate) async fn open_again(
    caller: Allowed<permit::ChatUse>,
    state: State,
    session_id: web::Path<SessionId>,
    (request, payload): (HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    start(&state, caller.into_principal(), Some(*session_id), (&request, payload))
}

fn start(
    state: &State,
    caller: Principal,
    session_id: Option<SessionId>,
    (request, payload): (&HttpRequest, web::Payload),
) -> Result<HttpResponse, ApiError> {
    let config = state.edge().config();
    check_origin(request, config, caller.via)?;
    // The Unix socket has no address; its callers are on this machine.
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let who = SessionUser {
        peer: extract::client_address(request, config).unwrap_or(here),
        // The Unix socket's account never expires.
        expires_at: caller.expires_at.unwrap_or(Timestamp::from_millis(i64::MAX)),
        tokens: Arc::new(SocketTokens::new(state.identity.clone(), &caller)),
        rights: caller.rights,
        user: caller.user,
    };
    Ok(start_session(&state.system, who, session_id, request, payload)?)
}

/// Whether a page of this origin may open a socket: one of ours, or one that is configured. A
/// program sends no `Origin`; with a cookie it must.
fn check_origin(request: &HttpRequest, config: &EdgeConfig, via: Via) -> Result<(), ApiError> {
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return match via {
            Via::Cookie => Err(ErrorCode::OriginRefused.into()),
            Via::Bearer | Via::LocalSocket | Via::ApiKey => Ok(()),
        };
    };
    let origin = origin.to_str().ok().and_then(|text| Url::parse(text).ok()).map(|u| u.origin());
    let origin = origin.filter(url::Origin::is_tuple).ok_or(ErrorCode::OriginRefused)?;
    let ours = config.public_url.as_ref().is_some_and(|url| url.origin() == origin)
        || config.allowed_origins.iter().any(|allowed| *allowed == origin.ascii_serialization())
        || own_origins(request).any(|own| own == origin);
    if ours { Ok(()) } else { Err(ErrorCode::OriginRefused.into()) }
}

/// The origins of a page that this very address serves.
fn own_origins(request: &HttpRequest) -> impl Iterator<Item = url::Origin> + '_ {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let origin =
        move |scheme: &str| Some(Url::parse(&format!("{scheme}://{}", host?)).ok()?.origin());
    ["http", "https"].into_iter().filter_map(origin)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn check(origin: Option<&str>, via: Via) -> bool {
        let config = EdgeConfig {
            public_url: Some("https://logs.example.org/".parse().unwrap()),
            allowed_origins: vec!["https://ops.example.org".to_owned()],
            ..EdgeConfig::default()
        };
        let mut request = TestRequest::get().insert_header(("host", "10.0.0.5:8080"));
        if let Some(origin) = origin {
            request = request.insert_header(("origin", origin));
        }
        check_origin(&request.to_http_request(), &config, via).is_ok()
    }

    #[test]
    fn our_own_pages_and_the_configured_ones_may_open_a_socket() {
        for origin in [
            "http://10.0.0.5:8080",
            "https://10.0.0.5:8080",
            "https://logs.example.org",
            "https://ops.example.org",
        ] {
            assert!(check(Some(origin), Via::Cookie), "{origin}");
        }
    }

    #[test]
    fn other_pages_may_not_whatever_they_show() {
        for origin in [
            "http://10.0.0.5:9090",
            "http://10.0.0.5",
            "https://logs.example.org.evil.example",
            "http://logs.example.org",
            "https://logs.example.org:8443",
            "https://evil.example",
            "null",
            "",
            "file://",
        ] {
            for via in [Via::Cookie, Via::Bearer, Via::LocalSocket] {
                assert!(!check(Some(origin), via), "{origin} {via:?}");
            }
        }
    }

    #[test]
    fn a_program_has_no_origin_and_a_browser_always_has() {
        assert!(check(None, Via::Bearer));
        assert!(check(None, Via::LocalSocket));
        assert!(!check(None, Via::Cookie));
    }
}
