//! The official clients of OpenAI and Anthropic, in Python and JavaScript, as they are: given the
//! address and a key, they work. What they are to see stands in `tests/clients`; here stands what
//! the provider behind is to see, and that nothing was skipped.
//!
//! `scripts/install-clients` installs them and `make test` names their folder; run without it,
//! these tests skip with a word on stderr.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use callboard_testkit::{FakeVendor, PATIENCE, RecordedRequest, Reply, eventually};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server};

/// The folder with `venv` and `node_modules`.
const FOLDER: &str = "CALLBOARD_TEST_CLIENTS";

/// Longer than a client waits by itself, for each call that it makes.
const ALL_SCENARIOS: Duration = Duration::from_secs(120);

/// The models, each with a provider of its own, so that the fault of one is not held against
/// another. Two stand behind `down`.
const MODELS: [&str; 12] = [
    "plain", "think", "tools", "json", "long", "limited", "down-1", "down-2", "locked", "cut",
    "endless", "embed",
];

/// What every client can do.
const COMMON: [&str; 15] = [
    "chat",
    "stream",
    "thinking",
    "tools",
    "tools_streamed",
    "json",
    "wrong_key",
    "unknown_model",
    "unknown_parameter",
    "too_long",
    "limited",
    "down",
    "locked",
    "cut",
    "cancel",
];

#[tokio::test(flavor = "multi_thread")]
async fn openais_python_client_works_unchanged() {
    let Some(stage) = Stage::set("openai").await else { return };
    let told =
        stage.run("openai_client.py", &["async", "json_object", "embeddings", "models"]).await;
    check_openai(&stage, &told);
    check_openai_upstream(&stage.vendor);
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_javascript_client_works_unchanged_on_anthropics_wire() {
    let Some(stage) = Stage::set("anthropic").await else { return };
    let told = stage.run("openai_client.mjs", &["inexpressible", "embeddings", "models"]).await;
    check_openai(&stage, &told);
    check_anthropic_upstream(&stage.vendor);
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_python_client_works_unchanged() {
    let Some(stage) = Stage::set("anthropic").await else { return };
    let told = stage.run("anthropic_client.py", &["async", "api_key"]).await;
    check_anthropic(&told);
    check_anthropic_upstream(&stage.vendor);
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_javascript_client_works_unchanged_on_openais_wire() {
    let Some(stage) = Stage::set("openai").await else { return };
    let told = stage.run("anthropic_client.mjs", &["api_key"]).await;
    check_anthropic(&told);
    check_openai_upstream(&stage.vendor);
}

/// A server with a provider behind each model, all of them one vendor, and somebody who calls.
struct Stage {
    folder: String,
    vendor: FakeVendor,
    server: Server,
    ada: Client,
}

/// What the scenarios returned, by their names.
type Told = BTreeMap<String, Value>;

impl Stage {
    /// With providers that speak the wire `kind`; nothing where the clients are not installed.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests is to see what was skipped")]
    async fn set(kind: &str) -> Option<Self> {
        let Ok(folder) = std::env::var(FOLDER) else {
            eprintln!("skipped: {FOLDER} is not set; scripts/install-clients says what to set");
            return None;
        };
        let vendor = FakeVendor::start().await;
        vendor.choose(reply);
        let mut launch = Launch::on(Database::Sqlite).await;
        for (index, model) in MODELS.into_iter().enumerate() {
            // Only one of the wires has embeddings.
            let kind = if model == "embed" { "openai" } else { kind };
            launch = launch
                .set(format!("providers.{index}.name={model}"))
                .set(format!("providers.{index}.kind={kind}"))
                .set(format!("providers.{index}.base_url={}", vendor.base_url()))
                .set(format!("providers.{index}.api_key=sk-of-the-server"))
                .set(format!("providers.{index}.model={model}"));
        }
        let targets = r#"[{ provider = "down-1" }, { provider = "down-2" }]"#;
        let launch = launch.set(format!(r#"models=[{{ name = "down", targets = {targets} }}]"#));
        // Shorter than the vendor asks to wait: the client is told, and waits as it likes.
        let server = launch.set("gateway.patience_ms=1000").start().await;
        let ada = server.admin().await;
        Some(Self { folder, vendor, server, ada })
    }

    /// Runs a script through the common scenarios and `more`, and expects it to succeed.
    async fn run(&self, script: &str, more: &[&str]) -> Told {
        let scenarios: Vec<&str> = COMMON.iter().chain(more).copied().collect();
        let mut running = Running(self.command(script).args(&scenarios).spawn().unwrap());
        let stdout = running.0.stdout.take().unwrap();
        let count = scenarios.len();
        let lines = tokio::task::spawn_blocking(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).take(count).collect::<Vec<_>>()
        });
        let lines = tokio::time::timeout(ALL_SCENARIOS, lines).await;
        let lines = lines.unwrap_or_else(|_| panic!("{script} hangs")).unwrap();
        let told = lines.iter().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line.get("failed").is_none(), "{script}: {line}\n{}", lines.join("\n"));
            (line["scenario"].as_str().unwrap().to_owned(), line["result"].clone())
        });
        let told: Told = told.collect();
        assert_eq!(told.len(), count, "{script} ended early: {told:?}");
        // Both calls that the client left, while it lives on: no end of a process ends them.
        let left = || self.vendor.billed().iter().filter(|one| one.asked == "endless").count();
        eventually(PATIENCE, || left() == 2).await;
        drop(running.0.stdin.take());
        let ended = tokio::task::spawn_blocking(move || running.0.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{script}: {ended}");
        told
    }

    /// A script with the address and the key, and nothing of the developer's own settings.
    fn command(&self, script: &str) -> Command {
        let program = if Path::new(script).extension().is_some_and(|kind| kind == "py") {
            format!("{}/venv/bin/python", self.folder)
        } else {
            "node".to_owned()
        };
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().to_lowercase();
            if ["openai_", "anthropic_"].iter().any(|front| name.starts_with(front)) {
                command.env_remove(name.to_uppercase());
            }
        }
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
            .env("CALLBOARD_URL", self.server.url(""))
            .env("CALLBOARD_KEY", &self.ada.token)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }
}

