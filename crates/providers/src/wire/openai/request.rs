//! A request of the chat completions wire.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    ChatRequest, ImageSource, Message, Part, ProviderError, ResponseFormat, Role, Schema, ToolCall,
    ToolChoice, ToolSpec,
    wire::{Call, encode, result_text},
};

/// Whose words are used where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Dialect {
    /// OpenAI's own and Azure's: their reasoning models refuse `max_tokens`.
    Vendor,
    /// Everybody else's.
    Compatible,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    /// `null` for a message that only calls tools: some servers want it said.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<PartOut<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PartOut<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url<'a> },
}

#[derive(Serialize)]
struct Url<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    id: &'a str,
    r#type: &'static str,
    function: FunctionCall<'a>,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// A tool as Ollama takes it, too.
#[derive(Serialize)]
pub(in crate::wire) struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, function: Name<'a> },
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'a> },
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    schema: &'a Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// The JSON of a request.
pub(in crate::wire) fn encode_chat(
    call: &Call<'_>,
    dialect: Dialect,
) -> Result<Bytes, ProviderError> {
    let request = call.request;
    let limit = Some(call.max_output_tokens);
    let (max_tokens, max_completion_tokens) = match dialect {
        Dialect::Vendor => (None, limit),
        Dialect::Compatible => (limit, None),
    };
    let body = Body {
        model: call.model,
        messages: messages(request),
        stream: request.stream,
        stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
        max_tokens,
        max_completion_tokens,
        temperature: call.temperature,
        top_p: request.top_p,
        stop: &request.stop,
        seed: request.seed,
        reasoning_effort: request.reasoning_effort.map(|effort| effort.as_str()),
        user: request.user.as_deref(),
        tools: request.tools.iter().map(Tool::from).collect(),
        tool_choice: choice(request),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| !request.tools.is_empty()),
        response_format: format(&request.response_format),
    };
    encode(&body, &request.extra)
}

fn messages(request: &ChatRequest) -> Vec<WireMessage<'_>> {
    let mut all = Vec::with_capacity(request.messages.len() + 1);
    all.extend(request.system.as_deref().map(|system| WireMessage {
        role: "system",
        content: Some(Content::Text(Cow::Borrowed(system))),
        tool_calls: Vec::new(),
        tool_call_id: None,
    }));
    for message in &request.messages {
        match message.role {
            Role::User => all.push(spoken("user", message)),
            Role::Assistant => all.push(spoken("assistant", message)),
            // Each result is a message of its own here.
            Role::Tool => all.extend(message.content.iter().filter_map(|part| match part {
                Part::ToolResult { id, content, is_error } => Some(WireMessage {
                    tool_call_id: Some(id.as_str()),
                    content: Some(Content::Text(result_text(content, *is_error))),
                    role: "tool",
                    tool_calls: Vec::new(),
                }),
                Part::Text { .. }
                | Part::Image { .. }
                | Part::Reasoning { .. }
                | Part::ToolCall(_) => None,
            })),
        }
    }
    all
}

fn spoken<'a>(role: &'static str, message: &'a Message) -> WireMessage<'a> {
    let mut parts = Vec::new();
    let mut tool_calls = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text } => parts.push(PartOut::Text { text }),
            Part::Image { source } => {
                parts.push(PartOut::ImageUrl { image_url: Url { url: image_url(source) } });
            }
            Part::ToolCall(call) => tool_calls.push(CallOut::from(call)),
            Part::Reasoning { .. } | Part::ToolResult { .. } => {}
        }
    }
    let content = match parts.as_slice() {
        [] => None,
        // Servers that know nothing of parts take this.
        [PartOut::Text { text }] => Some(Content::Text(Cow::Borrowed(*text))),
        _ => Some(Content::Parts(parts)),
    };
    WireMessage { role, content, tool_calls, tool_call_id: None }
}

/// An image as a URL; one that is here as a `data:` URL.
pub(in crate::wire) fn image_url(source: &ImageSource) -> Cow<'_, str> {
    match source {
        ImageSource::Url(url) => Cow::Borrowed(url),
        ImageSource::Base64 { media_type, data } => {
            Cow::Owned(format!("data:{media_type};base64,{data}"))
        }
    }
}

impl<'a> From<&'a ToolCall> for CallOut<'a> {
    fn from(call: &'a ToolCall) -> Self {
        let arguments = call.arguments.trim();
        Self {
            id: &call.id,
            r#type: "function",
            function: FunctionCall {
                name: &call.name,
                arguments: if arguments.is_empty() { "{}" } else { arguments },
            },
        }
    }
}

impl<'a> From<&'a ToolSpec> for Tool<'a> {
    fn from(tool: &'a ToolSpec) -> Self {
        Self {
            r#type: "function",
            function: Function {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters: &tool.parameters,
                strict: tool.strict,
            },
        }
    }
}

fn choice(request: &ChatRequest) -> Option<Choice<'_>> {
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => (!request.tools.is_empty()).then_some(Choice::Word("none")),
        ToolChoice::Required => Some(Choice::Word("required")),
        ToolChoice::Named(name) => {
            Some(Choice::Named { r#type: "function", function: Name { name } })
        }
    }
}

fn format(format: &ResponseFormat) -> Option<Format<'_>> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::Json => Some(Format::JsonObject),
        ResponseFormat::Schema { name, schema, strict } => {
            Some(Format::JsonSchema { json_schema: JsonSchema { name, schema, strict: *strict } })
        }
    }
}
