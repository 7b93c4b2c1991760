//! A reply of the messages wire.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    ProviderError, StopReason, TokenUsage, fault,
    reply::{Decode, Intake, malformed},
    wire::{read_chunk, read_whole},
};

/// Reads one reply.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// As far as it is known: the wire says what it read at the beginning, what it wrote at the
    /// end, and newer figures take the place of older ones.
    usage: Counts,
}

/// An event of a stream; every one has a `type`, and each uses some of these.
#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    content_block: Option<Block>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    usage: Option<Counts>,
}

/// A whole message, or the beginning of one.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    content: Option<Vec<Block>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Block {
    r#type: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    input: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    partial_json: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Counts {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError> {
        let Some(event) = read_chunk::<Event>(data) else {
            return if name == "error" { Err(fault::from_event(data)) } else { Ok(()) };
        };
        match event.r#type.as_str() {
            "error" => return Err(fault::from_event(data)),
            "message_start" => {
                if let Some(message) = event.message {
                    self.begin(&message, intake);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    take_block(block, event.index.unwrap_or(0), false, intake)?;
                }
            }
            "content_block_delta" => {
                let Some(delta) = event.delta else { return Ok(()) };
                intake.chunk();
                intake.text(delta.text.unwrap_or_default());
                intake.reasoning(delta.thinking.unwrap_or_default());
                intake.signature(delta.signature.unwrap_or_default());
                let piece = delta.partial_json.unwrap_or_default();
                // Tools that run at the provider were not asked for: their input is skipped.
                let slot = event.index.unwrap_or(0);
                if intake.has_call(slot) {
                    intake.arguments(slot, piece)?;
                }
            }
            "content_block_stop" => intake.end_call(event.index.unwrap_or(0)),
            "message_delta" => {
                intake.chunk();
                self.count(event.usage, intake);
                if let Some(delta) = event.delta {
                    take_stop(delta.stop_reason, delta.stop_sequence, intake)?;
                }
            }
            "message_stop" => intake.done(),
            // `ping`, and what may be added: <https://docs.claude.com/en/api/versioning>.
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError> {
        let mut message: Message = read_whole(body)?;
        if let Some(error) = message.error.take().filter(|error| !error.is_null()) {
            return Err(fault::from_object(&error));
        }
        if message.r#type.as_deref().is_some_and(|kind| kind != "message") {
            return Err(malformed("the reply is no message"));
        }
        self.begin(&message, intake);
        for (slot, block) in (0..).zip(message.content.unwrap_or_default()) {
            take_block(block, slot, true, intake)?;
            intake.end_call(slot);
        }
        take_stop(message.stop_reason, message.stop_sequence, intake)
    }
}

impl Decoder {
    fn begin(&mut self, message: &Message, intake: &mut Intake) {
        intake.chunk();
        intake.model(message.model.as_deref().unwrap_or_default());
        self.count(message.usage, intake);
    }

    /// This wire counts tokens of the cache apart from those read; ours are parts of them.
    fn count(&mut self, news: Option<Counts>, intake: &mut Intake) {
        let Some(news) = news else { return };
        let old = self.usage;
        self.usage = Counts {
            input_tokens: news.input_tokens.or(old.input_tokens),
            output_tokens: news.output_tokens.or(old.output_tokens),
            cache_read_input_tokens: news.cache_read_input_tokens.or(old.cache_read_input_tokens),
            cache_creation_input_tokens: news
                .cache_creation_input_tokens
                .or(old.cache_creation_input_tokens),
        };
        let Some(input) = self.usage.input_tokens else {
            // llama.cpp leaves the beginning of a message out now and then.
            if let Some(output) = self.usage.output_tokens {
                intake.set_output(output);
            }
            return;
        };
        let cached_input = self.usage.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.usage.cache_creation_input_tokens.unwrap_or(0);
        intake.set_usage(TokenUsage {
            input: input.saturating_add(cached_input).saturating_add(cache_write),
            output: self.usage.output_tokens.unwrap_or(0),
            cached_input,
            cache_write,
            ..TokenUsage::default()
        });
    }
}

/// A block as a stream begins it, with its input to follow, or a whole one.
fn take_block(
    block: Block,
    slot: u64,
    whole: bool,
    intake: &mut Intake,
) -> Result<(), ProviderError> {
    intake.chunk();
    match block.r#type.as_str() {
        "text" => intake.text(block.text.unwrap_or_default()),
        "thinking" => {
            intake.reasoning(block.thinking.unwrap_or_default());
            intake.signature(block.signature.unwrap_or_default());
        }
        "tool_use" => {
            intake.tool_call(slot, block.id, block.name.unwrap_or_default(), None)?;
            if whole && let Some(input) = block.input {
                intake.arguments(slot, input.get().to_owned())?;
            }
        }
        // Encrypted thoughts, and tools that run at the provider.
        _ => intake.thinking(),
    }
    Ok(())
}

