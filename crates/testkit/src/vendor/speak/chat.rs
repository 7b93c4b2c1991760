//! Chat completions.

use serde_json::{Value, json};

use super::{Piece, Speak, data, halves};
use crate::vendor::reply::{Call, Stream};

pub(super) struct Chat;

impl Speak for Chat {
    fn begin(&mut self, stream: &Stream) -> String {
        if stream.role_chunk {
            chunk(stream, &json!({"role": "assistant", "content": null}), None)
        } else {
            String::new()
        }
    }

    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String {
        match piece {
            Piece::Text(text) => chunk(stream, &json!({"content": text}), None),
            Piece::Reasoning(text) => chunk(stream, &json!({"reasoning_content": text}), None),
            Piece::Call(index, call) => {
                let call_chunk = |call: Value| chunk(stream, &json!({"tool_calls": [call]}), None);
                let mut text = call_chunk(json!({"index": index, "id": call.id,
                    "type": "function", "function": {"name": call.name, "arguments": ""}}));
                for piece in halves(&call.arguments) {
                    text.push_str(&call_chunk(
                        json!({"index": index, "function": {"arguments": piece}}),
                    ));
                }
                text
            }
        }
    }

    fn malformed(&self, stream: &Stream) -> String {
        format!("data: {{\"choices\": [{{\"delta\": {{\"content\": \"{0}{0}", stream.newline)
    }

    fn error(&self, stream: &Stream, error: &Value) -> String {
        data(stream, &json!({"id": "fake", "error": error, "choices": []}))
    }

    fn finish(&mut self, stream: &Stream) -> String {
        let mut text = String::new();
        if let Some(reason) = stream.finish_reason() {
            text.push_str(&chunk(stream, &json!({}), Some(reason)));
        }
        if let Some(usage) = usage(stream) {
            text.push_str(&data(
                stream,
                &json!({"id": "fake", "object": "chat.completion.chunk", "choices": [],
                    "model": stream.model, "usage": usage}),
            ));
        }
        text
    }

    fn done(&self, stream: &Stream) -> String {
        format!("data: [DONE]{0}{0}", stream.newline)
    }

    fn whole(&self, stream: &Stream) -> Value {
        let call = |call: &Call| {
            json!({"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}})
        };
        let mut message = json!({"role": "assistant", "content": stream.text()});
        if !stream.reasoning.is_empty() {
            message["reasoning_content"] = stream.reasoning.concat().into();
        }
        if !stream.calls.is_empty() {
            message["tool_calls"] = stream.calls.iter().map(call).collect();
        }
        json!({"id": "fake", "object": "chat.completion", "model": stream.model,
            "choices": [{"index": 0, "message": message,
                "finish_reason": stream.finish_reason()}],
            "usage": usage(stream)})
    }
}

fn chunk(stream: &Stream, delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
    data(
        stream,
        &json!({"id": "fake", "object": "chat.completion.chunk", "model": stream.model,
            "system_fingerprint": null, "choices": [choice]}),
    )
}

fn usage(stream: &Stream) -> Option<Value> {
    let (input, output) = stream.usage?;
    Some(json!({"prompt_tokens": input, "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": stream.cached_input},
        "completion_tokens_details": {"reasoning_tokens": stream.reasoning_tokens}}))
}
