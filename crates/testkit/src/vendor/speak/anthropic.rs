//! Anthropic's messages.

use serde_json::{Value, json};

use super::{Piece, Speak, arguments_of, halves, named};
use crate::vendor::reply::Stream;

#[derive(Default)]
pub(super) struct Anthropic {
    /// The blocks that were begun.
    blocks: u64,
    open: Option<&'static str>,
}

impl Anthropic {
    /// Ends the open block.
    fn close(&mut self, stream: &Stream) -> String {
        let Some(kind) = self.open.take() else { return String::new() };
        let mut out = String::new();
        if kind == "thinking" {
            let proof = json!({"type": "signature_delta", "signature": "fake"});
            out += &self.delta(stream, &proof);
        }
        out + &named(stream, &json!({"type": "content_block_stop", "index": self.blocks - 1}))
    }

    /// Begins a block, unless one of this kind is open and may go on.
    fn enter(&mut self, stream: &Stream, kind: &'static str, block: &Value) -> String {
        if self.open == Some(kind) && kind != "tool_use" {
            return String::new();
        }
        let text = self.close(stream);
        self.open = Some(kind);
        self.blocks += 1;
        let index = self.blocks - 1;
        let event = json!({"type": "content_block_start", "index": index, "content_block": block});
        text + &named(stream, &event)
    }

    fn delta(&self, stream: &Stream, delta: &Value) -> String {
        let index = self.blocks - 1;
        let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
        named(stream, &event)
    }
}

impl Speak for Anthropic {
    fn begin(&mut self, stream: &Stream) -> String {
        let mut message = json!({"id": "msg_fake", "type": "message", "role": "assistant",
            "model": stream.model, "content": [], "stop_reason": null, "stop_sequence": null});
        if let Some(usage) = usage(stream, 1) {
            message["usage"] = usage;
        }
        named(stream, &json!({"type": "message_start", "message": message}))
    }

    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String {
        match piece {
            Piece::Text(text) => {
                let begin = self.enter(stream, "text", &json!({"type": "text", "text": ""}));
                begin + &self.delta(stream, &json!({"type": "text_delta", "text": text}))
            }
            Piece::Reasoning(text) => {
                let block = json!({"type": "thinking", "thinking": "", "signature": ""});
                let begin = self.enter(stream, "thinking", &block);
                begin + &self.delta(stream, &json!({"type": "thinking_delta", "thinking": text}))
            }
            Piece::Call(_, call) => {
                let block =
                    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
                let mut out = self.enter(stream, "tool_use", &block);
                for piece in halves(&call.arguments) {
                    let delta = json!({"type": "input_json_delta", "partial_json": piece});
                    out += &self.delta(stream, &delta);
                }
                out
            }
        }
    }

    fn malformed(&self, stream: &Stream) -> String {
        format!(
            "event: content_block_delta{0}data: {{\"type\":\"content_block_d{0}{0}",
            stream.newline
        )
    }

    fn ping(&self, stream: &Stream) -> String {
        named(stream, &json!({"type": "ping"}))
    }

    fn error(&self, stream: &Stream, error: &Value) -> String {
        let mut error = error.clone();
        if error["type"].as_str().is_none() {
            let code = error["code"].as_str().unwrap_or("api_error").to_owned();
            error = json!({"type": code, "message": super::message_of(&error)});
        }
        named(stream, &json!({"type": "error", "error": error}))
    }

    fn finish(&mut self, stream: &Stream) -> String {
        let mut out = self.close(stream);
        if let Some(reason) = stop_reason(stream) {
            let mut event = json!({"type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": null}});
            if let Some((_, output)) = stream.usage {
                event["usage"] = json!({"output_tokens": output});
            }
            out += &named(stream, &event);
        }
        out
    }

    fn done(&self, stream: &Stream) -> String {
        named(stream, &json!({"type": "message_stop"}))
    }

    fn whole(&self, stream: &Stream) -> Value {
        let mut content = Vec::new();
        if !stream.reasoning.is_empty() {
            content.push(json!({"type": "thinking", "thinking": stream.reasoning.concat(),
                "signature": "fake"}));
        }
        if !stream.text().is_empty() {
            content.push(json!({"type": "text", "text": stream.text()}));
        }
        content.extend(stream.calls.iter().map(|call| {
            json!({"type": "tool_use", "id": call.id, "name": call.name,
                "input": arguments_of(call)})
        }));
        let mut message = json!({"id": "msg_fake", "type": "message", "role": "assistant",
            "model": stream.model, "content": content, "stop_reason": stop_reason(stream),
            "stop_sequence": null});
        if let Some((_, output)) = stream.usage
            && let Some(usage) = usage(stream, output)
        {
            message["usage"] = usage;
        }
        message
    }
}

fn stop_reason(stream: &Stream) -> Option<&str> {
    Some(match stream.finish_reason()? {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    })
}

/// This wire counts the tokens of the cache apart.
fn usage(stream: &Stream, output: u64) -> Option<Value> {
    let (input, _) = stream.usage?;
    let fresh = input.saturating_sub(stream.cached_input + stream.cache_write);
    Some(json!({"input_tokens": fresh, "cache_read_input_tokens": stream.cached_input,
        "cache_creation_input_tokens": stream.cache_write, "output_tokens": output}))
}
