//! What holds for every wire: a recorded stream gives the same events however its bytes are split,
//! and no bytes whatever make a decoder panic.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{ReplyEvent, StopReason, TokenUsage, reply::Parser};

const RECORDED: [(ProviderKind, &[u8]); 6] = [
    (ProviderKind::OpenAi, include_bytes!("recorded/openai.sse")),
    (ProviderKind::OpenAiResponses, include_bytes!("recorded/responses.sse")),
    (ProviderKind::Anthropic, include_bytes!("recorded/anthropic.sse")),
    (ProviderKind::Ollama, include_bytes!("recorded/ollama.ndjson")),
    (ProviderKind::Gemini, include_bytes!("recorded/gemini.sse")),
    (ProviderKind::Azure, include_bytes!("recorded/azure.sse")),
];

fn wire(kind: ProviderKind) -> Box<dyn Wire> {
    let config = ProviderConfig {
        kind,
        base_url: Some("http://localhost/v1".to_owned()),
        ..ProviderConfig::default()
    };
    open(&config).unwrap().unwrap()
}

type Outcome = (Vec<ReplyEvent>, Result<ReplyEvent, ProviderErrorKind>);

/// What comes of these bytes: the events, then the end.
fn read<'a>(kind: ProviderKind, parts: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let wire = wire(kind);
    let mut parser = Parser::new(wire.decoder(), wire.framing(), 1 << 16, Default::default());
    let mut events = Vec::new();
    let feed = || {
        for part in parts {
            parser.read(part)?;
            events.extend(std::iter::from_fn(|| parser.intake.next_event()));
            if parser.intake.is_done() {
                return Ok(());
            }
        }
        parser.end_of_body()
    };
    let fed = feed();
    parser.intake.end_calls();
    events.extend(std::iter::from_fn(|| parser.intake.next_event()));
    let end = fed.and_then(|()| parser.intake.conclude("asked"));
    (events, end.map_err(|error| error.kind))
}

/// Ids that we made are another each time.
fn without_ids(mut outcome: Outcome) -> Outcome {
    for event in &mut outcome.0 {
        if let ReplyEvent::ToolCallStart { id, .. } = event {
            id.clear();
        }
    }
    outcome
}

/// All text, all thoughts, all calls with their arguments.
fn joined(events: &[ReplyEvent]) -> (String, String, Vec<(String, String)>) {
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    for event in events {
        match event {
            ReplyEvent::Text(piece) => text += piece,
            ReplyEvent::Reasoning(piece) => thoughts += piece,
            ReplyEvent::ToolCallStart { name, .. } => calls.push((name.clone(), String::new())),
            ReplyEvent::ToolCallArguments { index, piece } => calls[*index as usize].1 += piece,
            ReplyEvent::ReasoningSignature(_) => {}
            ReplyEvent::Finish { .. } => panic!("a finish is no piece"),
        }
    }
    (text, thoughts, calls)
}

#[test]
fn extra_fields_stand_beside_our_own_and_never_in_their_place() {
    let body = json!({"model": "m"});
    let extra = |value: Value| value.as_object().cloned().unwrap();
    let encoded = encode(&body, &extra(json!({"top_k": 5, "x": [1]}))).unwrap();
    let read: Value = serde_json::from_slice(&encoded).unwrap();
    assert_eq!(read, json!({"model": "m", "top_k": 5, "x": [1]}));
    let error = encode(&body, &extra(json!({"model": "other"}))).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::BadRequest);
    assert!(error.message.contains("`model`"));
}

