//! Logs that come in by upload, and the jobs that index them: progress, cancelling, and going on
//! after a crash.

use std::{collections::HashSet, time::Duration};

use callboard_protocol::{ErrorBody, ErrorCode, Job, JobId, JobPage, JobState, LogStats, Role};
use callboard_testkit::{PATIENCE, eventually, eventually_some};
use reqwest::{Body, Method, RequestBuilder, StatusCode};

use crate::{
    harness::{Client, Database, Launch, Server, on_both_databases, read},
    ssh_log::{self, SshLog},
};

on_both_databases! {
    an_upload_is_indexed_and_its_file_deleted,
    a_job_goes_on_after_a_crash_and_no_line_is_lost_or_doubled,
}

/// Indexing this many lines takes a debug build, on a machine full of tests, a while.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

fn upload(client: &Client, name: &str, body: impl Into<Body>) -> RequestBuilder {
    let path = ssh_log::with_query("/logs/upload", &[("name", name)]);
    client.request(Method::POST, &path).body(body)
}

async fn job(client: &Client, id: JobId) -> Job {
    client.get(&format!("/jobs/{id}")).await
}

async fn ended(client: &Client, id: JobId) -> Job {
    let ended = async || Some(job(client, id).await).filter(|job| job.state.is_final());
    eventually_some(LONG_PATIENCE, ended).await
}

async fn cancel(client: &Client, id: JobId) -> Job {
    read(client.request(Method::POST, &format!("/jobs/{id}/cancel"))).await
}

/// Files that wait for their jobs.
fn spooled(server: &Server) -> usize {
    std::fs::read_dir(server.folder().join("data/uploads")).unwrap().count()
}

async fn an_upload_is_indexed_and_its_file_deleted(on: Database) {
    let server = Launch::on(on).await.set("server.limits.upload_bytes=65536").start().await;
    let ada = server.admin().await;
    let ann = server.user("ann", Role::ANALYST).await;
    let vic = server.user("vic", Role::VIEWER).await;

    let log = SshLog::of(300);
    let begun: Job = read(upload(&ann, "auth.log", log.text())).await;
    assert_eq!((begun.kind.as_str(), begun.title.as_str()), ("ingest", "index auth.log"));
    assert_eq!(begun.created_by, Some(ann.user.id));
    let done = ended(&ann, begun.id).await;
    assert_eq!((done.state, done.progress.lines), (JobState::Succeeded, 300));
    assert_eq!(done.progress.bytes_done, log.text().len() as u64);
    assert!(done.finished_at.is_some() && done.error.is_none());
    eventually(PATIENCE, || spooled(&server) == 0).await;
    let stats: LogStats = vic.get("/logs/stats").await;
    assert_eq!((stats.lines, stats.sources[0].name.as_str()), (300, "auth.log"));
    // The same again adds nothing.
    let again: Job = read(upload(&ann, "auth.log", log.text())).await;
    assert_eq!(ended(&ann, again.id).await.progress.lines, 0);
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 300);

    let binary: Job = read(upload(&ann, "auth.log.xz", b"\xfd7zXZ\0\x01".to_vec())).await;
    let binary = ended(&ann, binary.id).await;
    assert_eq!((binary.state, binary.progress.skipped_files), (JobState::Failed, 1));
    let why = binary.error.unwrap();
    assert_eq!(why.code, ErrorCode::BinaryInput);
    assert!(why.message.contains("xz") && why.message.contains("decompress"), "{}", why.message);
    assert_eq!(binary.attempts, 1, "it would be no other file the next time");

    let refused = vic.refused(upload(&vic, "auth.log", "one line\n")).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    let large = vec![b'x'; 65_537];
    let refused = ann.refused(upload(&ann, "announced.log", large.clone())).await;
    assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge));
    // In pieces, so that its length is not known beforehand.
    let pieces = futures_util::stream::iter(vec![Ok::<_, std::io::Error>(large)]);
    let refused = ann.refused(upload(&ann, "pieces.log", Body::wrap_stream(pieces))).await;
    assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge));
    let refused = ann.refused(upload(&ann, "nothing.log", "")).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::BadRequest));
    let refused = ann.refused(upload(&ann, "a\nb", "one line\n")).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter));

    let jobs: JobPage = ann.get("/jobs").await;
    let ids: Vec<JobId> = jobs.items.iter().map(|job| job.id).collect();
    assert_eq!(ids, [binary.id, again.id, begun.id]);
    // What is packed, and cannot be read to its end.
    for bytes in [&b"\x28\xb5\x2f\xfd\0\0"[..], b"BZh91AY&SY"] {
        let begun: Job = read(upload(&ada, "packed", bytes)).await;
        let why = ended(&ada, begun.id).await.error.unwrap();
        assert_eq!(why.code, ErrorCode::BadRequest);
        assert!(why.message.contains("cannot be read to its end"), "{}", why.message);
    }
    eventually(PATIENCE, || spooled(&server) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_cancelled_while_it_waits_and_while_it_runs() {
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.set("jobs.max_running=1").start().await;
    let ada = server.admin().await;
    let ann = server.user("ann", Role::ANALYST).await;
    let log = SshLog::of(100_000);
    let running: Job = read(upload(&ann, "long.log", log.text())).await;
    let waiting: Job = read(upload(&ann, "waiting.log", "one line\n")).await;
    let begun = async || Some(job(&ann, running.id).await).filter(|job| job.progress.lines > 0);
    let begun = eventually_some(PATIENCE, begun).await;
    assert_eq!((begun.state, begun.attempts), (JobState::Running, 1));
    assert_eq!(job(&ann, waiting.id).await.state, JobState::Queued);
    assert_eq!(spooled(&server), 2);

    let path = format!("/jobs/{}/cancel", waiting.id);
    let refused = ann.refused(ann.request(Method::POST, &path)).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    assert_eq!(cancel(&ada, waiting.id).await.state, JobState::Cancelled);
    eventually(PATIENCE, || spooled(&server) == 1).await;

    cancel(&ada, running.id).await;
    let cancelled = ended(&ann, running.id).await;
    assert_eq!(cancelled.state, JobState::Cancelled);
    eventually(PATIENCE, || spooled(&server) == 0).await;
    // What was read stays, and whole.
    let stats: LogStats = ann.get("/logs/stats").await;
    assert!((1..100_000).contains(&stats.lines), "{}", stats.lines);
    assert_eq!(stats.lines, cancelled.progress.lines);
    // Cancelling changes nothing about a job that has ended, and there is no other.
    assert_eq!(cancel(&ada, running.id).await.updated_at, cancelled.updated_at);
    let path = format!("/jobs/{}/cancel", JobId::new());
    let refused = ada.refused(ada.request(Method::POST, &path)).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::JobNotFound));
}

