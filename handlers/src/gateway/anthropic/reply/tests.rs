use callboard_protocol::ErrorCode;
use callboard_providers::ProviderKind;

use super::*;
use crate::gateway::testing::{
    finish, hard_texts, head, joined, piece, read_back, rich, start, text, thought,
};

fn stream(events: &[ReplyEvent]) -> String {
    let mut encoder = Encoder::new(&head());
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

/// The data of the events, each of which must be named as it names itself.
fn data(stream: &str) -> Vec<serde_json::Value> {
    let events = stream.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name.strip_prefix("event: ").unwrap());
        data
    });
    events.collect()
}

#[test]
fn a_stream_with_everything() {
    insta::assert_snapshot!(stream(&rich()));
}

#[test]
fn a_whole_answer() {
    let whole = whole(&head(), &answer(&rich())).unwrap();
    insta::assert_snapshot!(String::from_utf8(whole.to_vec()).unwrap());
}

#[test]
fn nothing_is_written_before_the_first_event_and_after_the_last() {
    let mut encoder = Encoder::new(&Head { callboard: None, ..head() });
    assert_eq!(encoder.take(), "");
    encoder.push(&finish(StopReason::Stop));
    let events = data(std::str::from_utf8(&encoder.take()).unwrap());
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message_start", "message_delta", "message_stop"]);
    assert!(events[0]["message"].get("callboard").is_none());
    encoder.push(&text("too late"));
    assert_eq!(encoder.take(), "");
}

#[test]
fn a_cut_stream_ends_in_its_error_alone() {
    let mut encoder = Encoder::new(&head());
    encoder.push(&text("a"));
    encoder.take();
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "It \"broke\"."), "req_1");
    encoder.fail(&Fault::new(ErrorCode::Internal, "again"), "req_1");
    encoder.push(&finish(StopReason::Stop));
    assert_eq!(
        encoder.take(),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
         \"message\":\"It \\\"broke\\\".\"},\"request_id\":\"req_1\"}\n\n"
    );
}

#[test]
fn every_stop_reason_has_its_word() {
    for (reason, word) in [
        (StopReason::Stop, "end_turn"),
        (StopReason::StopSequence("E\"".to_owned()), "stop_sequence"),
        (StopReason::Length, "max_tokens"),
        (StopReason::ToolCalls, "tool_use"),
        (StopReason::ContentFilter, "refusal"),
    ] {
        let events = data(&stream(&[finish(reason.clone())]));
        let delta = &events[1]["delta"];
        assert_eq!(delta["stop_reason"], word);
        let sequence = if word == "stop_sequence" { Some("E\"") } else { None };
        assert_eq!(delta["stop_sequence"].as_str(), sequence);
    }
}

#[test]
fn a_late_piece_goes_to_its_own_call() {
    let events = [start(0, "a", "x"), start(1, "b", "y"), piece(0, "{}"), piece(1, "{}")];
    let events = data(&stream(&events));
    let deltas = events.iter().filter(|event| event["type"] == "content_block_delta");
    let blocks: Vec<_> = deltas.map(|event| event["index"].as_u64().unwrap()).collect();
    assert_eq!(blocks, [0, 1]);
    // A call that never began has no block.
    let stray = data(&stream(&[text("a"), piece(7, "{}")]));
    assert_eq!(stray.len(), 3);
}

#[test]
fn arguments_that_were_cut_are_the_empty_object() {
    let events = [start(0, "a", "x"), piece(0, "{\"q\":"), finish(StopReason::Length)];
    let whole: serde_json::Value =
        serde_json::from_slice(&whole(&head(), &answer(&events)).unwrap()).unwrap();
    assert_eq!(whole["content"][0]["input"], serde_json::json!({}));
    assert_eq!(whole["stop_reason"], "max_tokens");
}

#[test]
fn an_answer_without_its_end_is_none() {
    assert!(whole(&head(), &answer(&[text("a")])).is_none());
}

#[test]
fn any_text_survives() {
    for hard in hard_texts() {
        let events = [thought(&hard), text(&hard), start(0, &hard, &hard), piece(0, &hard)];
        let events = data(&stream(&events));
        assert_eq!(events[2]["delta"]["thinking"], hard.as_str());
        assert_eq!(events[5]["delta"]["text"], hard.as_str());
        assert_eq!(events[7]["content_block"]["name"], hard.as_str());
        assert_eq!(events[8]["delta"]["partial_json"], hard.as_str());
    }
}

/// With what only this wire has: thoughts with their proofs.
fn proven() -> Vec<ReplyEvent> {
    let proof = |proof: &str| ReplyEvent::ReasoningSignature(proof.to_owned());
    let mut events = rich();
    events.splice(1..1, [proof("p\"1"), thought("so"), proof("p2")]);
    events
}

#[tokio::test]
async fn the_providers_decoder_reads_a_stream_back() {
    for events in [rich(), proven()] {
        let body = stream(&events).into_bytes();
        let read = read_back(ProviderKind::Anthropic, "text/event-stream", body).await;
        assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>(), events);
    }
}

#[tokio::test]
async fn the_providers_decoder_reads_a_whole_answer_back() {
    for events in [rich(), proven()] {
        let body = whole(&head(), &answer(&events)).unwrap().to_vec();
        let read = read_back(ProviderKind::Anthropic, "application/json", body).await;
        let read = read.into_iter().map(Result::unwrap);
        assert_eq!(joined(read), joined(events));
    }
}

#[tokio::test]
async fn the_providers_decoder_sees_a_cut() {
    let mut encoder = Encoder::new(&head());
    encoder.push(&text("a"));
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "gone"), "req_1");
    let body = encoder.take().to_vec();
    let read = read_back(ProviderKind::Anthropic, "text/event-stream", body).await;
    assert_eq!(read.last().unwrap().as_ref().unwrap_err(), "overloaded");
}
