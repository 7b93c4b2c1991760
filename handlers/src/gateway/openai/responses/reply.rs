//! The reply to `POST /v1/responses`, as a stream and as one object:
//! <https://platform.openai.com/docs/api-reference/responses-streaming>,
//! <https://platform.openai.com/docs/api-reference/responses/object>.
//!
//! A stream repeats at its end all that it said, so the answer is kept as it goes by. Thoughts go
//! out as the summary of a `reasoning` item, and their proof as its `encrypted_content`. What Gemini
//! wants back with a call stands in the field `signature` of its item: the vendor has no place for
//! it.

mod object;

use bytes::{Bytes, BytesMut};
use callboard_providers::{ReplyEvent, StopReason};

pub(crate) use self::object::whole;
use self::object::{Status, put_item, put_item_id, put_part, put_response};
use super::super::error;
use crate::gateway::{Answer, Fault, Head, answer::Block, write};

/// Puts events into the events of a stream. Nothing is written before the first one, so that
/// another target can take over until then.
#[derive(Debug)]
pub(crate) struct Encoder {
    out: BytesMut,
    /// What is the same in every state of the response.
    frame: Frame,
    answer: Answer,
    /// Of each block, whether its end was said.
    closed: Vec<bool>,
    /// What stands in every delta of the newest block between its number and its text.
    middle: BytesMut,
    sequence: u64,
    state: State,
}

/// What is the same in every state of a response.
#[derive(Clone, Debug)]
struct Frame {
    id: String,
    created: u64,
    model: String,
    callboard: Option<String>,
    echo: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Begun,
    Ended,
}

impl Frame {
    fn head(&self) -> Head<'_> {
        Head {
            id: &self.id,
            created: self.created,
            model: &self.model,
            callboard: self.callboard.as_deref(),
        }
    }
}

