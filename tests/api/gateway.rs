//! The API for programs: what a client sees of the faults of the providers behind it, what they are
//! asked, and how a call ends.

use std::time::Duration;

use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use futures_util::StreamExt as _;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server};

/// A server with two targets behind the alias `smart`, and somebody who calls.
struct Pair {
    first: FakeVendor,
    second: FakeVendor,
    server: Server,
    ada: Client,
}

async fn pair(settings: &[&str]) -> Pair {
    let (first, second) = (FakeVendor::start().await, FakeVendor::start().await);
    let mut launch = Launch::on(Database::Sqlite).await;
    for (index, vendor) in [&first, &second].into_iter().enumerate() {
        launch = launch
            .set(format!("providers.{index}.name=p{index}"))
            .set(format!("providers.{index}.base_url={}", vendor.base_url()))
            .set(format!("providers.{index}.model=m{index}"));
    }
    let targets = r#"[{ provider = "p0" }, { provider = "p1" }]"#;
    launch = launch.set(format!(r#"models=[{{ name = "smart", targets = {targets} }}]"#));
    for setting in settings {
        launch = launch.set(*setting);
    }
    let server = launch.start().await;
    let ada = server.admin().await;
    Pair { first, second, server, ada }
}

fn body(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "hi" }] })
}

impl Pair {
    async fn post(&self, path: &str, body: &Value) -> Response {
        let url = self.server.url(path);
        let client = reqwest::Client::new();
        let request = client.request(Method::POST, url).bearer_auth(&self.ada.token).json(body);
        request.send().await.unwrap()
    }

    /// A whole answer, in OpenAI's words.
    async fn chat(&self, model: &str) -> Value {
        let reply = self.post("/v1/chat/completions", &body(model, false)).await;
        let status = reply.status();
        let value: Value = reply.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{value}");
        value
    }

    /// The text of a streamed answer, and whether it ended as if it were whole.
    async fn stream(&self, body: &Value) -> (String, bool, Option<Value>) {
        let reply = self.post("/v1/chat/completions", body).await;
        assert_eq!(reply.status(), StatusCode::OK);
        read_stream(&reply.text().await.unwrap())
    }
}

/// The text, whether `[DONE]` came, and the error in the stream.
fn read_stream(text: &str) -> (String, bool, Option<Value>) {
    let (mut said, mut done, mut error) = (String::new(), false, None);
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if chunk.get("error").is_some() {
            error = Some(chunk["error"].clone());
        }
        said.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    (said, done, error)
}

