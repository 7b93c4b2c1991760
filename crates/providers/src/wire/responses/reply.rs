//! A reply of the responses wire.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    ProviderError, ProviderErrorKind, StopReason, TokenUsage, fault,
    reply::{Decode, Intake, malformed},
    wire::{read_chunk, read_whole},
};

/// Reads one reply.
#[derive(Debug)]
pub(super) struct Decoder;

/// An event of a stream; every one has a `type`, and each uses some of these.
#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    delta: Option<Value>,
    #[serde(default)]
    item: Option<Item>,
    #[serde(default)]
    response: Option<Response>,
}

/// A whole response, or as much as there is of one.
#[derive(Debug, Default, Deserialize)]
struct Response {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    output: Option<Vec<Item>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    r#type: String,
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default)]
    content: Option<Vec<Part>>,
    #[serde(default)]
    summary: Option<Vec<Part>>,
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError> {
        if data.trim() == "[DONE]" {
            intake.done();
            return Ok(());
        }
        let Some(event) = read_chunk::<Event>(data) else {
            return if name == "error" { Err(fault::from_event(data)) } else { Ok(()) };
        };
        let slot = event.output_index.unwrap_or(0);
        match event.r#type.as_str() {
            "error" => return Err(fault::from_event(data)),
            "response.output_text.delta" | "response.refusal.delta" => {
                intake.chunk();
                intake.text(text_of(event.delta));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                intake.chunk();
                intake.reasoning(text_of(event.delta));
            }
            "response.output_item.added" => {
                if let Some(item) = event.item {
                    begin_item(item, slot, intake)?;
                }
            }
            "response.function_call_arguments.delta" => {
                intake.arguments(slot, text_of(event.delta))?;
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    end_item(item, slot, intake)?;
                }
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                finish(event.response.unwrap_or_default(), intake)?;
                intake.done();
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                intake.chunk();
                let model = event.response.and_then(|response| response.model);
                intake.model(&model.unwrap_or_default());
            }
            // The ends of parts, whose text has come, and what may be added.
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError> {
        let mut response: Response = read_whole(body)?;
        for (slot, item) in (0..).zip(response.output.take().unwrap_or_default()) {
            for part in item.summary.iter().flatten() {
                intake.reasoning(part.text.clone().unwrap_or_default());
            }
            if item.r#type == "message" {
                for part in item.content.iter().flatten() {
                    let text = part.text.clone().or_else(|| part.refusal.clone());
                    intake.text(text.unwrap_or_default());
                }
            }
            end_item(item, slot, intake)?;
        }
        finish(response, intake)
    }
}

fn text_of(delta: Option<Value>) -> String {
    match delta {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn begin_item(item: Item, slot: u64, intake: &mut Intake) -> Result<(), ProviderError> {
    intake.chunk();
    intake.thinking();
    if item.r#type == "function_call" {
        intake.tool_call(slot, item.call_id, item.name.unwrap_or_default(), None)?;
    }
    Ok(())
}

/// The end of an item repeats it whole: what a server did not stream is taken from there.
fn end_item(item: Item, slot: u64, intake: &mut Intake) -> Result<(), ProviderError> {
    intake.chunk();
    if item.r#type != "function_call" {
        return Ok(());
    }
    if !intake.has_call(slot) {
        intake.tool_call(slot, item.call_id, item.name.unwrap_or_default(), None)?;
    }
    if !intake.has_arguments(slot) {
        intake.arguments(slot, item.arguments.unwrap_or_default())?;
    }
    intake.end_call(slot);
    Ok(())
}

fn finish(response: Response, intake: &mut Intake) -> Result<(), ProviderError> {
    intake.chunk();
    if let Some(error) = response.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    intake.model(response.model.as_deref().unwrap_or_default());
    if let Some(usage) = response.usage.as_ref().and_then(read_usage) {
        intake.set_usage(usage);
    }
    let detail = response.incomplete_details.and_then(|details| details.reason);
    intake.finish(match (response.status.as_deref(), detail.as_deref()) {
        (Some("completed"), _) => StopReason::Stop,
        (Some("incomplete"), Some("content_filter")) => StopReason::ContentFilter,
        (Some("incomplete"), _) => StopReason::Length,
        (Some("failed"), _) => return Err(ProviderErrorKind::Overloaded.into()),
        (Some("cancelled"), _) => return Err(ProviderErrorKind::Interrupted.into()),
        (status, _) => return Err(malformed(format!("the response's status is {status:?}"))),
    });
    Ok(())
}

