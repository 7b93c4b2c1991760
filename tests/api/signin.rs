//! The setup link, sign-in, sessions and how they end.

use std::sync::LazyLock;

use callboard_entities::{DatabaseConfig, Store, queries::setup};
use callboard_protocol::{ErrorBody, ErrorCode, Me, Role, SetupState, SignedIn, Timestamp};
use callboard_testkit::Postgres;
use futures_util::future::join;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Database, Launch, PASSWORD, Server, on_both_databases};

on_both_databases! {
    the_setup_link_works_once,
    a_setup_link_that_is_old_or_replaced_is_refused,
    a_refresh_token_is_good_once_and_a_second_use_ends_the_session,
    a_logout_ends_its_session_for_good_and_no_other,
}

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

/// Posts a body to `/auth/…`.
async fn post(server: &Server, path: &str, body: &Value) -> Response {
    let url = server.url(&format!("/api/v1/auth/{path}"));
    HTTP.post(url).json(body).send().await.unwrap()
}

async fn code(reply: Response) -> ErrorCode {
    assert!(!reply.status().is_success(), "{}", reply.status());
    reply.json::<ErrorBody>().await.unwrap().code
}

fn setup_body(token: &str, username: &str) -> Value {
    json!({ "token": token, "username": username, "password": PASSWORD })
}

async fn log_in(server: &Server, username: &str) -> SignedIn {
    let body = json!({ "username": username, "password": PASSWORD });
    let reply = post(server, "login", &body).await;
    assert_eq!(reply.status(), StatusCode::OK);
    reply.json().await.unwrap()
}

async fn refresh(server: &Server, token: &str) -> Result<SignedIn, ErrorCode> {
    let reply = post(server, "refresh", &json!({ "refresh_token": token })).await;
    if reply.status().is_success() {
        Ok(reply.json().await.unwrap())
    } else {
        Err(code(reply).await)
    }
}

/// Who an access token is for, or why it is refused.
async fn me(server: &Server, token: &str) -> Result<Me, ErrorCode> {
    let reply = HTTP.get(server.url("/api/v1/auth/me")).bearer_auth(token).send().await.unwrap();
    if reply.status().is_success() {
        Ok(reply.json().await.unwrap())
    } else {
        Err(code(reply).await)
    }
}

async fn setup_required(server: &Server) -> bool {
    let reply = HTTP.get(server.url("/api/v1/auth/setup")).send().await.unwrap();
    reply.json::<SetupState>().await.unwrap().required
}

async fn the_setup_link_works_once(on: Database) {
    let server = Launch::on(on).await.start().await;
    let token = server.setup_token.clone().unwrap();
    assert!(token.len() >= 40, "{token}");
    assert!(setup_required(&server).await);
    for wrong in ["", "wrong", &token[1..], &token.to_uppercase()] {
        let reply = post(&server, "setup", &setup_body(wrong, "eve")).await;
        assert_eq!(code(reply).await, ErrorCode::InvalidSetupToken, "{wrong}");
    }
    // A form that is filled in wrongly does not use it up.
    let weak = json!({ "token": token, "username": "ada", "password": "short" });
    assert_eq!(code(post(&server, "setup", &weak).await).await, ErrorCode::WeakPassword);
    let reply = post(&server, "setup", &setup_body(&token, "no blanks")).await;
    assert_eq!(code(reply).await, ErrorCode::ValidationFailed);
    assert!(setup_required(&server).await);

    let (ada, eve) = (setup_body(&token, "ada"), setup_body(&token, "eve"));
    let (ada, eve) = join(post(&server, "setup", &ada), post(&server, "setup", &eve)).await;
    let (first, second) = if ada.status().is_success() { (ada, eve) } else { (eve, ada) };
    let admin: SignedIn = first.json().await.unwrap();
    assert_eq!(admin.user.role, Role::ADMIN);
    let lost = code(second).await;
    assert!([ErrorCode::InvalidSetupToken, ErrorCode::AlreadySetUp].contains(&lost), "{lost}");
    let me = me(&server, &admin.access_token.unwrap()).await.unwrap();
    assert_eq!(me.user, admin.user);

    assert!(!setup_required(&server).await);
    let reply = post(&server, "setup", &setup_body(&token, "mallory")).await;
    assert_eq!(code(reply).await, ErrorCode::AlreadySetUp);
    let server = server.stop().await.start().await;
    assert_eq!(server.setup_token, None, "a link although there is an administrator");
    assert!(!server.log().contains(&token));
}

/// A setup token of the test's own, and its SHA-256, which is what the server keeps.
const OWN_TOKEN: &str = "a-setup-token-of-the-test-that-is-long-enough";
const OWN_TOKEN_HASH: &str = "e48bfaaf2d33d00783fc01a197db38dfaad3d9b5b42968c3542dcecbebb87f14";

