//! Answers that come whole, in every form that servers give them.

use callboard_protocol::{Author, FinishReason, Usage};
use callboard_providers::{ChatMessage, Client, CompletionRequest, ProviderConfig};
use callboard_testkit::{FakeVendor, Reply};
use serde_json::json;

use crate::harness::{ask, ask_reply, ask_script, config, question, tokens};

#[tokio::test]
async fn an_answer_streams_token_by_token_and_counts() {
    let outcome = ask_reply(Reply::text(&["No", "thing", " failed."]).usage(17, 3)).await;
    assert_eq!(outcome.deltas, ["No", "thing", " failed."]);
    let (reason, usage, model) = outcome.end.unwrap();
    assert_eq!(reason, FinishReason::Stop);
    assert_eq!(usage, Usage { input_tokens: 17, output_tokens: 3 });
    assert_eq!(model, "fake-model", "the model that answered is named, not the one asked for");
}

#[tokio::test]
async fn the_first_token_is_given_before_the_second_is_written() {
    use callboard_providers::ReplyEvent;
    use futures_util::StreamExt as _;

    let vendor = FakeVendor::start().await;
    vendor.hold();
    vendor.script([Reply::tokens(2).gate_after(1)]);
    let client = Client::new(&config(&vendor)).unwrap();
    let mut stream = client.complete(&question()).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first, ReplyEvent::Text("t0 ".to_owned()));
    vendor.until_held(1).await;
    vendor.release();
    let second = stream.next().await.unwrap().unwrap();
    assert_eq!(second, ReplyEvent::Text("t1 ".to_owned()));
}

#[tokio::test]
async fn bytes_split_at_every_position_give_the_same_answer() {
    let text = ["gr", "ü", "n", " 😀", "\n"];
    for reply in [Reply::text(&text), Reply::text(&text).crlf()] {
        for bytes in [1, 2, 3, 7] {
            let outcome = ask_reply(reply.clone().pings().split(bytes)).await;
            assert_eq!(outcome.deltas, text, "{bytes}");
            assert_eq!(outcome.usage().output_tokens, 5);
        }
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_skipped() {
    let outcome = ask_reply(Reply::tokens(5).malformed_at(2)).await;
    assert_eq!((outcome.text(), outcome.reason()), (tokens(5), FinishReason::Stop));
}

#[tokio::test]
async fn an_answer_without_done_is_whole_once_it_said_why_it_ended() {
    let outcome = ask_reply(Reply::tokens(5).without_done()).await;
    assert_eq!((outcome.text(), outcome.reason()), (tokens(5), FinishReason::Stop));
    assert_eq!(outcome.usage(), Usage { input_tokens: 10, output_tokens: 5 });
}

#[tokio::test]
async fn done_without_a_finish_reason_is_an_end() {
    let outcome = ask_reply(Reply::tokens(5).without_finish()).await;
    assert_eq!((outcome.text(), outcome.reason()), (tokens(5), FinishReason::Stop));
}

#[tokio::test]
async fn usage_that_is_not_said_is_estimated() {
    let outcome = ask_reply(Reply::text(&["12345678", "9"]).without_usage()).await;
    let usage = outcome.usage();
    assert_eq!(usage.output_tokens, 3);
    assert!(usage.input_tokens > 100, "the rules alone are longer: {usage:?}");
}

#[tokio::test]
async fn an_answer_in_json_is_understood_although_a_stream_was_asked_for() {
    let outcome = ask_reply(Reply::json_answer("All is well.")).await;
    assert_eq!((outcome.text().as_str(), outcome.reason()), ("All is well.", FinishReason::Stop));
    assert_eq!(outcome.usage(), Usage { input_tokens: 10, output_tokens: 3 });
}

#[tokio::test]
async fn the_reason_of_the_end_is_passed_on() {
    for (wire, expected) in [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("eos", FinishReason::Stop),
    ] {
        let outcome = ask_reply(Reply::tokens(2).finish(wire)).await;
        assert_eq!((outcome.text(), outcome.reason()), (tokens(2), expected));
    }
}

#[tokio::test]
async fn an_answer_over_its_bound_is_cut_there_and_the_server_is_told_to_stop() {
    let (outcome, vendor) =
        ask_script([Reply::endless()], |config| config.max_output_tokens = 100).await;
    assert_eq!(outcome.reason(), FinishReason::Length);
    assert!(outcome.text().len() < 100 * 16 + 64, "{}", outcome.text().len());
    vendor.until_left(1).await;
}

#[tokio::test]
async fn a_reader_who_leaves_stops_the_server() {
    use futures_util::StreamExt as _;

    let vendor = FakeVendor::start().await;
    vendor.script([Reply::endless()]);
    let client = Client::new(&config(&vendor)).unwrap();
    let mut stream = client.complete(&question()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    vendor.until_left(1).await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_reply_stops_the_server() {
    let vendor = FakeVendor::start().await;
    vendor.script([Reply::silent()]);
    let client = Client::new(&config(&vendor)).unwrap();
    let question = question();
    tokio::select! {
        _ = client.complete(&question) => panic!("a silent server answered"),
        () = vendor.until_requests(1) => {}
    }
    vendor.until_left(1).await;
}

#[tokio::test]
async fn the_request_holds_what_was_asked() {
    let vendor = FakeVendor::start().await;
    let config = ProviderConfig {
        api_key: Some("sk-test".to_owned().into()),
        temperature: Some(0.2),
        max_output_tokens: 500,
        ..config(&vendor)
    };
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let request = CompletionRequest {
        system: "Be brief.".to_owned(),
        messages: vec![message(Author::User, "hi"), message(Author::Assistant, "hello")],
        max_output_tokens: Some(900),
        ..question()
    };
    ask(&Client::new(&config).unwrap(), request.clone()).await.end.unwrap();
    let named = CompletionRequest { model: Some("other".to_owned()), ..request };
    ask(&Client::new(&config).unwrap(), named).await.end.unwrap();

    let requests = vendor.requests();
    let first = &requests[0];
    assert_eq!(first.line, "POST /v1/chat/completions");
    assert_eq!(first.header("authorization"), Some("Bearer sk-test"));
    let body = &first.body;
    assert_eq!(body["model"], "asked-model");
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    assert_eq!(body["max_tokens"], 500, "the configured bound holds");
    assert_eq!(body["temperature"], 0.2);
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert!(body["messages"][0]["content"].as_str().unwrap().ends_with("Be brief."));
    assert!(first.question().ends_with("Question: what failed?"));
    assert_eq!(requests[1].body["model"], "other");
}

#[tokio::test]
async fn connections_are_used_again() {
    let vendor = FakeVendor::start().await;
    let client = Client::new(&config(&vendor)).unwrap();
    for _ in 0..5 {
        ask(&client, question()).await.end.unwrap();
    }
    assert_eq!((vendor.request_count(), vendor.connection_count()), (5, 1));
}
