//! API keys from outside: what a program with one may do, for how long, and who sees it.

use std::time::Duration;

use callboard_protocol::{
    ApiKeyCreated, ApiKeyPage, ErrorCode, KeySecret, Role, Timestamp, UsageReport,
};
use callboard_testkit::{FakeVendor, PATIENCE, eventually_some};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, on_both_databases, read};

on_both_databases!(the_life_of_a_key);

/// How a client shows its key.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Bearer,
    XApiKey,
}

async fn start(on: Database) -> (FakeVendor, Server, Client) {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(on).await.provider(&vendor);
    let alias =
        |name: &str| format!(r#"{{ name = "{name}", targets = [{{ provider = "fake" }}] }}"#);
    let models = format!("models=[{}, {}]", alias("smart"), alias("other"));
    let server = launch.set(models).set("telemetry.filter=debug").start().await;
    let ada = server.admin().await;
    (vendor, server, ada)
}

async fn create(client: &Client, body: Value) -> ApiKeyCreated {
    read(client.request(Method::POST, "/keys").json(&body)).await
}

async fn chat_key(client: &Client) -> ApiKeyCreated {
    create(client, json!({ "name": "ci", "scopes": ["chat"] })).await
}

fn shown(request: RequestBuilder, key: &str, how: Shown) -> RequestBuilder {
    match how {
        Shown::Bearer => request.bearer_auth(key),
        Shown::XApiKey => request.header("x-api-key", key),
    }
}

/// Asks a model on either of the paths.
async fn ask(server: &Server, path: &str, model: &str, key: &str, how: Shown) -> Response {
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let body = json!({ "model": model, "max_tokens": 9, "messages": messages });
    let request = reqwest::Client::new().post(server.url(path)).json(&body);
    shown(request, key, how).send().await.unwrap()
}

async fn get(server: &Server, path: &str, key: &str) -> (StatusCode, Value) {
    let reply = reqwest::Client::new().get(server.url(path)).bearer_auth(key);
    let reply = reply.send().await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

async fn the_life_of_a_key(on: Database) {
    let (vendor, server, ada) = start(on).await;
    let vic = server.user("vic", Role::VIEWER).await;
    let made = chat_key(&vic).await;
    let (id, secret) = (made.key.id, made.secret.as_str());
    assert_eq!((made.key.user_id, made.key.name.as_str()), (vic.user.id, "ci"));
    assert!(secret.starts_with(&made.key.prefix) && secret.parse::<KeySecret>().is_ok());

    for how in [Shown::Bearer, Shown::XApiKey] {
        for path in [CHAT, MESSAGES] {
            let reply = ask(&server, path, "smart", secret, how).await;
            assert_eq!(reply.status(), StatusCode::OK, "{path} {how:?}");
        }
    }
    assert_eq!(vendor.request_count(), 4);
    let used = async || {
        let page: ApiKeyPage = vic.get("/keys").await;
        let key = page.items.into_iter().find(|key| key.id == id)?;
        key.last_used_at
    };
    eventually_some(PATIENCE, used).await;

    // Others neither see it nor revoke it; an administrator does both.
    let wen = server.user("wen", Role::VIEWER).await;
    let path = format!("/keys/{id}");
    assert!(wen.get::<ApiKeyPage>("/keys").await.items.is_empty());
    let refused = wen.refused(wen.request(Method::DELETE, &path)).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::NotFound));
    let refused = wen.refused(wen.request(Method::GET, "/keys?all=true")).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    assert!(ada.get::<ApiKeyPage>("/keys").await.items.is_empty());
    let all: ApiKeyPage = ada.get("/keys?all=true").await;
    assert_eq!(all.items.iter().map(|key| key.id).collect::<Vec<_>>(), [id]);

    let revoked = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    for (path, how) in [(CHAT, Shown::Bearer), (MESSAGES, Shown::XApiKey)] {
        let reply = ask(&server, path, "smart", secret, how).await;
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED, "at once");
        let error: Value = reply.json().await.unwrap();
        assert_eq!(error["error"]["message"], "this key is revoked", "{error}");
    }
    assert_eq!(vendor.request_count(), 4);
    let listed = vic.request(Method::GET, "/keys").send().await.unwrap().text().await.unwrap();
    assert!(listed.contains(&made.key.prefix) && !listed.contains(&secret[10..]), "{listed}");

    let log = server.log();
    assert!(log.contains("/v1/messages"), "the log says enough to hold a secret");
    assert!(!log.contains(&secret[10..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_key_is_refused_in_the_vendors_words() {
    let (vendor, server, ada) = start(Database::Sqlite).await;
    let made = chat_key(&ada).await;
    let mut mistyped = made.secret.clone();
    let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
    mistyped.push(last);
    let unknown = KeySecret::from_random([3; 32]);
    for (key, why) in [
        (mistyped.as_str(), "checksum"),
        (&made.secret[..51], "letters and digits"),
        (unknown.expose(), "no such key"),
    ] {
        for how in [Shown::Bearer, Shown::XApiKey] {
            let reply = ask(&server, CHAT, "smart", key, how).await;
            assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
            let error: Value = reply.json().await.unwrap();
            assert_eq!(error["error"]["code"], "invalid_api_key", "{error}");
            assert!(error["error"]["message"].as_str().unwrap().contains(why), "{error}");
            let reply = ask(&server, MESSAGES, "smart", key, how).await;
            let error: Value = reply.json().await.unwrap();
            assert_eq!(error["error"]["type"], "authentication_error", "{error}");
        }
    }
    assert_eq!(vendor.request_count(), 0);
    let log = server.log();
    assert!(!log.contains(&mistyped[10..]) && !log.contains(&unknown.expose()[10..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_on_time() {
    let (_vendor, server, ada) = start(Database::Sqlite).await;
    let end = Timestamp::now().plus(Duration::from_secs(3));
    let body = json!({ "name": "short", "scopes": ["models"], "expires_at": end });
    let made = create(&ada, body).await;
    assert_eq!(get(&server, "/v1/models", &made.secret).await.0, StatusCode::OK);
    let ended = async || {
        let (status, error) = get(&server, "/v1/models", &made.secret).await;
        (status == StatusCode::UNAUTHORIZED).then_some(error)
    };
    let error = eventually_some(PATIENCE, ended).await;
    assert!(Timestamp::now() >= end);
    assert_eq!(error["error"]["message"], "this key has expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let (_vendor, server, ada) = start(Database::Sqlite).await;
    let chat = chat_key(&ada).await.secret;
    let logs = create(&ada, json!({ "name": "l", "scopes": ["logs_read", "usage_read"] })).await;
    let reply = ask(&server, CHAT, "smart", &logs.secret, Shown::Bearer).await;
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["error"]["message"], "this key has not the scope chat");
    let reply = ask(&server, MESSAGES, "smart", &logs.secret, Shown::XApiKey).await;
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["error"]["type"], "permission_error", "{error}");

    for (key, path, status) in [
        (&chat, "/v1/models", 403),
        (&chat, "/api/v1/logs/search", 403),
        (&chat, "/api/v1/usage", 403),
        (&logs.secret, "/api/v1/logs/search", 200),
        (&logs.secret, "/api/v1/usage", 200),
        (&logs.secret, "/v1/models", 403),
    ] {
        assert_eq!(get(&server, path, key).await.0.as_u16(), status, "{path}");
    }
    // An administrator's key is none of an administrator.
    let every = ["chat", "embeddings", "models", "logs_read", "usage_read"];
    let every = create(&ada, json!({ "name": "all", "scopes": every })).await.secret;
    for path in
        ["providers", "cache/stats", "jobs", "keys", "keys?all=true", "conversations", "auth/me"]
    {
        let (status, error) = get(&server, &format!("/api/v1/{path}"), &every).await;
        assert_eq!((status.as_u16(), &error["code"]), (403, &json!("forbidden")), "{path}");
    }
    let made = reqwest::Client::new().post(server.url("/api/v1/keys")).bearer_auth(&every);
    let made = made.json(&json!({ "name": "x", "scopes": ["chat"] })).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_models_names_those_alone() {
    let (vendor, server, ada) = start(Database::Sqlite).await;
    let scopes = ["chat", "models", "embeddings"];
    let body = json!({ "name": "m", "scopes": scopes, "models": ["smart"] });
    let key = create(&ada, body).await.secret;
    let (_, list) = get(&server, "/v1/models", &key).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["data"][0]["id"], "smart");
    assert_eq!(get(&server, "/v1/models/smart", &key).await.0, StatusCode::OK);
    assert_eq!(get(&server, "/v1/models/other", &key).await.0, StatusCode::NOT_FOUND);
    let reply = ask(&server, CHAT, "smart", &key, Shown::Bearer).await;
    assert_eq!(reply.status(), StatusCode::OK);
    // One that exists and one that does not are told apart by nothing.
    for model in ["other", "fake-1", "nobody"] {
        let reply = ask(&server, CHAT, model, &key, Shown::Bearer).await;
        assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{model}");
        let error: Value = reply.json().await.unwrap();
        assert_eq!(error["error"]["code"], "model_not_found", "{error}");
        let reply = ask(&server, MESSAGES, model, &key, Shown::XApiKey).await;
        assert_eq!(reply.status(), StatusCode::NOT_FOUND, "{model}");
        let embed = reqwest::Client::new().post(server.url("/v1/embeddings")).bearer_auth(&key);
        let embed = embed.json(&json!({ "model": model, "input": "hi" })).send().await.unwrap();
        assert_eq!(embed.status(), StatusCode::NOT_FOUND, "{model}");
    }
    assert_eq!(vendor.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_checked_field_by_field() {
    let (_vendor, _server, ada) = start(Database::Sqlite).await;
    for (field, change) in [
        ("name", json!({ "name": " " })),
        ("scopes", json!({ "scopes": [] })),
        ("models", json!({ "models": [] })),
        ("expires_at", json!({ "expires_at": "2020-01-01T00:00:00Z" })),
    ] {
        let mut body = json!({ "name": "ci", "scopes": ["chat"] });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = ada.request(Method::POST, "/keys").json(&body).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "{field}");
        let error: Value = reply.json().await.unwrap();
        assert_eq!(
            (&error["code"], &error["details"]["field"]),
            (&json!("validation_failed"), &json!(field))
        );
    }
    let root = ada.request(Method::POST, "/keys");
    let root = root.json(&json!({ "name": "ci", "scopes": ["root"] }));
    assert_eq!(ada.refused(root).await, (StatusCode::BAD_REQUEST, ErrorCode::InvalidJson));
    let usage: UsageReport = ada.get("/usage?group_by=day&from=2026-01-01").await;
    assert_eq!(usage.rows, []);
    let wrong = ada.refused(ada.request(Method::GET, "/usage?group_by=week")).await;
    assert_eq!(wrong, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_lists_and_revokes_keys() {
    let (_vendor, server, ada) = start(Database::Sqlite).await;
    let run = async |arguments: &[&str]| {
        let output = server.run(arguments, "").await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let arguments = ["key", "create", "ci", "--user", "ada", "--expires-days", "30"];
    let (made, stdout, stderr) = run(&arguments).await;
    assert!(made, "{stderr}");
    let secret = stdout.trim();
    assert_eq!(get(&server, "/v1/models", secret).await.0, StatusCode::OK);
    let own: ApiKeyPage = ada.get("/keys").await;
    let key = &own.items[0];
    assert!(key.expires_at.unwrap() > Timestamp::now().plus(Duration::from_secs(29 * 86_400)));
    let (_, listed, _) = run(&["key", "list"]).await;
    let line = format!("{} {}… good     chat,embeddings,models ci\n", key.id, key.prefix);
    assert_eq!(listed, line);
    let (revoked, said, _) = run(&["key", "revoke", &key.id.to_string()]).await;
    assert!(revoked && said.contains("within 30 s"), "{said}");
    assert!(run(&["key", "list"]).await.1.contains(" revoked "));
    for (wrong, why) in [
        (["key", "create", "x", "--user", "nobody"], "nobody signs in with this name"),
        (["key", "create", "x", "--scope", "root"], "a scope is chat"),
    ] {
        let (made, _, stderr) = run(&wrong).await;
        assert!(!made && stderr.contains(why), "{stderr}");
    }
}
