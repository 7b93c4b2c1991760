//! `callboard ask`: which folder it reads, what it prints, and how it ends.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use callboard_protocol::{Answer, ConversationPage, FinishReason, MessagePage, MessageStatus};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use serde_json::Value;

use crate::{
    cli::{Said, run},
    harness::{Database, Launch, Server, read, signal},
    ssh_log::{QUESTION, SshLog},
};

/// A launch whose data folder holds this log.
async fn with_log(launch: Launch, lines: usize) -> (Launch, SshLog) {
    let log = SshLog::of(lines);
    std::fs::write(launch.folder().join("auth.log"), log.text()).unwrap();
    run(launch.command(&["ingest", "auth.log"])).await.well();
    (launch, log)
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn said(child: Child) -> Said {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap().into()
}

/// The newest conversation of the command line: it is the account's on the socket.
async fn newest(folder: &Path) -> MessagePage {
    let socket = folder.join("data/callboard.sock");
    let http = reqwest::Client::builder().unix_socket(socket).no_proxy().build().unwrap();
    let get = |path: &str| http.get(format!("http://callboard/api/v1{path}"));
    let page: ConversationPage = read(get("/conversations")).await;
    read(get(&format!("/conversations/{}/messages", page.items[0].id))).await
}

#[tokio::test]
async fn where_nothing_is_indexed_nothing_is_made_and_the_folder_is_named() {
    let launch = Launch::on(Database::Sqlite).await;
    let wrong = run(launch.command(&["ask", "is all well?"])).await;
    assert_eq!(wrong.stdout, "");
    let wrong = wrong.badly(1);
    let folder = launch.folder().join("data");
    assert!(wrong.contains(folder.to_str().unwrap()), "{wrong}");
    assert!(wrong.contains("callboard ingest") && wrong.contains("--data-dir"), "{wrong}");
    assert!(!folder.exists());
    // A folder without an index stays as it is, too.
    std::fs::create_dir(&folder).unwrap();
    run(launch.command(&["ask", "is all well?"])).await.badly(1);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_opens_the_folder_itself_says_which() {
    let (launch, _) = with_log(Launch::on(Database::Sqlite).await, 50).await;
    let folder = launch.folder().join("data");
    let alone = run(launch.command(&["ask", QUESTION])).await;
    assert!(alone.stderr.contains(folder.to_str().unwrap()), "{}", alone.stderr);
    alone.well();
    let server = launch.start().await;
    let beside: Said = server.run(&["ask", QUESTION], "").await.into();
    assert_eq!(beside.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_end_of_the_server_cuts_off_is_a_failure() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    // Longer than the server's patience, or another provider would answer before it ends.
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let mut server = launch.set("providers.0.idle_timeout_ms=60000").start().await;
    let plain = spawn(server.command(&["ask", "one?"]));
    let json = spawn(server.command(&["ask", "--json", "two?"]));
    vendor.until_held(2).await;
    server.signal("-TERM");
    let (plain, json) = (said(plain).await, said(json).await);
    assert!(plain.stdout.starts_with("one "), "{}", plain.stdout);
    let why = plain.badly(1);
    assert!(why.contains("the answer was cut off"), "{why}");
    let part: Answer = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((part.response.as_str(), part.finish_reason), ("one ", FinishReason::Cancelled));
    assert!(json.badly(1).contains("the answer was cut off"));
    vendor.release();
    assert!(server.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_mid_answer_is_a_failure() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let asking = spawn(server.command(&["ask", "one?"]));
    vendor.until_held(1).await;
    drop(server.kill().await);
    let why = said(asking).await.badly(1);
    assert!(why.contains("the answer was cut off"), "{why}");
    vendor.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_the_turn_on_the_server() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    for (count, arguments) in [(1, &["ask", "one?"][..]), (2, &["ask", "--json", "two?"])] {
        let asking = spawn(server.command(arguments));
        vendor.until_held(1).await;
        signal(&asking, "-INT");
        let said = said(asking).await.badly(130);
        assert!(said.contains("interrupted"), "{said}");
        vendor.until_left(count).await;
        let stopped = eventually_some(PATIENCE, async || {
            let answer = newest(server.folder()).await.items.pop().unwrap();
            (answer.status != MessageStatus::Streaming).then_some(answer)
        });
        let stopped = stopped.await;
        assert_eq!((stopped.status, &*stopped.content), (MessageStatus::Cancelled, "one "));
    }
    // The server goes on.
    vendor.release();
    let answer: Said = server.run(&["ask", "three?"], "").await.into();
    assert!(answer.well().starts_with("one two\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_command_that_is_its_own_server() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    let (launch, _) = with_log(Launch::on(Database::Sqlite).await.provider(&vendor), 20).await;
    let asking = spawn(launch.command(&["ask", "one?"]));
    vendor.until_held(1).await;
    signal(&asking, "-INT");
    said(asking).await.badly(130);
    vendor.until_left(1).await;
    let page = newest(launch.start().await.folder()).await;
    assert_eq!(page.items.last().unwrap().status, MessageStatus::Cancelled);
}

/// A server with a model that answers in two words, and a log.
async fn with_model(vendor: &FakeVendor) -> (Server, SshLog) {
    let (launch, log) = with_log(Launch::on(Database::Sqlite).await.provider(vendor), 600).await;
    (launch.start().await, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_searched_is_said_below_every_answer() {
    let vendor = FakeVendor::start().await;
    let (server, log) = with_model(&vendor).await;
    let ask = async |arguments: &[&str]| -> Said {
        server.run(&[&["ask"], arguments, &[QUESTION]].concat(), "").await.into()
    };
    let json: Value = serde_json::from_str(&ask(&["--json"]).await.well()).unwrap();
    let searched = &json["evidence"];
    assert_eq!((&searched["matched"], &searched["searched"]), (&log.failed().into(), &600.into()));
    let reading = searched["reading"].as_str().unwrap();
    assert!(!reading.is_empty());
    assert_eq!(json["provider"], "fake");

    for arguments in [&[][..], &["--brief"]] {
        let answer = ask(arguments).await.well();
        let footer = answer.strip_prefix("All is well.\n\n").unwrap();
        assert!(footer.contains(&format!("{} of 600 lines", log.failed())), "{answer}");
        let day = &searched["covered"]["from"].as_str().unwrap()[..10];
        assert!(footer.contains(day), "{answer}");
        assert!(footer.contains(reading), "{answer}");
        assert!(footer.lines().count() <= 2, "{answer}");
    }
    // The engine's own answer says it, once.
    let answer = ask(&["--model", "extractive"]).await.well();
    assert!(answer.contains("of 600 searched") && !answer.contains("of 600 lines"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cited_lines_are_few_and_short_unless_all_are_wanted() {
    let (launch, log) = with_log(Launch::on(Database::Sqlite).await, 600).await;
    let server = launch.start().await;
    let ask = async |arguments: &[&str]| -> String {
        Said::from(server.run(&[&["ask"], arguments, &[QUESTION]].concat(), "").await).well()
    };
    let json: Answer = serde_json::from_str(&ask(&["--json"]).await).unwrap();
    let count = json.citations.len();
    assert!(count > 10, "{count}");

    let few = ask(&[]).await;
    let (answer, few) = few.split_once("\nCited lines:\n").unwrap();
    let few: Vec<&str> = few.lines().collect();
    assert_eq!(few.len(), 11);
    for (line, citation) in few[..10].iter().zip(&json.citations) {
        assert!(line.contains(&format!("[{}]", citation.line_id)), "{line}");
        assert!(line.chars().count() <= 200, "{line}");
    }
    assert_eq!(few[10], format!("  ... and {} more (--all-lines)", count - 10));

    let all = ask(&["--all-lines"]).await;
    let all: Vec<&str> = all.split_once("\nCited lines:\n").unwrap().1.lines().collect();
    assert_eq!(all.len(), count);
    let failures = log.worst().1;
    assert!(all.iter().any(|line| line.ends_with(&log.lines[failures.first])), "{all:?}");

    let brief = ask(&["--brief"]).await;
    assert_eq!(brief.trim_end(), answer.trim_end());
}
