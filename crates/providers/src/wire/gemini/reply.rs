//! A reply of the Gemini wire: chunks of one form, which a whole reply has, too.
//!
//! The wire has no word for the end: the reason of the end stands in the last chunk, and the body
//! ends.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    ProviderError, ProviderErrorKind, StopReason, TokenUsage, fault,
    reply::{Decode, Intake, malformed},
    wire::{read_chunk, read_whole},
};

/// Reads one reply.
#[derive(Debug)]
pub(super) struct Decoder;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    usage_metadata: Option<Counts>,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Option<Vec<Part>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(default)]
    function_call: Option<FunctionCall>,
}

#[derive(Debug, Deserialize)]
struct FunctionCall {
    #[serde(default)]
    id: Option<String>,
    name: String,
    #[serde(default)]
    args: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(default)]
    prompt_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    #[serde(default)]
    thoughts_token_count: u64,
    #[serde(default)]
    cached_content_token_count: u64,
    #[serde(default)]
    tool_use_prompt_token_count: u64,
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError> {
        if name == "error" {
            return Err(fault::from_event(data));
        }
        read_chunk::<Chunk>(data).map_or(Ok(()), |chunk| take(chunk, intake))
    }

    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError> {
        // Without `alt=sse`, as some proxies have it, a stream is one list of chunks.
        if body.trim_ascii_start().starts_with(b"[") {
            for chunk in read_whole::<Vec<Chunk>>(body)? {
                take(chunk, intake)?;
            }
            return Ok(());
        }
        take(read_whole(body)?, intake)
    }
}

fn take(chunk: Chunk, intake: &mut Intake) -> Result<(), ProviderError> {
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    if let Some(reason) = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason) {
        return Err(ProviderError::new(ProviderErrorKind::ContentFiltered)
            .because(format!("promptFeedback.blockReason is {reason}")));
    }
    intake.chunk();
    intake.model(chunk.model_version.as_deref().unwrap_or_default());
    if let Some(counts) = chunk.usage_metadata {
        intake.set_usage(counts.into());
    }
    // Candidates but the first were not asked for.
    let candidates = chunk.candidates.unwrap_or_default().into_iter();
    for candidate in candidates.filter(|candidate| candidate.index.unwrap_or(0) == 0) {
        let parts = candidate.content.and_then(|content| content.parts);
        for part in parts.unwrap_or_default() {
            take_part(part, intake)?;
        }
        if let Some(reason) = candidate.finish_reason {
            intake.finish(read_finish(&reason)?);
        }
    }
    Ok(())
}

fn take_part(part: Part, intake: &mut Intake) -> Result<(), ProviderError> {
    let text = part.text.unwrap_or_default();
    if part.thought {
        intake.reasoning(text)
    } else {
        intake.text(text)
    }
    let Some(call) = part.function_call else { return Ok(()) };
    let slot = intake.free_slot();
    intake.tool_call(slot, call.id, call.name, part.thought_signature)?;
    if let Some(arguments) = call.args {
        intake.arguments(slot, arguments.get().to_owned())?;
    }
    intake.end_call(slot);
    Ok(())
}

impl From<Counts> for TokenUsage {
    /// This wire counts thoughts and the results of its own tools apart; ours are in the totals.
    fn from(counts: Counts) -> Self {
        Self {
            input: counts.prompt_token_count.saturating_add(counts.tool_use_prompt_token_count),
            output: counts.candidates_token_count.saturating_add(counts.thoughts_token_count),
            cached_input: counts.cached_content_token_count,
            reasoning: counts.thoughts_token_count,
            ..Self::default()
        }
    }
}

/// <https://ai.google.dev/api/generate-content#FinishReason>.
fn read_finish(reason: &str) -> Result<StopReason, ProviderError> {
    Ok(match reason {
        "STOP" => StopReason::Stop,
        "MAX_TOKENS" => StopReason::Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "IMAGE_SAFETY" => StopReason::ContentFilter,
        // The model called a tool in a way that cannot be read, or broke off.
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "MALFORMED_RESPONSE" => {
            return Err(malformed(format!("finishReason is {reason}")));
        }
        _ => {
            return Err(ProviderError::new(ProviderErrorKind::Interrupted)
                .because(format!("finishReason is {reason}")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReplyEvent,
        reply::{events_of, finish_of},
    };

    #[test]
    fn parts_become_text_thoughts_and_calls() {
        let chunks = [
            r#"{"candidates":[{"content":{"role":"model","parts":[
                {"text":"hm","thought":true}]},"index":0}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"look",
                "args":{"q":1},"id":"c1"},"thoughtSignature":"sig"},{"functionCall":{"name":"now",
                "id":"c2"}}]}}]}"#,
        ];
        let start =
            |index, id: &str, name: &str, signature: Option<&str>| ReplyEvent::ToolCallStart {
                index,
                id: id.to_owned(),
                name: name.to_owned(),
                signature: signature.map(str::to_owned),
            };
        let piece =
            |index, piece: &str| ReplyEvent::ToolCallArguments { index, piece: piece.to_owned() };
        let expected = [
            ReplyEvent::Reasoning("hm".to_owned()),
            ReplyEvent::Text("a".to_owned()),
            start(0, "c1", "look", Some("sig")),
            piece(0, r#"{"q":1}"#),
            start(1, "c2", "now", None),
            piece(1, "{}"),
        ];
        assert_eq!(events_of(Decoder, &chunks).unwrap(), expected);
    }

    #[test]
    fn thoughts_are_counted_as_written() {
        let chunk = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],
            "usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":5,"totalTokenCount":37,
            "thoughtsTokenCount":20,"cachedContentTokenCount":8},"modelVersion":"gemini-x"}"#;
        let usage = TokenUsage {
            input: 12,
            output: 25,
            cached_input: 8,
            reasoning: 20,
            ..TokenUsage::default()
        };
        let expected = (StopReason::Stop, usage, "gemini-x".to_owned());
        assert_eq!(finish_of(Decoder, &[chunk]), expected);
    }

    #[test]
    fn refusals_and_errors_are_told_apart() {
        for (chunk, expected) in [
            (
                r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}"#,
                ProviderErrorKind::ContentFiltered,
            ),
            (
                r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#,
                ProviderErrorKind::Overloaded,
            ),
            (
                r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
                ProviderErrorKind::Malformed,
            ),
            (r#"{"candidates":[{"finishReason":"OTHER"}]}"#, ProviderErrorKind::Interrupted),
        ] {
            assert_eq!(events_of(Decoder, &[chunk]).unwrap_err().kind, expected, "{chunk}");
        }
        assert_eq!(read_finish("SAFETY").unwrap(), StopReason::ContentFilter);
        assert_eq!(read_finish("MAX_TOKENS").unwrap(), StopReason::Length);
    }

    #[test]
    fn a_list_of_chunks_is_read_too() {
        let body = br#" [{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},
            {"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}]}]"#;
        let mut intake = Intake::new(100, Default::default());
        Decoder.whole(body, &mut intake).unwrap();
        assert_eq!(intake.next_event(), Some(ReplyEvent::Text("a".to_owned())));
        assert_eq!(intake.next_event(), Some(ReplyEvent::Text("b".to_owned())));
        assert_eq!(intake.finished(), Some(&StopReason::Stop));
    }
}
