//! The body of `POST /v1/responses`:
//! <https://platform.openai.com/docs/api-reference/responses/create>.
//!
//! Read, and without any effect, since they shape no answer: `metadata` (it is repeated in the
//! reply), `store` (answered as false), `include` of encrypted thoughts (there are none),
//! `reasoning.summary` (thoughts are shown where the provider shows them), `prompt_cache_key`,
//! `prompt_cache_retention`, `service_tier`, `stream_options.include_obfuscation`. Everything else
//! that is not read is refused by its name.

use callboard_providers::{ChatRequest, ResponseFormat, ToolSpec};
use serde_json::Value;

use super::{
    super::{messages::Conversation, request::EFFORTS, tools},
    input,
};
use crate::gateway::{
    CallOptions, Fault,
    fields::{self, Fields, Place, boolean, integer, list, number, positive, word},
    tree::Node,
};

/// A request as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    /// What is asked; its `stream` is that of the client.
    pub(crate) request: ChatRequest,
    /// Whether the client wants a stream.
    pub(crate) stream: bool,
    /// What the reply repeats of the request: rendered fields, each behind a comma.
    pub(crate) echo: String,
    /// How the gateway is to treat the call.
    pub(crate) options: CallOptions,
}

/// What a reply repeats, and what it says where the request says nothing.
const ECHOED: [(&str, &str); 12] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, Fault> {
    let node = Node::parse(body).map_err(|error| Fault::no_json(&error))?;
    let mut fields = Fields::of(node, Place::Root)?;
    stateless(&mut fields)?;
    let echo = echo(&fields)?;
    let stream = fields.get("stream", boolean)?.unwrap_or(false);
    let options = fields.get("callboard", CallOptions::read)?.unwrap_or_default();
    let mut conversation = Conversation::default();
    if let Some(instructions) = fields.get("instructions", fields::text)? {
        conversation.instruct(&instructions);
    }
    let mut request = ChatRequest {
        model: Some(fields.need("model", fields::name)?),
        stream,
        ..ChatRequest::default()
    };
    fields.need("input", |node, place| input::read(node, place, &mut conversation))?;
    request.system = conversation.system;
    request.messages = conversation.messages;
    let tools = |node: Node<'_>, place: Place<'_>| list(node, place, tools::MAX_TOOLS, tool);
    request.tools = fields.get("tools", tools)?.unwrap_or_default();
    let choice = fields.get("tool_choice", |node, place| {
        let choice = tools::choice(node, place, named)?;
        tools::check_choice(&choice, &request.tools, place)?;
        Ok(choice)
    })?;
    request.tool_choice = choice.unwrap_or_default();
    request.parallel_tool_calls = fields.get("parallel_tool_calls", boolean)?;
    form(&mut fields, &mut request)?;
    let shapeless = ["metadata", "store", "prompt_cache_key", "prompt_cache_retention"];
    fields.ignore(&shapeless);
    fields.ignore(&["service_tier"]);
    fields.end()?;
    Ok(Parsed { request, stream, echo, options })
}

/// Refuses what would need a memory, or what no other wire has.
fn stateless(fields: &mut Fields<'_, '_>) -> Result<(), Fault> {
    let memory = "needs stored responses, and this server stores none: send the conversation whole";
    for name in ["previous_response_id", "conversation", "prompt"] {
        fields.refuse(name, memory)?;
    }
    fields.refuse("max_tool_calls", "is for tools of the vendor's, which do not run here")?;
    fields.get("background", |node, place| match boolean(node, place)? {
        false => Ok(()),
        true => Err(Fault::value(place, "must be false: this server stores no responses")),
    })?;
    fields.get("top_logprobs", |node, place| match integer(node, place)? {
        0 => Ok(()),
        _ => Err(Fault::value(place, "must be 0: probabilities are not passed on")),
    })?;
    fields.get("include", |node, place| {
        let words = [("reasoning.encrypted_content", ())];
        list(node, place, words.len(), |node, place| word(node, place, &words))
    })?;
    fields.get("stream_options", |node, place| {
        let mut fields = Fields::of(node, place)?;
        fields.ignore(&["include_obfuscation"]);
        fields.end()
    })?;
    Ok(())
}

fn echo(fields: &Fields<'_, '_>) -> Result<String, Fault> {
    let mut echo = String::with_capacity(512);
    for (name, default) in ECHOED {
        echo.push_str(",\"");
        echo.push_str(name);
        echo.push_str("\":");
        match fields.peek(name) {
            Some(node) => {
                let json = serde_json::to_string(node);
                echo.push_str(&json.map_err(|error| Fault::no_json(&error))?);
            }
            None => echo.push_str(default),
        }
    }
    echo.push_str(",\"store\":false,\"previous_response_id\":null,\"background\":false");
    Ok(echo)
}

/// What shapes the text.
fn form(fields: &mut Fields<'_, '_>, request: &mut ChatRequest) -> Result<(), Fault> {
    request.max_output_tokens = fields.get("max_output_tokens", positive)?;
    request.temperature =
        fields.get("temperature", |node, place| number(node, place, 0.0..=2.0))?;
    request.top_p = fields.get("top_p", |node, place| number(node, place, 0.0..=1.0))?;
    let identifier = fields.get("safety_identifier", fields::name)?;
    request.user = fields.get("user", fields::string)?.or(identifier);
    fields.get("truncation", |node, place| word(node, place, &[("disabled", ())]))?;
    request.reasoning_effort = fields
        .get("reasoning", |node, place| {
            let mut fields = Fields::of(node, place)?;
            let effort = fields.get("effort", |node, place| word(node, place, &EFFORTS))?;
            fields.ignore(&["summary", "generate_summary"]);
            fields.end()?;
            Ok(effort)
        })?
        .flatten();
    fields.get("text", |node, place| {
        let mut fields = Fields::of(node, place)?;
        request.response_format = fields.get("format", format)?.unwrap_or_default();
        let levels = [("low", "low"), ("medium", "medium"), ("high", "high")];
        // The usual one is said by the clients' helpers and needs no saying.
        let verbosity = fields.get("verbosity", |node, place| word(node, place, &levels))?;
        if let Some(verbosity) = verbosity.filter(|level| *level != "medium") {
            request.extra.insert("verbosity".to_owned(), Value::from(verbosity));
        }
        fields.end()
    })?;
    Ok(())
}

fn format(node: Node<'_>, place: Place<'_>) -> Result<ResponseFormat, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("text", 0), ("json_object", 1), ("json_schema", 2)];
    let format = match fields.need("type", |node, place| word(node, place, &kinds))? {
        0 => ResponseFormat::Text,
        1 => ResponseFormat::Json,
        _ => tools::schema_format(&mut fields)?,
    };
    fields.end()?;
    Ok(format)
}

fn tool(node: Node<'_>, place: Place<'_>) -> Result<ToolSpec, Fault> {
    let mut fields = Fields::of(node, place)?;
    fields.need("type", |node, place| word(node, place, &[("function", ())]))?;
    let tool = tools::function(&mut fields)?;
    fields.end()?;
    Ok(tool)
}

fn named(mut fields: Fields<'_, '_>) -> Result<String, Fault> {
    fields.need("type", |node, place| word(node, place, &[("function", ())]))?;
    let name = fields.need("name", fields::tool_name)?;
    fields.end()?;
    Ok(name)
}

#[cfg(test)]
mod tests;
