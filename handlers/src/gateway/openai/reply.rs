//! The reply to `POST /v1/chat/completions`, as a stream and as one object:
//! <https://platform.openai.com/docs/api-reference/chat/streaming>,
//! <https://platform.openai.com/docs/api-reference/chat/object>.
//!
//! Thoughts go out as `reasoning_content`, as DeepSeek and vLLM have it. What providers want to be
//! given back goes beside it: the proof of the thoughts as `reasoning_signature`, which is our own
//! name, and that of a call where Google puts it: `extra_content.google.thought_signature`.

use bytes::{Bytes, BytesMut};
use callboard_providers::{ReplyEvent, StopReason, TokenUsage};

use super::error;
use crate::gateway::{Answer, Fault, Head, answer::Call, write};

/// Puts events into the chunks of a stream. Nothing is written before the first event, so that
/// another target can take over until then.
#[derive(Debug)]
pub(crate) struct Encoder {
    out: BytesMut,
    /// The beginning of every chunk, up to the value of `choices`.
    front: String,
    /// The end of every chunk but that with the usage.
    back: &'static str,
    /// For the first chunk: `,"callboard":…`.
    callboard: Option<String>,
    include_usage: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Begun,
    Ended,
}

impl Encoder {
    /// For one stream.
    pub(crate) fn new(head: &Head<'_>, include_usage: bool) -> Self {
        let mut front = BytesMut::with_capacity(192);
        write::raw(&mut front, "data: {\"id\":");
        put_identity(&mut front, head, "chat.completion.chunk", head.model);
        write::raw(&mut front, ",\"choices\":[");
        Self {
            out: BytesMut::with_capacity(1_024),
            front: String::from_utf8_lossy(&front).into_owned(),
            back: if include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" },
            callboard: head.callboard.map(|json| format!("],\"callboard\":{json}")),
            include_usage,
            state: State::New,
        }
    }

    /// Writes an event. Nothing is written after the last one.
    pub(crate) fn push(&mut self, event: &ReplyEvent) {
        match self.state {
            State::Ended => return,
            State::New => self.begin(),
            State::Begun => {}
        }
        match event {
            ReplyEvent::Text(text) => self.delta("{\"content\":", text, "}"),
            ReplyEvent::Reasoning(text) => self.delta("{\"reasoning_content\":", text, "}"),
            ReplyEvent::ReasoningSignature(proof) => {
                self.delta("{\"reasoning_signature\":", proof, "}");
            }
            ReplyEvent::ToolCallStart { index, id, name, signature } => {
                self.open_delta();
                write::raw(&mut self.out, "{\"tool_calls\":[{\"index\":");
                write::number(&mut self.out, index);
                write::raw(&mut self.out, ",");
                put_call(&mut self.out, (id, name, ""), signature.as_deref());
                write::raw(&mut self.out, "]}");
                self.close_delta();
            }
            ReplyEvent::ToolCallArguments { index, piece } => {
                self.open_delta();
                write::raw(&mut self.out, "{\"tool_calls\":[{\"index\":");
                write::number(&mut self.out, index);
                write::raw(&mut self.out, ",\"function\":{\"arguments\":");
                write::string(&mut self.out, piece);
                write::raw(&mut self.out, "}}]}");
                self.close_delta();
            }
            ReplyEvent::Finish { reason, usage, .. } => self.finish(reason, *usage),
        }
    }

    /// Says that the answer was cut: the client must not take it for whole, so no `[DONE]` follows.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        if self.state != State::Ended {
            self.state = State::Ended;
            write::raw(&mut self.out, "data: ");
            error::put_object(&mut self.out, fault);
            write::raw(&mut self.out, "\n\n");
        }
    }

    /// What has been written since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn begin(&mut self) {
        self.state = State::Begun;
        self.open_delta();
        write::raw(&mut self.out, "{\"role\":\"assistant\",\"content\":\"\"}");
        match self.callboard.take() {
            None => self.close_delta(),
            Some(callboard) => {
                write::raw(&mut self.out, ",\"finish_reason\":null}");
                write::raw(&mut self.out, &callboard);
                write::raw(&mut self.out, &self.back[1..]);
            }
        }
    }

    fn delta(&mut self, front: &str, text: &str, back: &str) {
        self.open_delta();
        write::raw(&mut self.out, front);
        write::string(&mut self.out, text);
        write::raw(&mut self.out, back);
        self.close_delta();
    }

    fn open_delta(&mut self) {
        write::raw(&mut self.out, &self.front);
        write::raw(&mut self.out, "{\"index\":0,\"delta\":");
    }

    fn close_delta(&mut self) {
        write::raw(&mut self.out, ",\"finish_reason\":null}");
        write::raw(&mut self.out, self.back);
    }

    fn finish(&mut self, reason: &StopReason, usage: TokenUsage) {
        self.state = State::Ended;
        self.open_delta();
        write::raw(&mut self.out, "{},\"finish_reason\":\"");
        write::raw(&mut self.out, finish_reason(reason));
        write::raw(&mut self.out, "\"}");
        write::raw(&mut self.out, self.back);
        if self.include_usage {
            write::raw(&mut self.out, &self.front);
            write::raw(&mut self.out, "],\"usage\":");
            put_usage(&mut self.out, usage);
            write::raw(&mut self.out, "}\n\n");
        }
        write::raw(&mut self.out, "data: [DONE]\n\n");
    }
}

