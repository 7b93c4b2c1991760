//! Who answers for a name is changed while the server runs: by its file, by a signal, and over the API.

use callboard_protocol::{CallList, CallStatus, ErrorCode, Reloaded, Role};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, read};

struct Stage {
    vendors: [FakeVendor; 2],
    server: Server,
    ada: Client,
}

/// A configuration in which a name leads to one of the vendors.
fn configuration(vendors: &[FakeVendor; 2], leads_to: usize) -> String {
    let provider = |(number, vendor): (usize, &FakeVendor)| {
        format!(
            "[[providers]]\nname = \"p{number}\"\nmodel = \"m{number}\"\nbase_url = \"{}\"\n",
            vendor.base_url()
        )
    };
    let providers: String = vendors.iter().enumerate().map(provider).collect();
    format!(
        "{providers}[[models]]\nname = \"smart\"\ntargets = [{{ provider = \"p{leads_to}\" }}]\n"
    )
}

async fn stage() -> Stage {
    let vendors = [FakeVendor::start().await, FakeVendor::start().await];
    for (number, vendor) in vendors.iter().enumerate() {
        vendor.always(Reply::text(&["I", " am", &format!(" {number}.")]));
    }
    let launch = Launch::on(Database::Sqlite).await.config(&configuration(&vendors, 0));
    let server = launch.start().await;
    let ada = server.admin().await;
    Stage { vendors, server, ada }
}

impl Stage {
    fn write(&self, configuration: &str) {
        self.server.write("callboard.toml", configuration);
    }

    fn ask(&self, model: &str, content: &str) -> RequestBuilder {
        let messages = json!([{ "role": "user", "content": content }]);
        let body = json!({ "model": model, "messages": messages });
        let url = self.server.url("/v1/chat/completions");
        reqwest::Client::new().post(url).bearer_auth(&self.ada.token).json(&body)
    }

    async fn answers(&self, model: &str) -> String {
        self.answers_to(model, "hi").await
    }

    async fn answers_to(&self, model: &str, content: &str) -> String {
        let reply: Value = self.ask(model, content).send().await.unwrap().json().await.unwrap();
        reply["callboard"]["provider"].as_str().unwrap_or_default().to_owned()
    }

    async fn reload(&self) -> Reloaded {
        read(self.ada.request(Method::POST, "/config/reload")).await
    }

