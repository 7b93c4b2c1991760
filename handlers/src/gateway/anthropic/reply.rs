//! The reply to `POST /v1/messages`, as a stream and as one object:
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>,
//! <https://docs.claude.com/en/api/messages>.
//!
//! What the question used is known at the end only, so `message_start` says 0 and the
//! `message_delta` says all; the official clients take the later figures. What Gemini wants back
//! with a call stands in the field `signature` of its block: the vendor has no place for it.

use bytes::{Bytes, BytesMut};
use callboard_providers::{ReplyEvent, StopReason, TokenUsage};

use super::error;
use crate::gateway::{
    Answer, Fault, Head,
    answer::{Block, Call},
    write,
};

/// Puts events into the events of a stream. Nothing is written before the first one, so that
/// another target can take over until then.
#[derive(Debug)]
pub(crate) struct Encoder {
    out: BytesMut,
    /// The first event, until it is written.
    start: Option<BytesMut>,
    /// The block that is open, and its number.
    open: Option<(Kind, u32)>,
    next: u32,
    /// The blocks of the calls, by the calls' own numbers.
    calls: Vec<(u32, u32)>,
    ended: bool,
}

/// A block of thoughts that has only begun.
const NO_THOUGHTS: &str = "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call(u32),
}

impl Encoder {
    /// For one stream.
    pub(crate) fn new(head: &Head<'_>) -> Self {
        let mut start = BytesMut::with_capacity(512);
        write::raw(&mut start, "event: message_start\ndata: ");
        write::raw(&mut start, "{\"type\":\"message_start\",\"message\":");
        put_front(&mut start, head, head.model);
        write::raw(&mut start, "],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
        put_usage(&mut start, TokenUsage::default());
        put_callboard(&mut start, head);
        write::raw(&mut start, "}}\n\n");
        Self {
            out: BytesMut::with_capacity(1_024),
            start: Some(start),
            open: None,
            next: 0,
            calls: Vec::new(),
            ended: false,
        }
    }

    /// Writes an event. Nothing is written after the last one.
    pub(crate) fn push(&mut self, event: &ReplyEvent) {
        if self.ended {
            return;
        }
        if let Some(start) = self.start.take() {
            self.out.unsplit(start);
        }
        match event {
            ReplyEvent::Text(text) => {
                let block = self.in_block(Kind::Text, "{\"type\":\"text\",\"text\":\"\"}");
                self.delta(block, "text_delta\",\"text\":", text);
            }
            ReplyEvent::Reasoning(text) => {
                let block = self.in_block(Kind::Thinking, NO_THOUGHTS);
                self.delta(block, "thinking_delta\",\"thinking\":", text);
            }
            ReplyEvent::ReasoningSignature(proof) => {
                let block = self.in_block(Kind::Thinking, NO_THOUGHTS);
                self.delta(block, "signature_delta\",\"signature\":", proof);
                // What it proves has ended: more thoughts are a block of their own.
                self.close();
            }
            ReplyEvent::ToolCallStart { index, id, name, signature } => {
                let mut empty = BytesMut::with_capacity(128);
                put_call(&mut empty, (id, name, ""), signature.as_deref());
                let block = self.in_block(Kind::Call(*index), &String::from_utf8_lossy(&empty));
                self.calls.push((*index, block));
            }
            ReplyEvent::ToolCallArguments { index, piece } => {
                // A provider may go on with an earlier call: every delta says to which block it
                // belongs, and the official clients go by that.
                let call = self.calls.iter().rfind(|(call, _)| call == index);
                if let Some((_, block)) = call.copied() {
                    self.delta(block, "input_json_delta\",\"partial_json\":", piece);
                }
            }
            ReplyEvent::Finish { reason, usage, .. } => self.finish(reason, *usage),
        }
    }

    /// Says that the answer was cut: no `message_stop` follows, so it cannot be taken for whole.
    pub(crate) fn fail(&mut self, fault: &Fault, request_id: &str) {
        if !self.ended {
            self.ended = true;
            write::raw(&mut self.out, "event: error\ndata: ");
            error::put_object(&mut self.out, fault, request_id);
            write::raw(&mut self.out, "\n\n");
        }
    }

    /// What has been written since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// The number of the open block, which is of this kind: if need be, the open one is closed and
    /// another begun with this.
    fn in_block(&mut self, kind: Kind, empty: &str) -> u32 {
        if let Some((open, block)) = self.open
            && open == kind
        {
            return block;
        }
        self.close();
        let block = self.next;
        self.next += 1;
        self.open = Some((kind, block));
        write::raw(&mut self.out, "event: content_block_start\ndata: ");
        write::raw(&mut self.out, "{\"type\":\"content_block_start\",\"index\":");
        write::number(&mut self.out, block);
        write::raw(&mut self.out, ",\"content_block\":");
        write::raw(&mut self.out, empty);
        write::raw(&mut self.out, "}\n\n");
        block
    }

    fn close(&mut self) {
        if let Some((_, block)) = self.open.take() {
            write::raw(&mut self.out, "event: content_block_stop\ndata: ");
            write::raw(&mut self.out, "{\"type\":\"content_block_stop\",\"index\":");
            write::number(&mut self.out, block);
            write::raw(&mut self.out, "}\n\n");
        }
    }

    fn delta(&mut self, block: u32, kind: &str, text: &str) {
        write::raw(
            &mut self.out,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
        );
        write::number(&mut self.out, block);
        write::raw(&mut self.out, ",\"delta\":{\"type\":\"");
        write::raw(&mut self.out, kind);
        write::string(&mut self.out, text);
        write::raw(&mut self.out, "}}\n\n");
    }

    fn finish(&mut self, reason: &StopReason, usage: TokenUsage) {
        self.ended = true;
        self.close();
        write::raw(&mut self.out, "event: message_delta\ndata: ");
        write::raw(&mut self.out, "{\"type\":\"message_delta\",\"delta\":{");
        put_stop(&mut self.out, reason);
        write::raw(&mut self.out, "},\"usage\":");
        put_usage(&mut self.out, usage);
        write::raw(
            &mut self.out,
            "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        );
    }
}

/// The whole answer as one object, `model` being that which the provider names; `None` while the
/// answer has not ended.
pub(crate) fn whole(head: &Head<'_>, answer: &Answer) -> Option<Bytes> {
    let end = answer.end.as_ref()?;
    let mut out = BytesMut::with_capacity(1_024);
    put_front(&mut out, head, end.model_or(head.model));
    for (place, block) in answer.blocks.iter().enumerate() {
        write::raw(&mut out, if place == 0 { "" } else { "," });
        match block {
            Block::Text(text) => {
                write::raw(&mut out, "{\"type\":\"text\",\"text\":");
                write::string(&mut out, text);
                write::raw(&mut out, "}");
            }
            Block::Reasoning { text, signature } => {
                write::raw(&mut out, "{\"type\":\"thinking\",\"thinking\":");
                write::string(&mut out, text);
                write::raw(&mut out, ",\"signature\":");
                write::string(&mut out, signature.as_deref().unwrap_or_default());
                write::raw(&mut out, "}");
            }
            Block::Call(Call { id, name, arguments, signature, .. }) => {
                put_call(&mut out, (id, name, arguments), signature.as_deref());
            }
        }
    }
    write::raw(&mut out, "],");
    put_stop(&mut out, &end.reason);
    write::raw(&mut out, ",\"usage\":");
    put_usage(&mut out, end.usage);
    put_callboard(&mut out, head);
    write::raw(&mut out, "}");
    Some(out.freeze())
}

/// A message up to the first block of its content.
fn put_front(out: &mut BytesMut, head: &Head<'_>, model: &str) {
    write::raw(out, "{\"id\":");
    write::string(out, head.id);
    write::raw(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    write::string(out, model);
    write::raw(out, ",\"content\":[");
}

/// A call as a block, its id, name and arguments given.
fn put_call(out: &mut BytesMut, call: (&str, &str, &str), signature: Option<&str>) {
    let (id, name, arguments) = call;
    write::raw(out, "{\"type\":\"tool_use\",\"id\":");
    write::string(out, id);
    write::raw(out, ",\"name\":");
    write::string(out, name);
    write::raw(out, ",\"input\":");
    write::object(out, arguments);
    if let Some(signature) = signature {
        write::raw(out, ",\"signature\":");
        write::string(out, signature);
    }
    write::raw(out, "}");
}

/// Here the tokens of the cache are counted beside the others, with us among them.
fn put_usage(out: &mut BytesMut, usage: TokenUsage) {
    let cached = usage.cached_input.saturating_add(usage.cache_write);
    write::raw(out, "{\"input_tokens\":");
    write::number(out, usage.input.saturating_sub(cached));
    write::raw(out, ",\"cache_creation_input_tokens\":");
    write::number(out, usage.cache_write);
    write::raw(out, ",\"cache_read_input_tokens\":");
    write::number(out, usage.cached_input);
    write::raw(out, ",\"output_tokens\":");
    write::number(out, usage.output);
    write::raw(out, "}");
}

fn put_stop(out: &mut BytesMut, reason: &StopReason) {
    let (word, sequence) = match reason {
        StopReason::Stop => ("end_turn", None),
        StopReason::StopSequence(sequence) => ("stop_sequence", Some(sequence.as_str())),
        StopReason::Length => ("max_tokens", None),
        StopReason::ToolCalls => ("tool_use", None),
        StopReason::ContentFilter => ("refusal", None),
    };
    write::raw(out, "\"stop_reason\":\"");
    write::raw(out, word);
    write::raw(out, "\",\"stop_sequence\":");
    write::optional(out, sequence);
}

fn put_callboard(out: &mut BytesMut, head: &Head<'_>) {
    if let Some(callboard) = head.callboard {
        write::raw(out, ",\"callboard\":");
        write::raw(out, callboard);
    }
}

#[cfg(test)]
mod tests;
