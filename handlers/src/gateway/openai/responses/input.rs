//! The input of a response: a text, or items.
//!
//! What the model said and what it called stand in items of their own here and in one message with
//! us, since other wires want the results of all calls behind it. Read, and without any effect:
//! `id`, `status` and `phase` of an item, `annotations` and `logprobs` of a text, `detail` of an
//! image, and `content` of thoughts, of which this server gives the summary.

use callboard_providers::{Message, Part, Role, ToolCall};

use super::super::messages::{self, Conversation, MAX_MESSAGES};
use crate::gateway::{
    Fault,
    fields::{self, Fields, Place, list, mismatch, string, text, word},
    tree::Node,
};

/// How many parts a message may have.
const MAX_PARTS: usize = 256;

#[derive(Clone, Copy)]
enum Kind {
    Message,
    Call,
    Output,
    Reasoning,
}

#[derive(Clone, Copy)]
enum Speaker {
    System,
    User,
    Assistant,
}

/// Reads the input into the conversation.
pub(super) fn read(
    node: Node<'_>,
    place: Place<'_>,
    conversation: &mut Conversation,
) -> Result<(), Fault> {
    if let Node::Text(text) = node {
        conversation.messages.push(Message::user(text));
        return Ok(());
    }
    list(node, place, MAX_MESSAGES, |node, place| item(node, place, conversation))?;
    if conversation.messages.is_empty() {
        return Err(Fault::value(place, "must hold a message of the user"));
    }
    Ok(())
}

fn item(node: Node<'_>, place: Place<'_>, conversation: &mut Conversation) -> Result<(), Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [
        ("message", Kind::Message),
        ("function_call", Kind::Call),
        ("function_call_output", Kind::Output),
        ("reasoning", Kind::Reasoning),
    ];
    let kind = fields.get("type", |node, place| word(node, place, &kinds))?;
    match kind.unwrap_or(Kind::Message) {
        Kind::Message => message(&mut fields, conversation)?,
        Kind::Call => {
            let call = ToolCall {
                id: fields.need("call_id", fields::name)?,
                name: fields.need("name", fields::tool_name)?,
                arguments: fields.need("arguments", fields::arguments)?,
                signature: fields.get("signature", string)?,
            };
            said(conversation, vec![Part::ToolCall(call)]);
        }
        Kind::Output => {
            let id = fields.need("call_id", fields::name)?;
            let output = fields.need("output", |node, place| plain(node, place, "input_text"))?;
            conversation.messages.push(Message::tool_result(id, output));
        }
        Kind::Reasoning => {
            let summary =
                fields.get("summary", |node, place| plain(node, place, "summary_text"))?;
            let text = summary.unwrap_or_default();
            let signature = fields.get("encrypted_content", string)?;
            if !text.is_empty() || signature.is_some() {
                said(conversation, vec![Part::Reasoning { text, signature }]);
            }
            fields.ignore(&["content"]);
        }
    }
    fields.ignore(&["id", "status"]);
    fields.end()
}

/// Adds to what the model said last.
fn said(conversation: &mut Conversation, parts: Vec<Part>) {
    match conversation.messages.last_mut() {
        Some(last) if last.role == Role::Assistant => last.content.extend(parts),
        Some(_) | None => {
            conversation.messages.push(Message { role: Role::Assistant, content: parts });
        }
    }
}

fn message(fields: &mut Fields<'_, '_>, conversation: &mut Conversation) -> Result<(), Fault> {
    let speakers = [
        ("user", Speaker::User),
        ("assistant", Speaker::Assistant),
        ("system", Speaker::System),
        ("developer", Speaker::System),
    ];
    match fields.need("role", |node, place| word(node, place, &speakers))? {
        Speaker::System => {
            let text = fields.need("content", |node, place| plain(node, place, "input_text"))?;
            conversation.instruct(&text);
        }
        Speaker::User => {
            let content = fields.need("content", |node, place| content(node, place, user_part))?;
            conversation.messages.push(Message { role: Role::User, content });
        }
        Speaker::Assistant => {
            let parts = |node, place: Place<'_>| content(node, place, assistant_part);
            said(conversation, fields.need("content", parts)?);
        }
    }
    fields.ignore(&["phase"]);
    Ok(())
}

/// Text, or parts that are all text of this kind.
fn plain(node: Node<'_>, place: Place<'_>, kind: &str) -> Result<String, Fault> {
    if let Node::Text(text) = node {
        return Ok(text.into_owned());
    }
    let texts = list(node, place, MAX_PARTS, |node, place| {
        let mut fields = Fields::of(node, place)?;
        fields.need("type", |node, place| word(node, place, &[(kind, ())]))?;
        let text = fields.need("text", text)?;
        fields.end()?;
        Ok(text)
    })?;
    Ok(texts.concat())
}

/// Text, or parts as `read` reads them.
fn content<'a>(
    node: Node<'a>,
    place: Place<'_>,
    read: fn(Node<'a>, Place<'_>) -> Result<Part, Fault>,
) -> Result<Vec<Part>, Fault> {
    match node {
        Node::Text(text) => Ok(vec![Part::Text { text: text.into_owned() }]),
        Node::List(items) if items.is_empty() => Err(Fault::value(place, "must not be empty")),
        Node::List(_) => list(node, place, MAX_PARTS, read),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string or an array of parts"))
        }
    }
}

fn user_part(node: Node<'_>, place: Place<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("input_text", false), ("input_image", true)];
    let is_image = fields.need("type", |node, place| word(node, place, &kinds))?;
    let part = if is_image {
        let stored = "names a stored file, and this server stores none: send the image itself";
        fields.refuse("file_id", stored)?;
        Part::Image { source: fields.need("image_url", messages::image)? }
    } else {
        Part::Text { text: fields.need("text", string)? }
    };
    fields.ignore(&["detail"]);
    fields.end()?;
    Ok(part)
}

fn assistant_part(node: Node<'_>, place: Place<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("output_text", "text"), ("refusal", "refusal")];
    let name = fields.need("type", |node, place| word(node, place, &kinds))?;
    let text = fields.need(name, string)?;
    fields.ignore(&["annotations", "logprobs"]);
    fields.end()?;
    Ok(Part::Text { text })
}
