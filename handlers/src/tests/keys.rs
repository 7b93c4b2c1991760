//! API keys through the whole edge: what they open and for how long.

use std::time::Duration;

use actix_web::{
    App,
    http::{Method, StatusCode},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service},
};
use callboard_entities::queries::{audit, keys};
use callboard_protocol::{
    ApiKeyCreated, ErrorCode, KeyScope, KeySecret, NewApiKey, Role, Timestamp,
};
use serde_json::json;

use super::support::{Server, bearer, get, post};
use crate::{Access, Mount, observe, routes::table};

fn new_key(scopes: &[KeyScope]) -> NewApiKey {
    NewApiKey {
        name: "ci".to_owned(),
        scopes: scopes.to_vec(),
        models: None,
        daily_budget_micro_usd: None,
        monthly_budget_micro_usd: None,
        expires_at: None,
    }
}

impl Server {
    async fn key(&self, name: &str, new: NewApiKey) -> ApiKeyCreated {
        self.identity.add_key(Some(name), new, Timestamp::now()).await.unwrap()
    }

    async fn check(&self, text: &str, now: Timestamp) -> Result<String, (ErrorCode, String)> {
        let found = self.identity.check_key(text, now).await;
        found
            .map(|caller| caller.user.username)
            .map_err(|error| (error.code(), error.client().message.clone()))
    }
}

#[actix_web::test]
async fn a_key_opens_the_routes_of_its_scope_and_no_other() {
    let server = Server::start().await;
    server.add_user("ada", Role::ADMIN).await;
    let edge = server.edge.clone();
    let app = App::new().configure(|app| edge.configure(app)).wrap(from_fn(observe));
    let app = init_service(app).await;
    let mut opened = 0;
    for scope in KeyScope::ALL {
        let secret = server.key("ada", new_key(&[scope])).await.secret;
        for row in table() {
            if !matches!(row.access, Access::Needs(_) | Access::LocalOnly) {
                continue;
            }
            let id = "0192d3a0-0000-7000-8000-000000000000";
            let path = row.path.replace("{id}", id).replace("{session_id}", id);
            let path = path.replace("{model:.*}", "x");
            let prefix = if row.mount == Mount::Api { "/api/v1" } else { "" };
            let request = TestRequest::default().method(row.method.clone());
            let request = bearer(request.uri(&format!("{prefix}{path}")), &secret);
            let status = call_service(&app, request.to_request()).await.status();
            let who = format!("{} {path} with {scope}: {status}", row.method);
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{who}");
            assert_eq!(status != StatusCode::FORBIDDEN, row.scope == Some(scope), "{who}");
            opened += usize::from(row.scope == Some(scope));
        }
    }
    assert_eq!(
        opened, 34,
        "chat 3, embeddings 1, models 2, reading logs 11, writing them 14, usage 3"
    );
}

#[actix_web::test]
async fn a_key_is_good_until_it_ends_in_one_of_the_ways() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let now = Timestamp::now();
    let at = |seconds| now.plus(Duration::from_secs(seconds));
    let end = NewApiKey { expires_at: Some(at(10)), ..new_key(&[KeyScope::Chat]) };
    let (short, long) =
        (server.key("ada", end).await, server.key("ada", new_key(&[KeyScope::Chat])).await);
    let token = ErrorCode::InvalidToken;
    let no = |why: &str| Err((token, why.to_owned()));

    assert_eq!(server.check(&short.secret, now).await, Ok("ada".to_owned()));
    // It ends on time, also while it is remembered.
    assert_eq!(server.check(&short.secret, at(10)).await, no("this key has expired"));
    assert_eq!(server.check(&short.secret, at(600)).await, no("this key has expired"));

    assert_eq!(server.check(&long.secret, now).await, Ok("ada".to_owned()));
    server.identity.revoke_key(None, long.key.id, now).await.unwrap();
    assert_eq!(server.check(&long.secret, now).await, no("this key is revoked"));

    // What another process revoked is good for half a minute more, at most.
    let third = server.key("ada", new_key(&[KeyScope::Chat])).await;
    assert_eq!(server.check(&third.secret, now).await, Ok("ada".to_owned()));
    keys::revoke(&server.store, None, third.key.id, now).await.unwrap();
    assert_eq!(server.check(&third.secret, at(29)).await, Ok("ada".to_owned()));
    assert_eq!(server.check(&third.secret, at(30)).await, no("this key is revoked"));

    let unknown = KeySecret::from_random([7; 32]);
    assert_eq!(server.check(unknown.expose(), now).await, no("there is no such key"));
    let mut mistyped = long.secret.clone();
    let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
    mistyped.push(last);
    let why = server.check(&mistyped, now).await.unwrap_err().1;
    assert!(why.contains("checksum"), "{why}");
}