fn take_stop(
    reason: Option<String>,
    sequence: Option<String>,
    intake: &mut Intake,
) -> Result<(), ProviderError> {
    let Some(reason) = reason else { return Ok(()) };
    intake.finish(match reason.as_str() {
        "end_turn" => StopReason::Stop,
        "stop_sequence" => sequence.map_or(StopReason::Stop, StopReason::StopSequence),
        "tool_use" => StopReason::ToolCalls,
        // `pause_turn`: the provider's own tools take longer, and more could be asked for.
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => StopReason::Length,
        "refusal" => StopReason::ContentFilter,
        other => return Err(malformed(format!("stop_reason is {other}"))),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProviderErrorKind, ReplyEvent,
        reply::{events_of, finish_of},
    };

    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message",
        "role":"assistant","content":[],"model":"claude","stop_reason":null,"stop_sequence":null,
        "usage":{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":7,
        "output_tokens":1}}}"#;

    #[test]
    fn usage_is_joined_from_both_ends() {
        let end = r#"{"type":"message_delta","delta":{"stop_reason":"stop_sequence",
            "stop_sequence":"END"},"usage":{"output_tokens":25}}"#;
        let usage = TokenUsage {
            input: 20,
            output: 25,
            cached_input: 7,
            cache_write: 3,
            ..TokenUsage::default()
        };
        let expected = (StopReason::StopSequence("END".to_owned()), usage, "claude".to_owned());
        assert_eq!(finish_of(Decoder::default(), &[START, end]), expected);
    }

    #[test]
    fn a_message_without_its_beginning_is_read() {
        let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta",
            "text":"a"}}"#;
        let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},
            "usage":{"output_tokens":25}}"#;
        let usage = TokenUsage { output: 25, estimated: true, ..TokenUsage::default() };
        let expected = (StopReason::Stop, usage, "asked".to_owned());
        assert_eq!(finish_of(Decoder::default(), &[text, end]), expected);
    }

    #[test]
    fn blocks_become_text_thoughts_and_calls() {
        let chunks = [
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking",
                "thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta",
                "thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta",
                "signature":"abc"}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use",
                "id":"toolu_1","name":"look","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",
                "partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",
                "partial_json":"{\"q\":1}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use",
                "id":"toolu_2","name":"now","input":{}}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"something_new","index":3}"#,
        ];
        let start = |index, id: &str, name: &str| ReplyEvent::ToolCallStart {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            signature: None,
        };
        let piece =
            |index, piece: &str| ReplyEvent::ToolCallArguments { index, piece: piece.to_owned() };
        let expected = [
            ReplyEvent::Reasoning("hm".to_owned()),
            ReplyEvent::ReasoningSignature("abc".to_owned()),
            ReplyEvent::Text("a".to_owned()),
            start(0, "toolu_1", "look"),
            piece(0, r#"{"q":1}"#),
            start(1, "toolu_2", "now"),
            piece(1, "{}"),
        ];
        assert_eq!(events_of(Decoder::default(), &chunks).unwrap(), expected);
    }

    #[test]
    fn errors_in_the_stream_are_told_apart() {
        for (kind, expected) in [
            ("overloaded_error", ProviderErrorKind::Overloaded),
            ("rate_limit_error", ProviderErrorKind::RateLimited { retry_after: None }),
            ("api_error", ProviderErrorKind::Overloaded),
            ("invalid_request_error", ProviderErrorKind::BadRequest),
        ] {
            let error = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"x"}}}}"#);
            let error = events_of(Decoder::default(), &[START, &error]).unwrap_err();
            assert_eq!(error.kind, expected);
        }
        let mut intake = Intake::new(100, Default::default());
        let error = Decoder::default().event("error", "down", &mut intake).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Overloaded);
    }

    #[test]
    fn every_stop_reason_has_a_name_of_ours() {
        for (reason, expected) in [
            ("end_turn", StopReason::Stop),
            ("max_tokens", StopReason::Length),
            ("model_context_window_exceeded", StopReason::Length),
            ("refusal", StopReason::ContentFilter),
        ] {
            let text = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text",
                "text":"a"}}"#;
            let end = format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":null}}"#
            );
            assert_eq!(finish_of(Decoder::default(), &[START, text, &end]).0, expected);
        }
    }
}
