//! Setup, sign-in, sessions, CSRF and throttling, over HTTP.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{cookie::SameSite, http::StatusCode, test::TestRequest};
use callboard_actors::TokenCheck as _;
use callboard_protocol::{ChangeAccount, ErrorCode, Permission, Role, SignedIn, Timestamp};
use serde_json::{Value, json};

use super::support::{PASSWORD, Reply, Server, auth_config, bearer, get, post};
use crate::{AttemptLimit, AuthConfig, EdgeConfig, Identity, Via, identity::SocketTokens};

const SETUP: &str = "/api/v1/auth/setup";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const ME: &str = "/api/v1/auth/me";
const CHANGES: &str = "/api/v1/cache/invalidate?pattern=*";

fn tokens(reply: &Reply) -> SignedIn {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    serde_json::from_str(&reply.text).unwrap()
}

async fn setup_token(server: &Server) -> String {
    let path = server.identity.issue_setup_link(Timestamp::now()).await.unwrap().unwrap();
    path.strip_prefix("/setup#").unwrap().to_owned()
}

fn setup_body(token: &str, name: &str) -> Value {
    json!({ "token": token, "username": name, "password": PASSWORD, "transport": "cookie" })
}

async fn refresh(server: &Server, token: &str) -> Reply {
    server.call(post(REFRESH, json!({ "refresh_token": token }))).await
}

/// A request with the cookies of a sign-in, and a CSRF token if there is one.
fn with_cookies(mut request: TestRequest, signed_in: &Reply, csrf: Option<&str>) -> TestRequest {
    for cookie in &signed_in.cookies {
        request = request.cookie(cookie.clone());
    }
    match csrf {
        Some(token) => request.insert_header(("x-csrf-token", token)),
        None => request,
    }
}

#[actix_web::test]
async fn the_setup_link_makes_the_administrator_once() {
    let server = Server::start().await;
    assert_eq!(server.call(get(SETUP)).await.json(), json!({ "required": true }));
    let token = setup_token(&server).await;
    let made = server.call(post(SETUP, setup_body(&token, "Ada"))).await;
    let user = tokens(&made).user;
    assert_eq!((user.username.as_str(), user.display_name.as_str()), ("ada", "ada"));
    assert_eq!(user.role, Role::ADMIN);

    assert_eq!(server.call(get(SETUP)).await.json(), json!({ "required": false }));
    let again = server.call(post(SETUP, setup_body(&token, "eve"))).await;
    assert_eq!(again.code(), "already_set_up");
    assert!(server.identity.issue_setup_link(Timestamp::now()).await.unwrap().is_none());
    let me = server.call(with_cookies(get(ME), &made, None)).await.json();
    assert_eq!(me["user"]["username"], "ada");
    assert_eq!(me["permissions"].as_array().unwrap().len(), Permission::ALL.len());
}

#[actix_web::test]
async fn of_two_at_once_one_becomes_the_administrator() {
    let server = Server::start().await;
    let token = setup_token(&server).await;
    let (one, two) = futures_util::join!(
        server.call(post(SETUP, setup_body(&token, "ada"))),
        server.call(post(SETUP, setup_body(&token, "eve")))
    );
    let won = [&one, &two].into_iter().filter(|reply| reply.status.is_success()).count();
    assert_eq!(won, 1, "{} {}", one.text, two.text);
}

#[actix_web::test]
async fn a_wrong_or_old_or_replaced_setup_token_does_nothing() {
    let server = Server::start().await;
    let first = setup_token(&server).await;
    let second = setup_token(&server).await;
    for token in ["", "x", &"x".repeat(1000), &first] {
        let reply = server.call(post(SETUP, setup_body(token, "eve"))).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::FORBIDDEN, "invalid_setup_token")
        );
    }
    let hour_ago = Timestamp::now().minus(Duration::from_secs(3601));
    let old = server.identity.issue_setup_link(hour_ago).await.unwrap().unwrap();
    let old = old.strip_prefix("/setup#").unwrap();
    for token in [old, &second] {
        let reply = server.call(post(SETUP, setup_body(token, "eve"))).await;
        assert_eq!(reply.code(), "invalid_setup_token");
    }
    assert_eq!(server.call(get(SETUP)).await.json(), json!({ "required": true }));
}

