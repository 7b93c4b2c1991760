//! The body of `POST /v1/chat/completions`:
//! <https://platform.openai.com/docs/api-reference/chat/create>.
//!
//! Read, and without any effect, since they shape no answer: `metadata`, `store`,
//! `prompt_cache_key`, `service_tier`, `stream_options.include_obfuscation`. Everything else that
//! is not read is refused by its name.

use callboard_providers::{ChatRequest, ReasoningEffort};
use serde_json::Value;

use super::{messages, tools};
use crate::gateway::{
    CallOptions, Fault,
    fields::{self, Fields, Place, boolean, integer, number, positive, word},
    tree::Node,
};

/// OpenAI allows 4; the compatible servers more.
const MAX_STOPS: usize = 16;

/// How long a model may think, in this vendor's words.
pub(super) const EFFORTS: [(&str, ReasoningEffort); 7] = [
    ("none", ReasoningEffort::None),
    ("minimal", ReasoningEffort::Minimal),
    ("low", ReasoningEffort::Low),
    ("medium", ReasoningEffort::Medium),
    ("high", ReasoningEffort::High),
    ("xhigh", ReasoningEffort::XHigh),
    ("max", ReasoningEffort::Max),
];

/// A request as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    /// What is asked; its `stream` is that of the client.
    pub(crate) request: ChatRequest,
    /// Whether the client wants a stream.
    pub(crate) stream: bool,
    /// Whether the stream ends with what the answer used.
    pub(crate) include_usage: bool,
    /// How the gateway is to treat the call.
    pub(crate) options: CallOptions,
}

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, Fault> {
    let node = Node::parse(body).map_err(|error| Fault::no_json(&error))?;
    let mut fields = Fields::of(node, Place::Root)?;
    let stream = fields.get("stream", boolean)?.unwrap_or(false);
    let include_usage = fields.get("stream_options", stream_options)?.unwrap_or(false);
    let options = fields.get("callboard", CallOptions::read)?.unwrap_or_default();
    let mut request = ChatRequest {
        model: Some(fields.need("model", fields::name)?),
        stream,
        ..ChatRequest::default()
    };
    let conversation = fields.need("messages", messages::read)?;
    request.system = conversation.system;
    request.messages = conversation.messages;
    tools::read(&mut fields, &mut request)?;
    sampling(&mut fields, &mut request)?;
    extra(&mut fields, &mut request)?;
    one_text(&mut fields)?;
    fields.ignore(&["metadata", "store", "prompt_cache_key", "service_tier"]);
    fields.end()?;
    Ok(Parsed { request, stream, include_usage, options })
}

/// Whether usage is wanted.
fn stream_options(node: Node<'_>, place: Place<'_>) -> Result<bool, Fault> {
    let mut fields = Fields::of(node, place)?;
    let include_usage = fields.get("include_usage", boolean)?;
    fields.ignore(&["include_obfuscation"]);
    fields.end()?;
    Ok(include_usage.unwrap_or(false))
}

fn sampling(fields: &mut Fields<'_, '_>, request: &mut ChatRequest) -> Result<(), Fault> {
    request.max_output_tokens = fields.get("max_completion_tokens", positive)?;
    let old_name = fields.get("max_tokens", |node, place| {
        let tokens = positive(node, place)?;
        if request.max_output_tokens.is_some() {
            return Err(Fault::value(place, "cannot stand beside 'max_completion_tokens'"));
        }
        Ok(tokens)
    })?;
    request.max_output_tokens = request.max_output_tokens.or(old_name);
    request.temperature =
        fields.get("temperature", |node, place| number(node, place, 0.0..=2.0))?;
    request.top_p = fields.get("top_p", |node, place| number(node, place, 0.0..=1.0))?;
    request.stop = fields.get("stop", stops)?.unwrap_or_default();
    request.seed = fields.get("seed", integer)?;
    request.reasoning_effort =
        fields.get("reasoning_effort", |node, place| word(node, place, &EFFORTS))?;
    // The newer name of the same thing.
    let identifier = fields.get("safety_identifier", fields::name)?;
    request.user = fields.get("user", fields::string)?.or(identifier);
    Ok(())
}

/// What every wire of this family takes as it stands.
fn extra(fields: &mut Fields<'_, '_>, request: &mut ChatRequest) -> Result<(), Fault> {
    for name in ["frequency_penalty", "presence_penalty"] {
        let penalty = fields.get(name, |node, place| number(node, place, -2.0..=2.0))?;
        if let Some(penalty) = penalty {
            request.extra.insert(name.to_owned(), Value::from(penalty));
        }
    }
    let levels = [("low", "low"), ("medium", "medium"), ("high", "high")];
    if let Some(verbosity) = fields.get("verbosity", |node, place| word(node, place, &levels))? {
        request.extra.insert("verbosity".to_owned(), Value::from(verbosity));
    }
    let bias = fields.get("logit_bias", |node, place| {
        let problem = |_| Fault::value(place, "must be an object of numbers");
        Fields::of(node.clone(), place)?;
        serde_json::to_value(node).map_err(problem)
    })?;
    if let Some(bias) = bias.filter(|bias| bias.as_object().is_some_and(|bias| !bias.is_empty())) {
        request.extra.insert("logit_bias".to_owned(), bias);
    }
    Ok(())
}

/// Only one answer is given, and only in text.
fn one_text(fields: &mut Fields<'_, '_>) -> Result<(), Fault> {
    fields.get("n", |node, place| match integer(node, place)? {
        1 => Ok(()),
        _ => Err(Fault::value(place, "must be 1: one answer is given for each request")),
    })?;
    fields.get("logprobs", |node, place| match boolean(node, place)? {
        false => Ok(()),
        true => Err(Fault::value(place, "must be false: probabilities are not passed on")),
    })?;
    fields.get("modalities", |node, place| {
        fields::list(node, place, 8, |node, place| word(node, place, &[("text", ())]))
    })?;
    fields.refuse("functions", "is the old name of 'tools', which is read here")?;
    fields.refuse("function_call", "is the old name of 'tool_choice', which is read here")
}

/// A text or a list of texts.
fn stops(node: Node<'_>, place: Place<'_>) -> Result<Vec<String>, Fault> {
    match node {
        Node::Text(_) => Ok(vec![fields::name(node, place)?]),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) | Node::Object(_) => {
            fields::list(node, place, MAX_STOPS, fields::name)
        }
    }
}

#[cfg(test)]
mod tests;