async fn a_job_goes_on_after_a_crash_and_no_line_is_lost_or_doubled(on: Database) {
    const LINES: usize = 20_000;
    let server = Launch::on(on).await.set("logs.commit_every_lines=200").start().await;
    let ada = server.admin().await;
    let log = SshLog::of(LINES);
    let begun: Job = read(upload(&ada, "auth.log", log.text())).await;
    let lines = async || Some(ada.get::<LogStats>("/logs/stats").await.lines).filter(|n| *n > 0);
    let before = eventually_some(PATIENCE, lines).await;
    let server = server.kill().await.start().await;
    let ada = server.sign_in("ada").await;
    let after = ada.get::<LogStats>("/logs/stats").await.lines;
    assert!(before <= after && (after as usize) < LINES, "{before} {after}");

    let done = ended(&ada, begun.id).await;
    assert_eq!((done.state, done.attempts), (JobState::Succeeded, 2), "{:?}", done.error);
    eventually(PATIENCE, || spooled(&server) == 0).await;
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines as usize, LINES);
    let mut missing: HashSet<&str> = log.lines.iter().map(String::as_str).collect();
    let mut cursor = None;
    loop {
        let source = done.source_id.unwrap();
        let page = ssh_log::lines_of(&ada, source, cursor.as_deref()).await;
        assert_eq!(page.matched as usize, LINES);
        for line in &page.lines {
            assert!(missing.remove(line.text.as_str()), "twice or unknown: {line:?}");
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(missing.is_empty(), "{} lines are missing", missing.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_the_file_itself_and_no_form() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"app.log\"\r\n\r\n\
                one line\r\n--b--\r\n";
    for (header, value) in [
        ("content-type", "multipart/form-data; boundary=b"),
        ("content-type", "Multipart/Mixed; boundary=b"),
        ("content-encoding", "gzip"),
    ] {
        let refused = upload(&ada, "app.log", form).header(header, value).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{value}");
        let error: ErrorBody = refused.json().await.unwrap();
        assert_eq!(error.code, ErrorCode::UnsupportedMediaType);
        assert!(error.message.contains("--data-binary @"), "{}", error.message);
        assert!(error.message.contains("/api/v1/logs/upload?name="), "{}", error.message);
    }
    assert_eq!(spooled(&server), 0);
    assert_eq!(ada.get::<JobPage>("/jobs").await.items, []);
    // What curl sends without being told, and what others do.
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"] {
        let begun: Job = read(upload(&ada, kind, "one line\n").header("content-type", kind)).await;
        assert_eq!(ended(&ada, begun.id).await.progress.lines, 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_text_is_a_failure_with_its_reason() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    for (bytes, reason) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "zip"),
        (b"\xfd7zXZ\0\0\0", "xz"),
        (b"\xff\xfeo\0n\0e\0 \0l\0i\0n\0e\0 \0o\0f\0 \0t\0w\0o\0", "UTF-16"),
        (&[1; 400], "not text"),
    ] {
        let begun: Job = read(upload(&ada, reason, bytes)).await;
        let failed = ended(&ada, begun.id).await;
        assert_eq!((failed.state, failed.progress.lines), (JobState::Failed, 0), "{reason}");
        let why = failed.error.unwrap();
        assert_eq!(why.code, ErrorCode::BinaryInput);
        assert!(why.message.contains(reason), "{reason}: {}", why.message);
    }
    eventually(PATIENCE, || spooled(&server) == 0).await;
}