/// A script that is running. Dropping it kills the process, by its id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

/// What the vendor says for each model.
fn reply(request: &RecordedRequest) -> Reply {
    match request.body["model"].as_str().unwrap_or_default() {
        "think" => Reply::text(&["All is", " well."]).reasoning(&["Hm.", " So."]),
        "tools" if has_result(request) => Reply::text(&["web-1 is", " up."]),
        "tools" => {
            let call = r#"{"host":"web-1"}"#;
            Reply::text(&["Let me", " look."]).tool_call("call_1", "look_up", call)
        }
        "json" => Reply::text(&["{\"healthy\":", "true}"]),
        "long" => Reply::context_too_long(),
        "limited" => Reply::rate_limited(Some("7")),
        "down-1" | "down-2" => Reply::overloaded(),
        "locked" => Reply::error(401, "invalid_api_key", "Incorrect API key: sk-of-the-server"),
        "cut" => Reply::tokens(60).cut_after(40),
        "endless" => Reply::endless(),
        _ => Reply::text(&["All", " is", " well."]),
    }
}

/// Whether the result of the tool came with it, on either wire.
fn has_result(request: &RecordedRequest) -> bool {
    let Some(last) = request.body["messages"].as_array().and_then(|messages| messages.last())
    else {
        return false;
    };
    last["role"] == "tool" || last["content"][0]["type"] == "tool_result"
}

