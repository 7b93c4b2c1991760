//! Files that are followed: by the API, while they rotate, and over kills at any moment.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use callboard_protocol::{
    ErrorCode, FollowedSource, LogPage, LogStats, Role, SourceId, SourceList, SourceState,
};
use callboard_testkit::{PATIENCE, eventually_some};
use rand::Rng as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    harness::{Client, Database, Launch, Server, on_both_databases, read},
    ssh_log::with_query,
};

on_both_databases! {
    sources_are_made_changed_paused_and_forgotten,
}

/// A server that may follow what is below `logs` in its folder.
async fn launch(on: Database) -> (Launch, PathBuf) {
    let launch = Launch::on(on).await;
    let logs = fs::canonicalize(launch.folder()).unwrap().join("logs");
    fs::create_dir(&logs).unwrap();
    let below = format!("logs.follow_below=[{:?}]", logs.to_str().unwrap());
    (launch.set(below), logs)
}

async fn create(client: &Client, name: &str, path: &Path) -> FollowedSource {
    let body = json!({ "name": name, "path": path });
    read(client.request(Method::POST, "/logs/sources").json(&body)).await
}

async fn change(client: &Client, id: SourceId, change: Value) -> FollowedSource {
    read(client.request(Method::PATCH, &format!("/logs/sources/{id}")).json(&change)).await
}

/// Waits until so many lines are indexed.
pub(crate) async fn until_lines(client: &Client, lines: u64) {
    let there = async || {
        let stats: LogStats = client.get("/logs/stats").await;
        assert!(stats.lines <= lines, "{} of {lines}", stats.lines);
        (stats.lines == lines).then_some(())
    };
    eventually_some(PATIENCE, there).await;
}

pub(crate) fn append(path: &Path, text: &str) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

async fn sources_are_made_changed_paused_and_forgotten(on: Database) {
    let (launch, logs) = launch(on).await;
    let server = launch.start().await;
    let ada = server.admin().await;
    append(&logs.join("a.log"), "one\ntwo\n");
    let made = create(&ada, "web", &logs.join("*.log")).await;
    assert_eq!((made.state, made.name.as_str()), (SourceState::Following, "web"));
    until_lines(&ada, 2).await;
    let list: SourceList = ada.get("/logs/sources").await;
    assert_eq!((list.items.len(), list.items[0].id), (1, made.id));
    let page: LogPage = ada.get(&with_query("/logs/search", &[("q", "two")])).await;
    assert_eq!(page.lines[0].source, logs.join("a.log").to_str().unwrap());

    // Paused, it misses nothing.
    let paused = change(&ada, made.id, json!({ "paused": true })).await;
    assert_eq!(paused.state, SourceState::Paused);
    append(&logs.join("a.log"), "three\n");
    append(&logs.join("b.log"), "four\n");
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 2);
    let resumed = change(&ada, made.id, json!({ "paused": false })).await;
    assert_eq!((resumed.state, resumed.created_at), (SourceState::Following, made.created_at));
    until_lines(&ada, 4).await;
    let known = async || {
        let source: FollowedSource = ada.get(&format!("/logs/sources/{}", made.id)).await;
        (source.files == 2 && source.lines == 2 && source.last_line_at.is_some()).then_some(())
    };
    eventually_some(PATIENCE, known).await;

    // A file that is no text is a problem, and the others go on.
    fs::write(logs.join("c.log"), b"\x1f\x8b\x08\0\0\0\0").unwrap();
    append(&logs.join("a.log"), "five\n");
    until_lines(&ada, 5).await;
    let degraded = async || {
        let source: FollowedSource = ada.get(&format!("/logs/sources/{}", made.id)).await;
        source.problem.filter(|_| source.state == SourceState::Degraded)
    };
    assert!(eventually_some(PATIENCE, degraded).await.contains("c.log is not text"));

    // Another path, and then none.
    change(&ada, made.id, json!({ "path": logs.join("d.txt") })).await;
    append(&logs.join("d.txt"), "six\n");
    until_lines(&ada, 6).await;
    let path = format!("/logs/sources/{}", made.id);
    let gone = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let refused = ada.refused(ada.request(Method::DELETE, &path)).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::NotFound));
    assert_eq!(ada.get::<SourceList>("/logs/sources").await.items, []);
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 6, "its lines stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_and_the_zone_of_a_source_can_be_fixed() {
    let (launch, logs) = launch(Database::Sqlite).await;
    let server = launch.start().await;
    let ada = server.admin().await;
    let path = logs.join("a.log");
    append(&path, "2026-11-20 10:00:00 INFO one\n");
    let post = |body: Value| ada.request(Method::POST, "/logs/sources").json(&body);
    let body = json!({ "name": "web", "path": path, "format": "text", "zone": "+02:00" });
    let made: FollowedSource = read(post(body)).await;
    assert_eq!((made.format.as_deref(), made.zone.as_deref()), (Some("text"), Some("+02:00")));
    until_lines(&ada, 1).await;
    let at = async |word: &str| {
        let page: LogPage = ada.get(&with_query("/logs/search", &[("q", word)])).await;
        page.lines[0].timestamp.unwrap().to_string()
    };
    assert_eq!(at("one").await, "2026-11-20T08:00:00.000Z");
    // Changed over a restart, for what comes from then on.
    let changed = change(&ada, made.id, json!({ "zone": "", "format": "" })).await;
    assert_eq!((changed.format, changed.zone), (None, None));
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    append(&path, "2026-11-20 10:00:01 INFO two\n");
    until_lines(&ada, 2).await;
    let page: LogPage = ada.get(&with_query("/logs/search", &[("q", "two")])).await;
    assert_eq!(page.lines[0].timestamp.unwrap().to_string(), "2026-11-20T10:00:01.000Z");
    for wrong in [json!({ "format": "no such" }), json!({ "zone": "Europe/Berlin" })] {
        let patch = ada.request(Method::PATCH, &format!("/logs/sources/{}", made.id));
        let refused = ada.refused(patch.json(&wrong)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_source_is_said() {
    let (launch, logs) = launch(Database::Sqlite).await;
    let server = launch.start().await;
    let ada = server.admin().await;
    let post = |body: Value| ada.request(Method::POST, "/logs/sources").json(&body);
    let inside = logs.join("a.log");
    for body in [
        json!({ "name": "x", "path": "/etc/passwd" }),
        json!({ "name": "x", "path": logs.join("../data/callboard.db") }),
        json!({ "name": "x", "path": "a.log" }),
        json!({ "name": "x", "path": "" }),
        json!({ "name": "x", "path": logs.join("***") }),
        json!({ "name": " ", "path": inside }),
        json!({ "name": "a\nb", "path": inside }),
    ] {
        let refused = ada.refused(post(body.clone())).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed), "{body}");
    }
    let made = create(&ada, "web", &inside).await;
    let refused = ada.refused(post(json!({ "name": "web", "path": inside }))).await;
    assert_eq!(refused, (StatusCode::CONFLICT, ErrorCode::Conflict));
    let patch = ada.request(Method::PATCH, &format!("/logs/sources/{}", made.id));
    let refused = ada.refused(patch.json(&json!({ "path": "/etc/shadow" }))).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed));
    // An analyst may bring logs in, and not read the machine's files.
    let ann = server.user("ann", Role::ANALYST).await;
    let theirs = ann.request(Method::POST, "/logs/sources");
    let refused = ann.refused(theirs.json(&json!({ "name": "x", "path": inside }))).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
}