#[actix_web::test]
async fn a_key_comes_in_either_header_and_needs_no_csrf_token() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let secret = server.key("ada", new_key(&[KeyScope::UsageRead])).await.secret;
    let usage = "/api/v1/usage";
    let by_bearer = server.call(bearer(get(usage), &secret)).await;
    assert_eq!(by_bearer.status, StatusCode::OK, "{}", by_bearer.text);
    let by_header = server.call(get(usage).insert_header(("x-api-key", secret.as_str()))).await;
    assert_eq!(by_header.status, StatusCode::OK, "{}", by_header.text);
    for wrong in ["", "x", "cb_x", "sk-ant-1"] {
        let refused = server.call(get(usage).insert_header(("x-api-key", wrong))).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "invalid_token"));
    }
    // Whoever means to show a key does not fall back to another.
    let both = bearer(get(usage), "cb_x").insert_header(("x-api-key", secret.as_str()));
    assert_eq!(server.call(both).await.code(), "invalid_token");
}

#[actix_web::test]
async fn keys_are_made_listed_and_revoked_over_rest_and_noted() {
    let server = Server::start().await;
    server.add_user("ada", Role::ADMIN).await;
    server.add_user("vic", Role::VIEWER).await;
    let (ada, vic) = (server.access_token("ada").await, server.access_token("vic").await);
    let keys = "/api/v1/keys";
    let body = json!({ "name": "ci", "scopes": ["chat"] });
    let made = server.call(bearer(post(keys, body.clone()), &vic)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    let id = made["key"]["id"].as_str().unwrap();

    let own = server.call(bearer(get(keys), &vic)).await;
    assert_eq!(own.json()["items"][0]["id"], id);
    assert!(!own.text.contains(secret));
    assert_eq!(server.call(bearer(get(keys), &ada)).await.json()["items"], json!([]));
    let all = "/api/v1/keys?all=true";
    assert_eq!(server.call(bearer(get(all), &vic)).await.code(), "forbidden");
    assert_eq!(server.call(bearer(get(all), &ada)).await.json()["items"][0]["id"], id);

    // A key makes no key, whatever it is for.
    let every = server.key("ada", new_key(&KeyScope::ALL)).await;
    assert_eq!(server.call(bearer(post(keys, body), &every.secret)).await.code(), "forbidden");
    let of_another = format!("{keys}/{}", every.key.id);
    let delete = |path: &str| TestRequest::default().method(Method::DELETE).uri(path);
    assert_eq!(server.call(bearer(delete(&of_another), &vic)).await.code(), "not_found");
    let path = format!("{keys}/{id}");
    assert_eq!(server.call(bearer(delete(&path), &ada)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.call(bearer(get("/v1/models"), secret)).await.status.as_u16(), 401);

    let trail = audit::list(&server.store, 50).await.unwrap();
    let noted: Vec<_> = trail.iter().filter(|event| event.object.as_deref() == Some(id)).collect();
    let actions: Vec<&str> = noted.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["key.revoke", "key.create"]);
    assert!(!format!("{trail:?}").contains(&secret[10..]));
}

#[actix_web::test]
async fn an_account_has_at_most_fifty_keys() {
    let server = Server::start().await;
    server.add_user("ada", Role::VIEWER).await;
    let mut last = None;
    for _ in 0..50 {
        last = Some(server.key("ada", new_key(&[KeyScope::Chat])).await.key);
    }
    let last = last.unwrap();
    let (owner, now) = (last.user_id, Timestamp::now());
    let more = || server.identity.create_key(owner, new_key(&[KeyScope::Chat]), now);
    assert_eq!(more().await.err().unwrap().code(), ErrorCode::Conflict);
    server.identity.revoke_key(Some(owner), last.id, now).await.unwrap();
    let (one, other) = tokio::join!(more(), more());
    assert!(one.is_ok() != other.is_ok(), "there is room for one");
}
