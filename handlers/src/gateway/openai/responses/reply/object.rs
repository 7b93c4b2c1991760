//! A response as an object, in every state of it, and its items.

use bytes::{Bytes, BytesMut};
use callboard_providers::{StopReason, TokenUsage};

use crate::gateway::{
    Answer, Head,
    answer::{Block, Call},
    write,
};

/// How far a response, or an item of it, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    InProgress,
    Completed,
    /// With the reason.
    Incomplete(&'static str),
    /// With the error, rendered.
    Failed(&'a str),
}

impl Status<'static> {
    /// The state after the end, and the event that says so.
    pub(super) fn at_end(reason: &StopReason) -> (&'static str, Self) {
        let incomplete = "response.incomplete";
        match reason {
            StopReason::Stop | StopReason::StopSequence(_) | StopReason::ToolCalls => {
                ("response.completed", Self::Completed)
            }
            StopReason::Length => (incomplete, Self::Incomplete("max_output_tokens")),
            StopReason::ContentFilter => (incomplete, Self::Incomplete("content_filter")),
        }
    }
}

impl Status<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }
}

/// The whole answer as one object, `model` being that which the provider names; `None` while the
/// answer has not ended. `echo` is what [`Parsed`](super::super::request::Parsed) has under this
/// name.
pub(crate) fn whole(head: &Head<'_>, echo: &str, answer: &Answer) -> Option<Bytes> {
    let (_, status) = Status::at_end(&answer.end.as_ref()?.reason);
    let mut out = BytesMut::with_capacity(1_024 + echo.len());
    put_response(&mut out, head, echo, (answer, status));
    Some(out.freeze())
}

/// The response with what there is of its answer. While it is in progress that is nothing.
pub(super) fn put_response(
    out: &mut BytesMut,
    head: &Head<'_>,
    echo: &str,
    content: (&Answer, Status<'_>),
) {
    let (answer, status) = content;
    write::raw(out, "{\"id\":");
    write::string(out, head.id);
    write::raw(out, ",\"object\":\"response\",\"created_at\":");
    write::number(out, head.created);
    write::raw(out, ",\"status\":\"");
    write::raw(out, status.as_str());
    write::raw(out, "\",\"error\":");
    write::raw(out, if let Status::Failed(error) = status { error } else { "null" });
    write::raw(out, ",\"incomplete_details\":");
    match status {
        Status::Incomplete(reason) => {
            write::raw(out, "{\"reason\":\"");
            write::raw(out, reason);
            write::raw(out, "\"}");
        }
        Status::InProgress | Status::Completed | Status::Failed(_) => write::raw(out, "null"),
    }
    write::raw(out, ",\"model\":");
    write::string(out, answer.end.as_ref().map_or(head.model, |end| end.model_or(head.model)));
    write::raw(out, ",\"output\":[");
    for item in answer.blocks.iter().enumerate() {
        write::raw(out, if item.0 == 0 { "" } else { "," });
        // What was whole before the end came is not told apart here.
        let status = if let Status::Failed(_) = status { Status::Incomplete("") } else { status };
        put_item(out, head.id, item, status);
    }
    write::raw(out, "],\"usage\":");
    match &answer.end {
        Some(end) => put_usage(out, end.usage),
        None => write::raw(out, "null"),
    }
    write::raw(out, echo);
    if let Some(callboard) = head.callboard {
        write::raw(out, ",\"callboard\":");
        write::raw(out, callboard);
    }
    write::raw(out, "}");
}

/// The id of an item: that of the response with the kind before it and the place behind it.
pub(super) fn put_item_id(out: &mut BytesMut, response: &str, item: (usize, &Block)) {
    let (index, block) = item;
    let kind = match block {
        Block::Text(_) => "msg",
        Block::Reasoning { .. } => "rs",
        Block::Call(_) => "fc",
    };
    let id = response.strip_prefix("resp_").unwrap_or(response);
    write::string(out, &format!("{kind}_{id}_{index}"));
}

/// An item; one that has only begun is empty.
pub(super) fn put_item(
    out: &mut BytesMut,
    response: &str,
    item: (usize, &Block),
    status: Status<'_>,
) {
    let (_, block) = item;
    let begun = status == Status::InProgress;
    write::raw(out, "{\"id\":");
    put_item_id(out, response, item);
    match block {
        Block::Text(_) => {
            write::raw(out, ",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
            if !begun {
                put_part(out, block, true);
            }
            write::raw(out, "]");
        }
        Block::Reasoning { signature, .. } => {
            write::raw(out, ",\"type\":\"reasoning\",\"summary\":[");
            if !begun {
                put_part(out, block, true);
            }
            write::raw(out, "]");
            if let Some(proof) = signature.as_deref().filter(|_| !begun) {
                write::raw(out, ",\"encrypted_content\":");
                write::string(out, proof);
            }
        }
        Block::Call(call) => {
            write::raw(out, ",\"type\":\"function_call\",\"call_id\":");
            write::string(out, &call.id);
            write::raw(out, ",\"name\":");
            write::string(out, &call.name);
            write::raw(out, ",\"arguments\":");
            write::string(out, if begun { "" } else { call.arguments_or_none() });
            if let Call { signature: Some(signature), .. } = call {
                write::raw(out, ",\"signature\":");
                write::string(out, signature);
            }
        }
    }
    write::raw(out, ",\"status\":\"");
    write::raw(out, status.as_str());
    write::raw(out, "\"}");
}

/// The part of a message or of thoughts, with its text or still without it.
pub(super) fn put_part(out: &mut BytesMut, block: &Block, full: bool) {
    let shown = |text| if full { text } else { "" };
    match block {
        Block::Text(text) => {
            write::raw(out, "{\"type\":\"output_text\",\"text\":");
            write::string(out, shown(text));
            write::raw(out, ",\"annotations\":[],\"logprobs\":[]}");
        }
        Block::Reasoning { text, .. } => {
            write::raw(out, "{\"type\":\"summary_text\",\"text\":");
            write::string(out, shown(text));
            write::raw(out, "}");
        }
        Block::Call(_) => {}
    }
}

fn put_usage(out: &mut BytesMut, usage: TokenUsage) {
    write::raw(out, "{\"input_tokens\":");
    write::number(out, usage.input);
    write::raw(out, ",\"input_tokens_details\":{\"cached_tokens\":");
    write::number(out, usage.cached_input);
    write::raw(out, "},\"output_tokens\":");
    write::number(out, usage.output);
    write::raw(out, ",\"output_tokens_details\":{\"reasoning_tokens\":");
    write::number(out, usage.reasoning);
    write::raw(out, "},\"total_tokens\":");
    write::number(out, usage.input.saturating_add(usage.output));
    write::raw(out, "}");
}
