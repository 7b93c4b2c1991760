//! Clients that stop reading: they cost their place in the log, and slow nobody.

use callboard_protocol::{ClientFrame, FinishReason};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually};

use crate::{
    chat::{accepted, rest_of_turn, screen, subscribe},
    harness::{Database, Launch, fresh},
};

/// Sockets that stop reading.
const STILL: usize = 40;

/// The answer that all of them watch, in bytes: together they would take 320 MB if the server
/// kept for each what it does not read.
const ANSWER: usize = 8_000_000;

/// What the server may keep: half of what a copy for each reader would take.
const MAY_GROW: u64 = (STILL * ANSWER / 2) as u64;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_reading_cost_no_memory_and_slow_nobody() {
    let vendor = FakeVendor::start().await;
    let kilobyte = "x".repeat(1_000);
    let pieces = Reply::text(&vec![kilobyte.as_str(); ANSWER / 1_000 + 10]);
    // By the question: on a busy machine the first one may have been answered by another provider.
    vendor.choose(move |request| {
        let long = request.question().contains("go on");
        if long { pieces.clone() } else { Reply::text(&["hello"]) }
    });
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set(format!("chat.max_answer_bytes={ANSWER}"));
    let launch = launch.set("providers.0.max_output_tokens=10000000");
    let server = launch.set("session.max_per_user=100").start().await;
    let ada = server.admin().await;
    let mut reader = ada.connect().await;
    reader.send(&ClientFrame::Message(fresh("hello?"))).await;
    let (conversation, _) = accepted(&mut reader).await;
    rest_of_turn(&mut reader).await;
    let mut still = Vec::new();
    for _ in 0..STILL {
        let mut socket = ada.socket().receive_buffer(4_096).open().await.unwrap();
        socket.next().await;
        subscribe(&mut socket, conversation).await;
        still.push(socket);
    }
    let before = server.memory();
    let ask = callboard_protocol::Ask { conversation_id: Some(conversation), ..fresh("go on") };
    reader.send(&ClientFrame::Message(ask)).await;
    accepted(&mut reader).await;
    let frames = rest_of_turn(&mut reader).await;
    assert_eq!(screen(&frames).len(), ANSWER, "the one that reads gets all of it");
    // Storing and sending the answer makes copies of it that go again; what is kept for readers
    // that stand still would stay.
    eventually(PATIENCE, || server.memory().saturating_sub(before) < MAY_GROW).await;

    // One of them reads on, and gets everything from where it stood.
    let late = rest_of_turn(&mut still[0]).await;
    assert_eq!(screen(&late).len(), ANSWER);
    let stored = ada.messages(conversation).await.items.pop().unwrap();
    assert_eq!(stored.content.len(), ANSWER);
    assert_ne!(stored.usage.unwrap().output_tokens, 0);
    let cut = |frame: &callboard_protocol::ServerFrame| {
        matches!(
            frame,
            callboard_protocol::ServerFrame::StreamEnd { finish_reason: FinishReason::Length, .. }
        )
    };
    assert!(late.iter().any(cut));
}