impl Encoder {
    /// For one stream; `echo` is what [`Parsed`](super::request::Parsed) has under this name.
    pub(crate) fn new(head: &Head<'_>, echo: &str) -> Self {
        Self {
            out: BytesMut::with_capacity(1_024),
            frame: Frame {
                id: head.id.to_owned(),
                created: head.created,
                model: head.model.to_owned(),
                callboard: head.callboard.map(str::to_owned),
                echo: echo.to_owned(),
            },
            answer: Answer::default(),
            closed: Vec::new(),
            middle: BytesMut::new(),
            sequence: 0,
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
        self.answer.push(event);
        if self.answer.blocks.len() > self.closed.len() {
            self.close(Status::Completed, false);
            self.open();
        }
        match event {
            ReplyEvent::Text(text) => self.delta("response.output_text.delta", text),
            ReplyEvent::Reasoning(text) => {
                self.delta("response.reasoning_summary_text.delta", text);
            }
            // They stand in the items.
            ReplyEvent::ToolCallStart { .. } | ReplyEvent::ReasoningSignature(_) => {}
            ReplyEvent::ToolCallArguments { index, piece } => self.arguments(*index, piece),
            ReplyEvent::Finish { reason, .. } => self.finish(reason),
        }
    }

    /// Says that the answer was cut: the response has failed, and no other end follows.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        if self.state == State::Ended {
            return;
        }
        self.state = State::Ended;
        self.event("response.failed");
        write::raw(&mut self.out, ",\"response\":");
        let mut failure = BytesMut::with_capacity(fault.message.len() + 64);
        let (kind, code) = error::words(fault);
        write::raw(&mut failure, "{\"code\":");
        write::string(&mut failure, if kind == "server_error" { kind } else { code });
        write::raw(&mut failure, ",\"message\":");
        write::string(&mut failure, &fault.message);
        write::raw(&mut failure, "}");
        let status = Status::Failed(&String::from_utf8_lossy(&failure));
        put_response(&mut self.out, &self.frame.head(), &self.frame.echo, (&self.answer, status));
        self.end_event();
    }

    /// What has been written since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn begin(&mut self) {
        self.state = State::Begun;
        for kind in ["response.created", "response.in_progress"] {
            self.event(kind);
            write::raw(&mut self.out, ",\"response\":");
            let content = (&self.answer, Status::InProgress);
            put_response(&mut self.out, &self.frame.head(), &self.frame.echo, content);
            self.end_event();
        }
    }

    /// Begins an event, up to its number.
    fn event(&mut self, kind: &str) {
        write::raw(&mut self.out, "event: ");
        write::raw(&mut self.out, kind);
        write::raw(&mut self.out, "\ndata: {\"type\":\"");
        write::raw(&mut self.out, kind);
        write::raw(&mut self.out, "\",\"sequence_number\":");
        write::number(&mut self.out, self.sequence);
        self.sequence += 1;
    }

    fn end_event(&mut self) {
        write::raw(&mut self.out, "}\n\n");
    }

    /// Where in the response something stands: its item, and the part of it.
    fn put_place(&mut self, index: usize) {
        let Some(block) = self.answer.blocks.get(index) else { return };
        write::raw(&mut self.out, ",\"item_id\":");
        put_item_id(&mut self.out, &self.frame.id, (index, block));
        write::raw(&mut self.out, ",\"output_index\":");
        write::number(&mut self.out, index);
        write::raw(
            &mut self.out,
            match block {
                Block::Text(_) => ",\"content_index\":0",
                Block::Reasoning { .. } => ",\"summary_index\":0",
                Block::Call(_) => "",
            },
        );
    }

    /// Says that the newest block has begun.
    fn open(&mut self) {
        let index = self.closed.len();
        self.closed.push(false);
        self.item_event("response.output_item.added", index, Status::InProgress);
        let part = match self.answer.blocks.get(index) {
            Some(Block::Text(_)) => Some("response.content_part.added"),
            Some(Block::Reasoning { .. }) => Some("response.reasoning_summary_part.added"),
            Some(Block::Call(_)) | None => None,
        };
        if let Some(kind) = part {
            self.event(kind);
            self.put_place(index);
            write::raw(&mut self.out, ",\"part\":");
            put_part(&mut self.out, &self.answer.blocks[index], false);
            self.end_event();
            let begun = self.out.split();
            self.put_place(index);
            self.middle = self.out.split();
            self.out = begun;
        }
    }

    /// An event that shows a whole item.
    fn item_event(&mut self, kind: &str, index: usize, status: Status<'_>) {
        self.event(kind);
        write::raw(&mut self.out, ",\"output_index\":");
        write::number(&mut self.out, index);
        write::raw(&mut self.out, ",\"item\":");
        let item = (index, &self.answer.blocks[index]);
        put_item(&mut self.out, &self.frame.id, item, status);
        self.end_event();
    }

    /// More of the newest block.
    fn delta(&mut self, kind: &str, text: &str) {
        self.event(kind);
        self.out.extend_from_slice(&self.middle);
        write::raw(&mut self.out, ",\"delta\":");
        write::string(&mut self.out, text);
        if kind == "response.output_text.delta" {
            write::raw(&mut self.out, ",\"logprobs\":[]");
        }
        self.end_event();
    }

    /// More arguments, of any call.
    fn arguments(&mut self, call: u32, piece: &str) {
        let is_it = |block: &Block| matches!(block, Block::Call(other) if other.index == call);
        let Some(index) = self.answer.blocks.iter().rposition(is_it) else { return };
        self.event("response.function_call_arguments.delta");
        self.put_place(index);
        write::raw(&mut self.out, ",\"delta\":");
        write::string(&mut self.out, piece);
        self.end_event();
    }

    /// Says the end of the blocks that are open. Unless `all` is set a call whose arguments are not
    /// whole stays open: a provider may come back to it, and its end must say all of them.
    fn close(&mut self, status: Status<'_>, all: bool) {
        for index in 0..self.closed.len() {
            let stays = match &self.answer.blocks[index] {
                Block::Call(call) => !all && !call.is_whole(),
                Block::Text(_) | Block::Reasoning { .. } => false,
            };
            if !stays && !std::mem::replace(&mut self.closed[index], true) {
                self.close_one(index, status);
            }
        }
    }

    fn close_one(&mut self, index: usize, status: Status<'_>) {
        let (text_done, field, part_done) = match &self.answer.blocks[index] {
            Block::Text(_) => {
                ("response.output_text.done", ",\"text\":", Some("response.content_part.done"))
            }
            Block::Reasoning { .. } => (
                "response.reasoning_summary_text.done",
                ",\"text\":",
                Some("response.reasoning_summary_part.done"),
            ),
            Block::Call(_) => ("response.function_call_arguments.done", ",\"arguments\":", None),
        };
        self.event(text_done);
        self.put_place(index);
        write::raw(&mut self.out, field);
        match &self.answer.blocks[index] {
            Block::Text(text) => {
                write::string(&mut self.out, text);
                write::raw(&mut self.out, ",\"logprobs\":[]");
            }
            Block::Reasoning { text, .. } => write::string(&mut self.out, text),
            Block::Call(call) => write::string(&mut self.out, call.arguments_or_none()),
        }
        self.end_event();
        if let Some(kind) = part_done {
            self.event(kind);
            self.put_place(index);
            write::raw(&mut self.out, ",\"part\":");
            put_part(&mut self.out, &self.answer.blocks[index], true);
            self.end_event();
        }
        self.item_event("response.output_item.done", index, status);
    }

    fn finish(&mut self, reason: &StopReason) {
        self.state = State::Ended;
        let (kind, status) = Status::at_end(reason);
        self.close(status, true);
        self.event(kind);
        write::raw(&mut self.out, ",\"response\":");
        put_response(&mut self.out, &self.frame.head(), &self.frame.echo, (&self.answer, status));
        self.end_event();
    }
}

#[cfg(test)]
mod tests;
