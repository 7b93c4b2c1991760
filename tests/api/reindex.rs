//! Patterns of what is indexed, and the index made anew: by the API, by the command line, over a
//! crash, and cancelled.

use callboard_protocol::{ErrorCode, Job, JobId, JobState, LogPage, LogStats, PatternPage, Role};
use callboard_testkit::eventually_some;
use reqwest::{Method, StatusCode};

use crate::{
    harness::{Client, Database, Launch, Server, on_both_databases, read},
    ssh_log::{SshLog, with_query},
};

on_both_databases! {
    an_index_is_made_anew_while_it_is_read,
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
    let vic = server.user("vic", Role::Viewer).await;
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