/// How often the server is killed; `CALLBOARD_TEST_KILLS` says otherwise.
const KILLS: usize = 4;

pub(crate) fn line(number: usize) -> String {
    format!("2026-11-20 10:00:00 INFO app: this is line {number} of the program\n")
}

/// A program that writes line after line, and whose log is rotated again and again.
pub(crate) fn writing(path: PathBuf, stop: Arc<AtomicBool>, written: Arc<AtomicUsize>) {
    let mut file = File::options().create(true).append(true).open(&path).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed);
        file.write_all(line(number).as_bytes()).unwrap();
        written.fetch_add(1, Ordering::Relaxed);
        if number % 500 == 499 {
            let rotated = path.with_extension(format!("log.{}", number / 500));
            fs::rename(&path, rotated).unwrap();
            file = File::create(&path).unwrap();
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_no_line_and_doubles_none() {
    let kills = std::env::var("CALLBOARD_TEST_KILLS");
    let kills = kills.map_or(KILLS, |count| count.parse().unwrap());
    let (launch, logs) = launch(Database::Sqlite).await;
    let mut server: Server = launch.set("logs.commit_every_lines=50").start().await;
    let ada = server.admin().await;
    // What was rotated before it was followed is not looked for.
    append(&logs.join("app.log"), &line(0));
    create(&ada, "app", &logs.join("app.log")).await;
    until_lines(&ada, 1).await;
    let (stop, written) = (Arc::<AtomicBool>::default(), Arc::new(AtomicUsize::new(1)));
    let program = {
        let (path, stop, written) = (logs.join("app.log"), Arc::clone(&stop), Arc::clone(&written));
        std::thread::spawn(move || writing(path, stop, written))
    };
    for _ in 0..kills {
        let moment = rand::rng().random_range(300..2_000);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        server = server.kill().await.start().await;
    }
    let ada = server.sign_in("ada").await;
    stop.store(true, Ordering::Relaxed);
    program.join().unwrap();
    let written = written.load(Ordering::Relaxed);
    until_quiet(&ada, written as u64).await;
    let (missing, twice) = compared(&ada, written).await;
    assert!(
        missing.is_empty() && twice.is_empty(),
        "of {written}: missing {missing:?}, twice {twice:?}"
    );
}

/// Waits until so many lines are indexed, or until no more come.
async fn until_quiet(client: &Client, lines: u64) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET {
        let stats: LogStats = client.get("/logs/stats").await;
        if stats.lines == lines {
            return;
        }
        if stats.lines != last {
            (last, since) = (stats.lines, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// No look takes as long.
const QUIET: Duration = Duration::from_secs(10);

/// The spans of numbers that are missing, and that are there twice.
pub(crate) async fn compared(client: &Client, written: usize) -> (Vec<Span>, Vec<Span>) {
    let mut found = vec![0_u8; written];
    let mut cursor = None::<String>;
    loop {
        let mut query = vec![("limit", "500")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: LogPage = client.get(&with_query("/logs/search", &query)).await;
        for line in &page.lines {
            let number: usize = line.text.split(' ').nth(7).unwrap().parse().unwrap();
            found[number] = found[number].saturating_add(1);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let numbers = |wrong: &dyn Fn(u8) -> bool| {
        let numbers: Vec<usize> = (0..written).filter(|number| wrong(found[*number])).collect();
        let spans = numbers.chunk_by(|a, b| a + 1 == *b);
        spans.map(|span| (span[0], span[span.len() - 1])).collect()
    };
    (numbers(&|count| count == 0), numbers(&|count| count > 1))
}

/// The first and the last of some numbers.
pub(crate) type Span = (usize, usize);