#[test]
fn what_was_recorded_is_read() {
    for (kind, bytes) in RECORDED {
        if kind == ProviderKind::Azure {
            continue;
        }
        let (events, end) = read(kind, [bytes]);
        let (text, thoughts, calls) = joined(&events);
        assert_eq!(text, "Grün 😀\n\"quoted\"", "{kind:?}");
        assert_eq!(thoughts, "Let me see … ", "{kind:?}");
        let call = ("count_logs".to_owned(), r#"{"query":"ü"}"#.to_owned());
        assert_eq!(calls, [call], "{kind:?}");
        let ReplyEvent::Finish { reason, usage, model } = end.unwrap() else { panic!("no end") };
        assert_eq!(reason, StopReason::ToolCalls, "{kind:?}");
        // Ollama tells no more than the totals, Anthropic counts no thoughts.
        let told = |count, untold: &[ProviderKind]| if untold.contains(&kind) { 0 } else { count };
        let anthropic = [ProviderKind::Anthropic, ProviderKind::Ollama];
        let expected = TokenUsage {
            input: 120,
            output: 40,
            cached_input: told(64, &[ProviderKind::Ollama]),
            cache_write: if kind == ProviderKind::Anthropic { 6 } else { 0 },
            reasoning: told(24, &anthropic),
            estimated: false,
        };
        assert_eq!(usage, expected, "{kind:?}");
        assert_ne!(model, "asked", "{kind:?}");
    }
}

#[test]
fn an_answer_that_azure_cut_says_so() {
    let (events, end) = read(ProviderKind::Azure, [RECORDED[5].1]);
    assert_eq!(joined(&events).0, "Grün 😀");
    let usage = TokenUsage { input: 9, output: 3, ..TokenUsage::default() };
    let model = "gpt-4o-2024-08-06".to_owned();
    let reason = StopReason::ContentFilter;
    assert_eq!(end, Ok(ReplyEvent::Finish { reason, usage, model }));
}

#[test]
fn line_ends_make_no_difference() {
    for (kind, bytes) in RECORDED {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let crlf = text.replace('\n', "\r\n");
        let plain = without_ids(read(kind, [bytes]));
        assert_eq!(without_ids(read(kind, [crlf.as_bytes()])), plain, "{kind:?}");
    }
}

/// Wherever a stream is cut before it said why it ends, it is no success.
#[test]
fn a_cut_anywhere_is_never_success() {
    for (kind, bytes) in RECORDED {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let said = [
            "\"finish_reason\":\"",
            "response.completed",
            "\"stop_reason\":\"",
            "\"done_reason\"",
            "\"finishReason\"",
        ];
        let end = said.iter().filter_map(|word| text.find(word)).min().unwrap();
        for cut in (0..end).filter(|cut| text.is_char_boundary(*cut)) {
            let (_, end) = read(kind, [&bytes[..cut]]);
            let kinds = [ProviderErrorKind::Interrupted, ProviderErrorKind::Malformed];
            assert!(kinds.contains(&end.unwrap_err()), "{kind:?} at {cut}");
        }
    }
}

#[test]
fn a_line_beyond_all_bounds_is_skipped() {
    for (kind, bytes) in RECORDED {
        let flood = [&b"data: "[..], &vec![b'x'; 3 << 20], b"\n\n"].concat();
        let plain = without_ids(read(kind, [bytes]));
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        // Between two events.
        let first = first + usize::from(bytes[first] == b'\n');
        let split = if kind == ProviderKind::OpenAiResponses || kind == ProviderKind::Anthropic {
            0
        } else {
            first
        };
        let parts = [&bytes[..split], &flood[..], &bytes[split..]];
        assert_eq!(without_ids(read(kind, parts)), plain, "{kind:?}");
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        which in 0..RECORDED.len(),
        cuts in prop::collection::vec(0usize..6_000, 0..40),
    ) {
        let (kind, bytes) = RECORDED[which];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        prop_assert_eq!(without_ids(read(kind, parts)), without_ids(read(kind, [bytes])));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        which in 0..RECORDED.len(),
        flips in prop::collection::vec((0usize..6_000, any::<u8>()), 0..12),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (kind, bytes) = RECORDED[which];
        let mut changed = bytes.to_vec();
        for (at, byte) in flips {
            let at = at % changed.len();
            changed[at] = byte;
        }
        drop(read(kind, [changed.as_slice()]));
        drop(read(kind, [body.as_slice()]));
    }
}
