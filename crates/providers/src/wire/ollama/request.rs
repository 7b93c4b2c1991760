//! A request of Ollama's chat.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    ChatRequest, ImageSource, Message, Part, ProviderError, ReasoningEffort, ResponseFormat, Role,
    Schema, ToolChoice,
    wire::{Call, arguments_object, encode, no_words, openai::Tool, result_text},
};

const WIRE: &str = "Ollama";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    options: Options<'a>,
}

#[derive(Serialize)]
struct Options<'a> {
    num_predict: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct CallOut<'a> {
    id: &'a str,
    function: FunctionCall<'a>,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: &'a str,
    arguments: Cow<'a, RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Word(&'static str),
    Schema(&'a Schema),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Flag(bool),
    Level(&'static str),
}

/// The JSON of a request.
pub(super) fn encode_chat(call: &Call<'_>) -> Result<Bytes, ProviderError> {
    let request = call.request;
    let offers_tools = match &request.tool_choice {
        ToolChoice::Auto => true,
        // Not to offer them says the same.
        ToolChoice::None => false,
        ToolChoice::Required | ToolChoice::Named(_) => {
            return Err(no_words(WIRE, "that a tool must be called"));
        }
    };
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(no_words(WIRE, "that tools are called one by one"));
    }
    let tools = request.tools.iter().filter(|_| offers_tools).map(Tool::from);
    let body = Body {
        model: call.model,
        messages: messages(request)?,
        stream: request.stream,
        tools: tools.collect(),
        format: match &request.response_format {
            ResponseFormat::Text => None,
            ResponseFormat::Json => Some(Format::Word("json")),
            ResponseFormat::Schema { schema, .. } => Some(Format::Schema(schema)),
        },
        think: request.reasoning_effort.map(|effort| match effort {
            ReasoningEffort::None => Think::Flag(false),
            ReasoningEffort::Minimal => Think::Level("low"),
            ReasoningEffort::Low | ReasoningEffort::Medium | ReasoningEffort::High => {
                Think::Level(effort.as_str())
            }
            ReasoningEffort::XHigh | ReasoningEffort::Max => Think::Level("high"),
        }),
        options: Options {
            num_predict: call.max_output_tokens,
            temperature: call.temperature,
            top_p: request.top_p,
            seed: request.seed,
            stop: &request.stop,
        },
    };
    encode(&body, &request.extra)
}

fn messages(request: &ChatRequest) -> Result<Vec<WireMessage<'_>>, ProviderError> {
    let plain = |role, content| WireMessage {
        role,
        content,
        images: Vec::new(),
        tool_calls: Vec::new(),
        tool_name: None,
        tool_call_id: None,
    };
    let mut all = Vec::with_capacity(request.messages.len() + 1);
    all.extend(request.system.as_deref().map(|system| plain("system", Cow::Borrowed(system))));
    for message in &request.messages {
        match message.role {
            Role::User => all.push(spoken("user", message)?),
            Role::Assistant => all.push(spoken("assistant", message)?),
            Role::Tool => all.extend(message.content.iter().filter_map(|part| match part {
                Part::ToolResult { id, content, is_error } => Some(WireMessage {
                    tool_name: request.tool_of_call(id),
                    tool_call_id: Some(id),
                    ..plain("tool", result_text(content, *is_error))
                }),
                Part::Text { .. }
                | Part::Image { .. }
                | Part::Reasoning { .. }
                | Part::ToolCall(_) => None,
            })),
        }
    }
    Ok(all)
}

fn spoken<'a>(role: &'static str, message: &'a Message) -> Result<WireMessage<'a>, ProviderError> {
    let mut texts: Vec<&str> = Vec::new();
    let mut images = Vec::new();
    let mut tool_calls = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text } => texts.push(text),
            Part::Image { source: ImageSource::Base64 { data, .. } } => images.push(data.as_str()),
            Part::Image { source: ImageSource::Url(_) } => {
                return Err(no_words(WIRE, "an image at a URL: send the image itself"));
            }
            Part::ToolCall(call) => tool_calls.push(CallOut {
                id: &call.id,
                function: FunctionCall {
                    name: &call.name,
                    arguments: arguments_object(&call.arguments)?,
                },
            }),
            Part::Reasoning { .. } | Part::ToolResult { .. } => {}
        }
    }
    let content = match texts.as_slice() {
        [text] => Cow::Borrowed(*text),
        texts => Cow::Owned(texts.join("\n")),
    };
    Ok(WireMessage { role, content, images, tool_calls, tool_name: None, tool_call_id: None })
}
