//! Files of another machine, followed over SSH with a real OpenSSH server: over rotation, kills of
//! either side, and strangers.

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

use callboard_protocol::{ErrorCode, FollowedSource, LogPage};
use callboard_testkit::{PATIENCE, Sshd, eventually_some};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    harness::{Client, Database, Launch, read},
    sources::{append, compared, line, until_lines, writing},
    ssh_log::with_query,
};

/// The other machine: its server, and where its logs lie.
struct There {
    sshd: Sshd,
    logs: PathBuf,
}

/// A server that knows the other machine.
async fn launch() -> Option<(Launch, There)> {
    let sshd = Sshd::start().await?;
    let launch = Launch::on(Database::Sqlite).await;
    let logs = fs::canonicalize(launch.folder()).unwrap().join("there");
    fs::create_dir(&logs).unwrap();
    let launch = launch
        .set(format!("logs.ssh.known_hosts={}", sshd.known_hosts().display()))
        .set(format!("logs.ssh.private_key={}", sshd.key().display()));
    Some((launch, There { sshd, logs }))
}

impl There {
    fn address(&self, name: &str) -> String {
        format!("{}{}/{name}", self.sshd.url(), self.logs.display())
    }
}

async fn follow(client: &Client, name: &str, address: &str) -> FollowedSource {
    let body = json!({ "name": name, "path": address });
    read(client.request(Method::POST, "/logs/sources").json(&body)).await
}

/// Waits until what is wrong with it says so.
async fn until_problem(client: &Client, source: &FollowedSource, said: &str) {
    let path = format!("/logs/sources/{}", source.id);
    let problem = async || client.get::<FollowedSource>(&path).await.problem;
    let first = eventually_some(PATIENCE, problem).await;
    let says = async || problem().await.filter(|problem| problem.contains(said));
    let found = tokio::time::timeout(PATIENCE, eventually_some(PATIENCE * 2, says)).await;
    assert!(found.is_ok(), "{first:?} says nothing of {said:?}");
}

