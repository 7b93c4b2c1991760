//! Ollama's chat: a JSON object on each line.

use serde_json::{Value, json};

use super::{Piece, Speak, arguments_of};
use crate::vendor::reply::{Call, Stream};

pub(super) struct Ollama;

impl Speak for Ollama {
    fn content_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn begin(&mut self, _stream: &Stream) -> String {
        String::new()
    }

    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String {
        let message = match piece {
            Piece::Text(text) => json!({"role": "assistant", "content": text}),
            Piece::Reasoning(text) => {
                json!({"role": "assistant", "content": "", "thinking": text})
            }
            Piece::Call(_, call) => {
                json!({"role": "assistant", "content": "", "tool_calls": [call_out(call)]})
            }
        };
        let line = json!({"model": stream.model, "created_at": CREATED, "message": message,
            "done": false});
        format!("{line}{}", stream.newline)
    }

    fn malformed(&self, stream: &Stream) -> String {
        format!("{{\"message\": {{\"content\": \"{}", stream.newline)
    }

    fn ping(&self, stream: &Stream) -> String {
        stream.newline.to_owned()
    }

    fn error(&self, stream: &Stream, error: &Value) -> String {
        format!("{}{}", json!({"error": super::message_of(error)}), stream.newline)
    }

    fn finish(&mut self, stream: &Stream) -> String {
        if stream.finish.is_none() {
            return String::new();
        }
        let line = ended(stream, json!({"role": "assistant", "content": ""}));
        format!("{line}{}", stream.newline)
    }

    fn whole(&self, stream: &Stream) -> Value {
        let mut message = json!({"role": "assistant", "content": stream.text()});
        if !stream.reasoning.is_empty() {
            message["thinking"] = stream.reasoning.concat().into();
        }
        if !stream.calls.is_empty() {
            message["tool_calls"] = stream.calls.iter().map(call_out).collect();
        }
        ended(stream, message)
    }
}

const CREATED: &str = "2026-11-21T03:14:15Z";

fn call_out(call: &Call) -> Value {
    json!({"id": call.id, "function": {"name": call.name, "arguments": arguments_of(call)}})
}

fn ended(stream: &Stream, message: Value) -> Value {
    // It has one word for most ends.
    let reason = match stream.finish_reason() {
        Some("tool_calls" | "content_filter") => Some("stop"),
        other => other,
    };
    let mut line = json!({"model": stream.model, "created_at": CREATED, "message": message,
        "done": true, "done_reason": reason, "total_duration": 1});
    if let Some((input, output)) = stream.usage {
        line["prompt_eval_count"] = input.into();
        line["eval_count"] = output.into();
    }
    line
}
