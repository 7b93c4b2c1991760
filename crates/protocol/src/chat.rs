//! Conversations, messages and turns.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ClientMessageId, ConversationId, LineId, MessageId, SearchedEvidence, Timestamp, TurnId,
};

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The person.
    User,
    /// Callboard.
    Assistant,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// The answer is being written.
    Streaming,
    /// Whole.
    Complete,
    /// Stopped by its reader; what had been written is kept.
    Cancelled,
    /// No provider could finish it; what had been written is kept.
    Failed,
    /// The server ended while it was being written.
    Interrupted,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was finished.
    Stop,
    /// It reached the longest answer allowed.
    Length,
    /// The provider's content filter cut it.
    ContentFilter,
    /// A `cancel` frame stopped it.
    Cancelled,
    /// No provider could finish it.
    Error,
}

/// What kind of question it is. It decides how long an answer may be served from the cache.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// 24 hours.
    StrategyAudit,
    /// 30 minutes.
    RealtimeTutoring,
    /// 1 hour.
    Collaboration,
    /// 2 hours.
    FrameworkAlignment,
    /// 12 hours.
    EthicalAssessment,
    /// 5 minutes, and never longer than the evidence stays the same.
    #[default]
    LogQuestion,
    /// Not cached.
    Chat,
}

impl TaskType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::StrategyAudit,
        Self::RealtimeTutoring,
        Self::Collaboration,
        Self::FrameworkAlignment,
        Self::EthicalAssessment,
        Self::LogQuestion,
        Self::Chat,
    ];

    /// The name, as on the wire and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StrategyAudit => "strategy_audit",
            Self::RealtimeTutoring => "realtime_tutoring",
            Self::Collaboration => "collaboration",
            Self::FrameworkAlignment => "framework_alignment",
            Self::EthicalAssessment => "ethical_assessment",
            Self::LogQuestion => "log_question",
            Self::Chat => "chat",
        }
    }
}

/// What an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
}

/// A line that an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Citation {
    /// The line; it stands in the answer as `[L1042]`.
    pub line_id: LineId,
    /// The name of the line's source.
    pub source: String,
    /// When the line was written, if it says so.
    #[schema(required)]
    pub timestamp: Option<Timestamp>,
    /// The beginning of the line.
    pub excerpt: String,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// The turn that it opens or answers.
    pub turn_id: TurnId,
    /// Who wrote it.
    pub author: Author,
    /// Markdown for the assistant's, plain text for a person's.
    pub content: String,
    /// How far it has come.
    pub status: MessageStatus,
    /// The lines that the answer rests on.
    pub citations: Vec<Citation>,
    /// What it used; `None` for a person's message.
    #[schema(required)]
    pub usage: Option<Usage>,
    /// What it cost, in US dollars; `None` for a person's message.
    #[schema(required)]
    pub cost_usd: Option<f64>,
    /// The provider that answered.
    #[schema(required)]
    pub provider: Option<String>,
    /// The model that answered.
    #[schema(required)]
    pub model: Option<String>,
    /// Whether it came from the cache.
    pub cached: bool,
    /// What was searched for the answer.
    #[schema(required)]
    pub evidence: Option<SearchedEvidence>,
    /// The client's own id of the message, for a person's.
    #[schema(required)]
    pub client_message_id: Option<ClientMessageId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A thread of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// From the first question, until renamed.
    pub title: String,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its last message was made.
    pub updated_at: Timestamp,
}

/// A message that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageHit {
    /// The message.
    pub message_id: MessageId,
    /// Where it stands.
    pub conversation: Conversation,
    /// Who wrote it.
    pub author: Author,
    /// The words around the match.
    pub excerpt: String,
    /// When the message was made.
    pub created_at: Timestamp,
}

/// What a person or a program asks: the body of `POST /assistant/chat`, and the fields of the
/// frame [`message`](crate::ClientFrame::Message).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Submitting the same id again changes nothing and gives the same turn.
    #[serde(default)]
    pub client_message_id: Option<ClientMessageId>,
    /// The conversation to continue; none opens a new one.
    #[serde(default)]
    pub conversation_id: Option<ConversationId>,
    /// The question.
    pub content: String,
    /// The preset of the assistant's manner; the configured default when absent.
    #[serde(default)]
    pub mode: Option<String>,
    /// Decides how long the answer may be served from the cache.
    #[serde(default)]
    pub task_type: TaskType,
    /// More for the assistant to know, such as a runbook.
    #[serde(default)]
    pub context: Option<String>,
    /// `false` asks anew even if the answer is in the cache.
    #[serde(default = "yes")]
    pub use_cache: bool,
    /// The model to ask first; the configured chain when absent.
    #[serde(default)]
    pub model: Option<String>,
}

fn yes() -> bool {
    true
}

impl Ask {
    /// A question with everything else at its default.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            client_message_id: None,
            conversation_id: None,
            content: content.into(),
            mode: None,
            task_type: TaskType::default(),
            context: None,
            use_cache: true,
            model: None,
        }
    }
}

/// A finished answer: the reply of `POST /assistant/chat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// The turn.
    pub turn_id: TurnId,
    /// The answer's message.
    pub message_id: MessageId,
    /// Markdown.
    pub response: String,
    /// The lines that it rests on.
    pub citations: Vec<Citation>,
    /// Questions that might come next.
    pub suggestions: Vec<String>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it used.
    pub usage: Usage,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
    /// The provider that answered.
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// Whether it came from the cache.
    pub cached: bool,
}