fn rotate(path: &Path, to: &str) {
    fs::rename(path, path.with_extension(to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_machine_are_followed_over_rotation_and_its_absence() {
    let Some((launch, mut there)) = launch().await else { return };
    let server = launch.start().await;
    let ada = server.admin().await;
    let path = there.logs.join("app.log");
    append(&path, "one\ntwo\n");
    append(&there.logs.join("other.log"), "other\n");
    append(&there.logs.join("app.txt"), "not this one\n");
    let made = follow(&ada, "web1", &there.address("*.log")).await;
    until_lines(&ada, 3).await;
    let page: LogPage = ada.get(&with_query("/logs/search", &[("q", "two")])).await;
    assert_eq!(page.lines[0].source, there.address("app.log"));
    append(&path, "three\nfo");
    until_lines(&ada, 4).await;

    // Renamed in the midst of a line, which its program ends then; and once more before anybody looks.
    rotate(&path, "log.1");
    append(&path.with_extension("log.1"), "ur\n");
    append(&path, "five\n");
    until_lines(&ada, 6).await;
    there.sshd.end();
    until_problem(&ada, &made, "127.0.0.1").await;
    append(&path, "six\n");
    rotate(&path.with_extension("log.1"), "log.3");
    rotate(&path, "log.2");
    append(&path, "seven, of which nothing was seen\n");
    rotate(&path, "log.1");
    append(&path, "eight\n");
    there.sshd.resume().await;
    until_lines(&ada, 9).await;

    // Truncated, with other lines since.
    fs::write(&path, "9\n").unwrap();
    until_lines(&ada, 10).await;
    let page: LogPage =
        ada.get(&with_query("/logs/search", &[("limit", "50"), ("q", "source:app.log")])).await;
    let mut texts: Vec<_> = page.lines.iter().map(|line| (line.id, line.text.as_str())).collect();
    texts.sort_unstable();
    let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
    let seven = "seven, of which nothing was seen";
    assert_eq!(texts, ["one", "two", "three", "four", "five", "six", seven, "eight", "9"]);
    let known: FollowedSource = ada.get(&format!("/logs/sources/{}", made.id)).await;
    assert_eq!((known.files, known.lines, known.problem), (2, 10, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_another_machine_is_lost_or_doubled_when_either_side_is_killed() {
    let Some((launch, mut there)) = launch().await else { return };
    let mut server = launch.set("logs.commit_every_lines=50").start().await;
    let ada = server.admin().await;
    let path = there.logs.join("app.log");
    append(&path, &line(0));
    follow(&ada, "app", &there.address("app.log")).await;
    until_lines(&ada, 1).await;
    let (stop, written) = (Arc::<AtomicBool>::default(), Arc::new(AtomicUsize::new(1)));
    let program = {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        std::thread::spawn(move || writing(path, stop, written))
    };
    for kill in 0..4 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        if kill % 2 == 0 {
            there.sshd.resume().await;
        } else {
            server = server.kill().await.start().await;
        }
    }
    let ada = server.sign_in("ada").await;
    stop.store(true, Ordering::Relaxed);
    program.join().unwrap();
    let written = written.load(Ordering::Relaxed);
    until_lines(&ada, written as u64).await;
    assert_eq!(compared(&ada, written).await, (vec![], vec![]), "missing, and twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_believed_by_its_key_alone() {
    let Some((launch, there)) = launch().await else { return };
    there.sshd.is_known_by_its_own_key(false);
    let server = launch.start().await;
    let ada = server.admin().await;
    append(&there.logs.join("app.log"), "one\n");
    let made = follow(&ada, "app", &there.address("app.log")).await;
    until_problem(&ada, &made, "another key").await;
    let elsewhere = there.address("app.log").replace("127.0.0.1", "localhost");
    let other = follow(&ada, "elsewhere", &elsewhere).await;
    until_problem(&ada, &other, "no key of localhost").await;
    assert!(!there.sshd.log().contains("Accepted publickey"), "nobody signed in to a stranger");
    there.sshd.is_known_by_its_own_key(true);
    until_lines(&ada, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_hears_of_it_and_an_agent_may_hold_the_key() {
    let Some((launch, there)) = launch().await else { return };
    let folder = fs::canonicalize(launch.folder()).unwrap();
    let socket = folder.join("agent.sock");
    // It ends when its guard's input does, however the test ends.
    let mut guard = std::process::Command::new("sh")
        .args(["-c", r#"ssh-agent -D -a "$0" >/dev/null & cat >/dev/null; kill $!; wait"#])
        .arg(&socket)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually_some(PATIENCE, async || socket.exists().then_some(())).await;
    let server = launch
        .set(format!("logs.ssh.private_key={}", there.sshd.other_key().display()))
        .set(format!("logs.ssh.agent={}", socket.display()))
        .start()
        .await;
    let ada = server.admin().await;
    append(&there.logs.join("app.log"), "one\n");
    let made = follow(&ada, "app", &there.address("app.log")).await;
    until_problem(&ada, &made, "is not let in").await;
    let added = std::process::Command::new("ssh-add")
        .arg(there.sshd.key())
        .env("SSH_AUTH_SOCK", &socket)
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    until_lines(&ada, 1).await;
    // A file that its user may not read, or that is none, is a problem of that file alone.
    let gone = follow(&ada, "gone", &there.address("none/app.log")).await;
    until_problem(&ada, &gone, "No such file").await;
    drop(guard.stdin.take());
    guard.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_and_who_knows_no_machines_is_told() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    for (path, why) in [
        ("ssh://logs@web1/var/log/app.log", "logs.ssh"),
        ("ssh://web1/var/log/app.log", "ssh://user@host/path"),
        ("ssh://logs@web1/var/*/app.log", "not the folders"),
    ] {
        let body = json!({ "name": "x", "path": path });
        let request = ada.request(Method::POST, "/logs/sources").json(&body);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "{path}");
        let told = reply.text().await.unwrap();
        assert!(
            told.contains(ErrorCode::ValidationFailed.as_str()) && told.contains(why),
            "{told}"
        );
    }
}

/// Several megabytes at once, and a line that is longer than what is written to the disk at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_fetched_piece_by_piece() {
    let Some((launch, there)) = launch().await else { return };
    let server = launch.set("logs.spool_mb=12").start().await;
    let ada = server.admin().await;
    let path = there.logs.join("app.log");
    let mut file = File::create(&path).unwrap();
    let count = 60_000;
    for number in 0..count {
        file.write_all(line(number).as_bytes()).unwrap();
    }
    let long = line(count).replace("program", &"x".repeat(6 << 20));
    file.write_all(long.as_bytes()).unwrap();
    file.write_all(line(count + 1).as_bytes()).unwrap();
    follow(&ada, "app", &there.address("app.log")).await;
    until_lines(&ada, count as u64 + 2).await;
}
