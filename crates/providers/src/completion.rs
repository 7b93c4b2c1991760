//! A question of the assistant's, from which each provider's prompt is built. `actors::turn` makes it.

use std::sync::Arc;

use callboard_protocol::{Author, Evidence};

use crate::{Message, ToolChoice, ToolSpec};

/// An earlier message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who wrote it.
    pub role: Author,
    /// What it says.
    pub content: String,
}

/// A question with all that is needed to answer it.
#[derive(Clone, Debug, Default)]
pub struct CompletionRequest {
    /// The model to ask; the configured one when absent.
    pub model: Option<String>,
    /// The manner of the assistant: the instructions of its mode (see [`Mode`](crate::Mode)).
    pub system: String,
    /// The conversation so far, oldest first, without the question.
    pub messages: Vec<ChatMessage>,
    /// The question.
    pub question: String,
    /// More for the assistant to know, such as a runbook; it is treated as data.
    pub context: Option<String>,
    /// What the log engine found for the question.
    pub evidence: Option<Arc<Evidence>>,
    /// What the model may call. The built-in provider calls nothing.
    pub tools: Vec<ToolSpec>,
    /// Whether it may call any of them still.
    pub tool_choice: ToolChoice,
    /// What it has called already in this turn, and what that gave.
    pub steps: Vec<Message>,
    /// The longest answer, in tokens; never more than is configured.
    pub max_output_tokens: Option<u32>,
}

impl CompletionRequest {
    /// About how many tokens a model reads of it, without the evidence, whose size is the provider's.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        let messages = self.messages.iter().map(|message| message.content.len());
        let bytes = messages.sum::<usize>() + self.system.len() + self.question.len();
        crate::usage::estimate_tokens(bytes + self.context.as_ref().map_or(0, String::len))
    }
}
