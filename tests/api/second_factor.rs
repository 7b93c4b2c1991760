//! The second factor: enrolled, shown with the password, lost, and demanded by role.

use callboard_protocol::{
    ErrorCode, Me, Permission, RecoveryCodes, Role, SecondFactor, SecondFactorSecret, SignInList,
    SignInMethod, SignedIn,
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::harness::{Client, Database, Launch, PASSWORD, Server, on_both_databases, read};

on_both_databases! {
    a_code_goes_with_the_password_and_is_good_once,
    recovery_codes_are_good_once_and_an_administrator_helps_whoever_lost_all,
    a_role_that_needs_a_second_factor_opens_nothing_before,
}

const LIMITS: &str = "auth.login_per_name={per_minute = 100, burst = 100}";

fn authenticator(secret: &SecondFactorSecret) -> Totp {
    let builder = Builder::new().with_account_name("x").with_issuer(Some("Callboard"));
    builder.with_secret(Secret::try_from_base32(&secret.secret).unwrap()).build().unwrap()
}

/// The code so many half minutes from now: each is good once, and the ones beside the present are good.
fn code(totp: &Totp, away: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    totp.generate(now.as_secs().checked_add_signed(away * 30).unwrap()).to_string()
}

fn second_factor(client: &Client, method: Method, end: &str) -> RequestBuilder {
    client.request(method, &format!("/auth/second-factor{end}"))
}

async fn enrol(client: &Client) -> (Totp, RecoveryCodes) {
    let secret: SecondFactorSecret = read(second_factor(client, Method::POST, "")).await;
    assert!(secret.url.starts_with("otpauth://totp/Callboard"), "{}", secret.url);
    let totp = authenticator(&secret);
    let confirm = second_factor(client, Method::POST, "/confirm");
    let codes = read(confirm.json(&json!({ "code": code(&totp, -1) }))).await;
    (totp, codes)
}

fn log_in(server: &Server, name: &str, code: Option<&str>) -> RequestBuilder {
    let body = json!({ "username": name, "password": PASSWORD, "code": code });
    reqwest::Client::new().post(server.url("/api/v1/auth/login")).json(&body)
}

async fn a_code_goes_with_the_password_and_is_good_once(on: Database) {
    let server = Launch::on(on).await.set(LIMITS).start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let confirm =
        |code: &str| second_factor(&bob, Method::POST, "/confirm").json(&json!({ "code": code }));
    assert_eq!(bob.refused(confirm("123456")).await.1, ErrorCode::Conflict, "nothing was begun");
    let _: SecondFactorSecret = read(second_factor(&bob, Method::POST, "")).await;
    assert_eq!(bob.refused(confirm("000000")).await.1, ErrorCode::InvalidCode);
    // Before it is confirmed it is none.
    let _: SignedIn = read(log_in(&server, "bob", None)).await;
    let (totp, _) = enrol(&bob).await;
    let again = bob.refused(second_factor(&bob, Method::POST, "")).await;
    assert_eq!(again.1, ErrorCode::Conflict, "it cannot be put away by another");

    let refused = async |code: Option<&str>| bob.refused(log_in(&server, "bob", code)).await.1;
    assert_eq!(refused(None).await, ErrorCode::SecondFactorRequired);
    assert_eq!(refused(Some(" ")).await, ErrorCode::SecondFactorRequired);
    assert_eq!(
        refused(Some(&code(&totp, -1))).await,
        ErrorCode::InvalidCode,
        "it enrolled with it"
    );
    assert_eq!(refused(Some(&"9".repeat(1_000))).await, ErrorCode::InvalidCode);
    let now = code(&totp, 0);
    let signed_in: SignedIn = read(log_in(&server, "bob", Some(&now))).await;
    assert_eq!(refused(Some(&now)).await, ErrorCode::InvalidCode, "a second time");
    // Without the password the code says nothing.
    let body = json!({ "username": "bob", "password": "wrong", "code": code(&totp, 1) });
    let wrong = reqwest::Client::new().post(server.url("/api/v1/auth/login")).json(&body);
    assert_eq!(bob.refused(wrong).await.1, ErrorCode::InvalidCredentials);
    let list: SignInList = admin.get(&format!("/admin/users/{}/sessions", signed_in.user.id)).await;
    assert!(list.items.iter().any(|item| item.method == SignInMethod::PasswordAndCode));

    // Taken away with a code.
    let remove =
        |code: &str| second_factor(&bob, Method::DELETE, "").json(&json!({ "code": code }));
    assert_eq!(bob.refused(remove("000000")).await.1, ErrorCode::InvalidCode);
    assert_eq!(remove(&code(&totp, 1)).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let _: SignedIn = read(log_in(&server, "bob", None)).await;
}

async fn recovery_codes_are_good_once_and_an_administrator_helps_whoever_lost_all(on: Database) {
    let server = Launch::on(on).await.set(LIMITS).start().await;
    let admin = server.admin().await;
    let bob = server.user("bob", Role::VIEWER).await;
    let (_, codes) = enrol(&bob).await;
    assert_eq!(codes.codes.len(), 10);
    let first = codes.codes[0].to_uppercase();
    let signed_in: SignedIn = read(log_in(&server, "bob", Some(&first))).await;
    let again = bob.refused(log_in(&server, "bob", Some(&first))).await;
    assert_eq!(again.1, ErrorCode::InvalidCode);
    let standing: SecondFactor = read(second_factor(&bob, Method::GET, "")).await;
    assert!(standing.enrolled && !standing.required);
    assert_eq!(standing.recovery_codes_left, 9);

    let path = format!("/admin/users/{}/second-factor", bob.user.id);
    let taken = admin.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::NO_CONTENT);
    assert_eq!(admin.refused(admin.request(Method::DELETE, &path)).await.1, ErrorCode::NotFound);
    let me = reqwest::Client::new().get(server.url("/api/v1/auth/me"));
    let me = me.bearer_auth(signed_in.access_token.unwrap());
    assert_eq!(admin.refused(me).await.1, ErrorCode::InvalidToken, "signed out everywhere");
    let _: SignedIn = read(log_in(&server, "bob", None)).await;
    let log = server.log();
    assert!(codes.codes.iter().all(|code| !log.contains(code)), "no code is in the log");
}

async fn a_role_that_needs_a_second_factor_opens_nothing_before(on: Database) {
    let launch = Launch::on(on).await.set(LIMITS);
    let server = launch.set("auth.second_factor_roles=[\"admin\"]").start().await;
    let admin = server.admin().await;
    let me: Me = admin.get("/auth/me").await;
    assert_eq!(me.permissions, [Permission::AccountUse]);
    let refused = admin.refused(admin.request(Method::GET, "/admin/users")).await;
    assert_eq!(refused.1, ErrorCode::Forbidden);
    assert_eq!(admin.socket().open().await.unwrap_err().status, 403);
    let standing: SecondFactor = read(second_factor(&admin, Method::GET, "")).await;
    assert!(standing.required && !standing.enrolled);

    let (totp, _) = enrol(&admin).await;
    let signed_in: SignedIn = read(log_in(&server, "ada", Some(&code(&totp, 0)))).await;
    let users = async |token: &str| {
        let users = reqwest::Client::new().get(server.url("/api/v1/admin/users"));
        users.bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!(users(&signed_in.access_token.unwrap()).await, StatusCode::OK);
    // A renewed token still knows of it.
    let refresh = json!({ "refresh_token": signed_in.refresh_token });
    let renewed = reqwest::Client::new().post(server.url("/api/v1/auth/refresh")).json(&refresh);
    let renewed: SignedIn = read(renewed).await;
    assert_eq!(users(&renewed.access_token.unwrap()).await, StatusCode::OK);
    // Others are not asked for one.
    let vic = server.user("vic", Role::VIEWER).await;
    let _: Value = vic.get("/conversations").await;
}
