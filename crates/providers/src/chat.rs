//! A request for an answer in words from which every wire's own can be made.
//!
//! The gateway's API, the assistant's tool loop and `prompt` build it; each file of `wire` encodes
//! it. What a wire has no words for is refused as a bad request, never left out in silence; the
//! one exception is [`ChatRequest::user`], which shapes no answer.

mod schema;

use serde::{Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

pub use self::schema::Schema;
use crate::{ProviderError, ProviderErrorKind};

/// A question, with all that is to shape its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChatRequest {
    /// The model to ask; the configured one when absent.
    pub model: Option<String>,
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// Whether it may, or must.
    pub tool_choice: ToolChoice,
    /// Whether it may call several tools at once; the provider's default when absent.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub response_format: ResponseFormat,
    /// The longest answer, in tokens; never more than is configured.
    pub max_output_tokens: Option<u32>,
    /// The configured one when absent.
    pub temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f64>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Makes answers repeatable, as far as the provider can.
    pub seed: Option<i64>,
    /// How long a reasoning model may think.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Who asks, in a word that names nobody; passed on where the wire has a place for it.
    pub user: Option<String>,
    /// Fields put into the body as they stand, in the words of the wire that is asked. One that
    /// the wire sets itself is refused.
    pub extra: Map<String, Value>,
    /// Asks the provider for a stream, as all should who have a reader waiting: without one only
    /// the total time is limited. The reply has the same events either way.
    pub stream: bool,
}

impl Default for ChatRequest {
    fn default() -> Self {
        Self {
            model: None,
            system: None,
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            parallel_tool_calls: None,
            response_format: ResponseFormat::default(),
            max_output_tokens: None,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            seed: None,
            reasoning_effort: None,
            user: None,
            extra: Map::new(),
            stream: true,
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said. Which parts may stand with which role says [`Part`].
    pub content: Vec<Part>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The tools that the model called.
    Tool,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text, of the user or the assistant.
    Text {
        /// The text.
        text: String,
    },
    /// An image, of the user.
    Image {
        /// Where it is.
        source: ImageSource,
    },
    /// Thoughts, of the assistant, to be given back as they came: Anthropic demands it between a
    /// call and its result. The other wires take none, and are sent none.
    Reasoning {
        /// The thoughts.
        text: String,
        /// What proves them, from
        /// [`ReplyEvent::ReasoningSignature`](crate::ReplyEvent::ReasoningSignature).
        signature: Option<String>,
    },
    /// A call, of the assistant.
    ToolCall(ToolCall),
    /// What a call gave, of the tool.
    ToolResult {
        /// The id of the call.
        id: String,
        /// What it gave, as text.
        content: String,
        /// Whether the call failed. Wires without a word for it get it as a prefix of the text.
        is_error: bool,
    },
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// By which its result is known.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text: an object.
    pub arguments: String,
    /// What the provider wants to be given back with the call, as it stands in
    /// [`ReplyEvent::ToolCallStart`](crate::ReplyEvent::ToolCallStart). Only Gemini has it.
    pub signature: Option<String>,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// Here.
    Base64 {
        /// `image/png`.
        media_type: String,
        /// The bytes, in base64.
        data: String,
    },
    /// At an address that the provider can read.
    Url(String),
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolSpec {
    /// The name: letters, digits, `_`, `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Schema,
    /// Whether arguments must follow the schema to the letter; the provider's default when absent.
    pub strict: Option<bool>,
}

/// Whether the model may call tools, or must.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// The form of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Text.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON by a schema.
    Schema {
        /// Names the schema.
        name: String,
        /// The schema.
        schema: Schema,
        /// Whether it must be followed to the letter; the provider's default when absent.
        strict: Option<bool>,
    },
}

/// How long a reasoning model may think. Not every model knows every word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// As little as it can.
    Minimal,
    /// A little.
    Low,
    /// As usual.
    Medium,
    /// Long.
    High,
    /// Very long.
    XHigh,
    /// As long as it can.
    Max,
}

impl ReasoningEffort {
    /// The word that OpenAI and Azure have for it, and Anthropic for most.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }
}

impl Message {
    /// A message of the user that is only text.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, content: vec![Part::Text { text: text.into() }] }
    }

