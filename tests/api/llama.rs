//! The gateway in front of a real server of models, llama.cpp's: every door over every wire that it
//! speaks. `scripts/install-clients` installs it; without it this skips with a word on stderr.

use callboard_protocol::UsageReport;
use callboard_testkit::{Llama, PATIENCE, eventually_some};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Database, Launch};

const WIRES: [&str; 3] = ["openai", "openai_responses", "anthropic"];

/// The doors, and what each calls its text and its tokens.
const DOORS: [(&str, &str); 3] = [
    ("/v1/chat/completions", "messages"),
    ("/v1/messages", "messages"),
    ("/v1/responses", "input"),
];

#[tokio::test(flavor = "multi_thread")]
async fn llama_answers_through_every_door_over_every_wire() {
    let Some(llama) = Llama::start().await else { return };
    let mut launch = Launch::on(Database::Sqlite).await;
    for (index, wire) in WIRES.into_iter().enumerate() {
        launch = launch
            .set(format!("providers.{index}.name={wire}"))
            .set(format!("providers.{index}.kind={wire}"))
            .set(format!("providers.{index}.base_url={}", llama.base_url()))
            .set(format!("providers.{index}.model=tiny-{wire}"));
    }
    let server = launch.start().await;
    let ada = server.admin().await;
    let http = reqwest::Client::new();
    let (mut calls, mut output) = (0, 0);
    for wire in WIRES {
        for (path, messages) in DOORS {
            for stream in [true, false] {
                let mut body = json!({ "model": format!("tiny-{wire}"), "stream": stream });
                body[messages] = json!([{ "role": "user", "content": "a b c" }]);
                let limit = if messages == "input" { "max_output_tokens" } else { "max_tokens" };
                body[limit] = json!(16);
                if path.ends_with("completions") && stream {
                    body["stream_options"] = json!({ "include_usage": true });
                }
                let request = http.post(server.url(path)).bearer_auth(&ada.token).json(&body);
                let reply = request.timeout(PATIENCE).send().await.unwrap();
                let status = reply.status();
                let text = reply.text().await.unwrap();
                assert_eq!(status, StatusCode::OK, "{wire} {path}: {text}");
                calls += 1;
                output += written(&text).unwrap_or_else(|| panic!("{wire} {path}: {text}"));
            }
        }
    }
    let report = eventually_some(PATIENCE, async || {
        let report: UsageReport = ada.get("/usage").await;
        (report.total.counts.calls == calls).then_some(report)
    })
    .await;
    assert_eq!(report.total.counts.answered, calls, "{report:?}");
    assert_eq!(report.total.tokens.output, output, "the ledger is what the clients were told");
}

/// The tokens written, as the client was told: in the last usage of a body or of a stream.
fn written(text: &str) -> Option<u64> {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut told = None;
    for json in events.chain([text]) {
        let Ok(json) = serde_json::from_str::<Value>(json) else { continue };
        for usage in [&json["usage"], &json["response"]["usage"]] {
            let count =
                usage["completion_tokens"].as_u64().or_else(|| usage["output_tokens"].as_u64());
            told = count.or(told);
        }
    }
    told
}
