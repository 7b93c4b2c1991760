//! Money adds up: the ledger against the vendors' own bills, token by token, for every way in which a
//! call comes and ends.

use std::collections::BTreeMap;

use callboard_protocol::{Ask, CallCounts, UsageReport};
use callboard_testkit::{Billed, FakeVendor, PATIENCE, RecordedRequest, Reply, eventually_some};
use futures_util::{StreamExt as _, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, fresh, on_both_databases};

on_both_databases! {
    the_ledger_adds_up_to_the_providers_own_bills,
}

/// Forty letters: ten tokens by our guess, as many as the fake provider puts on its bill.
const PROMPT: &str = "forty letters are ten tokens, we believe";

/// Tokens of an answer, of four letters each: one token by our guess, too.
const ANSWER: [&str; 8] = ["abcd"; 8];

/// Calls at once.
const AT_ONCE: usize = 24;

/// A way in which a call comes and ends.
#[derive(Clone, Copy, Debug)]
enum Kind {
    ChatWhole,
    ChatStreamed,
    MessageWhole,
    MessageStreamed,
    ResponseWhole,
    ResponseStreamed,
    Embeddings,
    FailedOver,
    Cut,
    Left,
    Hedged,
    Turn,
    Kept,
}

const KINDS: [Kind; 13] = [
    Kind::ChatWhole,
    Kind::ChatStreamed,
    Kind::MessageWhole,
    Kind::MessageStreamed,
    Kind::ResponseWhole,
    Kind::ResponseStreamed,
    Kind::Embeddings,
    Kind::FailedOver,
    Kind::Cut,
    Kind::Left,
    Kind::Hedged,
    Kind::Turn,
    Kind::Kept,
];

/// The models that are asked for, each behind a provider of its own; the wires take turns.
const MODELS: [&str; 10] =
    ["plain", "kept", "words", "answers", "embed", "long", "cut", "left", "late", "sooner"];

/// Calls of each kind: more than 10,000 rows by `make wall`.
fn of_each() -> usize {
    let asked = std::env::var("CALLBOARD_TEST_CALLS").ok();
    let calls: usize = asked.and_then(|count| count.parse().ok()).unwrap_or(240);
    calls.div_ceil(KINDS.len())
}

struct Stage {
    vendor: FakeVendor,
    server: Server,
    ada: Client,
    http: reqwest::Client,
}

/// What the vendor does with each model.
fn reply(request: &RecordedRequest) -> Reply {
    let answer = Reply::text(&ANSWER);
    match request.body["model"].as_str().unwrap_or_default() {
        "long" => Reply::context_too_long(),
        "cut" => answer.cut_after(4),
        "left" => answer.stall_after(3),
        "late" => answer.first_token_after(PATIENCE * 2).bills_prompt(),
        "words" => answer.cached(4, 2),
        "answers" => answer.reasoning_tokens(3),
        _ => answer,
    }
}

async fn stage(on: Database) -> Stage {
    let vendor = FakeVendor::start().await;
    vendor.choose(reply);
    vendor.forget_requests();
    let mut launch = Launch::on(on).await.set("session.max_per_user=200");
    for (index, model) in MODELS.into_iter().enumerate() {
        let kind = match model {
            "words" | "sooner" => "anthropic",
            "answers" => "openai_responses",
            _ => "openai",
        };
        // Breakers stay closed: here every call is to be made.
        let breaker = "{ window = 100000, min_calls = 100000, failure_rate = 1.0 }";
        launch = launch
            .set(format!("providers.{index}.name={model}"))
            .set(format!("providers.{index}.kind={kind}"))
            .set(format!("providers.{index}.base_url={}", vendor.base_url()))
            .set(format!("providers.{index}.model={model}"))
            .set(format!("providers.{index}.max_concurrency={AT_ONCE}"))
            .set(format!("providers.{index}.breaker={breaker}"))
            .set(format!("providers.{index}.input_usd_per_million=1"))
            .set(format!("providers.{index}.output_usd_per_million=10"));
    }
    // Late enough that the first target has the request, however busy the machine is: a call that is
    // ended before it gets there is estimated by us and billed by nobody.
    let models = r#"[
        { name = "over", targets = [{ provider = "long" }, { provider = "plain" }] },
        { name = "hedged", hedge_after_ms = 250,
          targets = [{ provider = "late" }, { provider = "sooner" }] },
    ]"#;
    let server = launch.set(format!("models={}", models.replace('\n', " "))).start().await;
    let ada = server.admin().await;
    Stage { vendor, server, ada, http: reqwest::Client::new() }
}

impl Stage {
    async fn post(&self, path: &str, body: Value) -> Response {
        let request = self.http.request(Method::POST, self.server.url(path));
        let request = request.bearer_auth(&self.ada.token).json(&body).timeout(PATIENCE);
        request.send().await.unwrap()
    }

