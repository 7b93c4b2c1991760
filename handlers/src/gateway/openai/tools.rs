//! The tools and the form of the answer of a chat completion.

use std::borrow::Cow;

use callboard_providers::{ChatRequest, ResponseFormat, Schema, ToolChoice, ToolSpec};

use crate::gateway::{
    Fault,
    fields::{self, Fields, Place, boolean, list, string, word},
    tree::Node,
};

/// OpenAI's own limit.
pub(super) const MAX_TOOLS: usize = 128;

/// Reads `tools`, `tool_choice`, `parallel_tool_calls` and `response_format`.
pub(super) fn read(fields: &mut Fields<'_, '_>, request: &mut ChatRequest) -> Result<(), Fault> {
    let tools = fields.get("tools", |node, place| list(node, place, MAX_TOOLS, tool))?;
    request.tools = tools.unwrap_or_default();
    let choice = fields.get("tool_choice", |node, place| {
        let choice = choice(node, place, named)?;
        check_choice(&choice, &request.tools, place)?;
        Ok(choice)
    })?;
    request.tool_choice = choice.unwrap_or_default();
    request.parallel_tool_calls = fields.get("parallel_tool_calls", boolean)?;
    request.response_format = fields.get("response_format", format)?.unwrap_or_default();
    Ok(())
}

fn tool(node: Node<'_>, place: Place<'_>) -> Result<ToolSpec, Fault> {
    let mut fields = Fields::of(node, place)?;
    fields.need("type", |node, place| word(node, place, &[("function", ())]))?;
    let tool = fields.need("function", |node, place| {
        let mut fields = Fields::of(node, place)?;
        let tool = function(&mut fields)?;
        fields.end()?;
        Ok(tool)
    })?;
    fields.end()?;
    Ok(tool)
}

/// A function: what stands in `function` here, and in the tool itself in a response.
pub(super) fn function(fields: &mut Fields<'_, '_>) -> Result<ToolSpec, Fault> {
    let parameters = fields.get("parameters", fields::schema)?;
    Ok(ToolSpec {
        name: fields.need("name", fields::tool_name)?,
        description: fields.get("description", string)?,
        parameters: parameters.map_or_else(|| fields::no_arguments(fields.place()), Ok)?,
        strict: fields.get("strict", boolean)?,
    })
}

/// A word, or the tool that `named` finds in an object.
pub(super) fn choice(
    node: Node<'_>,
    place: Place<'_>,
    named: impl FnOnce(Fields<'_, '_>) -> Result<String, Fault>,
) -> Result<ToolChoice, Fault> {
    if matches!(node, Node::Object(_)) {
        return Ok(ToolChoice::Named(named(Fields::of(node, place)?)?));
    }
    let words = [("auto", 0), ("none", 1), ("required", 2)];
    Ok(match word(node, place, &words)? {
        0 => ToolChoice::Auto,
        1 => ToolChoice::None,
        _ => ToolChoice::Required,
    })
}

fn named(mut fields: Fields<'_, '_>) -> Result<String, Fault> {
    fields.need("type", |node, place| word(node, place, &[("function", ())]))?;
    let name = fields.need("function", |node, place| {
        let mut fields = Fields::of(node, place)?;
        let name = fields.need("name", fields::tool_name)?;
        fields.end()?;
        Ok(name)
    })?;
    fields.end()?;
    Ok(name)
}

/// Only what is offered can be chosen.
pub(in crate::gateway) fn check_choice(
    choice: &ToolChoice,
    tools: &[ToolSpec],
    place: Place<'_>,
) -> Result<(), Fault> {
    match choice {
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(Fault::value(place, format_args!("chooses '{name}', which 'tools' do not offer")))
        }
        ToolChoice::Required if tools.is_empty() => {
            Err(Fault::value(place, "demands a call, but 'tools' offer none"))
        }
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_) => Ok(()),
    }
}

fn format(node: Node<'_>, place: Place<'_>) -> Result<ResponseFormat, Fault> {
    let mut fields = Fields::of(node, place)?;
    let kinds = [("text", 0), ("json_object", 1), ("json_schema", 2)];
    let kind = fields.need("type", |node, place| word(node, place, &kinds))?;
    let format = match kind {
        0 => ResponseFormat::Text,
        1 => ResponseFormat::Json,
        _ => fields.need("json_schema", |node, place| {
            let mut fields = Fields::of(node, place)?;
            let format = schema_format(&mut fields)?;
            fields.end()?;
            Ok(format)
        })?,
    };
    fields.end()?;
    Ok(format)
}

/// A schema with its name: what stands in `json_schema` here, and in the format itself in a
/// response.
pub(super) fn schema_format(fields: &mut Fields<'_, '_>) -> Result<ResponseFormat, Fault> {
    let name = fields.need("name", fields::tool_name)?;
    let description = fields.get("description", fields::text)?;
    let schema = fields.get("schema", |node, place| described(node, place, description.clone()))?;
    let strict = fields.get("strict", boolean)?;
    let schema = match schema {
        Some(schema) => schema,
        None => described(Node::Object(Vec::new()), fields.place(), description)?,
    };
    Ok(ResponseFormat::Schema { name, schema, strict })
}

/// The schema with the description in it: only there can every wire carry it.
fn described<'a>(
    mut node: Node<'a>,
    place: Place<'_>,
    description: Option<Cow<'a, str>>,
) -> Result<Schema, Fault> {
    if let (Node::Object(entries), Some(description)) = (&mut node, description)
        && !entries.iter().any(|(name, _)| name == "description")
    {
        entries.insert(0, (Cow::Borrowed("description"), Node::Text(description)));
    }
    fields::schema(node, place)
}
