//! Budgets: who may spend how much, on every way to a model.

use callboard_protocol::{BudgetList, BudgetUnit, ErrorCode};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, fresh, read};

/// A token costs a dollar, so that figures can be read; answers have ten in and three out.
async fn launch(vendor: &FakeVendor) -> Launch {
    vendor.always(Reply::text(&["All", " is", " well."]).usage(10, 3));
    let launch = Launch::on(Database::Sqlite).await.provider(vendor);
    let launch = launch.set("providers.0.input_usd_per_million=1000000");
    launch.set("providers.0.output_usd_per_million=1000000")
}

async fn call(server: &Server, key: &str, path: &str, body: &Value) -> Response {
    let request = reqwest::Client::new().post(server.url(path)).bearer_auth(key).json(body);
    request.send().await.unwrap()
}

fn body() -> Value {
    let messages = json!([{ "role": "user", "content": "hi" }]);
    json!({ "model": "fake-1", "max_tokens": 5, "messages": messages })
}

async fn spent(ada: &Client) -> Vec<(String, u64)> {
    let list: BudgetList = ada.get("/budgets").await;
    list.items.into_iter().map(|one| (one.of, one.held / 1_000_000)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_warned_then_stopped_at_every_door_and_still_answered_from_its_logs() {
    let vendor = FakeVendor::start().await;
    let launch =
        launch(&vendor).await.set("budgets.user.daily_usd=30").set("budgets.warn_percent=80");
    let server = launch.start().await;
    let ada = server.admin().await;
    let first = call(&server, &ada.token, "/v1/chat/completions", &body()).await;
    assert_eq!((first.status(), first.headers().get("x-callboard-budget")), (StatusCode::OK, None));
    assert_eq!(spent(&ada).await, [("user".to_owned(), 13)]);
    // A turn of a conversation counts to the same budget.
    assert_eq!(ada.ask(&fresh("anything?")).await.provider, "extractive", "a prompt costs more");
    let second = call(&server, &ada.token, "/v1/chat/completions", &body()).await;
    assert_eq!(second.status(), StatusCode::OK);
    assert_eq!(second.headers()["x-callboard-budget"], "warn; 86%");
    let messages = json!([{ "role": "user", "content": "hi" }]);
    for (path, asked, words) in [
        ("/v1/chat/completions", body(), "insufficient_quota"),
        ("/v1/messages", body(), "rate_limit_error"),
        ("/v1/responses", json!({ "model": "fake-1", "input": "hi" }), "insufficient_quota"),
        (
            "/v1/embeddings",
            json!({ "model": "fake-1", "input": "hello there, you all" }),
            "insufficient_quota",
        ),
        (
            "/v1/chat/completions",
            json!({ "model": "fake-1", "stream": true, "messages": messages }),
            "insufficient_quota",
        ),
    ] {
        let refused = call(&server, &ada.token, path, &asked).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(refused.headers()["x-should-retry"], "false");
        assert!(refused.headers().contains_key("retry-after"));
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["type"], words, "{path}: {refused}");
    }
    assert_eq!(vendor.request_count(), 2, "what cannot be paid is not asked");
    assert_eq!(ada.ask(&fresh("anything else?")).await.provider, "extractive");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_counts_after_a_restart_and_others_are_not_stopped() {
    let vendor = FakeVendor::start().await;
    let launch = launch(&vendor).await.set("budgets.user.monthly_usd=18");
    let server = launch.start().await;
    let ada = server.admin().await;
    assert!(call(&server, &ada.token, "/v1/chat/completions", &body()).await.status().is_success());
    let server = server.stop().await.start().await;
    let ada = server.sign_in(&ada.user.username).await;
    assert_eq!(spent(&ada).await, [("user".to_owned(), 13)]);
    let refused = call(&server, &ada.token, "/v1/chat/completions", &body()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let bob = server.user("bob", callboard_protocol::Role::VIEWER).await;
    assert!(call(&server, &bob.token, "/v1/chat/completions", &body()).await.status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_a_budget_of_its_own_and_what_fails_costs_nothing() {
    let vendor = FakeVendor::start().await;
    let server = launch(&vendor).await.start().await;
    let ada = server.admin().await;
    let new = json!({ "name": "ci", "scopes": ["chat"], "daily_budget_micro_usd": 18_000_000 });
    let made: Value = read(ada.request(Method::POST, "/keys").json(&new)).await;
    let key = made["secret"].as_str().unwrap();
    vendor.always(Reply::error(504, "server_error", "down"));
    for _ in 0..3 {
        let failed = call(&server, key, "/v1/chat/completions", &body()).await;
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    vendor.always(Reply::text(&["All", " is", " well."]).usage(10, 3));
    assert!(call(&server, key, "/v1/chat/completions", &body()).await.status().is_success());
    let refused = call(&server, key, "/v1/chat/completions", &body()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    // The account itself has no limit.
    assert!(call(&server, &ada.token, "/v1/chat/completions", &body()).await.status().is_success());
    let bad = json!({ "name": "x", "scopes": ["chat"], "daily_budget_micro_usd": -1 });
    let (status, code) = ada.refused(ada.request(Method::POST, "/keys").json(&bad)).await;
    assert_eq!((status, code), (StatusCode::BAD_REQUEST, ErrorCode::InvalidJson));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_pays_for_what_was_streamed() {
    let vendor = FakeVendor::start().await;
    let server = launch(&vendor).await.set("budgets.user.daily_usd=100000").start().await;
    let ada = server.admin().await;
    vendor.hold();
    vendor.always(Reply::tokens(20).gate_after(5));
    let mut asked = body();
    asked["stream"] = json!(true);
    let mut stream = call(&server, &ada.token, "/v1/chat/completions", &asked).await;
    stream.chunk().await.unwrap();
    vendor.until_held(1).await;
    drop(stream);
    vendor.until_left(1).await;
    let settled = async || {
        let list: BudgetList = ada.get("/budgets").await;
        let held = list.items[0].held / 1_000_000;
        // The guess of what was read, and at most five tokens written.
        (1..=10).contains(&held).then_some(())
    };
    eventually_some(PATIENCE, settled).await;
    vendor.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_also_where_they_cost_nothing() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["All", " is", " well."]).usage(10, 3));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("budgets.user.daily_tokens=30").start().await;
    let ada = server.admin().await;
    let standing = async |ada: &Client| {
        let list: BudgetList = ada.get("/budgets").await;
        list.items.into_iter().map(|one| (one.unit, one.limit, one.held)).collect::<Vec<_>>()
    };
    for held in [13, 26] {
        let reply = call(&server, &ada.token, "/v1/chat/completions", &body()).await;
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(standing(&ada).await, [(BudgetUnit::Tokens, 30, held)]);
    }
    let refused = call(&server, &ada.token, "/v1/chat/completions", &body()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["x-should-retry"], "false");
    let refused: Value = refused.json().await.unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("quota of tokens of this account for the day"), "{message}");
    // The ledger has them after a restart, too.
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    assert_eq!(standing(&ada).await, [(BudgetUnit::Tokens, 30, 26)]);
    assert_eq!(vendor.request_count(), 2);
}
