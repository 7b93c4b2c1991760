//! systemd's journal, followed with the real `journalctl`, in files that systemd's own tool writes.

use std::{fs, path::PathBuf};

use callboard_protocol::{ErrorCode, FollowedSource, LogPage};
use callboard_testkit::{PATIENCE, add_to_journal, eventually_some};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    harness::{Client, Database, Launch, read},
    sources::until_lines,
    ssh_log::with_query,
};

/// An entry as it is exported. In its message stands what would be a cursor, and another entry, if it
/// were not a message.
fn entry(number: u64, unit: &str, priority: u8) -> Vec<u8> {
    let message = format!("entry {number} of {unit}\n__CURSOR=s=0;i=0\n\nMESSAGE=forged");
    let mut entry = format!(
        "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n\
         _BOOT_ID=4cde8b0a1c3a4d6b9a7a6f1b2c3d4e5f\nPRIORITY={priority}\n_HOSTNAME=db-1\n\
         _SYSTEMD_UNIT={unit}\nMESSAGE\n",
        1_795_230_855_926_000 + number * 1_000_000,
        1_000_000 + number * 1_000_000,
    )
    .into_bytes();
    entry.extend_from_slice(&(message.len() as u64).to_le_bytes());
    entry.extend_from_slice(message.as_bytes());
    entry.extend_from_slice(b"\n\n");
    entry
}

async fn launch() -> (Launch, PathBuf) {
    let launch = Launch::on(Database::Sqlite).await;
    let journal = fs::canonicalize(launch.folder()).unwrap().join("journal");
    fs::create_dir(&journal).unwrap();
    let launch = launch
        .set("logs.journal.journalctl=/usr/bin/journalctl")
        .set(format!("logs.journal.directory={}", journal.display()));
    (launch, journal)
}

async fn follow(client: &Client, name: &str, path: &str) -> FollowedSource {
    let body = json!({ "name": name, "path": path });
    read(client.request(Method::POST, "/logs/sources").json(&body)).await
}

async fn found(client: &Client, q: &str) -> LogPage {
    client.get(&with_query("/logs/search", &[("q", q), ("limit", "50")])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_followed_and_every_entry_is_there_once() {
    let (launch, journal) = launch().await;
    let entries: Vec<_> = (0..5).map(|n| entry(n, "nginx.service", 4)).collect();
    if add_to_journal(&journal, &entries.concat()).is_none() {
        return;
    }
    let server = launch.start().await;
    let ada = server.admin().await;
    let all = follow(&ada, "all", "journal:").await;
    until_lines(&ada, 5).await;
    let page = found(&ada, "entry source:journal:").await;
    assert_eq!(page.matched, 5);
    let line = page.lines.iter().find(|line| line.text.contains("entry 3 of nginx")).unwrap();
    assert_eq!((line.level.as_str(), line.source.as_str()), ("warn", "journal:"));
    assert_eq!(line.timestamp.unwrap().as_millis(), 1_795_230_858_926);
    assert!(line.text.contains("forged"), "what is in a message stays there");

    // What comes while nobody looks is there afterwards, and what was there comes no second time.
    let server = server.kill().await;
    add_to_journal(&journal, &[entry(5, "cron.service", 3), entry(6, "nginx.service", 6)].concat())
        .unwrap();
    let server = server.start().await;
    let ada = server.sign_in("ada").await;
    until_lines(&ada, 7).await;
    follow(&ada, "nginx", "journal:nginx.service").await;
    until_lines(&ada, 7 + 6).await;
    assert_eq!(found(&ada, "source:journal:nginx.service").await.matched, 6);
    add_to_journal(&journal, &[entry(7, "cron.service", 3)].concat()).unwrap();
    until_lines(&ada, 14).await;
    let known: FollowedSource = ada.get(&format!("/logs/sources/{}", all.id)).await;
    assert_eq!((known.lines, known.problem), (3, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_journalctl_complains_of_is_the_problem_of_its_source() {
    let (launch, journal) = launch().await;
    fs::remove_dir(&journal).unwrap();
    let server = launch.start().await;
    let ada = server.admin().await;
    let made = follow(&ada, "all", "journal:").await;
    let path = format!("/logs/sources/{}", made.id);
    let problem = async || ada.get::<FollowedSource>(&path).await.problem;
    let problem = eventually_some(PATIENCE, problem).await;
    assert!(problem.contains("journalctl says: Failed to open"), "{problem}");
    let unit = json!({ "name": "x", "path": "journal:--file=/etc/shadow" });
    let refused = ada.refused(ada.request(Method::POST, "/logs/sources").json(&unit)).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed));

    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let journal = json!({ "name": "x", "path": "journal:" });
    let refused = ada.refused(ada.request(Method::POST, "/logs/sources").json(&journal)).await;
    assert_eq!(
        refused,
        (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed),
        "when it is not set"
    );
}