fn read_usage(value: &Value) -> Option<TokenUsage> {
    let count = |name: &str| value.get(name).and_then(Value::as_u64);
    let detail = |of: &str, name: &str| value.get(of)?.get(name)?.as_u64();
    Some(TokenUsage {
        input: count("input_tokens")?,
        output: count("output_tokens").unwrap_or(0),
        cached_input: detail("input_tokens_details", "cached_tokens").unwrap_or(0),
        cache_write: detail("input_tokens_details", "cache_write_tokens").unwrap_or(0),
        reasoning: detail("output_tokens_details", "reasoning_tokens").unwrap_or(0),
        ..TokenUsage::default()
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
    fn items_become_text_thoughts_and_calls() {
        let chunks = [
            r#"{"type":"response.created","response":{"model":"gpt","status":"in_progress"}}"#,
            r#"{"type":"response.reasoning_summary_text.delta","delta":"hm","output_index":0}"#,
            r#"{"type":"response.output_text.delta","delta":"a","output_index":1}"#,
            r#"{"type":"response.output_text.done","text":"a","output_index":1}"#,
            r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call",
                "call_id":"c1","name":"look","arguments":""}}"#,
            r#"{"type":"response.function_call_arguments.delta","delta":"{}","output_index":2}"#,
            r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call",
                "call_id":"c1","name":"look","arguments":"{}"}}"#,
            r#"{"type":"response.output_item.done","output_index":3,"item":{"type":"function_call",
                "call_id":"c2","name":"now","arguments":"{\"a\":1}"}}"#,
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
            ReplyEvent::Text("a".to_owned()),
            start(0, "c1", "look"),
            piece(0, "{}"),
            start(1, "c2", "now"),
            piece(1, r#"{"a":1}"#),
        ];
        assert_eq!(events_of(Decoder, &chunks).unwrap(), expected);
    }

    #[test]
    fn the_end_says_why_and_what_was_used() {
        let text = r#"{"type":"response.output_text.delta","delta":"a"}"#;
        for (status, details, expected) in [
            ("completed", "null", StopReason::Stop),
            ("incomplete", r#"{"reason":"max_output_tokens"}"#, StopReason::Length),
            ("incomplete", r#"{"reason":"content_filter"}"#, StopReason::ContentFilter),
        ] {
            let end = format!(
                r#"{{"type":"response.{status}","response":{{"status":"{status}","model":"gpt",
                "error":null,"incomplete_details":{details},"usage":{{"input_tokens":9,
                "input_tokens_details":{{"cached_tokens":4}},"output_tokens":3,
                "output_tokens_details":{{"reasoning_tokens":2}}}}}}}}"#
            );
            let usage = TokenUsage {
                input: 9,
                output: 3,
                cached_input: 4,
                reasoning: 2,
                ..TokenUsage::default()
            };
            let found = finish_of(Decoder, &[text, &end]);
            assert_eq!(found, (expected, usage, "gpt".to_owned()));
        }
    }

    #[test]
    fn failures_are_told_apart() {
        for (event, expected) in [
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{
                    "code":"server_error","message":"x"}}}"#,
                ProviderErrorKind::Overloaded,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{
                    "code":"rate_limit_exceeded","message":"x"}}}"#,
                ProviderErrorKind::RateLimited { retry_after: None },
            ),
            (
                r#"{"type":"error","code":"context_length_exceeded","message":"x"}"#,
                ProviderErrorKind::ContextTooLong,
            ),
            (r#"{"type":"response.completed","response":{}}"#, ProviderErrorKind::Malformed),
        ] {
            assert_eq!(events_of(Decoder, &[event]).unwrap_err().kind, expected, "{event}");
        }
    }
}
