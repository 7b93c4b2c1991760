//! The body of `POST /v1/messages`: <https://docs.claude.com/en/api/messages>.
//!
//! Read, and without any effect, since they shape no answer: `cache_control` wherever it stands,
//! `service_tier`, `inference_geo`. Everything else that is not read is refused by its name.

use callboard_providers::{ChatRequest, ReasoningEffort, ResponseFormat, ToolChoice, ToolSpec};
use serde_json::Value;

use super::messages;
use crate::gateway::{
    CallOptions, Fault,
    fields::{self, Fields, Place, boolean, list, number, positive, string, word},
    openai::check_choice,
    tree::Node,
};

/// More tools are in no honest request.
const MAX_TOOLS: usize = 256;

/// More stop sequences, too.
const MAX_STOPS: usize = 64;

/// Up to so many tokens of thought are little, in the words of the other wires.
const LITTLE_THOUGHT: u32 = 4_096;

/// And up to so many are usual.
const USUAL_THOUGHT: u32 = 16_384;

/// A request as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    /// What is asked; its `stream` is that of the client.
    pub(crate) request: ChatRequest,
    /// Whether the client wants a stream.
    pub(crate) stream: bool,
    /// How the gateway is to treat the call.
    pub(crate) options: CallOptions,
}

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, Fault> {
    let node = Node::parse(body).map_err(|error| Fault::no_json(&error))?;
    let mut fields = Fields::of(node, Place::Root)?;
    let stream = fields.get("stream", boolean)?.unwrap_or(false);
    let options = fields.get("callboard", CallOptions::read)?.unwrap_or_default();
    let mut request = ChatRequest {
        model: Some(fields.need("model", fields::name)?),
        max_output_tokens: Some(fields.need("max_tokens", positive)?),
        system: fields.get("system", messages::plain)?.filter(|system| !system.is_empty()),
        messages: fields.need("messages", messages::read)?,
        stream,
        ..ChatRequest::default()
    };
    tools(&mut fields, &mut request)?;
    let share = |node: Node<'_>, place: Place<'_>| number(node, place, 0.0..=1.0);
    request.temperature = fields.get("temperature", share)?;
    request.top_p = fields.get("top_p", share)?;
    if let Some(top_k) = fields.get("top_k", positive)? {
        request.extra.insert("top_k".to_owned(), Value::from(top_k));
    }
    let stops = |node: Node<'_>, place: Place<'_>| list(node, place, MAX_STOPS, fields::name);
    request.stop = fields.get("stop_sequences", stops)?.unwrap_or_default();
    request.user = fields.get("metadata", metadata)?.flatten();
    let output = fields.get("output_config", output_config)?.unwrap_or_default();
    request.response_format = output.format;
    let thinking = fields.get("thinking", thinking)?;
    request.reasoning_effort = match thinking {
        Some(Thinking::Disabled) => Some(ReasoningEffort::None),
        Some(Thinking::Adaptive) => Some(output.effort.unwrap_or(ReasoningEffort::Medium)),
        Some(Thinking::Budget(effort)) => Some(output.effort.unwrap_or(effort)),
        None => output.effort,
    };
    fields.ignore(&["cache_control", "service_tier", "inference_geo"]);
    fields.end()?;
    Ok(Parsed { request, stream, options })
}

fn tools(fields: &mut Fields<'_, '_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let tools = fields.get("tools", |node, place| list(node, place, MAX_TOOLS, tool))?;
    request.tools = tools.unwrap_or_default();
    let choice = fields.get("tool_choice", |node, place| {
        let (choice, parallel) = choice(node, place)?;
        check_choice(&choice, &request.tools, place)?;
        Ok((choice, parallel))
    })?;
    if let Some((choice, parallel)) = choice {
        request.tool_choice = choice;
        request.parallel_tool_calls = parallel;
    }
    Ok(())
}

