//! Patterns of what is indexed, and the index made anew: by the API, by the command line, over a
//! crash, and cancelled.

use callboard_protocol::{
    Ask, ErrorCode, Job, JobId, JobPage, JobState, LogHold, LogHoldList, LogPage, LogStats,
    PatternPage, Role,
};
use callboard_testkit::eventually_some;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Database, Launch, Server, on_both_databases, read},
    ssh_log::{SshLog, with_query},
};

on_both_databases! {
    an_index_is_made_anew_while_it_is_read,
    lines_are_held_by_an_administrator,
}

/// Commits, and so steps of a re-index, of a hundred lines.
const SMALL: &str = "logs.commit_every_lines=100";

const LONG_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

async fn ended(client: &Client, id: JobId) -> Job {
    let job = async || Some(client.get::<Job>(&format!("/jobs/{id}")).await);
    eventually_some(LONG_PATIENCE, async || job().await.filter(|job| job.state.is_final())).await
}

async fn reload(client: &Client) -> Job {
    read(client.request(Method::POST, "/logs/reload")).await
}

async fn patterns(client: &Client, query: &[(&str, &str)]) -> PatternPage {
    client.get(&with_query("/logs/patterns", query)).await
}

/// With a log of so many lines.
async fn filled(launch: Launch, lines: usize) -> (Server, Client) {
    let server = launch.start().await;
    let ada = server.admin().await;
    let path = server.write("auth.log", SshLog::of(lines).text());
    server.ingest(&path).await;
    (server, ada)
}

