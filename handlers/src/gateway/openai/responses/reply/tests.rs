use callboard_protocol::ErrorCode;
use callboard_providers::{ProviderKind, TokenUsage};

use super::*;
use crate::gateway::testing::{
    finish, hard_texts, head, joined, piece, read_back, rich, start, text, thought,
};

const ECHO: &str = r#","tools":[],"store":false"#;

fn stream(events: &[ReplyEvent]) -> String {
    let mut encoder = Encoder::new(&head(), ECHO);
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

/// This wire says `completed` also of an answer that calls, and counts nothing written to a cache.
fn on_this_wire(mut events: Vec<ReplyEvent>) -> Vec<ReplyEvent> {
    for event in &mut events {
        if let ReplyEvent::Finish { usage, .. } = event {
            *usage = TokenUsage { cache_write: 0, ..*usage };
        }
    }
    events
}

/// The data of the events, each of which must be named as it names itself, and counted.
fn data(stream: &str) -> Vec<serde_json::Value> {
    let events = stream.split_terminator("\n\n").enumerate().map(|(place, event)| {
        let (name, data) = event.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name.strip_prefix("event: ").unwrap());
        assert_eq!(data["sequence_number"], place);
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
    let whole = whole(&head(), ECHO, &answer(&rich())).unwrap();
    insta::assert_snapshot!(String::from_utf8(whole.to_vec()).unwrap());
    assert!(super::whole(&head(), ECHO, &answer(&[text("a")])).is_none());
}

#[test]
fn a_stream_ends_with_the_whole_answer() {
    let events = data(&stream(&rich()));
    let whole = whole(&head(), ECHO, &answer(&rich())).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(events.last().unwrap()["response"], whole);
}

#[test]
fn nothing_is_written_before_the_first_event_and_after_the_last() {
    let mut encoder = Encoder::new(&head(), ECHO);
    assert_eq!(encoder.take(), "");
    encoder.push(&finish(StopReason::Stop));
    let events = data(std::str::from_utf8(&encoder.take()).unwrap());
    assert_eq!(events.len(), 3);
    encoder.push(&text("too late"));
    assert_eq!(encoder.take(), "");
}

#[test]
fn a_cut_stream_has_failed() {
    let mut encoder = Encoder::new(&head(), ECHO);
    encoder.push(&text("a"));
    let begun = encoder.take();
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "It \"broke\"."));
    encoder.fail(&Fault::new(ErrorCode::Internal, "again"));
    encoder.push(&finish(StopReason::Stop));
    let all = [begun, encoder.take()].concat();
    let events = data(std::str::from_utf8(&all).unwrap());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    let error = serde_json::json!({"code": "server_error", "message": "It \"broke\"."});
    assert_eq!(last["response"]["error"], error);
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "a");
    assert_eq!(events.iter().filter(|event| event["type"] == "response.completed").count(), 0);
}

#[test]
fn every_stop_reason_has_its_end() {
    for (reason, kind, details) in [
        (StopReason::Stop, "response.completed", None),
        (StopReason::StopSequence("x".to_owned()), "response.completed", None),
        (StopReason::ToolCalls, "response.completed", None),
        (StopReason::Length, "response.incomplete", Some("max_output_tokens")),
        (StopReason::ContentFilter, "response.incomplete", Some("content_filter")),
    ] {
        let events = data(&stream(&[text("a"), finish(reason)]));
        let last = events.last().unwrap();
        assert_eq!(last["type"], kind);
        assert_eq!(last["response"]["incomplete_details"]["reason"].as_str(), details);
        let item = &events[events.len() - 2]["item"];
        assert_eq!(item["status"], last["response"]["status"]);
    }
}

#[test]
fn the_end_of_a_call_says_all_its_arguments() {
    let events = [
        start(0, "a", "x"),
        start(1, "b", "y"),
        piece(0, "{\"q\""),
        piece(1, "{}"),
        start(2, "c", "z"),
        piece(0, ":1}"),
        finish(StopReason::ToolCalls),
    ];
    let events = data(&stream(&events));
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    let done: Vec<_> = done
        .map(|event| (event["output_index"].as_u64().unwrap(), event["item"]["arguments"].clone()))
        .collect();
    assert_eq!(done, [(1, "{}".into()), (0, "{\"q\":1}".into()), (2, "{}".into())]);
}

#[test]
fn the_proof_of_thoughts_is_in_their_item() {
    let proof = ReplyEvent::ReasoningSignature("p\"".to_owned());
    let events = [thought("hm"), proof, thought("so"), finish(StopReason::Stop)];
    let events = data(&stream(&events));
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    let proofs: Vec<_> = done.map(|event| event["item"]["encrypted_content"].as_str()).collect();
    assert_eq!(proofs, [Some("p\""), None]);
}

#[test]
fn any_text_survives() {
    for hard in hard_texts() {
        let mut events = vec![thought(&hard), text(&hard), start(0, &hard, &hard)];
        events.push(finish(StopReason::ToolCalls));
        let events = data(&stream(&events));
        let deltas: Vec<_> = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(deltas, [hard.as_str(), hard.as_str()]);
        let output = &events.last().unwrap()["response"]["output"];
        assert_eq!(output[0]["summary"][0]["text"], hard.as_str());
        assert_eq!(output[1]["content"][0]["text"], hard.as_str());
        assert_eq!(output[2]["call_id"], hard.as_str());
    }
}

#[tokio::test]
async fn the_providers_decoder_reads_a_stream_back() {
    let body = stream(&rich()).into_bytes();
    let read = read_back(ProviderKind::OpenAiResponses, "text/event-stream", body).await;
    let read: Vec<_> = read.into_iter().map(Result::unwrap).collect();
    assert_eq!(read, on_this_wire(rich()));
}

#[tokio::test]
async fn the_providers_decoder_reads_a_whole_answer_back() {
    let body = whole(&head(), ECHO, &answer(&rich())).unwrap().to_vec();
    let read = read_back(ProviderKind::OpenAiResponses, "application/json", body).await;
    let read = read.into_iter().map(Result::unwrap);
    assert_eq!(joined(read), joined(on_this_wire(rich())));
}

#[tokio::test]
async fn the_providers_decoder_sees_a_cut() {
    let mut encoder = Encoder::new(&head(), ECHO);
    encoder.push(&text("a"));
    encoder.fail(&Fault::new(ErrorCode::ProviderUnavailable, "gone"));
    let body = encoder.take().to_vec();
    let read = read_back(ProviderKind::OpenAiResponses, "text/event-stream", body).await;
    assert_eq!(read.last().unwrap().as_ref().unwrap_err(), "overloaded");
}
