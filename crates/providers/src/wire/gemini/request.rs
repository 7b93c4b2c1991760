//! A request of the Gemini wire.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::bare;
use crate::{
    ChatRequest, ImageSource, Message, Part, ProviderError, ReasoningEffort, ResponseFormat, Role,
    Schema, ToolChoice,
    chat::refused,
    wire::{Call, arguments_object, encode, no_words},
};

const WIRE: &str = "Gemini";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<PartOut<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    name: &'a str,
    response: Outcome<'a>,
}

/// <https://ai.google.dev/api/caching#FunctionResponse>: the key says whether the call failed.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<'a> {
    Output(&'a str),
    Error(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    /// The wire demands one.
    description: &'a str,
    parameters_json_schema: &'a Schema,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Schema>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    thinking_budget: u32,
}

/// The JSON of a request.
pub(super) fn encode_contents(call: &Call<'_>) -> Result<Bytes, ProviderError> {
    let request = call.request;
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        return Err(no_words(WIRE, "that tools are called one by one"));
    }
    let text = |text| PartOut { text: Some(text), ..PartOut::default() };
    let system = request.system.as_deref().filter(|system| !system.is_empty());
    let (response_mime_type, response_json_schema) = match &request.response_format {
        ResponseFormat::Text => (None, None),
        ResponseFormat::Json => (Some("application/json"), None),
        ResponseFormat::Schema { schema, .. } => (Some("application/json"), Some(schema)),
    };
    let body = Body {
        contents: contents(call)?,
        system_instruction: system.map(|system| Content { role: None, parts: vec![text(system)] }),
        tools: tools(request),
        tool_config: tool_config(request),
        generation_config: GenerationConfig {
            max_output_tokens: call.max_output_tokens,
            temperature: call.temperature,
            top_p: request.top_p,
            seed: request.seed,
            stop_sequences: &request.stop,
            response_mime_type,
            response_json_schema,
            thinking_config: request.reasoning_effort.map(thinking),
        },
    };
    encode(&body, &request.extra)
}

/// The budgets that Google's own endpoint for OpenAI's clients gives these words:
/// <https://ai.google.dev/gemini-api/docs/openai#thinking>.
fn thinking(effort: ReasoningEffort) -> ThinkingConfig {
    let thinking_budget = match effort {
        ReasoningEffort::None => 0,
        ReasoningEffort::Minimal | ReasoningEffort::Low => 1_024,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High | ReasoningEffort::XHigh | ReasoningEffort::Max => 24_576,
    };
    ThinkingConfig { thinking_budget }
}

fn tools(request: &ChatRequest) -> Vec<Tools<'_>> {
    if request.tools.is_empty() {
        return Vec::new();
    }
    let declarations = request.tools.iter().map(|tool| Declaration {
        name: &tool.name,
        description: tool.description.as_deref().unwrap_or_default(),
        parameters_json_schema: &tool.parameters,
    });
    vec![Tools { function_declarations: declarations.collect() }]
}

fn tool_config(request: &ChatRequest) -> Option<ToolConfig<'_>> {
    let (mode, allowed_function_names) = match &request.tool_choice {
        ToolChoice::Auto => return None,
        ToolChoice::None if request.tools.is_empty() => return None,
        ToolChoice::None => ("NONE", Vec::new()),
        ToolChoice::Required => ("ANY", Vec::new()),
        ToolChoice::Named(name) => ("ANY", vec![name.as_str()]),
    };
    Some(ToolConfig { function_calling_config: CallingConfig { mode, allowed_function_names } })
}

/// The conversation; what tools gave is said by the user, and neighbours are joined, since the
/// results of a turn's calls must stand in one content.
fn contents<'a>(call: &Call<'a>) -> Result<Vec<Content<'a>>, ProviderError> {
    let request = call.request;
    let mut contents: Vec<Content<'a>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let role = match message.role {
            Role::User | Role::Tool => Some("user"),
            Role::Assistant => Some("model"),
        };
        let mut parts = parts(request, message)?;
        if wants_signatures(call.model) {
            sign(&mut parts);
        }
        match contents.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => contents.push(Content { role, parts }),
        }
    }
    Ok(contents)
}

/// What Google has for calls that another model made:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

/// Since its third generation it refuses a turn whose first call has no signature.
fn wants_signatures(model: &str) -> bool {
    let version = bare(model).strip_prefix("gemini-");
    version.is_some_and(|version| !version.starts_with(['1', '2']))
}

fn sign(parts: &mut [PartOut<'_>]) {
    let first = parts.iter_mut().find(|part| part.function_call.is_some());
    if let Some(first) = first {
        first.thought_signature.get_or_insert(FOREIGN_CALL);
    }
}

fn parts<'a>(
    request: &'a ChatRequest,
    message: &'a Message,
) -> Result<Vec<PartOut<'a>>, ProviderError> {
    let part = |part: &'a Part| {
        Ok(Some(match part {
            Part::Reasoning { .. } => return Ok(None),
            Part::Text { text } => PartOut { text: Some(text), ..PartOut::default() },
            Part::Image { source: ImageSource::Base64 { media_type, data } } => PartOut {
                inline_data: Some(Blob { mime_type: media_type, data }),
                ..PartOut::default()
            },
            Part::Image { source: ImageSource::Url(_) } => {
                return Err(no_words(WIRE, "an image at a URL: send the image itself"));
            }
            Part::ToolCall(call) => PartOut {
                function_call: Some(FunctionCall {
                    name: &call.name,
                    args: arguments_object(&call.arguments)?,
                }),
                thought_signature: call.signature.as_deref(),
                ..PartOut::default()
            },
            Part::ToolResult { id, content, is_error } => {
                let name = request.tool_of_call(id).ok_or_else(|| {
                    refused(format!("The tool result `{id}` answers no call of the request."))
                })?;
                let response =
                    if *is_error { Outcome::Error(content) } else { Outcome::Output(content) };
                PartOut {
                    function_response: Some(FunctionResponse { name, response }),
                    ..PartOut::default()
                }
            }
        }))
    };
    message.content.iter().filter_map(|one| part(one).transpose()).collect()
}