    /// A message of the assistant that is only text.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: vec![Part::Text { text: text.into() }] }
    }

    /// What one call gave.
    #[must_use]
    pub fn tool_result(id: impl Into<String>, content: impl Into<String>) -> Self {
        let part = Part::ToolResult { id: id.into(), content: content.into(), is_error: false };
        Self { role: Role::Tool, content: vec![part] }
    }
}

impl ChatRequest {
    /// Refuses what no wire can say: a part that does not belong to its role, a message without
    /// parts, arguments that are no JSON object, a choice of a tool that is not offered.
    ///
    /// # Errors
    /// A bad request, with what is wrong in words for the caller.
    pub fn check(&self) -> Result<(), ProviderError> {
        if self.messages.is_empty() {
            return Err(refused("The request has no messages."));
        }
        for message in &self.messages {
            let is_thought = |part: &Part| matches!(part, Part::Reasoning { .. });
            if message.content.iter().all(is_thought) {
                return Err(refused("A message of the request is empty."));
            }
            for part in &message.content {
                check_part(message.role, part)?;
            }
        }
        match &self.tool_choice {
            ToolChoice::Named(name) if !self.tools.iter().any(|tool| tool.name == *name) => Err(
                refused(format!("The request chooses the tool `{name}`, but does not offer it.")),
            ),
            ToolChoice::Required if self.tools.is_empty() => {
                Err(refused("The request demands a call of a tool, but offers none."))
            }
            ToolChoice::Auto | ToolChoice::None | ToolChoice::Required | ToolChoice::Named(_) => {
                Ok(())
            }
        }
    }

    /// Changes every text that a model would read: instructions, messages, calls and their results,
    /// and what the tools say of themselves. Arguments of calls stay JSON only if `change` keeps
    /// them so.
    pub fn rewrite(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.system.iter_mut().for_each(&mut *change);
        for part in self.messages.iter_mut().flat_map(|message| &mut message.content) {
            match part {
                Part::Text { text } | Part::ToolResult { content: text, .. } => change(text),
                Part::ToolCall(call) => change(&mut call.arguments),
                // An image is no text, and thoughts are signed as they stand.
                Part::Image { .. } | Part::Reasoning { .. } => {}
            }
        }
        self.tools.iter_mut().filter_map(|tool| tool.description.as_mut()).for_each(change);
    }

    /// Offers no tools. What was called before stays as text that says what it gave.
    pub fn leave_tools_out(&mut self) {
        self.tools.clear();
        self.tool_choice = ToolChoice::Auto;
        for message in &mut self.messages {
            if message.role == Role::Tool {
                message.role = Role::User;
            }
            message.content.retain_mut(|part| match part {
                Part::ToolCall(_) => false,
                Part::ToolResult { content, .. } => {
                    let text = format!("A tool gave:\n{content}");
                    *part = Part::Text { text };
                    true
                }
                Part::Text { .. } | Part::Image { .. } | Part::Reasoning { .. } => true,
            });
        }
        self.messages.retain(|message| !message.content.is_empty());
    }

    /// About how many tokens a model reads, by the length of the texts.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        crate::usage::estimate_tokens(self.chars())
    }

    /// The name of the tool that was called with this id.
    pub(crate) fn tool_of_call(&self, sought: &str) -> Option<&str> {
        self.messages.iter().flat_map(|message| &message.content).find_map(|part| match part {
            Part::ToolCall(call) if call.id == sought => Some(call.name.as_str()),
            Part::ToolCall(_)
            | Part::Text { .. }
            | Part::Image { .. }
            | Part::Reasoning { .. }
            | Part::ToolResult { .. } => None,
        })
    }

    /// How many characters a model reads: the measure for a provider that counts no tokens.
    pub(crate) fn chars(&self) -> usize {
        let count = |text: &str| text.chars().count();
        let parts = self.messages.iter().flat_map(|message| &message.content);
        let parts = parts.map(|part| match part {
            Part::Text { text } | Part::Reasoning { text, .. } => count(text),
            Part::Image { .. } => 0,
            Part::ToolCall(call) => count(&call.name) + count(&call.arguments),
            Part::ToolResult { content, .. } => count(content),
        });
        let tools = self.tools.iter().map(|tool| {
            count(&tool.name)
                + tool.description.as_deref().map_or(0, count)
                + count(tool.parameters.as_str())
        });
        self.system.as_deref().map_or(0, count) + parts.sum::<usize>() + tools.sum::<usize>()
    }
}

