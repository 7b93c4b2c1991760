//! The messages of a chat completion.
//!
//! Messages of the system and the developer become one system prompt, in their order, wherever
//! they stand: not every wire has a place for them in the middle. Read, and without any effect:
//! `name` of a message, `detail` of an image, and what an assistant's message of this server brings
//! back and no wire wants (`annotations`, a call's `index`).

use callboard_providers::{ImageSource, Message, Part, Role, ToolCall};

use crate::gateway::{
    Fault, Flaw,
    fields::{self, Fields, Place, list, mismatch, string, text, word},
    tree::Node,
};

/// No conversation that fits a model's window has more.
pub(super) const MAX_MESSAGES: usize = 4_096;

/// How many parts a message may have, and how many calls.
const MAX_PARTS: usize = 256;

/// A conversation as it was read.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) system: Option<String>,
    pub(super) messages: Vec<Message>,
}

#[derive(Clone, Copy)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

const SPEAKERS: [(&str, Speaker); 5] = [
    ("system", Speaker::System),
    ("developer", Speaker::System),
    ("user", Speaker::User),
    ("assistant", Speaker::Assistant),
    ("tool", Speaker::Tool),
];

impl Conversation {
    /// Adds to the system prompt.
    pub(super) fn instruct(&mut self, text: &str) {
        match &mut self.system {
            Some(system) => {
                system.push_str("\n\n");
                system.push_str(text);
            }
            None => self.system = Some(text.to_owned()),
        }
    }
}

/// Reads the list of messages.
pub(super) fn read(node: Node<'_>, place: Place<'_>) -> Result<Conversation, Fault> {
    let mut conversation = Conversation::default();
    list(node, place, MAX_MESSAGES, |node, place| message(node, place, &mut conversation))?;
    if conversation.messages.is_empty() {
        return Err(Fault::value(place, "must hold a message of the user"));
    }
    Ok(conversation)
}

fn message(node: Node<'_>, place: Place<'_>, conversation: &mut Conversation) -> Result<(), Fault> {
    let mut fields = Fields::of(node, place)?;
    match fields.need("role", |node, place| word(node, place, &SPEAKERS))? {
        Speaker::System => conversation.instruct(&fields.need("content", plain)?),
        Speaker::User => {
            let content = fields.need("content", user_content)?;
            conversation.messages.push(Message { role: Role::User, content });
        }
        Speaker::Assistant => conversation.messages.push(assistant(&mut fields)?),
        Speaker::Tool => {
            let id = fields.need("tool_call_id", fields::name)?;
            let content = fields.need("content", plain)?;
            conversation.messages.push(Message::tool_result(id, content));
        }
    }
    fields.ignore(&["name"]);
    fields.end()
}

/// Text, or parts that are all text.
fn plain(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    match node {
        Node::Text(text) => Ok(text.into_owned()),
        Node::List(_) => {
            let texts = list(node, place, MAX_PARTS, |node, place| {
                let mut fields = Fields::of(node, place)?;
                fields.need("type", |node, place| word(node, place, &[("text", ())]))?;
                let text = fields.need("text", text)?;
                fields.end()?;
                Ok(text)
            })?;
            Ok(texts.concat())
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string or an array of parts"))
        }
    }
}

fn user_content(node: Node<'_>, place: Place<'_>) -> Result<Vec<Part>, Fault> {
    match node {
        Node::Text(text) => Ok(vec![Part::Text { text: text.into_owned() }]),
        Node::List(_) => {
            let parts = list(node, place, MAX_PARTS, user_part)?;
            if parts.is_empty() {
                return Err(Fault::value(place, "must not be empty"));
            }
            Ok(parts)
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string or an array of parts"))
        }
    }
}

fn user_part(node: Node<'_>, place: Place<'_>) -> Result<Part, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("text", false), ("image_url", true)];
    let is_image = fields.need("type", |node, place| word(node, place, &kinds))?;
    let part = if is_image {
        Part::Image { source: fields.need("image_url", image_object)? }
    } else {
        Part::Text { text: fields.need("text", string)? }
    };
    fields.end()?;
    Ok(part)
}

fn image_object(node: Node<'_>, place: Place<'_>) -> Result<ImageSource, Fault> {
    let mut fields = Fields::of(node, place)?;
    let source = fields.need("url", image)?;
    fields.ignore(&["detail"]);
    fields.end()?;
    Ok(source)
}

