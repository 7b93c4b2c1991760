//! A reply of the chat completions wire, read as generously as its many servers demand: unknown
//! fields are skipped, and absent ones and `null` are the same.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    ProviderError, ProviderErrorKind, StopReason, TokenUsage, fault,
    reply::{Decode, Intake},
    wire::{read_chunk, read_whole},
};

/// Reads one reply.
#[derive(Debug)]
pub(in crate::wire) struct Decoder;

/// A chunk of a streamed reply, or the whole of one that is not streamed.
#[derive(Debug, Default, Deserialize)]
struct Chunk {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    delta: Option<Part>,
    #[serde(default)]
    message: Option<Part>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Part {
    #[serde(default)]
    content: Option<Value>,
    #[serde(default)]
    refusal: Option<Value>,
    /// OpenRouter's and vLLM's name for thoughts.
    #[serde(default)]
    reasoning: Option<Value>,
    /// DeepSeek's and llama.cpp's.
    #[serde(default)]
    reasoning_content: Option<Value>,
    #[serde(default)]
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Debug, Default, Deserialize)]
struct CallPiece {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionPiece>,
}

#[derive(Debug, Default, Deserialize)]
struct FunctionPiece {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<Value>,
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError> {
        if data.trim() == "[DONE]" {
            // Some servers say no more than this.
            if intake.any_chunk() && intake.finished().is_none() {
                intake.finish(StopReason::Stop);
            }
            intake.done();
            return Ok(());
        }
        if name == "error" {
            return Err(fault::from_event(data));
        }
        read_chunk::<Chunk>(data).map_or(Ok(()), |chunk| take(chunk, intake))
    }

    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError> {
        take(read_whole(body)?, intake)
    }
}

fn take(chunk: Chunk, intake: &mut Intake) -> Result<(), ProviderError> {
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    intake.chunk();
    if let Some(model) = &chunk.model {
        intake.model(model);
    }
    if let Some(usage) = chunk.usage.as_ref().and_then(read_usage) {
        intake.set_usage(usage);
    }
    // Choices but the first were not asked for.
    let choices = chunk.choices.unwrap_or_default().into_iter();
    for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
        for part in [choice.delta, choice.message].into_iter().flatten() {
            take_part(part, intake)?;
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            let Some(reason) = read_finish(&reason) else {
                return Err(ProviderError::new(ProviderErrorKind::Interrupted)
                    .because(format!("finish_reason is {reason}")));
            };
            intake.finish(reason);
        }
    }
    Ok(())
}

fn take_part(part: Part, intake: &mut Intake) -> Result<(), ProviderError> {
    let thought = [part.reasoning_content, part.reasoning].into_iter().flatten();
    if let Some(thought) = thought.map(text_of).find(|text| !text.is_empty()) {
        intake.reasoning(thought);
    }
    for text in [part.content, part.refusal].into_iter().flatten() {
        intake.text(text_of(text));
    }
    for piece in part.tool_calls.unwrap_or_default() {
        take_call(piece, intake)?;
    }
    Ok(())
}

/// Servers agree that a call begins with its name, and on little else: some leave out the index,
/// some give all calls the same, some repeat the name with every piece.
fn take_call(piece: CallPiece, intake: &mut Intake) -> Result<(), ProviderError> {
    let function = piece.function.unwrap_or_default();
    let name = function.name.filter(|name| !name.is_empty());
    let id = piece.id.filter(|id| !id.is_empty());
    let mut slot = piece.index.or_else(|| intake.last_slot()).unwrap_or(0);
    if let Some(name) = name {
        let same_id = id.is_none() || intake.call_id(slot) == id.as_deref();
        let repeated = intake.has_call(slot) && same_id && piece.index.is_some();
        if !repeated {
            if intake.has_call(slot) {
                slot = intake.free_slot();
            }
            intake.tool_call(slot, id, name, None)?;
        }
    }
    match function.arguments {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(piece)) => intake.arguments(slot, piece),
        Some(object) => intake.arguments(slot, object.to_string()),
    }
}

/// A string, or a list of parts of which some hold text.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

fn read_usage(value: &Value) -> Option<TokenUsage> {
    let count = |name: &str| value.get(name).and_then(Value::as_u64);
    let detail = |of: &str, name: &str| value.get(of)?.get(name)?.as_u64();
    let cached = detail("prompt_tokens_details", "cached_tokens")
        // DeepSeek's name.
        .or_else(|| count("prompt_cache_hit_tokens"));
    Some(TokenUsage {
        input: count("prompt_tokens")?,
        output: count("completion_tokens").unwrap_or(0),
        cached_input: cached.unwrap_or(0),
        cache_write: detail("prompt_tokens_details", "cache_write_tokens").unwrap_or(0),
        reasoning: detail("completion_tokens_details", "reasoning_tokens").unwrap_or(0),
        estimated: false,
    })
}