    async fn put(&self, name: &str, model: Value) -> StatusCode {
        let request = self.ada.request(Method::PUT, &format!("/models/{name}")).json(&model);
        request.send().await.unwrap().status()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_again_and_no_stream_is_dropped() {
    let stage = stage().await;
    let [first, _] = &stage.vendors;
    assert_eq!(stage.answers("smart").await, "p0");
    first.hold();
    first.script([Reply::text(&["a", "b", "c"]).gate_after(1)]);
    let running = stage.ask("smart", "hi").send();
    let changed = async {
        first.until_held(1).await;
        // Another key for the provider that is answering, and the name leads elsewhere.
        let other = configuration(&stage.vendors, 1);
        let other = other.replacen("model = \"m0\"", "model = \"m0\"\napi_key = \"k\"", 1);
        stage.write(&other);
        assert_eq!(
            stage.reload().await,
            Reloaded { providers: vec!["p0".to_owned()], needs_restart: Vec::new() }
        );
        assert_eq!(stage.answers("smart").await, "p1");
        first.release();
    };
    let (running, ()) = tokio::join!(running, changed);
    let running: Value = running.unwrap().json().await.unwrap();
    assert_eq!(running["choices"][0]["message"]["content"], "abc");
    assert_eq!(running["callboard"]["provider"], "p0");
    assert_eq!(stage.answers("m0").await, "p0");
    let asked = first.requests();
    assert_eq!(asked.last().unwrap().header("authorization"), Some("Bearer k"));
    // Nothing changed: nothing is started anew.
    assert_eq!(stage.reload().await, Reloaded::default());
    // What is read at the start alone is named.
    stage.write(&format!("{}[chat]\nmax_steps = 3\n", configuration(&stage.vendors, 0)));
    let reloaded = stage.reload().await;
    assert_eq!(reloaded.needs_restart, ["chat"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_an_error_changes_nothing() {
    let stage = stage().await;
    let wrong = configuration(&stage.vendors, 1).replace("p1\" }]", "p9\" }]");
    for text in [wrong.as_str(), "[[providers]", "[nonsense]\nx = 1\n"] {
        stage.write(text);
        let request = stage.ada.request(Method::POST, "/config/reload");
        let refused = stage.ada.refused(request).await;
        assert_eq!(refused.1, ErrorCode::ValidationFailed);
        assert_eq!(stage.answers("smart").await, "p0");
    }
    stage.write(&configuration(&stage.vendors, 1));
    stage.server.signal("-HUP");
    eventually_some(PATIENCE, async || (stage.answers("smart").await == "p1").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_api_covers_the_files_and_outlives_the_server() {
    let stage = stage().await;
    let second = json!({ "targets": [{ "provider": "p1" }] });
    assert_eq!(stage.put("smart", second.clone()).await, StatusCode::NO_CONTENT);
    assert_eq!(stage.put("fast", second).await, StatusCode::NO_CONTENT);
    assert_eq!(
        (stage.answers("smart").await, stage.answers("fast").await),
        ("p1".into(), "p1".into())
    );
    let Stage { vendors, server, .. } = stage;
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    let stage = Stage { vendors, server, ada };
    assert_eq!(stage.answers("smart").await, "p1");
    let names: Value = stage.ada.get("/models").await;
    let origins: Vec<_> =
        names["items"].as_array().unwrap().iter().map(|name| &name["origin"]).collect();
    assert_eq!(origins, ["api", "api"], "{names}");
    for (name, gone) in [("smart", "p0"), ("fast", "")] {
        let request = stage.ada.request(Method::DELETE, &format!("/models/{name}"));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
        assert_eq!(stage.answers(name).await, gone, "{name}");
    }
    let request = stage.ada.request(Method::DELETE, "/models/smart");
    assert_eq!(stage.ada.refused(request).await, (StatusCode::NOT_FOUND, ErrorCode::NotFound));
    for wrong in [
        json!({ "targets": [] }),
        json!({ "targets": [{ "provider": "nobody" }] }),
        json!({ "name": "other", "targets": [{ "provider": "p1" }] }),
        json!({ "targets": [{ "provider": "p1", "tasks": ["x"] }] }),
        json!({ "targets": [{ "provider": "p1", "min_prompt_tokens": 2, "max_prompt_tokens": 1 }] }),
    ] {
        assert_eq!(stage.put("smart", wrong.clone()).await, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_are_chosen_by_length_and_by_task() {
    let stage = stage().await;
    let by_length = json!({ "targets": [
        { "provider": "p0", "max_prompt_tokens": 50 }, { "provider": "p1", "min_prompt_tokens": 51 },
    ] });
    assert_eq!(stage.put("sized", by_length).await, StatusCode::NO_CONTENT);
    assert_eq!(stage.answers("sized").await, "p0");
    assert_eq!(stage.answers_to("sized", &"long ".repeat(100)).await, "p1");
    let by_task = json!({ "targets": [
        { "provider": "p0", "tasks": ["log_question", "messages"] },
        { "provider": "p1", "tasks": ["chat_completions"] },
    ] });
    assert_eq!(stage.put("tasked", by_task).await, StatusCode::NO_CONTENT);
    assert_eq!(stage.answers("tasked").await, "p1");
    let ask =
        callboard_protocol::Ask { model: Some("tasked".to_owned()), ..crate::harness::fresh("?") };
    assert_eq!(stage.ada.ask(&ask).await.provider, "p0");
    // None is for it: any of them rather than no answer.
    let none = json!({ "targets": [{ "provider": "p1", "tasks": ["embeddings"] }] });
    assert_eq!(stage.put("none", none).await, StatusCode::NO_CONTENT);
    assert_eq!(stage.answers("none").await, "p1");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_of_a_request_can_be_read() {
    let stage = stage().await;
    stage.vendors[0].always(Reply::context_too_long());
    let both = json!({ "targets": [{ "provider": "p0" }, { "provider": "p1" }] });
    assert_eq!(stage.put("both", both).await, StatusCode::NO_CONTENT);
    let reply = stage.ask("both", "hi").send().await.unwrap();
    let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
    stage.answers("smart").await;
    let of_request = format!("/usage/calls?request_id={id}");
    let calls = eventually_some(PATIENCE, async || {
        let calls: CallList = stage.ada.get(&of_request).await;
        (calls.items.len() == 2).then_some(calls.items)
    })
    .await;
    let told: Vec<_> = calls
        .iter()
        .rev()
        .map(|call| (call.provider.as_str(), call.status, call.error.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("p0", CallStatus::Failed, Some("context_too_long")), ("p1", CallStatus::Answered, None)]
    );
    let vic = stage.server.user("vic", Role::VIEWER).await;
    assert!(vic.get::<CallList>(&of_request).await.items.is_empty(), "they are ada's");
    let one: CallList = stage.ada.get("/usage/calls?limit=1").await;
    assert_eq!(one.items.len(), 1);
    for limit in ["0", "1001"] {
        let request = stage.ada.request(Method::GET, &format!("/usage/calls?limit={limit}"));
        let refused = stage.ada.refused(request).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter));
    }
}
