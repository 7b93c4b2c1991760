//! A request of the messages wire.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    ChatRequest, ImageSource, Part, ProviderError, ReasoningEffort, ResponseFormat, Role, Schema,
    ToolChoice,
    wire::{Call, arguments_object, encode, no_words},
};

const WIRE: &str = "Anthropic messages";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    messages: Vec<Turn<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct Choice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    schema: &'a Schema,
}

/// The JSON of a request.
pub(super) fn encode_messages(call: &Call<'_>) -> Result<Bytes, ProviderError> {
    let request = call.request;
    if request.seed.is_some() {
        return Err(no_words(WIRE, "a seed"));
    }
    if call.temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err(no_words(WIRE, "a temperature above 1"));
    }
    let tools = request.tools.iter().map(|tool| Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: &tool.parameters,
        strict: tool.strict,
    });
    let body = Body {
        model: call.model,
        max_tokens: call.max_output_tokens,
        messages: turns(request)?,
        stream: request.stream,
        system: request.system.as_deref().filter(|system| !system.is_empty()),
        temperature: call.temperature,
        top_p: request.top_p,
        stop_sequences: &request.stop,
        tools: tools.collect(),
        tool_choice: choice(request),
        metadata: request.user.as_deref().map(|user_id| Metadata { user_id }),
        output_config: output_config(request)?,
    };
    encode(&body, &request.extra)
}

/// The conversation in turns: what tools gave is said by the user, and neighbours are joined,
/// since the results of a turn's calls must stand in one message.
fn turns(request: &ChatRequest) -> Result<Vec<Turn<'_>>, ProviderError> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let role = match message.role {
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let blocks = message.content.iter().filter(|part| !is_blank(part)).map(block);
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        match turns.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => turns.push(Turn { role, content: blocks }),
        }
    }
    // The wire refuses a turn without content.
    turns.retain(|turn| !turn.content.is_empty());
    Ok(turns)
}

/// The wire refuses empty text, and thoughts that nothing proves.
fn is_blank(part: &Part) -> bool {
    match part {
        Part::Text { text } => text.trim().is_empty(),
        Part::Reasoning { signature, .. } => signature.is_none(),
        Part::Image { .. } | Part::ToolCall(_) | Part::ToolResult { .. } => false,
    }
}

fn block(part: &Part) -> Result<Block<'_>, ProviderError> {
    Ok(match part {
        Part::Text { text } => Block::Text { text },
        Part::Reasoning { text, signature } => {
            Block::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() }
        }
        Part::Image { source } => Block::Image {
            source: match source {
                ImageSource::Base64 { media_type, data } => Source::Base64 { media_type, data },
                ImageSource::Url(url) => Source::Url { url },
            },
        },
        Part::ToolCall(call) => Block::ToolUse {
            id: &call.id,
            name: &call.name,
            input: arguments_object(&call.arguments)?,
        },
        Part::ToolResult { id, content, is_error } => {
            Block::ToolResult { tool_use_id: id, content, is_error: *is_error }
        }
    })
}

fn choice(request: &ChatRequest) -> Option<Choice<'_>> {
    if request.tools.is_empty() {
        return None;
    }
    let parallel = request.parallel_tool_calls;
    let (r#type, name) = match &request.tool_choice {
        ToolChoice::Auto if parallel.is_none() => return None,
        ToolChoice::Auto => ("auto", None),
        ToolChoice::None => ("none", None),
        ToolChoice::Required => ("any", None),
        ToolChoice::Named(name) => ("tool", Some(name.as_str())),
    };
    let disable = parallel.map(|parallel| !parallel).filter(|_| r#type != "none");
    Some(Choice { r#type, name, disable_parallel_tool_use: disable })
}

fn output_config(request: &ChatRequest) -> Result<Option<OutputConfig<'_>>, ProviderError> {
    let format = match &request.response_format {
        ResponseFormat::Text => None,
        ResponseFormat::Json => return Err(no_words(WIRE, "JSON without a schema")),
        ResponseFormat::Schema { schema, .. } => Some(Format { r#type: "json_schema", schema }),
    };
    let effort = match request.reasoning_effort {
        // It thinks only when it is told to.
        None | Some(ReasoningEffort::None) => None,
        Some(ReasoningEffort::Minimal | ReasoningEffort::Low) => Some("low"),
        Some(
            effort @ (ReasoningEffort::Medium
            | ReasoningEffort::High
            | ReasoningEffort::XHigh
            | ReasoningEffort::Max),
        ) => Some(effort.as_str()),
    };
    let any = effort.is_some() || format.is_some();
    Ok(any.then_some(OutputConfig { effort, format }))
}
