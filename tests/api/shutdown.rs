//! The end of the server: asked for, and not.

use callboard_protocol::{Ask, ClientFrame, MessageStatus, ServerFrame, SystemKind, UsageReport};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use futures_util::StreamExt as _;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    chat::{accepted, rest_of_turn, screen},
    harness::{Database, Launch, fresh, on_both_databases},
};

on_both_databases! {
    a_server_that_is_killed_in_mid_answer_says_so_when_it_is_back,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asked_to_end_finishes_its_turns_and_says_goodbye() {
    for signal in ["-TERM", "-INT"] {
        let vendor = FakeVendor::start().await;
        vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
        vendor.hold();
        let mut server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
        let ada = server.admin().await;
        let mut idle = ada.connect().await;
        let mut socket = ada.connect().await;
        socket.send(&ClientFrame::Message(fresh("well?"))).await;
        let (conversation_id, _) = accepted(&mut socket).await;
        socket.next_until(|frame| matches!(frame, ServerFrame::StreamChunk { .. })).await;
        server.signal(signal);
        // A drain is noticed by its refusals: nothing new is taken.
        let more = Ask { conversation_id: Some(conversation_id), ..fresh("more?") };
        let refused = loop {
            socket.send(&ClientFrame::Message(more.clone())).await;
            let said = socket.find(|frame| match frame {
                ServerFrame::Accepted { .. } => Some(None),
                ServerFrame::Error { code, .. } => Some(Some(code)),
                _ => None,
            });
            match said.await {
                Some(code) => break code,
                None => tokio::task::yield_now().await,
            }
        };
        let known =
            [callboard_protocol::ErrorCode::Draining, callboard_protocol::ErrorCode::TurnRunning];
        assert!(known.contains(&refused), "{refused:?}");
        vendor.release();
        assert!(screen(&rest_of_turn(&mut socket).await).ends_with("two"));
        for tab in [&mut socket, &mut idle] {
            let goodbye = tab.find(|frame| match frame {
                ServerFrame::System { kind: SystemKind::Draining, reconnect_after_ms, .. } => {
                    Some(reconnect_after_ms)
                }
                _ => None,
            });
            assert!(goodbye.await.is_some(), "with a hint when to come back");
            assert_eq!(tab.closed().await.code, Some(1001));
        }
        assert!(server.ended().await.success());
    }
}

async fn a_server_that_is_killed_in_mid_answer_says_so_when_it_is_back(on: Database) {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    vendor.hold();
    let server = Launch::on(on).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("well?"))).await;
    let (conversation, _) = accepted(&mut socket).await;
    socket.next_until(|frame| matches!(frame, ServerFrame::StreamChunk { .. })).await;
    let launch = server.kill().await;
    assert!(!socket.closed().await.clean, "a power cut says nothing");
    vendor.release();

    let server = launch.start().await;
    assert!(server.setup_token.is_none(), "the administrator is there");
    let ada = server.sign_in("ada").await;
    let page = ada.messages(conversation).await;
    assert_eq!(page.items[0].content, "well?", "what was accepted is durable");
    assert_eq!(page.items[1].status, MessageStatus::Interrupted);
    assert_eq!(page.running_turn, None);
    let again = ada.ask(&Ask { conversation_id: Some(conversation), ..fresh("again?") }).await;
    assert_eq!(again.response, "one two");
    let launch = server.stop().await;
    drop(launch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_asked_to_end_finishes_the_streams_of_programs_and_bills_them() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["one ", "two"]).usage(10, 2).gate_after(1));
    vendor.hold();
    let mut server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let body = json!({
        "model": "fake", "stream": true, "messages": [{ "role": "user", "content": "hi" }],
    });
    let ask = || {
        let url = server.url("/v1/chat/completions");
        reqwest::Client::new().post(url).bearer_auth(&ada.token).json(&body).send()
    };
    let mut stream = ask().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("one ") {
        text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    server.signal("-TERM");
    let ready = server.url("/health/ready");
    let draining = async || match reqwest::get(&ready).await {
        Ok(reply) => (!reply.status().is_success()).then_some(()),
        Err(error) => error.is_connect().then_some(()),
    };
    eventually_some(PATIENCE, draining).await;
    // Nobody new is let in: refused in words, or by a closed door.
    match ask().await {
        Ok(reply) => assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE),
        Err(error) => assert!(error.is_connect(), "{error:?}"),
    }
    vendor.release();
    while let Some(piece) = stream.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(text.contains("two") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(server.ended().await.success());
    let server = server.into_launch().await.start().await;
    let ada = server.sign_in("ada").await;
    let report: UsageReport = ada.get("/usage").await;
    let total = report.total;
    assert_eq!((total.counts.answered, total.tokens.input, total.tokens.output), (1, 10, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_end_is_cut_at_the_end_and_billed() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::tokens(9).stall_after(3));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let mut server = launch.set("server.limits.drain_s=1").start().await;
    let ada = server.admin().await;
    let body = json!({
        "model": "fake", "stream": true, "messages": [{ "role": "user", "content": "hi" }],
    });
    let url = server.url("/v1/chat/completions");
    let asked = reqwest::Client::new().post(url).bearer_auth(&ada.token).json(&body).send();
    let mut stream = asked.await.unwrap().bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    server.signal("-TERM");
    let mut text = String::new();
    while let Some(piece) = stream.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(text.contains(r#""code":"draining""#) && !text.contains("[DONE]"), "{text}");
    assert!(server.ended().await.success());
    vendor.until_left(1).await;
    let server = server.into_launch().await.start().await;
    let ada = server.sign_in("ada").await;
    let report: UsageReport = ada.get("/usage").await;
    let total = report.total;
    assert_eq!((total.counts.cancelled, total.estimated_calls), (1, 1));
    assert!(total.tokens.output > 0, "{total:?}");
}