/// A tool of the client's; those that run at the vendor have other types and are refused.
fn tool(node: Node<'_>, place: Place<'_>) -> Result<ToolSpec, Fault> {
    let mut fields = Fields::of(node, place)?;
    fields.get("type", |node, place| word(node, place, &[("custom", ())]))?;
    let tool = ToolSpec {
        name: fields.need("name", fields::tool_name)?,
        description: fields.get("description", string)?,
        parameters: fields.need("input_schema", fields::schema)?,
        strict: fields.get("strict", boolean)?,
    };
    fields.ignore(&["cache_control"]);
    fields.end()?;
    Ok(tool)
}

fn choice(node: Node<'_>, place: Place<'_>) -> Result<(ToolChoice, Option<bool>), Fault> {
    let mut fields = Fields::of(node, place)?;
    let words = [("auto", 0), ("any", 1), ("none", 2), ("tool", 3)];
    let choice = match fields.need("type", |node, place| word(node, place, &words))? {
        0 => ToolChoice::Auto,
        1 => ToolChoice::Required,
        2 => ToolChoice::None,
        _ => ToolChoice::Named(fields.need("name", fields::tool_name)?),
    };
    let disabled = fields.get("disable_parallel_tool_use", boolean)?;
    fields.end()?;
    Ok((choice, disabled.map(|disabled| !disabled)))
}

fn metadata(node: Node<'_>, place: Place<'_>) -> Result<Option<String>, Fault> {
    let mut fields = Fields::of(node, place)?;
    let user = fields.get("user_id", string)?;
    fields.end()?;
    Ok(user)
}

/// How the model is to think.
#[derive(Clone, Copy)]
enum Thinking {
    Disabled,
    Adaptive,
    Budget(ReasoningEffort),
}

/// A budget in tokens becomes the nearest word: the other wires have no numbers for it.
fn thinking(node: Node<'_>, place: Place<'_>) -> Result<Thinking, Fault> {
    let mut fields = Fields::of(node, place)?;
    let words = [("disabled", 0), ("adaptive", 1), ("enabled", 2)];
    let thinking = match fields.need("type", |node, place| word(node, place, &words))? {
        0 => Thinking::Disabled,
        1 => Thinking::Adaptive,
        _ => Thinking::Budget(effort(fields.need("budget_tokens", positive)?)),
    };
    // Whether the thoughts are shown: they are, where the provider shows them.
    fields.ignore(&["display"]);
    fields.end()?;
    Ok(thinking)
}

fn effort(budget: u32) -> ReasoningEffort {
    if budget <= LITTLE_THOUGHT {
        ReasoningEffort::Low
    } else if budget <= USUAL_THOUGHT {
        ReasoningEffort::Medium
    } else {
        ReasoningEffort::High
    }
}

#[derive(Default)]
struct Output {
    effort: Option<ReasoningEffort>,
    format: ResponseFormat,
}

fn output_config(node: Node<'_>, place: Place<'_>) -> Result<Output, Fault> {
    let mut fields = Fields::of(node, place)?;
    let words = [
        ("low", ReasoningEffort::Low),
        ("medium", ReasoningEffort::Medium),
        ("high", ReasoningEffort::High),
        ("xhigh", ReasoningEffort::XHigh),
        ("max", ReasoningEffort::Max),
    ];
    let effort = fields.get("effort", |node, place| word(node, place, &words))?;
    let format = fields.get("format", |node, place| {
        let mut fields = Fields::of(node, place)?;
        fields.need("type", |node, place| word(node, place, &[("json_schema", ())]))?;
        let schema = fields.need("schema", fields::schema)?;
        fields.end()?;
        // This wire names no schema, and others want a name.
        Ok(ResponseFormat::Schema { name: "answer".to_owned(), schema, strict: Some(true) })
    })?;
    fields.end()?;
    Ok(Output { effort, format: format.unwrap_or_default() })
}

#[cfg(test)]
mod tests;
