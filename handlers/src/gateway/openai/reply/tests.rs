use callboard_protocol::ErrorCode;
use callboard_providers::ProviderKind;

use super::*;
use crate::gateway::testing::{
    finish, hard_texts, head, joined, read_back, rich, start, text, thought,
};

fn stream(events: &[ReplyEvent], include_usage: bool) -> String {
    let mut encoder = Encoder::new(&head(), include_usage);
    let mut all = Vec::new();
    for event in events {
        encoder.push(event);
        all.extend_from_slice(&encoder.take());
    }
    String::from_utf8(all).unwrap()
}

fn answer(events: &[ReplyEvent]) -> Answer {
    let mut answer = Answer::default();
    events.iter().for_each(|event| answer.push(event));
    answer
}

fn chunks(stream: &str) -> Vec<serde_json::Value> {
    let events = stream.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    events
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn a_stream_with_everything() {
    insta::assert_snapshot!(stream(&rich(), true));
}

#[test]
fn a_plain_stream_without_usage() {
    let plain = Head { callboard: None, model: "m", ..head() };
    let mut encoder = Encoder::new(&plain, false);
    assert_eq!(encoder.take(), "");
    encoder.push(&text("a"));
    encoder.push(&finish(StopReason::Stop));
    encoder.push(&text("too late"));
    let front = r#"data: {"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":"#;
    let expected = [
        front,
        r#"{"role":"assistant","content":""},"finish_reason":null}]}"#,
        "\n\n",
        front,
        r#"{"content":"a"},"finish_reason":null}]}"#,
        "\n\n",
        front,
        r#"{},"finish_reason":"stop"}]}"#,
        "\n\ndata: [DONE]\n\n",
    ];
    assert_eq!(encoder.take(), expected.concat());
}

#[test]
fn a_whole_answer() {
    insta::assert_snapshot!(
        String::from_utf8(whole(&head(), &answer(&rich())).unwrap().to_vec()).unwrap()
    );
    let plain = whole(&head(), &answer(&[text("a"), finish(StopReason::Length)])).unwrap();
    let plain: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(plain["choices"][0]["message"]["content"], "a");
    assert_eq!(plain["choices"][0]["finish_reason"], "length");
    assert!(plain["choices"][0]["message"].get("tool_calls").is_none());
}

#[test]
fn a_cut_stream_ends_in_its_error_alone() {
    let mut encoder = Encoder::new(&head(), true);
    encoder.push(&text("a"));
    encoder.take();
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "It \"broke\"."));
    encoder.fail(&Fault::new(ErrorCode::Internal, "again"));
    encoder.push(&finish(StopReason::Stop));
    assert_eq!(
        encoder.take(),
        "data: {\"error\":{\"message\":\"It \\\"broke\\\".\",\"type\":\"server_error\",\
         \"param\":null,\"code\":\"provider_unavailable\"}}\n\n"
    );
}

#[test]
fn every_stop_reason_has_its_word() {
    for (reason, word) in [
        (StopReason::Stop, "stop"),
        (StopReason::StopSequence("x".to_owned()), "stop"),
        (StopReason::Length, "length"),
        (StopReason::ToolCalls, "tool_calls"),
        (StopReason::ContentFilter, "content_filter"),
    ] {
        let chunks = chunks(&stream(&[finish(reason)], false));
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], word);
    }
}

#[test]
fn what_a_provider_wants_back_with_a_call_goes_out() {
    let call = ReplyEvent::ToolCallStart {
        index: 0,
        id: "c".to_owned(),
        name: "n".to_owned(),
        signature: Some("sig\"".to_owned()),
    };
    let events = [call, finish(StopReason::ToolCalls)];
    let place = "/tool_calls/0/extra_content/google/thought_signature";
    let chunks = chunks(&stream(&events, false));
    assert_eq!(chunks[1]["choices"][0]["delta"].pointer(place).unwrap(), "sig\"");
    let whole: serde_json::Value =
        serde_json::from_slice(&whole(&head(), &answer(&events)).unwrap()).unwrap();
    assert_eq!(whole["choices"][0]["message"].pointer(place).unwrap(), "sig\"");
}

#[test]
fn the_proof_of_thoughts_goes_out() {
    let proof = ReplyEvent::ReasoningSignature("p\"".to_owned());
    let events = [thought("hm"), proof, text("a"), finish(StopReason::Stop)];
    let chunks = chunks(&stream(&events, false));
    assert_eq!(chunks[2]["choices"][0]["delta"]["reasoning_signature"], "p\"");
    let read = |events: &[ReplyEvent]| -> serde_json::Value {
        serde_json::from_slice(&whole(&head(), &answer(events)).unwrap()).unwrap()
    };
    let message = &read(&events)["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(message["reasoning_signature"], "p\"");
    // Thoughts in several pieces have several proofs, and none for all.
    let twice = [&events[..3], &events[..]].concat();
    let message = &read(&twice)["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "hmhm");
    assert!(message.get("reasoning_signature").is_none());
}

#[test]
fn an_answer_without_its_end_is_none() {
    assert!(whole(&head(), &answer(&[text("a")])).is_none());
}

#[test]
fn any_text_survives() {
    for hard in hard_texts() {
        let stream = stream(&[text(&hard), thought(&hard), start(0, &hard, &hard)], false);
        let chunks = chunks(&stream);
        let delta = |at: usize| &chunks[at]["choices"][0]["delta"];
        assert_eq!(delta(1)["content"], hard.as_str());
        assert_eq!(delta(2)["reasoning_content"], hard.as_str());
        assert_eq!(delta(3)["tool_calls"][0]["function"]["name"], hard.as_str());
    }
}

#[tokio::test]
async fn the_providers_decoder_reads_a_stream_back() {
    let events = rich();
    let body = stream(&events, true).into_bytes();
    let read = read_back(ProviderKind::OpenAi, "text/event-stream", body).await;
    assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>(), events);
}

#[tokio::test]
async fn the_providers_decoder_reads_a_whole_answer_back() {
    let body = whole(&head(), &answer(&rich())).unwrap().to_vec();
    let read = read_back(ProviderKind::OpenAi, "application/json", body).await;
    let read = read.into_iter().map(Result::unwrap);
    assert_eq!(joined(read), joined(rich()));
}

#[tokio::test]
async fn the_providers_decoder_sees_a_cut() {
    let mut encoder = Encoder::new(&head(), true);
    encoder.push(&text("a"));
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "gone"));
    let body = encoder.take().to_vec();
    let read = read_back(ProviderKind::OpenAi, "text/event-stream", body).await;
    assert_eq!(read.last().unwrap().as_ref().unwrap_err(), "overloaded");
}