async fn an_index_is_made_anew_while_it_is_read(on: Database) {
    let (server, ada) = filled(Launch::on(on).await.set(SMALL), 1_000).await;
    let vic = server.user("vic", Role::VIEWER).await;
    let before = patterns(&vic, &[]).await;
    assert!(before.found > 1 && before.matched == 1_000, "{before:?}");
    let top = &before.patterns[0];
    assert!(top.template.contains("<*>"), "{top:?}");
    let of_top = with_query("/logs/search", &[("q", &format!("pattern:{}", top.id))]);
    assert_eq!(vic.get::<LogPage>(&of_top).await.matched, top.count);
    let generation = vic.get::<LogStats>("/logs/stats").await.generation;

    let refused = vic.refused(vic.request(Method::POST, "/logs/reload")).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    let job = reload(&ada).await;
    assert_eq!((job.kind.as_str(), job.created_by), ("reindex", Some(ada.user.id)));
    let done = ended(&ada, job.id).await;
    assert_eq!((done.state, done.progress.lines), (JobState::Succeeded, 1_000), "{done:?}");
    assert_eq!(done.progress.lines_total, Some(1_000));
    let stats = vic.get::<LogStats>("/logs/stats").await;
    assert!(stats.generation > generation && stats.lines == 1_000);
    let after = patterns(&vic, &[]).await;
    let told = |page: &PatternPage| {
        page.patterns.iter().map(|one| (one.template.clone(), one.count)).collect::<Vec<_>>()
    };
    assert_eq!(told(&after), told(&before));

    // By the command line, and then over a restart.
    let output = server.run(&["reindex"], "").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1000 lines\n");
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    assert_eq!(told(&patterns(&ada, &[]).await), told(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_re_index_goes_on_after_a_crash() {
    let launch = Launch::on(Database::Sqlite).await.set("logs.commit_every_lines=5");
    let (server, ada) = filled(launch, 1_000).await;
    let job = reload(&ada).await;
    assert_eq!(reload(&ada).await.id, job.id, "one that has not ended is enough");
    let begun = async || {
        let job: Job = ada.get(&format!("/jobs/{}", job.id)).await;
        (job.progress.lines > 0).then_some(job.state)
    };
    let state = eventually_some(LONG_PATIENCE, begun).await;
    let server = server.kill().await.start().await;
    let ada = server.sign_in("ada").await;
    let done = ended(&ada, job.id).await;
    assert_eq!(done.state, JobState::Succeeded, "{done:?}");
    assert!(state == JobState::Succeeded || done.attempts > 1);
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 1_000);
    assert_eq!(patterns(&ada, &[]).await.matched, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_re_index_that_is_cancelled_leaves_the_old_index_and_nothing_else() {
    let launch = Launch::on(Database::Sqlite).await.set("logs.commit_every_lines=1");
    let (server, ada) = filled(launch, 300).await;
    let job = reload(&ada).await;
    let begun = async || {
        let job: Job = ada.get(&format!("/jobs/{}", job.id)).await;
        (job.progress.lines > 0).then_some(())
    };
    eventually_some(LONG_PATIENCE, begun).await;
    let _: Job = read(ada.request(Method::POST, &format!("/jobs/{}/cancel", job.id))).await;
    let ended = ended(&ada, job.id).await;
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 300);
    let one_is_left = async || {
        let folders = std::fs::read_dir(server.folder().join("data/index")).unwrap();
        let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        (folders.count() == 1).then_some(())
    };
    eventually_some(LONG_PATIENCE, one_is_left).await;
    assert!(matches!(ended.state, JobState::Cancelled | JobState::Succeeded), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_has_a_command_for_it() {
    let (server, ada) = filled(Launch::on(Database::Sqlite).await, 20).await;
    let before = ada.get::<LogStats>("/logs/stats").await.generation;
    let answer = ada.ask(&Ask::new("/reload")).await;
    assert_eq!((answer.provider.as_str(), answer.cost_usd), ("callboard", 0.0));
    let jobs: JobPage = ada.get("/jobs").await;
    let job = jobs.items.iter().find(|job| job.kind == "reindex").unwrap();
    assert!(answer.response.contains(&job.id.to_string()), "{}", answer.response);
    assert_eq!(ended(&ada, job.id).await.state, JobState::Succeeded);
    assert!(ada.get::<LogStats>("/logs/stats").await.generation > before);
    assert_eq!(job.created_by, Some(ada.user.id));

    // Who may not manage logs is refused, and what names no sources is, too.
    let ann = server.user("ann", Role::ANALYST).await;
    let ask = |client: &Client, text: &str| {
        client.request(Method::POST, "/assistant/chat").json(&Ask::new(text))
    };
    let refused = ann.refused(ask(&ann, "/reload")).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    let refused = ada.refused(ask(&ada, "/reload [a")).await;
    assert_eq!(refused.1, ErrorCode::InvalidParameter);
}

const SHOP: &str = r"logs.formats=[{ name = 'shop', pattern = '^\[\d+\] at (?P<timestamp>\S+) of !(?P<level>\w+)! .*$' }]";

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_read_anew_by_a_format_that_was_configured_since() {
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.start().await;
    let lines = "[1] at 2026-11-21T03:00:00Z of !warn! order 7\n[2] at 2026-11-21T03:00:09Z of !warn! order 8\n";
    server.ingest(&server.write("shop.log", lines)).await;
    let server = server.stop().await.set(SHOP).start().await;
    let ada = server.admin().await;
    let warnings = async || {
        let path = with_query("/logs/search", &[("q", "level:warn"), ("from", "2026-11-21")]);
        ada.get::<LogPage>(&path).await.matched
    };
    assert_eq!(warnings().await, 0);
    let output = server.run(&["reindex", "--sources", "*/nothing"], "").await;
    assert!(output.status.success() && warnings().await == 0);
    let output = server.run(&["reindex", "--sources", "*/shop.log"], "").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(warnings().await, 2);
    for (query, code) in [
        (("sources", "[a"), ErrorCode::InvalidParameter),
        (("from", "yesterday"), ErrorCode::InvalidParameter),
        (("source", "x"), ErrorCode::InvalidParameter),
    ] {
        let request = ada.request(Method::POST, &with_query("/logs/reload", &[query]));
        assert_eq!(ada.refused(request).await, (StatusCode::BAD_REQUEST, code), "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_and_another_waits_to_be_asked_for_again() {
    let launch = Launch::on(Database::Sqlite).await.set("logs.commit_every_lines=1");
    let (server, ada) = filled(launch, 200).await;
    let job = reload(&ada).await;
    let other = ada.request(Method::POST, "/logs/reload?sources=other");
    let refused = ada.refused(other).await;
    assert_eq!(refused, (StatusCode::CONFLICT, ErrorCode::Conflict));
    let _: Job = read(ada.request(Method::POST, &format!("/jobs/{}/cancel", job.id))).await;
    ended(&ada, job.id).await;
    let other: Job = read(ada.request(Method::POST, "/logs/reload?sources=other")).await;
    assert_eq!(other.title, "read the lines of other anew");
    drop(server);
}

async fn lines_are_held_by_an_administrator(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let post = |body: Value| ada.request(Method::POST, "/logs/holds").json(&body);
    let made: LogHold = read(post(json!({ "sources": " audit* ", "reason": "case 7" }))).await;
    assert_eq!((made.sources.as_str(), made.created_by), ("audit*", Some(ada.user.id)));
    assert_eq!(ada.get::<LogHoldList>("/logs/holds").await.items, std::slice::from_ref(&made));
    for body in [
        json!({ "sources": "[a", "reason": "x" }),
        json!({ "sources": "", "reason": "x" }),
        json!({ "sources": "a", "reason": " " }),
    ] {
        let refused = ada.refused(post(body)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed));
    }
    let delete = || ada.request(Method::DELETE, &format!("/logs/holds/{}", made.id));
    assert_eq!(delete().send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let refused = ada.refused(delete()).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::NotFound));
    assert_eq!(ada.get::<LogHoldList>("/logs/holds").await.items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_question_for_patterns_is_said() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    for (query, code) in [
        (&[("q", "\"open")][..], ErrorCode::InvalidQuery),
        (&[("limit", "0")], ErrorCode::InvalidParameter),
        (&[("limit", "501")], ErrorCode::InvalidParameter),
        (&[("order", "best")], ErrorCode::InvalidParameter),
        (&[("of", "x")], ErrorCode::InvalidParameter),
    ] {
        let path = with_query("/logs/patterns", query);
        let refused = ada.refused(ada.request(Method::GET, &path)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, code), "{query:?}");
    }
    let empty = patterns(&ada, &[]).await;
    assert_eq!((empty.found, empty.matched, empty.patterns.len()), (0, 0, 0));
}