/// What OpenAI's clients told.
fn check_openai(stage: &Stage, told: &Told) {
    assert_eq!(told["chat"]["provider"], "plain");
    let errors = [
        ("wrong_key", 401, "invalid_request_error", "invalid_api_key"),
        ("unknown_model", 404, "invalid_request_error", "model_not_found"),
        ("unknown_parameter", 400, "invalid_request_error", "unknown_parameter"),
        ("too_long", 400, "invalid_request_error", "context_length_exceeded"),
        ("limited", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("down", 503, "server_error", "provider_unavailable"),
        ("locked", 503, "server_error", "provider_unavailable"),
    ];
    for (scenario, status, kind, code) in errors {
        let error = &told[scenario];
        assert_eq!(
            (&error["status"], &error["type"], &error["code"]),
            (&json!(status), &json!(kind), &json!(code)),
            "{scenario}"
        );
    }
    assert_eq!(told["unknown_parameter"]["param"], "frobnicate");
    check_wait(&told["limited"]);
    assert!(told["cut"].as_str().unwrap().starts_with("t0 t1 "), "{}", told["cut"]);
    let vector: Vec<f64> = serde_json::from_value(told["embeddings"].clone()).unwrap();
    assert_eq!(vector.len(), FakeVendor::VECTOR, "{vector:?}");
    let names: Vec<&str> = std::iter::once("down").chain(MODELS).collect();
    assert_eq!(told["models"], json!(names));
    let embedded = stage.vendor.requests();
    let embedded: Vec<_> = embedded.iter().filter(|one| one.body["model"] == "embed").collect();
    assert!(embedded.iter().all(|one| one.line.ends_with("/embeddings")), "{embedded:?}");
}

/// What Anthropic's clients told.
fn check_anthropic(told: &Told) {
    assert_eq!(told["chat"]["provider"], "plain");
    let errors = [
        ("wrong_key", 401, "authentication_error", ""),
        ("unknown_model", 404, "not_found_error", ""),
        ("unknown_parameter", 400, "invalid_request_error", "'frobnicate'"),
        ("too_long", 400, "invalid_request_error", "prompt is too long"),
        ("limited", 429, "rate_limit_error", ""),
        ("down", 529, "overloaded_error", "down-2"),
        ("locked", 529, "overloaded_error", ""),
    ];
    for (scenario, status, kind, word) in errors {
        let error = &told[scenario];
        let told = (&error["status"], &error["type"]);
        assert_eq!(told, (&json!(status), &json!(kind)), "{scenario}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(word), "{scenario}: {message}");
        assert!(!message.contains("sk-of-the-server"), "{scenario}: {message}");
    }
    check_wait(&told["limited"]);
    assert!(told["cut"]["said"].as_str().unwrap().starts_with("t0 t1 "), "{}", told["cut"]);
    assert_eq!(told["cut"]["type"], "overloaded_error");
}

/// The vendor's 7 seconds, or what is left of them.
fn check_wait(limited: &Value) {
    let seconds: u64 = limited["retry_after"].as_str().unwrap().parse().unwrap();
    assert!((1..=7).contains(&seconds), "{limited}");
}

/// The requests for a model, of which the first is its plainest.
fn asked(vendor: &FakeVendor, model: &str) -> Vec<RecordedRequest> {
    let requests = vendor.requests().into_iter();
    requests.filter(|request| request.body["model"] == model).collect()
}

/// What a vendor of OpenAI's wire saw, whoever asked.
fn check_openai_upstream(vendor: &FakeVendor) {
    let plain = &asked(vendor, "plain")[0];
    assert_eq!(plain.header("authorization"), Some("Bearer sk-of-the-server"));
    assert_eq!(plain.body["temperature"], 0.5);
    assert_eq!(plain.question(), "Is all well?");
    let tools = asked(vendor, "tools");
    assert_eq!(tools[0].body["tools"][0]["function"]["name"], "look_up");
    let messages = tools[1].body["messages"].as_array().unwrap();
    let [.., call, result] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(call["tool_calls"][0]["function"]["name"], "look_up");
    assert_eq!(result["content"], "up");
    assert_eq!(result["tool_call_id"], call["tool_calls"][0]["id"]);
    let json = asked(vendor, "json");
    let mut formats = json.iter().map(|request| &request.body["response_format"]);
    let format = formats.rfind(|format| format["type"] == "json_schema").unwrap();
    let healthy = &format["json_schema"]["schema"]["properties"]["healthy"];
    assert_eq!(healthy["type"], "boolean", "{format}");
    check_asked_once(vendor);
}

/// What a vendor of Anthropic's wire saw, whoever asked.
fn check_anthropic_upstream(vendor: &FakeVendor) {
    let plain = &asked(vendor, "plain")[0];
    assert_eq!(plain.header("x-api-key"), Some("sk-of-the-server"));
    assert_eq!(plain.body["temperature"], 0.5);
    assert_eq!(plain.body["max_tokens"], 99);
    assert_eq!(plain.question(), "Is all well?");
    let tools = asked(vendor, "tools");
    assert_eq!(tools[0].body["tools"][0]["name"], "look_up");
    let messages = tools[1].body["messages"].as_array().unwrap();
    let [.., call, result] = messages.as_slice() else { panic!("{messages:?}") };
    let call = call["content"].as_array().unwrap().last().unwrap();
    assert_eq!((&call["type"], &call["input"]["host"]), (&json!("tool_use"), &json!("web-1")));
    assert_eq!(result["content"][0]["tool_use_id"], call["id"]);
    check_asked_once(vendor);
}

/// What the server refuses by itself reaches no vendor, and what can never succeed is not repeated:
/// each was asked twice, whole and streamed.
fn check_asked_once(vendor: &FakeVendor) {
    assert!(asked(vendor, "nobody").is_empty());
    assert!(vendor.requests().iter().all(|request| request.body.get("frobnicate").is_none()));
    assert_eq!(asked(vendor, "long").len(), 2);
    assert!(asked(vendor, "limited").len() <= 2, "retried in spite of retry-after");
}