/// An address, or the image itself as `data:image/png;base64,…`.
pub(super) fn image(node: Node<'_>, place: Place<'_>) -> Result<ImageSource, Fault> {
    let url = string(node, place)?;
    if let Some(data) = url.strip_prefix("data:") {
        let parts = data.split_once(";base64,");
        let parts = parts.filter(|(kind, data)| kind.starts_with("image/") && !data.is_empty());
        let (media_type, data) = parts.ok_or_else(|| {
            Fault::value(place, "must be 'data:image/…;base64,…' where it holds the image itself")
        })?;
        return Ok(ImageSource::Base64 {
            media_type: media_type.to_owned(),
            data: data.to_owned(),
        });
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(ImageSource::Url(url));
    }
    Err(Fault::value(place, "must begin with 'https://', 'http://' or 'data:'"))
}

fn assistant(fields: &mut Fields<'_, '_>) -> Result<Message, Fault> {
    let mut content: Vec<Part> = thoughts(fields)?.into_iter().collect();
    let begun = content.len();
    if let Some(text) = fields.get("content", assistant_text)?.filter(|text| !text.is_empty()) {
        content.push(Part::Text { text });
    }
    if let Some(text) = fields.get("refusal", string)?.filter(|text| !text.is_empty()) {
        content.push(Part::Text { text });
    }
    let calls = fields.get("tool_calls", |node, place| list(node, place, MAX_PARTS, call))?;
    content.extend(calls.unwrap_or_default().into_iter().map(Part::ToolCall));
    if content.len() == begun {
        let place = fields.place();
        let place = Place::Field(&place, "content");
        return Err(Fault::at(place, Flaw::Missing, "is required where there are no 'tool_calls'"));
    }
    fields.ignore(&["annotations"]);
    fields.refuse("function_call", "is the old name of 'tool_calls', which is read here")?;
    fields.refuse("audio", "is not taken here")?;
    Ok(Message { role: Role::Assistant, content })
}

/// Thoughts under the name that they have here, or under vLLM's newer one.
fn thoughts(fields: &mut Fields<'_, '_>) -> Result<Option<Part>, Fault> {
    let other = fields.get("reasoning", string)?;
    let text = fields.get("reasoning_content", string)?.or(other).unwrap_or_default();
    let signature = fields.get("reasoning_signature", fields::string)?;
    let signature = signature.filter(|proof| !proof.is_empty());
    let any = !text.is_empty() || signature.is_some();
    Ok(any.then_some(Part::Reasoning { text, signature }))
}

/// Text, or parts of text and refusals.
fn assistant_text(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    let Node::List(_) = node else { return plain(node, place) };
    let texts = list(node, place, MAX_PARTS, |node, place| {
        let mut fields = Fields::of(node, place)?;
        let kinds = [("text", "text"), ("refusal", "refusal")];
        let kind = fields.need("type", |node, place| word(node, place, &kinds))?;
        let text = fields.need(kind, text)?;
        fields.end()?;
        Ok(text)
    })?;
    Ok(texts.concat())
}

fn call(node: Node<'_>, place: Place<'_>) -> Result<ToolCall, Fault> {
    let mut fields = Fields::of(node, place)?;
    fields.get("type", |node, place| word(node, place, &[("function", ())]))?;
    let id = fields.need("id", fields::name)?;
    let (name, arguments) = fields.need("function", |node, place| {
        let mut fields = Fields::of(node, place)?;
        let name = fields.need("name", fields::tool_name)?;
        let arguments = fields.need("arguments", fields::arguments)?;
        fields.end()?;
        Ok((name, arguments))
    })?;
    let signature = fields.get("extra_content", signature)?.flatten();
    fields.ignore(&["index"]);
    fields.end()?;
    Ok(ToolCall { id, name, arguments, signature })
}

/// Google's place for what Gemini wants back with a call:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
fn signature(node: Node<'_>, place: Place<'_>) -> Result<Option<String>, Fault> {
    let mut fields = Fields::of(node, place)?;
    let signature = fields.get("google", |node, place| {
        let mut fields = Fields::of(node, place)?;
        let signature = fields.get("thought_signature", string)?;
        fields.end()?;
        Ok(signature)
    })?;
    fields.end()?;
    Ok(signature.flatten())
}