/// The whole answer as one object, `model` being that which the provider names; `None` while the
/// answer has not ended.
pub(crate) fn whole(head: &Head<'_>, answer: &Answer) -> Option<Bytes> {
    let end = answer.end.as_ref()?;
    let (text, (reasoning, proof)) = (answer.text(), answer.reasoning());
    let mut out = BytesMut::with_capacity(text.len() + reasoning.len() + 512);
    write::raw(&mut out, "{\"id\":");
    put_identity(&mut out, head, "chat.completion", end.model_or(head.model));
    write::raw(&mut out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",");
    write::raw(&mut out, "\"content\":");
    let calls = answer.calls().next().is_some();
    write::optional(&mut out, Some(text.as_str()).filter(|text| !(calls && text.is_empty())));
    write::raw(&mut out, ",\"refusal\":null");
    if !reasoning.is_empty() {
        write::raw(&mut out, ",\"reasoning_content\":");
        write::string(&mut out, &reasoning);
    }
    if let Some(proof) = proof {
        write::raw(&mut out, ",\"reasoning_signature\":");
        write::string(&mut out, proof);
    }
    if calls {
        write::raw(&mut out, ",\"tool_calls\":[");
        for (place, call) in answer.calls().enumerate() {
            write::raw(&mut out, if place == 0 { "{" } else { ",{" });
            let Call { id, name, arguments, signature, .. } = call;
            put_call(&mut out, (id, name, arguments), signature.as_deref());
        }
        write::raw(&mut out, "]");
    }
    write::raw(&mut out, "},\"logprobs\":null,\"finish_reason\":\"");
    write::raw(&mut out, finish_reason(&end.reason));
    write::raw(&mut out, "\"}],\"usage\":");
    put_usage(&mut out, end.usage);
    if let Some(callboard) = head.callboard {
        write::raw(&mut out, ",\"callboard\":");
        write::raw(&mut out, callboard);
    }
    write::raw(&mut out, "}");
    Some(out.freeze())
}

fn put_identity(out: &mut BytesMut, head: &Head<'_>, object: &str, model: &str) {
    write::string(out, head.id);
    write::raw(out, ",\"object\":\"");
    write::raw(out, object);
    write::raw(out, "\",\"created\":");
    write::number(out, head.created);
    write::raw(out, ",\"model\":");
    write::string(out, model);
}

/// The rest of a call: its id, name and arguments.
fn put_call(out: &mut BytesMut, call: (&str, &str, &str), signature: Option<&str>) {
    let (id, name, arguments) = call;
    write::raw(out, "\"id\":");
    write::string(out, id);
    write::raw(out, ",\"type\":\"function\",\"function\":{\"name\":");
    write::string(out, name);
    write::raw(out, ",\"arguments\":");
    write::string(out, arguments);
    write::raw(out, "}");
    if let Some(signature) = signature {
        write::raw(out, ",\"extra_content\":{\"google\":{\"thought_signature\":");
        write::string(out, signature);
        write::raw(out, "}}");
    }
    write::raw(out, "}");
}

fn put_usage(out: &mut BytesMut, usage: TokenUsage) {
    write::raw(out, "{\"prompt_tokens\":");
    write::number(out, usage.input);
    write::raw(out, ",\"completion_tokens\":");
    write::number(out, usage.output);
    write::raw(out, ",\"total_tokens\":");
    write::number(out, usage.input.saturating_add(usage.output));
    write::raw(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    write::number(out, usage.cached_input);
    if usage.cache_write > 0 {
        // OpenRouter's name; OpenAI has none.
        write::raw(out, ",\"cache_write_tokens\":");
        write::number(out, usage.cache_write);
    }
    write::raw(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
    write::number(out, usage.reasoning);
    write::raw(out, "}}");
}

fn finish_reason(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::Stop | StopReason::StopSequence(_) => "stop",
        StopReason::Length => "length",
        StopReason::ToolCalls => "tool_calls",
        StopReason::ContentFilter => "content_filter",
    }
}

#[cfg(test)]
mod tests;
