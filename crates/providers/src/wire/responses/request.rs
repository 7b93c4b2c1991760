//! A request of the responses wire.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use crate::{
    ChatRequest, Message, Part, ProviderError, ResponseFormat, Role, Schema, ToolChoice,
    wire::{Call, encode, no_words, openai::image_url, result_text},
};

const WIRE: &str = "OpenAI responses";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    stream: bool,
    store: bool,
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message { role: &'static str, content: Vec<Content<'a>> },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: Cow<'a, str> },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
    InputImage { image_url: Cow<'a, str> },
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Schema,
    /// Said in any case: the wire's own default is true, unlike that of chat completions.
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, name: &'a str },
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonObject,
    JsonSchema {
        name: &'a str,
        schema: &'a Schema,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

/// The JSON of a request.
pub(super) fn encode_response(call: &Call<'_>) -> Result<Bytes, ProviderError> {
    let request = call.request;
    if !request.stop.is_empty() {
        return Err(no_words(WIRE, "texts that end the answer (`stop`)"));
    }
    if request.seed.is_some() {
        return Err(no_words(WIRE, "a seed"));
    }
    let tools = request.tools.iter().map(|tool| Tool {
        r#type: "function",
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: &tool.parameters,
        strict: tool.strict.unwrap_or(false),
    });
    let body = Body {
        model: call.model,
        input: items(request),
        stream: request.stream,
        store: false,
        max_output_tokens: call.max_output_tokens,
        instructions: request.system.as_deref(),
        temperature: call.temperature,
        top_p: request.top_p,
        user: request.user.as_deref(),
        tools: tools.collect(),
        tool_choice: choice(request),
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| !request.tools.is_empty()),
        text: text(&request.response_format),
        reasoning: request.reasoning_effort.map(|effort| Reasoning { effort: effort.as_str() }),
    };
    encode(&body, &request.extra)
}

fn items(request: &ChatRequest) -> Vec<Item<'_>> {
    let mut items = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        if let Some(spoken) = spoken(message) {
            items.push(spoken);
        }
        items.extend(message.content.iter().filter_map(|part| match part {
            Part::ToolCall(call) => {
                let arguments = call.arguments.trim();
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                Some(Item::FunctionCall { call_id: &call.id, name: &call.name, arguments })
            }
            Part::ToolResult { id, content, is_error } => Some(Item::FunctionCallOutput {
                call_id: id,
                output: result_text(content, *is_error),
            }),
            Part::Text { .. } | Part::Image { .. } | Part::Reasoning { .. } => None,
        }));
    }
    items
}

fn spoken(message: &Message) -> Option<Item<'_>> {
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => return None,
    };
    let content: Vec<Content<'_>> = message
        .content
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } if message.role == Role::User => Some(Content::InputText { text }),
            Part::Text { text } => Some(Content::OutputText { text }),
            Part::Image { source } => Some(Content::InputImage { image_url: image_url(source) }),
            Part::Reasoning { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => None,
        })
        .collect();
    (!content.is_empty()).then_some(Item::Message { role, content })
}

fn choice(request: &ChatRequest) -> Option<Choice<'_>> {
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => (!request.tools.is_empty()).then_some(Choice::Word("none")),
        ToolChoice::Required => Some(Choice::Word("required")),
        ToolChoice::Named(name) => Some(Choice::Named { r#type: "function", name }),
    }
}

fn text(format: &ResponseFormat) -> Option<Text<'_>> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::Json => Some(Text { format: Format::JsonObject }),
        ResponseFormat::Schema { name, schema, strict } => {
            Some(Text { format: Format::JsonSchema { name, schema, strict: *strict } })
        }
    }
}