fn unavailable() -> Reply {
    Reply::status(503, &json!({ "error": { "message": "down" } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_who_gave_it_and_what_it_used() {
    let pair = pair(&[]).await;
    pair.first.always(Reply::text(&["All", " is", " well."]));
    let answer = pair.chat("smart").await;
    assert_eq!(answer["choices"][0]["message"]["content"], "All is well.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    assert_eq!(answer["callboard"]["provider"], "p0");
    assert_eq!(pair.first.requests()[0].body["model"], "m0");
    let (said, done, error) = pair.stream(&body("smart", true)).await;
    assert_eq!((said.as_str(), done, error), ("All is well.", true, None));
    let asked = json!({ "model": "smart", "input": "hi" });
    let answer: Value = pair.post("/v1/responses", &asked).await.json().await.unwrap();
    assert_eq!(answer["output"][0]["content"][0]["text"], "All is well.", "{answer}");
    let url = pair.server.url("/v1/models");
    let list = reqwest::Client::new().get(url).bearer_auth(&pair.ada.token).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["smart", "m0", "m1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_token_the_next_target_takes_over_and_is_told() {
    let pair = pair(&[]).await;
    pair.first.always(unavailable());
    pair.second.always(Reply::text(&["Here."]));
    let answer = pair.chat("smart").await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Here.");
    let attempts = answer["callboard"]["attempts"].as_array().unwrap();
    let outcomes: Vec<&str> =
        attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["overloaded", "answering"]);
    let (said, done, _) = pair.stream(&body("smart", true)).await;
    assert_eq!((said.as_str(), done), ("Here.", true));
    // A model of one provider has no other to go to.
    let refused = pair.post("/v1/chat/completions", &body("m0", false)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["type"], "server_error", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_never_looks_whole() {
    let pair = pair(&[]).await;
    pair.first.always(Reply::tokens(60).cut_after(40));
    let (said, done, error) = pair.stream(&body("smart", true)).await;
    assert!(said.starts_with("t0 ") && !done, "{said}");
    assert!(error.unwrap()["message"].as_str().unwrap().contains("broke off"));
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let asked = json!({ "model": "smart", "stream": true, "max_tokens": 99, "messages": messages });
    let text = pair.post("/v1/messages", &asked).await.text().await.unwrap();
    assert!(text.contains("event: error") && !text.contains("event: message_stop"), "{text}");
    // Whoever has seen nothing yet gets the whole answer of the next target.
    pair.second.always(Reply::text(&["Whole."]));
    let answer = pair.chat("smart").await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Whole.");
    assert_eq!(answer["callboard"]["attempts"][0]["outcome"], "interrupted");
    let mut held = body("smart", true);
    held["callboard"] = json!({ "on_cut": "restart" });
    let (said, done, error) = pair.stream(&held).await;
    assert_eq!((said.as_str(), done, error), ("Whole.", true, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_the_callers_to_mend_and_asked_once() {
    let pair = pair(&[]).await;
    let wrong = json!({ "error": { "message": "no such thing", "type": "invalid_request_error" } });
    pair.first.always(Reply::status(400, &wrong));
    let refused = pair.post("/v1/chat/completions", &body("smart", false)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!((pair.first.request_count(), pair.second.request_count()), (1, 0));
    for (change, param) in [
        (json!({ "n": 3 }), "n"),
        (json!({ "frobnicate": 1 }), "frobnicate"),
        (json!({ "messages": [] }), "messages"),
    ] {
        let mut asked = body("smart", false);
        asked.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = pair.post("/v1/chat/completions", &asked).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{param}");
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["param"], param, "{refused}");
    }
    assert_eq!(pair.first.request_count(), 1);
    let other = pair.post("/v1/images/generations", &body("smart", false)).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    let other: Value = other.json().await.unwrap();
    assert!(other["error"]["message"].is_string(), "{other}");
    let unknown = pair.post("/v1/chat/completions", &body("nobody", false)).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let anonymous = reqwest::Client::new().post(pair.server.url("/v1/chat/completions"));
    let anonymous = anonymous.json(&body("smart", false)).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let anonymous: Value = anonymous.json().await.unwrap();
    assert!(anonymous["error"]["message"].is_string(), "in OpenAI's words: {anonymous}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_is_too_long_goes_to_the_next_target_after_one_attempt() {
    let pair = pair(&[]).await;
    let long = json!({ "error": { "message": "maximum context length", "code": "context_length_exceeded" } });
    pair.first.always(Reply::status(400, &long));
    let answer = pair.chat("smart").await;
    assert_eq!(answer["callboard"]["provider"], "p1");
    assert_eq!(pair.first.request_count(), 1);
    let filtered = json!({ "error": { "message": "filtered", "code": "content_filter" } });
    pair.first.always(Reply::status(400, &filtered));
    let refused = pair.post("/v1/chat/completions", &body("smart", false)).await;
    let status = refused.status();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("content_filter"))
    );
    assert_eq!((pair.first.request_count(), pair.second.request_count()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_is_left_after_its_limit_and_a_slow_one_is_hedged() {
    let pair = pair(&["providers.0.first_token_timeout_ms=300"]).await;
    pair.first.always(Reply::silent());
    let (said, done, _) = pair.stream(&body("smart", true)).await;
    assert!(done && !said.is_empty());
    assert_eq!(pair.first.request_count(), 1, "one attempt");

    let hedged = self::pair(&["models.0.hedge_after_ms=100"]).await;
    hedged.first.always(Reply::tokens(3).first_token_after(Duration::from_secs(20)));
    hedged.second.always(Reply::text(&["Sooner."]));
    let (said, done, _) = hedged.stream(&body("smart", true)).await;
    assert_eq!((said.as_str(), done), ("Sooner.", true));
    hedged.first.until_left(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_call_at_the_provider() {
    let pair = pair(&[]).await;
    pair.first.always(Reply::endless());
    let reply = pair.post("/v1/chat/completions", &body("smart", true)).await;
    let mut stream = reply.bytes_stream();
    stream.next().await.unwrap().unwrap();
    let left = tokio::time::Instant::now();
    drop(stream);
    pair.first.until_left(1).await;
    println!("the provider was left after {:?}", left.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_is_not_asked_again_until_it_may_have_recovered() {
    let pair =
        pair(&["providers.0.breaker.min_calls=2", "providers.0.breaker.open_ms=60000"]).await;
    pair.first.always(unavailable());
    for _ in 0..10 {
        pair.chat("smart").await;
    }
    let asked = pair.first.request_count();
    assert!(asked <= 6, "asked {asked} times, retries and all");
    assert_eq!(pair.second.request_count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_targets_are_out_a_request_waits_for_the_first_to_recover() {
    let settings = [
        "providers.0.breaker.min_calls=1",
        "providers.0.breaker.open_ms=1000",
        "providers.1.breaker.min_calls=1",
        "providers.1.breaker.open_ms=60000",
    ];
    let pair = pair(&settings).await;
    pair.first.always(unavailable());
    pair.second.always(unavailable());
    let refused = pair.post("/v1/chat/completions", &body("smart", false)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    pair.first.always(Reply::text(&["Back."]));
    let answer = pair.chat("smart").await;
    assert_eq!(answer["choices"][0]["message"]["content"], "Back.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_trusted_never_reads_a_secret() {
    let pair = pair(&["providers.0.trusted=false", "providers.1.trusted=false"]).await;
    pair.first.always(Reply::text(&["Write to <EM", "AIL_1>", " now."]));
    let mut asked = body("smart", true);
    asked["messages"][0]["content"] = json!("mail ann@example.org");
    let (said, done, _) = pair.stream(&asked).await;
    assert_eq!((said.as_str(), done), ("Write to ann@example.org now.", true));
    assert_eq!(pair.first.requests()[0].question(), "mail <EMAIL_1>");
    let answer = pair.ada.ask(&crate::harness::fresh("who is ann@example.org?")).await;
    assert_eq!(answer.response, "Write to ann@example.org now.");
    assert!(!format!("{:?}", pair.first.requests()).contains("ann@example.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_gone_is_found_so_before_somebody_waits_for_it() {
    let pair = pair(&["providers.0.probe_s=1", "providers.0.breaker.open_ms=60000"]).await;
    let circuit = async || {
        let list: Value = pair.ada.get("/providers").await;
        list["items"][0]["circuit"].as_str().unwrap().to_owned()
    };
    let becomes = async |state: &str| {
        eventually_some(PATIENCE, async || (circuit().await == state).then_some(())).await;
    };
    pair.first.choose(|request| {
        assert!(request.line.starts_with("GET /v1/models"), "{}", request.line);
        unavailable()
    });
    becomes("open").await;
    let answer = pair.chat("smart").await;
    assert_eq!(answer["callboard"]["provider"], "p1");
    assert!(pair.first.requests().iter().all(|request| request.line.starts_with("GET ")));
    // There again: the next call is let through at once, not after a minute.
    pair.first.always(Reply::text(&["I am back."]));
    becomes("half_open").await;
    assert_eq!(pair.chat("smart").await["callboard"]["provider"], "p0");
    becomes("closed").await;
}