    /// A call and its end.
    async fn call(&self, kind: Kind) {
        let messages = json!([{ "role": "user", "content": PROMPT }]);
        let chat = |model: &str, stream: bool| json!({ "model": model, "stream": stream, "messages": messages });
        let message = |model: &str, stream: bool| {
            let mut body = chat(model, stream);
            body["max_tokens"] = json!(99);
            body
        };
        let response =
            |stream: bool| json!({ "model": "answers", "stream": stream, "input": PROMPT });
        let (path, body) = match kind {
            Kind::ChatWhole => ("/v1/chat/completions", chat("plain", false)),
            Kind::ChatStreamed => ("/v1/chat/completions", chat("plain", true)),
            Kind::MessageWhole => ("/v1/messages", message("words", false)),
            Kind::MessageStreamed => ("/v1/messages", message("words", true)),
            Kind::ResponseWhole => ("/v1/responses", response(false)),
            Kind::ResponseStreamed => ("/v1/responses", response(true)),
            Kind::Embeddings => ("/v1/embeddings", json!({ "model": "embed", "input": PROMPT })),
            Kind::FailedOver => ("/v1/chat/completions", chat("over", false)),
            Kind::Cut => ("/v1/chat/completions", chat("cut", true)),
            Kind::Kept => {
                let mut body = chat("kept", true);
                body["callboard"] = json!({ "cache": { "mode": "use" } });
                ("/v1/chat/completions", body)
            }
            Kind::Left => return self.leave(chat("left", true)).await,
            Kind::Hedged => ("/v1/messages", message("hedged", true)),
            Kind::Turn => {
                let ask = Ask { model: Some("plain".to_owned()), ..fresh(PROMPT) };
                assert_eq!(self.ada.ask(&ask).await.response, ANSWER.concat());
                return;
            }
        };
        let reply = self.post(path, body).await;
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{kind:?}: {status} {text}");
    }

    /// Reads three pieces of a stream, and leaves.
    async fn leave(&self, body: Value) {
        let mut stream = self.post("/v1/chat/completions", body).await.bytes_stream();
        let mut text = String::new();
        while text.matches("abcd").count() < 3 {
            text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
        }
    }

    /// The vendor's bill by model.
    fn bill(&self) -> BTreeMap<String, Sum> {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for bill in self.vendor.billed() {
            let Billed { asked, input, output, cached_input, cache_write, reasoning, .. } = bill;
            let sum = sums.entry(asked).or_default();
            let more = [input, output, cached_input, cache_write, reasoning];
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        sums
    }
}

/// Tokens: read, written, and of those from a cache, into a cache, and thoughts.
type Sum = [u64; 5];

/// How the calls of a model are to end.
fn counts(model: &str, each: u64) -> CallCounts {
    let none = CallCounts::default();
    let of = |calls: u64, counts: CallCounts| CallCounts { calls, ..counts };
    match model {
        // Two kinds of its own, those that failed over, and the turns.
        "plain" => of(4 * each, CallCounts { answered: 4 * each, ..none }),
        // Asked for once, however many ask at once.
        "kept" => of(each, CallCounts { answered: 1, cached: each - 1, ..none }),
        "words" | "answers" => of(2 * each, CallCounts { answered: 2 * each, ..none }),
        "embed" | "sooner" => of(each, CallCounts { answered: each, ..none }),
        "long" | "cut" => of(each, CallCounts { failed: each, ..none }),
        "left" => of(each, CallCounts { cancelled: each, ..none }),
        "late" => of(each, CallCounts { hedge_lost: each, ..none }),
        _ => none,
    }
}

#[expect(clippy::print_stdout, reason = "the figures are for whoever runs the test")]
async fn the_ledger_adds_up_to_the_providers_own_bills(on: Database) {
    let stage = stage(on).await;
    let each = match on {
        Database::Sqlite => of_each(),
        Database::Postgres => of_each().min(100),
    };
    let before = tokio::time::Instant::now();
    let calls = (0..each).flat_map(|_| KINDS);
    stream::iter(calls).for_each_concurrent(AT_ONCE, |kind| stage.call(kind)).await;
    let made = before.elapsed();
    let each = each as u64;
    let all: u64 = MODELS.iter().map(|model| counts(model, each).calls).sum();
    let report = eventually_some(PATIENCE, async || {
        let report: UsageReport = stage.ada.get("/usage?group_by=model").await;
        (report.total.counts.calls >= all).then_some(report)
    })
    .await;
    println!("{} calls of models in {made:?}: {:?}", all, report.total);
    // A vendor bills whoever left when it sees that they did; those that it refused it never bills.
    let billed = all - counts("long", each).calls - counts("kept", each).cached;
    let bill = eventually_some(PATIENCE, async || {
        (stage.vendor.billed().len() as u64 >= billed).then(|| stage.bill())
    })
    .await;
    let ledger: BTreeMap<_, _> =
        report.rows.into_iter().map(|row| (row.group.unwrap_or_default(), row.totals)).collect();
    for model in MODELS {
        let totals = &ledger[model];
        assert_eq!(totals.counts, counts(model, each), "{model}");
        let tokens = &totals.tokens;
        let ours: Sum = [
            tokens.input,
            tokens.output,
            tokens.cached_input,
            tokens.cache_write,
            tokens.reasoning,
        ];
        assert_eq!(ours, bill.get(model).copied().unwrap_or_default(), "{model}");
        // A dollar and ten for a million.
        assert_eq!(totals.cost_micro_usd, tokens.input + 10 * tokens.output, "{model}");
    }
    assert_eq!(report.total.counts.calls, all);
}
