//! Providers that fail, in every way, before the first token and after it.

use callboard_protocol::{
    CircuitState, ClientFrame, ErrorCode, FinishReason, MessageStatus, ProviderList, ServerFrame,
};
use callboard_testkit::{FakeVendor, Reply};
use reqwest::{Method, StatusCode};

use crate::{
    chat::{accepted, rest_of_turn, screen},
    harness::{Database, Launch, fresh},
};

const QUICK: [&str; 3] = [
    "providers.0.first_token_timeout_ms=300",
    "providers.0.idle_timeout_ms=300",
    "providers.0.connect_timeout_ms=300",
];

async fn launch(vendor: &FakeVendor) -> Launch {
    QUICK.into_iter().fold(Launch::on(Database::Sqlite).await.provider(vendor), Launch::set)
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_token_the_next_provider_takes_over_silently() {
    for fault in [
        Reply::error(500, "server_error", "no"),
        Reply::error(503, "overloaded", "no"),
        Reply::rate_limited(Some("3600")),
        Reply::reset(),
        Reply::silent(),
        Reply::error(401, "invalid_api_key", "no"),
        Reply::context_too_long(),
        Reply::body("text/event-stream", ""),
        Reply::body("text/html", "<html>not an API</html>"),
    ] {
        let vendor = FakeVendor::start().await;
        vendor.always(fault.clone());
        let server = launch(&vendor).await.start().await;
        let ada = server.admin().await;
        let mut socket = ada.connect().await;
        socket.send(&ClientFrame::Message(fresh("anything?"))).await;
        accepted(&mut socket).await;
        let frames = rest_of_turn(&mut socket).await;
        let restarts = |frame: &ServerFrame| matches!(frame, ServerFrame::StreamRestart { .. });
        assert!(!frames.iter().any(restarts), "{fault:?}");
        let from_index = |frame: &ServerFrame| matches!(frame, ServerFrame::StreamStart { provider, .. } if provider == "extractive");
        assert!(frames.iter().any(from_index), "{fault:?}: {frames:?}");
        assert!(vendor.request_count() >= 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_token_the_answer_starts_again_visibly() {
    for fault in [
        Reply::text(&["half ", "of ", "it"]).cut_after(2),
        Reply::text(&["half ", "of ", "it"]).stall_after(2),
        Reply::text(&["half ", "of ", "it"])
            .error_after(2, serde_json::json!({ "error": { "message": "no" } })),
    ] {
        let vendor = FakeVendor::start().await;
        vendor.always(fault.clone());
        let server = launch(&vendor).await.start().await;
        let ada = server.admin().await;
        let mut socket = ada.connect().await;
        socket.send(&ClientFrame::Message(fresh("anything?"))).await;
        let (conversation, _) = accepted(&mut socket).await;
        let frames = rest_of_turn(&mut socket).await;
        let restarts = |frame: &ServerFrame| matches!(frame, ServerFrame::StreamRestart { .. });
        assert!(frames.iter().any(restarts), "{fault:?}: {frames:?}");
        let text = screen(&frames);
        assert!(!text.contains("half"), "{fault:?}: {text}");
        let stored = ada.messages(conversation).await.items.pop().unwrap();
        assert_eq!((stored.content, stored.status), (text, MessageStatus::Complete));
        assert_eq!(stored.provider.as_deref(), Some("extractive"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_again_and_again_is_left_alone_for_a_while() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::error(504, "server_error", "no"));
    let launch = launch(&vendor).await.set("providers.0.breaker.min_calls=2");
    let server = launch.set("providers.0.breaker.window=4").start().await;
    let ada = server.admin().await;
    for _ in 0..5 {
        assert_eq!(ada.ask(&fresh("anything?")).await.provider, "extractive");
    }
    assert_eq!(vendor.request_count(), 2, "the breaker opened after two failures");
    let list: ProviderList = ada.get("/providers").await;
    let states: Vec<_> = list.items.iter().map(|p| (p.name.as_str(), p.circuit)).collect();
    assert_eq!(states, [("fake", CircuitState::Open), ("extractive", CircuitState::Closed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_left_alone_and_a_reset_tries_it_again() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::error(401, "invalid_api_key", "no"));
    let server = launch(&vendor).await.start().await;
    let ada = server.admin().await;
    for _ in 0..3 {
        assert_eq!(ada.ask(&fresh("anything?")).await.provider, "extractive");
    }
    assert_eq!(vendor.request_count(), 1, "the key rests");
    let list: ProviderList = ada.get("/providers").await;
    let fake = &list.items[0];
    assert_eq!((fake.circuit, fake.last_error.as_deref()), (CircuitState::Closed, Some("auth")));
    assert!(fake.models[0].keys[0].refused && fake.models[0].keys[0].rests_for_ms > 30_000);
    vendor.always(Reply::text(&["Here."]));
    let reset = ada.request(Method::POST, "/providers/fake/reset").send().await.unwrap();
    assert_eq!(reset.status(), StatusCode::NO_CONTENT);
    assert_eq!(ada.ask(&fresh("anything else?")).await.provider, "fake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_filter_is_passed_on_and_no_other_provider_is_asked() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::content_filtered());
    let server = launch(&vendor).await.start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("anything?"))).await;
    let (conversation, turn) = accepted(&mut socket).await;
    let code = socket.find(|frame| match frame {
        ServerFrame::Error { code, turn_id, .. } if turn_id == Some(turn) => Some(code),
        _ => None,
    });
    assert_eq!(code.await, ErrorCode::ContentFiltered);
    assert_eq!(vendor.request_count(), 1);
    let stored = ada.messages(conversation).await.items.pop().unwrap();
    assert_eq!(stored.status, MessageStatus::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut_at_its_bound() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::endless());
    let launch = launch(&vendor).await.set("chat.max_answer_bytes=20000");
    let server = launch.start().await;
    let ada = server.admin().await;
    let answer = ada.ask(&fresh("for ever?")).await;
    assert_eq!((answer.finish_reason, answer.response.len()), (FinishReason::Length, 20_000));
    vendor.until_left(1).await;
}