#[actix_web::test]
async fn a_mistake_in_the_form_does_not_use_the_link_up() {
    let server = Server::start().await;
    let token = setup_token(&server).await;
    let mut body = setup_body(&token, "ada");
    body["password"] = json!("password1234");
    assert_eq!(server.call(post(SETUP, body)).await.code(), "weak_password");
    for name in ["", "a b", "ä", "a/b", &"a".repeat(65)] {
        let reply = server.call(post(SETUP, setup_body(&token, name))).await;
        assert_eq!(reply.code(), "validation_failed", "{name}");
        assert_eq!(reply.json()["details"]["field"], "username");
    }
    let reserved = server.call(post(SETUP, setup_body(&token, "local"))).await;
    assert_eq!(reserved.code(), "conflict");
    let mut body = setup_body(&token, "ada");
    body["display_name"] = json!("x".repeat(101));
    assert_eq!(server.call(post(SETUP, body)).await.code(), "validation_failed");
    let made = server.call(post(SETUP, setup_body(&token, "ada"))).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
}

#[actix_web::test]
async fn a_program_signs_in_renews_and_signs_out() {
    let server = Server::start().await;
    let first = server.signed_in(Role::VIEWER).await;
    let (access, token) = (first.access_token.unwrap(), first.refresh_token.unwrap());
    assert!(first.csrf_token.is_none());
    assert_eq!(first.expires_in, 600);
    assert_eq!(server.call(bearer(get(ME), &access)).await.status, StatusCode::OK);

    let second = tokens(&refresh(&server, &token).await);
    let (access, token) = (second.access_token.unwrap(), second.refresh_token.unwrap());
    assert_eq!(server.call(bearer(get(ME), &access)).await.status, StatusCode::OK);

    let out = server.call(post(LOGOUT, json!({ "refresh_token": token }))).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(server.call(bearer(get(ME), &access)).await.code(), "invalid_token");
    assert_eq!(refresh(&server, &token).await.code(), "invalid_refresh_token");
    let again = server.call(post(LOGOUT, json!({ "refresh_token": token }))).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
}

