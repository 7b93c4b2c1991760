//! Gemini's `generateContent`.

use serde_json::{Value, json};

use super::{Piece, Speak, arguments_of, data};
use crate::vendor::reply::{Call, Stream};

pub(super) struct Gemini;

impl Speak for Gemini {
    fn begin(&mut self, _stream: &Stream) -> String {
        String::new()
    }

    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String {
        let part = match piece {
            Piece::Text(text) => json!({"text": text}),
            Piece::Reasoning(text) => json!({"text": text, "thought": true}),
            Piece::Call(_, call) => call_out(call),
        };
        data(stream, &chunk(stream, &[part], None))
    }

    fn malformed(&self, stream: &Stream) -> String {
        format!("data: {{\"candidates\": [{{\"content\": {{\"pa{0}{0}", stream.newline)
    }

    fn error(&self, stream: &Stream, error: &Value) -> String {
        data(stream, &json!({"error": error}))
    }

    fn finish(&mut self, stream: &Stream) -> String {
        if stream.finish.is_none() {
            return String::new();
        }
        data(stream, &ended(stream, &[json!({"text": ""})]))
    }

    fn whole(&self, stream: &Stream) -> Value {
        let mut parts = Vec::new();
        if !stream.reasoning.is_empty() {
            parts.push(json!({"text": stream.reasoning.concat(), "thought": true}));
        }
        if !stream.text().is_empty() {
            parts.push(json!({"text": stream.text()}));
        }
        parts.extend(stream.calls.iter().map(call_out));
        ended(stream, &parts)
    }
}

/// The wire has ids for calls, and not every model uses them.
fn call_out(call: &Call) -> Value {
    json!({"functionCall": {"name": call.name, "args": arguments_of(call), "id": call.id},
        "thoughtSignature": "ZmFrZQ=="})
}

fn chunk(stream: &Stream, parts: &[Value], reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    json!({"candidates": [candidate], "modelVersion": stream.model, "responseId": "fake"})
}

fn ended(stream: &Stream, parts: &[Value]) -> Value {
    let reason = stream.finish_reason().map(|reason| match reason {
        "stop" | "tool_calls" => "STOP",
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        other => other,
    });
    let mut end = chunk(stream, parts, reason);
    if let Some((input, output)) = stream.usage {
        // Thoughts are counted apart.
        let thoughts = stream.reasoning_tokens.min(output);
        end["usageMetadata"] = json!({"promptTokenCount": input,
            "candidatesTokenCount": output - thoughts, "thoughtsTokenCount": thoughts,
            "cachedContentTokenCount": stream.cached_input, "totalTokenCount": input + output});
    }
    end
}