async fn a_setup_link_that_is_old_or_replaced_is_refused(on: Database) {
    let mut launch = Launch::on(Database::Sqlite).await;
    let postgres = match on {
        Database::Sqlite => None,
        Database::Postgres => Postgres::create().await,
    };
    if let Some(postgres) = &postgres {
        launch = launch.set(format!("database.url={}", postgres.url()));
    }
    let server = launch.start().await;
    let first = server.setup_token.clone().unwrap();
    let server = server.stop().await.start().await;
    assert_ne!(server.setup_token.as_ref(), Some(&first));
    let reply = post(&server, "setup", &setup_body(&first, "eve")).await;
    assert_eq!(code(reply).await, ErrorCode::InvalidSetupToken);

    let path = server.folder().join("data/callboard.db");
    let url = match &postgres {
        Some(postgres) => postgres.url().to_owned(),
        None => format!("sqlite:{}", path.display()),
    };
    let store = Store::open(&DatabaseConfig::at(url)).await.unwrap();
    let mut hash = [0; 32];
    for (byte, hex) in hash.iter_mut().zip(OWN_TOKEN_HASH.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    }
    let now = Timestamp::now();
    setup::issue(&store, &hash, now, now).await.unwrap();
    let reply = post(&server, "setup", &setup_body(OWN_TOKEN, "eve")).await;
    assert_eq!(code(reply).await, ErrorCode::InvalidSetupToken);
    // The same link in its time would have done.
    setup::issue(&store, &hash, now.plus(std::time::Duration::from_secs(600)), now).await.unwrap();
    let reply = post(&server, "setup", &setup_body(OWN_TOKEN, "ada")).await;
    assert_eq!(reply.status(), StatusCode::OK);
}

async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let first = log_in(&server, "ada").await;
    assert_eq!(first.expires_in, 600);
    let old = first.refresh_token.unwrap();
    let second = refresh(&server, &old).await.unwrap();
    let (access, new) = (second.access_token.unwrap(), second.refresh_token.unwrap());
    assert_ne!(old, new);
    assert!(me(&server, &access).await.is_ok());
    let url = server.url("/ws/assistant").replacen("http", "ws", 1);
    let socket = callboard_testkit::WsTarget::new(&url).bearer(&access);
    let mut socket = socket.open().await.unwrap();
    socket.next().await;

    // Somebody has a copy of the old one.
    assert_eq!(refresh(&server, &old).await.err(), Some(ErrorCode::InvalidRefreshToken));
    assert_eq!(me(&server, &access).await.err(), Some(ErrorCode::InvalidToken));
    let first_access = first.access_token.unwrap();
    assert_eq!(me(&server, &first_access).await.err(), Some(ErrorCode::InvalidToken));
    assert_eq!(socket.closed().await.code, Some(4500));
    assert_eq!(refresh(&server, &new).await.err(), Some(ErrorCode::InvalidRefreshToken));
    for wrong in ["", "nonsense", &new[1..], &"x".repeat(10_000)] {
        assert_eq!(refresh(&server, wrong).await.err(), Some(ErrorCode::InvalidRefreshToken));
    }
    // Her other session is not touched.
    assert!(me(&server, &ada.token).await.is_ok());

    // Of two that come at once, one wins at most, and then it was used twice.
    let raced = log_in(&server, "ada").await.refresh_token.unwrap();
    let (one, two) = join(refresh(&server, &raced), refresh(&server, &raced)).await;
    assert!(one.is_err() || two.is_err());
    for winner in [one, two].into_iter().flatten() {
        let access = winner.access_token.unwrap();
        assert_eq!(me(&server, &access).await.err(), Some(ErrorCode::InvalidToken));
    }
}

