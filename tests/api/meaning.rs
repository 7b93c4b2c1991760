//! Questions whose search asks a model of the gateway for likeness of meaning.

use callboard_protocol::UsageReport;
use callboard_testkit::{FakeVendor, PATIENCE, RecordedRequest, Reply, eventually_some};
use serde_json::json;

use crate::harness::{Client, Database, Launch, Server, fresh};

async fn stage() -> (FakeVendor, Server, Client) {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("logs.embeddings.model=fake/embed-1").start().await;
    let ada = server.admin().await;
    let log = server.write(
        "app.log",
        "2026-11-20T10:00:00Z ERROR the disk of db-1 is full, token=sk-abcdefghijklmnopqrstuvwx\n\
         2026-11-20T10:01:00Z INFO the disk of db-2 was mounted by carl@example.org\n\
         2026-11-20T10:02:00Z WARN login failed\n",
    );
    server.ingest(&log).await;
    (vendor, server, ada)
}

fn embeds(request: &RecordedRequest) -> bool {
    request.line.ends_with("/embeddings")
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_ranked_by_meaning_on_the_askers_bill_and_secrets_stay_here() {
    let (vendor, _server, ada) = stage().await;
    vendor.always(Reply::text(&["The disk was full."]));
    ada.ask(&fresh("which disk was mounted, password=hunter2hunter2?")).await;
    let asked: Vec<RecordedRequest> = vendor.requests().into_iter().filter(embeds).collect();
    assert_eq!(asked.len(), 1, "the question and the templates at once");
    let input = asked[0].body["input"].as_array().unwrap();
    assert!(input.len() >= 3, "{input:?}");
    let all = asked[0].body.to_string();
    for secret in ["hunter2", "sk-abcdef", "carl@example.org"] {
        assert!(!all.contains(secret), "{all}");
    }
    let billed = async || {
        let usage: UsageReport = ada.get("/usage?group_by=model").await;
        serde_json::to_string(&usage.rows).unwrap().contains("embed-1").then_some(())
    };
    eventually_some(PATIENCE, billed).await;
    // What is known is not asked for again.
    ada.ask(&fresh("which disk was mounted, password=hunter2hunter2?")).await;
    let again = vendor.requests().iter().filter(|request| embeds(request)).count();
    assert_eq!(again, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_costs_the_meaning_and_not_the_answer() {
    let (vendor, _server, ada) = stage().await;
    vendor.choose(|request| {
        if embeds(request) {
            Reply::status(400, &json!({ "error": { "message": "no" } }))
        } else {
            Reply::text(&["The disk was full."])
        }
    });
    let answer = ada.ask(&fresh("which disk was full?")).await;
    assert!(answer.response.contains("The disk was full."), "{answer:?}");
    assert!(vendor.requests().iter().any(embeds));
}