#[actix_web::test]
async fn an_access_token_alone_can_end_its_session() {
    let server = Server::start().await;
    let session = server.signed_in(Role::VIEWER).await;
    let access = session.access_token.unwrap();
    let out = server.call(bearer(TestRequest::post().uri(LOGOUT), &access)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(server.call(bearer(get(ME), &access)).await.code(), "invalid_token");
    let renewed = refresh(&server, &session.refresh_token.unwrap()).await;
    assert_eq!(renewed.code(), "invalid_refresh_token");
}

#[actix_web::test]
async fn a_refresh_token_used_twice_ends_the_session() {
    let server = Server::start().await;
    let first = server.signed_in(Role::VIEWER).await;
    let stolen = first.refresh_token.unwrap();
    let second = tokens(&refresh(&server, &stolen).await);

    assert_eq!(refresh(&server, &stolen).await.code(), "invalid_refresh_token");
    for access in [first.access_token.unwrap(), second.access_token.unwrap()] {
        assert_eq!(server.call(bearer(get(ME), &access)).await.code(), "invalid_token");
    }
    let newest = refresh(&server, &second.refresh_token.unwrap()).await;
    assert_eq!(
        (newest.status, newest.code().as_str()),
        (StatusCode::UNAUTHORIZED, "invalid_refresh_token")
    );
    // Another sign-in of the same user is not touched.
    let other = tokens(&server.login("viewer", "body").await);
    let reply = server.call(bearer(get(ME), &other.access_token.unwrap())).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[actix_web::test]
async fn what_ended_before_a_restart_stays_ended() {
    let server = Server::start().await;
    let ended = server.signed_in(Role::VIEWER).await;
    let alive = tokens(&server.login("viewer", "body").await);
    server.identity.logout(&ended.refresh_token.unwrap(), Timestamp::now()).await.unwrap();

    let later = Timestamp::now().plus(Duration::from_secs(1));
    let restarted = Identity::open(server.store.clone(), &auth_config(), later).await.unwrap();
    for _ in 0..2 {
        let access = ended.access_token.as_deref().unwrap();
        assert!(restarted.check_access(access, Via::Bearer, later).await.is_err());
    }
    let access = alive.access_token.unwrap();
    assert!(restarted.check_access(&access, Via::Bearer, later).await.is_ok());
}

#[actix_web::test]
async fn a_browser_gets_cookies_that_scripts_and_other_sites_cannot_use() {
    let https = EdgeConfig {
        public_url: Some("https://logs.example.org".parse().unwrap()),
        ..EdgeConfig::default()
    };
    for (config, secure) in [(EdgeConfig::default(), false), (https, true)] {
        let server = Server::with(config, auth_config()).await;
        server.add_user("ada", Role::ADMIN).await;
        let reply = server.login("ada", "cookie").await;
        let body = tokens(&reply);
        assert!(body.access_token.is_none() && body.refresh_token.is_none());
        for (name, path, hidden) in [
            ("callboard_access", "/", true),
            ("callboard_refresh", "/api", true),
            ("callboard_csrf", "/", false),
        ] {
            let cookie = reply.cookie(name);
            assert_eq!(cookie.path(), Some(path), "{name}");
            assert_eq!(cookie.http_only().unwrap_or(false), hidden, "{name}");
            assert_eq!(cookie.same_site(), Some(SameSite::Strict), "{name}");
            assert_eq!(cookie.secure().unwrap_or(false), secure, "{name}");
            assert_eq!(cookie.domain(), None, "{name}");
        }
        assert_eq!(reply.cookie("callboard_access").max_age().unwrap().whole_seconds(), 600);
        assert_eq!(reply.cookie("callboard_csrf").value(), body.csrf_token.unwrap());
        assert_eq!(reply.headers.contains_key("strict-transport-security"), secure);

        let csrf = reply.cookie("callboard_csrf");
        let out = TestRequest::post().uri(LOGOUT);
        let out = server.call(with_cookies(out, &reply, Some(csrf.value()))).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        assert_eq!(out.cookies.len(), 3);
        for cookie in &out.cookies {
            assert_eq!(cookie.max_age().unwrap().whole_seconds(), 0);
            assert_eq!(cookie.path(), reply.cookie(cookie.name()).path());
        }
    }
}

#[actix_web::test]
async fn a_change_by_cookie_needs_the_csrf_token_of_its_own_session() {
    let server = Server::start().await;
    server.add_user("ada", Role::ADMIN).await;
    let (mine, other) = (server.login("ada", "cookie").await, server.login("ada", "cookie").await);
    let csrf = |reply: &Reply| reply.cookie("callboard_csrf").value().to_owned();
    assert_eq!(server.call(with_cookies(get(ME), &mine, None)).await.status, StatusCode::OK);

    let change = || TestRequest::post().uri(CHANGES);
    for token in [None, Some(""), Some("x"), Some(csrf(&other).as_str())] {
        let reply = server.call(with_cookies(change(), &mine, token)).await;
        assert_eq!((reply.status, reply.code().as_str()), (StatusCode::FORBIDDEN, "csrf_failed"));
    }
    let reply = server.call(with_cookies(change(), &mine, Some(&csrf(&mine)))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);

    let access = mine.cookie("callboard_access");
    let reply = server.call(bearer(change(), access.value())).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

#[actix_web::test]
async fn renewing_by_cookie_needs_the_csrf_token_too() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let mine = server.login("ada", "cookie").await;
    let csrf = mine.cookie("callboard_csrf").value().to_owned();
    let renew = || TestRequest::post().uri(REFRESH);
    assert_eq!(server.call(with_cookies(renew(), &mine, None)).await.code(), "csrf_failed");
    // The refused request did not use the token up.
    let renewed = server.call(with_cookies(renew(), &mine, Some(&csrf))).await;
    assert!(tokens(&renewed).access_token.is_none());
    assert_ne!(renewed.cookie("callboard_refresh"), mine.cookie("callboard_refresh"));
    assert_eq!(renewed.cookie("callboard_csrf").value(), csrf);
    assert_eq!(server.call(renew()).await.code(), "invalid_refresh_token");
}

#[actix_web::test]
async fn nothing_in_an_answer_tells_who_has_an_account() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let mut answers = BTreeSet::new();
    for name in ["ada", "nobody", "local", "not a name", "", &"x".repeat(500)] {
        let body = json!({ "username": name, "password": "not the password" });
        let reply = server.call(post(LOGIN, body)).await;
        assert_eq!(reply.code(), "invalid_credentials", "{name}");
        let mut body = reply.json();
        body["request_id"].take();
        let headers: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
        answers.insert(format!("{} {body} {headers:?}", reply.status));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let upper = json!({ "username": " ADA ", "password": PASSWORD });
    assert_eq!(server.call(post(LOGIN, upper)).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn too_many_attempts_have_to_wait() {
    let auth = AuthConfig { login_per_name: AttemptLimit::new(1, 3), ..auth_config() };
    let server = Server::with(EdgeConfig::default(), auth).await;
    server.add_user("ada", Role::VIEWER).await;
    let wrong = || post(LOGIN, json!({ "username": "ada", "password": "wrong" }));
    for _ in 0..3 {
        assert_eq!(server.call(wrong()).await.code(), "invalid_credentials");
    }
    // Now the right password does not help either.
    let reply = server.login("ada", "body").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "rate_limited")
    );
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(reply.json()["retry_after_ms"].as_u64().unwrap() <= seconds * 1000);
}

#[actix_web::test]
async fn whoever_fails_with_a_name_does_not_lock_its_owner_out() {
    let auth = AuthConfig { login_per_name: AttemptLimit::new(1, 3), ..auth_config() };
    let server = Server::with(EdgeConfig::default(), auth).await;
    server.add_user("ada", Role::VIEWER).await;
    let attempt = async |address: &str, password: &str| {
        let body = json!({ "username": "ada", "password": password, "transport": "body" });
        let address = format!("{address}:4711").parse().unwrap();
        server.call(post(LOGIN, body).peer_addr(address)).await
    };
    for _ in 0..3 {
        assert_eq!(attempt("192.0.2.1", "wrong").await.code(), "invalid_credentials");
    }
    assert_eq!(attempt("192.0.2.1", PASSWORD).await.code(), "rate_limited");
    assert_eq!(attempt("198.51.100.7", PASSWORD).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_token_that_is_none_is_refused_and_told_apart_from_a_missing_one() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let missing = server.call(get(ME)).await;
    assert_eq!(
        (missing.status, missing.code().as_str()),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    let cookies = server.login("ada", "cookie").await;
    for value in ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer a.b.c", "\u{fc}"] {
        // The good cookie beside it does not help.
        let request = get(ME).insert_header(("authorization", value));
        let reply = server.call(with_cookies(request, &cookies, None)).await;
        assert_eq!(reply.code(), "invalid_token", "{value}");
    }
    let old = Timestamp::now().minus(Duration::from_secs(3600));
    let body = serde_json::from_value(json!({ "username": "ada", "password": PASSWORD })).unwrap();
    let session = server.identity.login(&body, &Default::default(), old).await.unwrap();
    let reply = server.call(bearer(get(ME), &session.access_token)).await;
    assert_eq!(reply.code(), "invalid_token");
}

#[actix_web::test]
async fn a_socket_takes_new_tokens_of_its_own_user_and_ends_with_the_session() {
    let server = Server::start().await;
    server.add_user("ada", Role::ANALYST).await;
    server.add_user("eve", Role::ADMIN).await;
    let now = Timestamp::now();
    let first = tokens(&server.login("ada", "body").await);
    let second = tokens(&server.login("ada", "body").await);
    let access = first.access_token.unwrap();
    let caller = server.identity.check_access(&access, Via::Bearer, now).await.unwrap();
    let socket = SocketTokens::new(server.identity.clone(), &caller);

    let expires_at = socket.check(second.access_token.as_deref().unwrap()).unwrap();
    assert_eq!(socket.standing().unwrap().0, Role::ANALYST);
    assert!(expires_at > now);
    for token in ["x".to_owned(), server.access_token("eve").await] {
        assert_eq!(socket.check(&token).unwrap_err().code, ErrorCode::InvalidToken);
    }
    // From now on the second sign-in carries the socket.
    server.identity.logout(&first.refresh_token.unwrap(), now).await.unwrap();
    assert!(socket.standing().is_some());
    server.identity.logout(&second.refresh_token.unwrap(), now).await.unwrap();
    assert!(socket.standing().is_none());
    assert!(socket.check(&second.access_token.unwrap()).is_err());
}

#[actix_web::test]
async fn sign_ins_and_failures_stand_in_the_audit_trail() {
    let server = Server::start().await;
    server.add_user("ada", Role::ANALYST).await;
    let signed_in = tokens(&server.login("ada", "body").await);
    let wrong = serde_json::json!({ "username": "ada", "password": "wrong wrong wrong" });
    let post = |path, body| TestRequest::post().uri(path).set_json(body);
    server.call(post("/api/v1/auth/login", &wrong)).await;
    let refresh = serde_json::json!({ "refresh_token": signed_in.refresh_token });
    server.call(post("/api/v1/auth/refresh", &refresh)).await;
    server.call(post("/api/v1/auth/refresh", &refresh)).await;
    let mut trail = callboard_entities::queries::audit::list(&server.store, 10).await.unwrap();
    trail.reverse();
    // By the machine's operator, on the command line.
    let added = trail.remove(0);
    assert_eq!(
        (added.action.as_str(), added.actor_name.as_deref()),
        ("user.create", Some("local"))
    );
    let noted: Vec<_> = trail.iter().map(|event| (event.action.as_str(), event.actor)).collect();
    let ada = Some(signed_in.user.id);
    assert_eq!(
        noted,
        [("auth.login", ada), ("auth.login_failed", None), ("auth.refresh_reused", ada)]
    );
    assert!(trail.iter().all(|event| event.request_id.is_some()));
    assert!(!format!("{trail:?}").contains("wrong wrong"));
}

#[actix_web::test]
async fn a_restart_does_not_bring_a_former_role_back() {
    let server = Server::start().await;
    server.add_user("ada", Role::ADMIN).await;
    server.add_user("eve", Role::ADMIN).await;
    let token = server.access_token("ada").await;
    let ada = server.session("ada", Timestamp::now()).await.user.id;
    let change = ChangeAccount { role: Some(Role::VIEWER), ..ChangeAccount::default() };
    server.identity.change_account(ada, change, Timestamp::now()).await.unwrap();
    let role = async |identity: &Identity| {
        identity.check_access(&token, Via::Bearer, Timestamp::now()).await.unwrap().user.role
    };
    assert_eq!(role(&server.identity).await, Role::VIEWER);
    let again = Identity::open(server.store.clone(), &auth_config(), Timestamp::now()).await;
    assert_eq!(role(&again.unwrap()).await, Role::VIEWER);
}