async fn a_logout_ends_its_session_for_good_and_no_other(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let by_refresh = log_in(&server, "ada").await;
    let by_access = log_in(&server, "ada").await;
    let mut socket = ada.connect().await;
    let body = json!({ "refresh_token": by_refresh.refresh_token });
    assert_eq!(post(&server, "logout", &body).await.status(), StatusCode::NO_CONTENT);
    let access = by_access.access_token.clone().unwrap();
    let logout = HTTP.post(server.url("/api/v1/auth/logout")).bearer_auth(&access);
    assert_eq!(logout.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let gone = async |server: &Server| {
        for session in [&by_refresh, &by_access] {
            let access = session.access_token.as_ref().unwrap();
            assert_eq!(me(server, access).await.err(), Some(ErrorCode::InvalidToken));
            let token = session.refresh_token.as_ref().unwrap();
            assert_eq!(refresh(server, token).await.err(), Some(ErrorCode::InvalidRefreshToken));
        }
    };
    gone(&server).await;
    // A logout of nobody does no harm.
    assert_eq!(post(&server, "logout", &json!({})).await.status(), StatusCode::NO_CONTENT);
    let body = json!({ "refresh_token": "nonsense" });
    assert_eq!(post(&server, "logout", &body).await.status(), StatusCode::NO_CONTENT);
    assert!(me(&server, &ada.token).await.is_ok());
    socket.send_text("{\"type\":\"ping\"}").await;
    let pong = socket.next().await;
    assert!(matches!(pong, callboard_protocol::ServerFrame::Pong { .. }), "{pong:?}");

    // Sessions outlive the server, and those that were ended stay so.
    let server = server.stop().await.start().await;
    gone(&server).await;
    assert!(me(&server, &ada.token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_tells_nothing_and_too_many_are_refused() {
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.set("auth.login_per_name={per_minute = 1, burst = 3}").start().await;
    server.admin().await;
    let attempt = async |username: &str, password: &str| {
        let body = json!({ "username": username, "password": password });
        let reply = post(&server, "login", &body).await;
        let wait = reply.headers().get("retry-after").cloned();
        let mut error: ErrorBody = reply.json().await.unwrap();
        error.request_id = callboard_protocol::RequestId::new();
        (error.code, error.message, wait)
    };
    let wrong = attempt("ada", "wrong horse battery").await;
    assert_eq!((wrong.0, &wrong.2), (ErrorCode::InvalidCredentials, &None));
    for (username, password) in [("nobody", PASSWORD), ("local", PASSWORD), ("no blanks", "")] {
        assert_eq!(attempt(username, password).await, wrong, "{username}");
    }
    // Upper and lower case are one name, so they count as one.
    assert_eq!(attempt("ADA", "wrong").await, wrong);
    assert_eq!(attempt("Ada", "wrong").await, wrong);
    let (code, _, wait) = attempt("ada", PASSWORD).await;
    assert_eq!(code, ErrorCode::RateLimited);
    let wait: u64 = wait.unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_keeps_its_tokens_in_cookies_and_shows_a_csrf_token() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    server.admin().await;
    let login = json!({ "username": "ada", "password": PASSWORD, "transport": "cookie" });
    let reply = post(&server, "login", &login).await;
    let (cookies, csrf) = browser(reply).await;

    let request = |method: Method, path: &str| {
        HTTP.request(method, server.url(path)).header("cookie", &cookies)
    };
    let get = request(Method::GET, "/api/v1/auth/me").send().await.unwrap();
    assert_eq!(get.json::<Me>().await.unwrap().user.username, "ada");
    let ask = || request(Method::POST, "/api/v1/assistant/chat").json(&json!({ "content": "?" }));
    assert_eq!(code(ask().send().await.unwrap()).await, ErrorCode::CsrfFailed);
    let wrong = ask().header("x-csrf-token", "wrong").send().await.unwrap();
    assert_eq!(code(wrong).await, ErrorCode::CsrfFailed);
    let right = ask().header("x-csrf-token", &csrf).send().await.unwrap();
    assert_eq!(right.status(), StatusCode::OK);

    let renew = || request(Method::POST, "/api/v1/auth/refresh");
    assert_eq!(code(renew().send().await.unwrap()).await, ErrorCode::CsrfFailed);
    let renewed = renew().header("x-csrf-token", &csrf).send().await.unwrap();
    let (cookies, csrf) = browser(renewed).await;
    let leave = || HTTP.post(server.url("/api/v1/auth/logout")).header("cookie", &cookies);
    assert_eq!(code(leave().send().await.unwrap()).await, ErrorCode::CsrfFailed);
    let left = leave().header("x-csrf-token", &csrf).send().await.unwrap();
    assert_eq!(left.status(), StatusCode::NO_CONTENT);
    let cleared = left.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap());
    assert_eq!(cleared.filter(|cookie| cookie.contains("Max-Age=0")).count(), 3);
    let get = HTTP.get(server.url("/api/v1/auth/me")).header("cookie", &cookies);
    assert_eq!(code(get.send().await.unwrap()).await, ErrorCode::InvalidToken);
}

/// What a browser takes from a reply: its `Cookie` header, and the CSRF token. Checks that no
/// token is where a script could read it.
async fn browser(reply: Response) -> (String, String) {
    assert_eq!(reply.status(), StatusCode::OK);
    let set = reply.headers().get_all("set-cookie").iter();
    let set: Vec<String> = set.map(|value| value.to_str().unwrap().to_owned()).collect();
    assert_eq!(set.len(), 3, "{set:?}");
    for cookie in &set {
        assert!(cookie.contains("SameSite=Strict"), "{cookie}");
        assert_eq!(cookie.contains("HttpOnly"), !cookie.starts_with("callboard_csrf="), "{cookie}");
    }
    let body: SignedIn = reply.json().await.unwrap();
    assert!(body.access_token.is_none() && body.refresh_token.is_none());
    let pairs: Vec<&str> = set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let csrf = body.csrf_token.unwrap();
    assert!(pairs.contains(&format!("callboard_csrf={csrf}").as_str()));
    (pairs.join("; "), csrf)
}
