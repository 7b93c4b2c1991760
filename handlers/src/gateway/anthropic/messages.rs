//! The messages of a request: strings or blocks.
//!
//! What tools gave stands in a message of the user here and in one of the tool in ours, so such a
//! message is split, its order kept. Read, and without any effect: `cache_control` and `citations`
//! of a block, `caller` of a call, and encrypted thoughts, of which this server gives none.

use std::borrow::Cow;

use callboard_providers::{ImageSource, Message, Part, Role, ToolCall};

use crate::gateway::{
    Fault, Flaw,
    fields::{self, Fields, Place, boolean, list, mismatch, string, text, word},
    tree::Node,
};

/// No conversation that fits a model's window has more.
pub(super) const MAX_MESSAGES: usize = 4_096;

/// How many blocks a message may have.
const MAX_BLOCKS: usize = 256;

/// Reads the list of messages.
pub(super) fn read(node: Node<'_>, place: Place<'_>) -> Result<Vec<Message>, Fault> {
    let mut messages = Vec::new();
    list(node, place, MAX_MESSAGES, |node, place| message(node, place, &mut messages))?;
    if messages.is_empty() {
        return Err(Fault::value(place, "must hold a message of the user"));
    }
    Ok(messages)
}

fn message(node: Node<'_>, place: Place<'_>, messages: &mut Vec<Message>) -> Result<(), Fault> {
    let mut fields = Fields::of(node, place)?;
    let roles = [("user", Role::User), ("assistant", Role::Assistant)];
    let role = fields.need("role", |node, place| word(node, place, &roles))?;
    let parts = fields.need("content", |node, place| match role {
        Role::Assistant => content(node, place, assistant_block),
        Role::User | Role::Tool => {
            content(node, place, |node, place| user_block(node, place).map(Some))
        }
    })?;
    let begun = messages.len();
    for part in parts {
        let role = match part {
            Part::ToolResult { .. } => Role::Tool,
            Part::Text { .. } | Part::Image { .. } | Part::Reasoning { .. } | Part::ToolCall(_) => {
                role
            }
        };
        match messages.get_mut(begun..).and_then(<[_]>::last_mut) {
            Some(last) if last.role == role => last.content.push(part),
            Some(_) | None => messages.push(Message { role, content: vec![part] }),
        }
    }
    fields.end()
}

/// Text, or blocks as `read` reads them; some of them are nothing to us.
fn content<'a>(
    node: Node<'a>,
    place: Place<'_>,
    read: impl FnMut(Node<'a>, Place<'_>) -> Result<Option<Part>, Fault>,
) -> Result<Vec<Part>, Fault> {
    match node {
        Node::Text(text) => Ok(vec![Part::Text { text: text.into_owned() }]),
        Node::List(items) if items.is_empty() => Err(Fault::value(place, "must not be empty")),
        Node::List(_) => Ok(list(node, place, MAX_BLOCKS, read)?.into_iter().flatten().collect()),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string or an array of blocks"))
        }
    }
}

/// Text, or blocks that are all text.
pub(super) fn plain(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    if let Node::Text(text) = node {
        return Ok(text.into_owned());
    }
    let texts = list(node, place, MAX_BLOCKS, |node, place| {
        let mut fields = Fields::of(node, place)?;
        fields.need("type", |node, place| word(node, place, &[("text", ())]))?;
        text_block(fields)
    })?;
    Ok(texts.join("\n"))
}

/// The rest of a block of text.
fn text_block<'a>(mut fields: Fields<'a, '_>) -> Result<Cow<'a, str>, Fault> {
    let text = fields.need("text", text)?;
    fields.ignore(&["cache_control", "citations"]);
    fields.end()?;
    Ok(text)
}

fn user_block(node: Node<'_>, place: Place<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("text", 0), ("image", 1), ("tool_result", 2)];
    let part = match fields.need("type", |node, place| word(node, place, &kinds))? {
        0 => return Ok(Part::Text { text: text_block(fields)?.into_owned() }),
        1 => Part::Image { source: fields.need("source", image)? },
        _ => Part::ToolResult {
            id: fields.need("tool_use_id", fields::name)?,
            content: fields.get("content", plain)?.unwrap_or_default(),
            is_error: fields.get("is_error", boolean)?.unwrap_or(false),
        },
    };
    fields.ignore(&["cache_control"]);
    fields.end()?;
    Ok(part)
}

fn image(node: Node<'_>, place: Place<'_>) -> Result<ImageSource, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("base64", true), ("url", false)];
    let source = if fields.need("type", |node, place| word(node, place, &kinds))? {
        let media_type = fields.need("media_type", |node, place| {
            let kind = string(node, place)?;
            let fits = kind.starts_with("image/");
            if fits { Ok(kind) } else { Err(Fault::value(place, "must be the type of an image")) }
        })?;
        ImageSource::Base64 { media_type, data: fields.need("data", some_text)? }
    } else {
        ImageSource::Url(fields.need("url", |node, place| {
            let url = string(node, place)?;
            let fits = url.starts_with("https://") || url.starts_with("http://");
            if fits { Ok(url) } else { Err(Fault::value(place, "must begin with 'https://'")) }
        })?)
    };
    fields.end()?;
    Ok(source)
}

fn some_text(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    let text = string(node, place)?;
    if text.is_empty() { Err(Fault::value(place, "must not be empty")) } else { Ok(text) }
}

fn assistant_block(node: Node<'_>, place: Place<'_>) -> Result<Option<Part>, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("text", 0), ("tool_use", 1), ("thinking", 2), ("redacted_thinking", 3)];
    match fields.need("type", |node, place| word(node, place, &kinds))? {
        0 => return Ok(Some(Part::Text { text: text_block(fields)?.into_owned() })),
        1 => {}
        2 => {
            let text = fields.need("thinking", string)?;
            let signature = fields.get("signature", string)?.filter(|proof| !proof.is_empty());
            fields.ignore(&["cache_control"]);
            fields.end()?;
            return Ok(Some(Part::Reasoning { text, signature }));
        }
        _ => return Ok(None),
    }
    let call = ToolCall {
        id: fields.need("id", fields::name)?,
        name: fields.need("name", fields::tool_name)?,
        arguments: fields.need("input", input)?,
        signature: fields.get("signature", string)?,
    };
    fields.ignore(&["cache_control", "caller"]);
    fields.end()?;
    Ok(Some(Part::ToolCall(call)))
}

/// The arguments of a call, here an object and with us its text.
fn input(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    if !matches!(node, Node::Object(_)) {
        return Err(mismatch(&node, place, "an object"));
    }
    serde_json::to_string(&node).map_err(|_| Fault::at(place, Flaw::Value, "must be an object"))
}