/// Why an answer ended, in our words; `None` when the provider says that it broke off.
fn read_finish(reason: &str) -> Option<StopReason> {
    match reason {
        "length" | "max_tokens" | "model_length" => Some(StopReason::Length),
        "content_filter" | "safety" => Some(StopReason::ContentFilter),
        "tool_calls" | "function_call" => Some(StopReason::ToolCalls),
        "error" | "insufficient_system_resource" | "abort" => None,
        // `stop`, and the names that other servers have for it.
        _ => Some(StopReason::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReplyEvent,
        reply::{events_of, finish_of},
    };

    #[test]
    fn null_and_unknown_fields_are_nothing() {
        let json = r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,
            "tool_calls":null},"finish_reason":null,"logprobs":{}}],"usage":null,"error":null}"#;
        for json in [json, "{}", r#"{"choices":null}"#] {
            assert_eq!(events_of(Decoder, &[json]).unwrap(), []);
        }
    }

    #[test]
    fn text_may_come_in_parts() {
        let json =
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}]}"#;
        assert_eq!(events_of(Decoder, &[json]).unwrap(), [ReplyEvent::Text("ab".to_owned())]);
    }

    #[test]
    fn thoughts_are_not_the_answer() {
        let json = r#"{"choices":[{"delta":{"content":"","reasoning_content":"hm",
            "reasoning":"hm"}}]}"#;
        let expected = [ReplyEvent::Reasoning("hm".to_owned())];
        assert_eq!(events_of(Decoder, &[json]).unwrap(), expected);
    }

    #[test]
    fn only_the_first_choice_counts() {
        let json = r#"{"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"length"},
            {"index":0,"delta":{"content":"yes"}}]}"#;
        assert_eq!(events_of(Decoder, &[json]).unwrap(), [ReplyEvent::Text("yes".to_owned())]);
    }

    #[test]
    fn calls_are_told_apart_however_a_server_numbers_them() {
        let call = |index: &str, id: &str, name: &str, arguments: &str| {
            let id = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
            let name = if name.is_empty() { String::new() } else { format!(r#""name":"{name}","#) };
            format!(
                r#"{{"choices":[{{"delta":{{"tool_calls":[{{{index}{id}"function":
                {{{name}"arguments":"{arguments}"}}}}]}}}}]}}"#
            )
        };
        let openai = [
            call(r#""index":0,"#, "a", "look", ""),
            call(r#""index":0,"#, "", "", "{}"),
            call(r#""index":1,"#, "b", "count", "{}"),
        ];
        let without_index =
            [call("", "a", "look", ""), call("", "", "", "{}"), call("", "b", "count", "{}")];
        let same_index =
            [call(r#""index":0,"#, "a", "look", "{}"), call(r#""index":0,"#, "b", "count", "{}")];
        let repeated = [
            call(r#""index":0,"#, "a", "look", ""),
            call(r#""index":0,"#, "a", "look", "{}"),
            call(r#""index":1,"#, "b", "count", "{}"),
        ];
        let start = |index, id: &str, name: &str| ReplyEvent::ToolCallStart {
            index,
            id: id.to_owned(),
            name: name.to_owned(),
            signature: None,
        };
        let piece = |index| ReplyEvent::ToolCallArguments { index, piece: "{}".to_owned() };
        let expected = [start(0, "a", "look"), piece(0), start(1, "b", "count"), piece(1)];
        for chunks in [&openai[..], &without_index, &same_index, &repeated] {
            let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
            assert_eq!(events_of(Decoder, &chunks).unwrap(), expected, "{chunks:?}");
        }
    }

    #[test]
    fn arguments_of_no_call_are_a_fault() {
        let json = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,
            "function":{"arguments":"{}"}}]}}]}"#;
        let error = events_of(Decoder, &[json]).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Malformed);
    }

    #[test]
    fn usage_is_read_to_its_details() {
        let json = r#"{"model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":30,"completion_tokens":9,"total_tokens":39,
            "prompt_tokens_details":{"cached_tokens":20},
            "completion_tokens_details":{"reasoning_tokens":5}}}"#;
        let usage = TokenUsage {
            input: 30,
            output: 9,
            cached_input: 20,
            reasoning: 5,
            ..TokenUsage::default()
        };
        assert_eq!(
            finish_of(Decoder, &[json, "[DONE]"]),
            (StopReason::Stop, usage, "m".to_owned())
        );
    }

    #[test]
    fn finish_reasons_have_names_of_ours() {
        assert_eq!(read_finish("stop"), Some(StopReason::Stop));
        assert_eq!(read_finish("end_turn"), Some(StopReason::Stop));
        assert_eq!(read_finish("tool_calls"), Some(StopReason::ToolCalls));
        assert_eq!(read_finish("length"), Some(StopReason::Length));
        assert_eq!(read_finish("content_filter"), Some(StopReason::ContentFilter));
        assert_eq!(read_finish("error"), None);
    }
}