fn check_part(role: Role, part: &Part) -> Result<(), ProviderError> {
    let (fits, what) = match part {
        Part::Text { .. } => (role != Role::Tool, "text"),
        Part::Image { .. } => (role == Role::User, "an image"),
        Part::Reasoning { .. } => (role == Role::Assistant, "thoughts"),
        Part::ToolCall(_) => (role == Role::Assistant, "a tool call"),
        Part::ToolResult { .. } => (role == Role::Tool, "a tool result"),
    };
    if !fits {
        let who = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        return Err(refused(format!("A message of the {who} cannot hold {what}.")));
    }
    match part {
        Part::ToolCall(call) if !is_object(&call.arguments) => Err(refused(format!(
            "The arguments of the call of `{}` are not a JSON object.",
            call.name
        ))),
        Part::Text { .. }
        | Part::Image { .. }
        | Part::Reasoning { .. }
        | Part::ToolCall(_)
        | Part::ToolResult { .. } => Ok(()),
    }
}

fn is_object(json: &str) -> bool {
    let json = json.trim();
    let is_json = || serde_json::from_str::<IgnoredAny>(json).is_ok();
    json.is_empty() || (json.starts_with('{') && is_json())
}

/// A bad request, with what is wrong with it in words for the caller.
pub(crate) fn refused(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ProviderErrorKind::BadRequest).saying(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(messages: Vec<Message>) -> ChatRequest {
        ChatRequest { messages, ..ChatRequest::default() }
    }

    fn problem(request: &ChatRequest) -> String {
        request.check().unwrap_err().message
    }

    #[test]
    fn a_part_belongs_to_its_role() {
        let result = Message::tool_result("1", "x").content;
        let wrong = request(vec![Message { role: Role::User, content: result }]);
        assert_eq!(problem(&wrong), "A message of the user cannot hold a tool result.");
        let text = Message::user("x").content;
        let wrong = request(vec![Message { role: Role::Tool, content: text }]);
        assert_eq!(problem(&wrong), "A message of the tool cannot hold text.");
        assert!(request(vec![Message::user("x"), Message::assistant("y")]).check().is_ok());
    }

    #[test]
    fn arguments_are_an_object() {
        for (arguments, fits) in [("{}", true), ("", true), ("[1]", false), ("{", false)] {
            let call = Part::ToolCall(ToolCall {
                id: "1".to_owned(),
                name: "look".to_owned(),
                arguments: arguments.to_owned(),
                signature: None,
            });
            let request = request(vec![Message { role: Role::Assistant, content: vec![call] }]);
            assert_eq!(request.check().is_ok(), fits, "{arguments}");
        }
    }

    #[test]
    fn a_tool_that_is_chosen_is_offered() {
        let named = ChatRequest {
            tool_choice: ToolChoice::Named("look".to_owned()),
            ..request(vec![Message::user("x")])
        };
        assert!(problem(&named).contains("`look`"));
        let required =
            ChatRequest { tool_choice: ToolChoice::Required, ..request(vec![Message::user("x")]) };
        assert!(problem(&required).contains("offers none"));
        assert_eq!(problem(&request(vec![])), "The request has no messages.");
    }

    #[test]
    fn everything_that_shapes_an_answer_is_in_its_json() {
        let one = ChatRequest { seed: Some(1), ..request(vec![Message::user("x")]) };
        let other = ChatRequest { seed: Some(2), ..one.clone() };
        let json = |request| serde_json::to_string(request).unwrap();
        assert_ne!(json(&one), json(&other));
    }
}
