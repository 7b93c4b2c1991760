//! Responses.

use serde_json::{Value, json};

use super::{Piece, Speak, halves, named};
use crate::vendor::reply::Stream;

#[derive(Default)]
pub(super) struct Responses {
    /// The items of the answer so far.
    items: u64,
    /// The message that is being written.
    message: Option<u64>,
}

impl Responses {
    fn next_item(&mut self) -> u64 {
        self.items += 1;
        self.items - 1
    }
}

impl Speak for Responses {
    fn begin(&mut self, stream: &Stream) -> String {
        let response = json!({"id": "resp_fake", "object": "response", "status": "in_progress",
            "model": stream.model, "output": [], "usage": null, "error": null,
            "incomplete_details": null});
        named(stream, &json!({"type": "response.created", "response": response}))
    }

    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String {
        let added = |at: u64, item: Value| {
            let event = "response.output_item.added";
            named(stream, &json!({"type": event, "output_index": at, "item": item}))
        };
        match piece {
            Piece::Reasoning(text) => named(
                stream,
                &json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_fake",
                    "output_index": self.items, "summary_index": 0, "delta": text}),
            ),
            Piece::Text(text) => {
                let mut out = String::new();
                let at = *self.message.get_or_insert_with(|| {
                    let at = self.items;
                    self.items += 1;
                    out = added(
                        at,
                        json!({"type": "message", "id": "msg_fake", "role": "assistant",
                            "status": "in_progress", "content": []}),
                    );
                    at
                });
                let event = "response.output_text.delta";
                out + &named(
                    stream,
                    &json!({"type": event, "item_id": "msg_fake", "output_index": at,
                        "content_index": 0, "delta": text}),
                )
            }
            Piece::Call(_, call) => {
                let at = self.next_item();
                let mut item = json!({"type": "function_call", "id": format!("fc_{at}"),
                    "call_id": call.id, "name": call.name, "arguments": "",
                    "status": "in_progress"});
                let mut out = added(at, item.clone());
                for piece in halves(&call.arguments) {
                    let event = "response.function_call_arguments.delta";
                    out += &named(
                        stream,
                        &json!({"type": event, "item_id": item["id"], "output_index": at,
                            "delta": piece}),
                    );
                }
                item["arguments"] = call.arguments.clone().into();
                let event = "response.output_item.done";
                out + &named(stream, &json!({"type": event, "output_index": at, "item": item}))
            }
        }
    }

    fn malformed(&self, stream: &Stream) -> String {
        format!("data: {{\"type\":\"response.output_text.delta\",\"del{0}{0}", stream.newline)
    }

    fn error(&self, stream: &Stream, error: &Value) -> String {
        let code = error["code"].clone();
        let message = super::message_of(error);
        named(stream, &json!({"type": "error", "code": code, "message": message, "param": null}))
    }

    fn finish(&mut self, stream: &Stream) -> String {
        let response = self.whole(stream);
        let Some(status) = response["status"].as_str() else { return String::new() };
        let event = format!("response.{status}");
        named(stream, &json!({"type": event, "response": response}))
    }

    fn whole(&self, stream: &Stream) -> Value {
        let mut output = Vec::new();
        if !stream.reasoning.is_empty() {
            let text = stream.reasoning.concat();
            output.push(json!({"type": "reasoning", "id": "rs_fake",
                "summary": [{"type": "summary_text", "text": text}]}));
        }
        if !stream.text().is_empty() {
            let content = json!([{"type": "output_text", "text": stream.text(),
                "annotations": []}]);
            output.push(json!({"type": "message", "id": "msg_fake", "role": "assistant",
                "status": "completed", "content": content}));
        }
        output.extend(stream.calls.iter().map(|call| {
            json!({"type": "function_call", "call_id": call.id, "name": call.name,
                "arguments": call.arguments, "status": "completed"})
        }));
        let (status, why) = match stream.finish_reason() {
            None => (None, None),
            Some("length") => (Some("incomplete"), Some("max_output_tokens")),
            Some("content_filter") => (Some("incomplete"), Some("content_filter")),
            Some("error") => (Some("failed"), None),
            Some(_) => (Some("completed"), None),
        };
        let usage = stream.usage.map(|(input, output)| {
            json!({"input_tokens": input, "output_tokens": output,
                "total_tokens": input + output,
                "input_tokens_details": {"cached_tokens": stream.cached_input},
                "output_tokens_details": {"reasoning_tokens": stream.reasoning_tokens}})
        });
        json!({"id": "resp_fake", "object": "response", "status": status, "model": stream.model,
            "output": output, "usage": usage, "error": null,
            "incomplete_details": why.map(|reason| json!({"reason": reason}))})
    }
}
