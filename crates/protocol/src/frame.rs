//! WebSocket frames: JSON text, `{"type": …}`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Ask, Citation, ClientError, ClientMessageId, ConversationId, ErrorCode, FinishReason, LineId,
    LogLine, Message, MessageId, Permission, SessionId, TailSearch, Timestamp, TurnId, Usage, User,
};

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Ask. Answered by `accepted` once it is durable; the same `client_message_id` again gives
    /// the same turn.
    Message(Ask),
    /// Stop a turn and keep what was written.
    Cancel {
        /// The turn.
        turn_id: TurnId,
    },
    /// Follow a turn again from where the connection was lost. Answered by `resumed`.
    Resume {
        /// The turn.
        turn_id: TurnId,
        /// The last `seq` that was seen; 0 for none.
        after_seq: u64,
    },
    /// Be told of every message and turn of a conversation. Answered by `subscribed`; then a
    /// running turn is sent from its start.
    Subscribe {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// No longer.
    Unsubscribe {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// A person types, or has stopped.
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Typing or not.
        on: bool,
    },
    /// Set the mode of this socket's further questions. Answered by `system`.
    Mode {
        /// A configured preset, such as `investigator`.
        mode: String,
    },
    /// Renew the access token without connecting anew. Answered by `system`.
    Auth {
        /// A new access token of the same user.
        token: String,
    },
    /// Tell the lines that match as they come in, in `tail` frames. A socket has one tail: another takes
    /// its place.
    Tail {
        /// Of which lines, and how many before the first that comes in; as in `GET /logs/tail`.
        #[serde(default)]
        search: TailSearch,
        /// Go on behind this line, the `seen` of the last frame; then nothing is missed.
        #[serde(default)]
        after: Option<LineId>,
    },
    /// Let the tail wait, or go on with what came meanwhile.
    TailPause {
        /// Whether it waits.
        on: bool,
    },
    /// Tell no more lines.
    TailEnd,
    /// Are you there? Answered by `pong`; it must come at least every `heartbeat_s`.
    Ping,
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// The server is about to end: connect again after `reconnect_after_ms`.
    Draining,
    /// The mode is set.
    ModeSet,
    /// The access token is renewed.
    AuthRenewed,
    /// The access token ends soon: send `auth`.
    AuthExpiring,
}

/// What the server sends. Frames of a turn carry its `seq`, which grows by at least one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The first frame on every socket.
    Connected {
        /// Give it in the path to come back as the same session.
        session_id: SessionId,
        /// Who is signed in.
        user: User,
        /// The server closes a socket that is silent for longer, in seconds.
        heartbeat_s: u64,
        /// The version of the frames.
        protocol: u32,
    },
    /// The question is durable and will be answered.
    Accepted {
        /// The client's id of the message.
        client_message_id: ClientMessageId,
        /// Where it stands.
        conversation_id: ConversationId,
        /// The message.
        message_id: MessageId,
        /// The turn that answers it.
        turn_id: TurnId,
    },
    /// Lines that came in. The first of a tail holds those that were there before, or none.
    Tail {
        /// The lines, in the order in which they came.
        lines: Vec<LogLine>,
        /// Lines that match and came before these, and are left out: too many came at once.
        skipped: u64,
        /// The last line that was looked at.
        seen: LineId,
    },
    /// The conversation is being watched.
    Subscribed {
        /// The conversation.
        conversation_id: ConversationId,
        /// The turn that is running, sent from its start after this frame.
        #[schema(required)]
        running_turn: Option<TurnId>,
    },
    /// A message was added to a watched conversation, by this or another session.
    Message {
        /// The message.
        message: Box<Message>,
    },
    /// The reply to `resume`. All further events of the turn follow when `recovered`; otherwise
    /// read the conversation over REST.
    Resumed {
        /// The turn.
        turn_id: TurnId,
        /// Whether the turn is still known here.
        recovered: bool,
    },
    /// An answer begins.
    StreamStart {
        /// The turn.
        turn_id: TurnId,
        /// Its conversation.
        conversation_id: ConversationId,
        /// Place in the turn.
        seq: u64,
        /// Who answers.
        model: String,
        /// Through which provider.
        provider: String,
        /// Whether it comes from the cache.
        cached: bool,
    },
    /// A step of the work, such as a search.
    Step {
        /// The turn.
        turn_id: TurnId,
        /// Place in the turn.
        seq: u64,
        /// Which tool.
        tool: String,
        /// How far it is.
        state: StepState,
        /// For people.
        summary: String,
    },
    /// The provider failed in mid-answer and another starts again: drop the text so far.
    StreamRestart {
        /// The turn.
        turn_id: TurnId,
        /// Place in the turn.
        seq: u64,
        /// For people.
        reason: String,
    },
    /// More of the answer.
    StreamChunk {
        /// The turn.
        turn_id: TurnId,
        /// Place in the turn of the last piece in it.
        seq: u64,
        /// To be appended.
        content: String,
    },
    /// The text is whole.
    StreamEnd {
        /// The turn.
        turn_id: TurnId,
        /// Place in the turn.
        seq: u64,
        /// Why it ended.
        finish_reason: FinishReason,
        /// What it used.
        usage: Usage,
        /// What it cost, in US dollars.
        cost_usd: f64,
    },
    /// The answer, stored and cited. The last frame of every turn.
    Response {
        /// The turn.
        turn_id: TurnId,
        /// Place in the turn.
        seq: u64,
        /// The answer's message.
        message_id: MessageId,
        /// The whole text.
        response: String,
        /// The lines that it rests on.
        citations: Vec<Citation>,
        /// Questions that might come next.
        suggestions: Vec<String>,
    },
    /// Somebody types.
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Which session.
        session_id: SessionId,
        /// Typing or not.
        on: bool,
    },
    /// How many sessions watch a conversation.
    Presence {
        /// The conversation.
        conversation_id: ConversationId,
        /// Sessions that watch it.
        watching: u32,
    },
    /// The server speaks of itself.
    System {
        /// What about.
        kind: SystemKind,
        /// For people.
        message: String,
        /// When to connect again, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reconnect_after_ms: Option<u64>,
    },
    /// Something went wrong. With a `turn_id` it is the last frame of that turn but `response`.
    Error {
        /// From the table of codes.
        code: ErrorCode,
        /// For people.
        message: String,
        /// When to try again, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        retry_after_ms: Option<u64>,
        /// The turn that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        turn_id: Option<TurnId>,
        /// The message that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        client_message_id: Option<ClientMessageId>,
    },
    /// I am here.
    Pong {
        /// The server's clock.
        at: Timestamp,
    },
}

impl ClientFrame {
    /// What a session must be allowed to send this frame.
    #[must_use]
    pub fn permission(&self) -> Permission {
        match self {
            Self::Message(_)
            | Self::Cancel { .. }
            | Self::Resume { .. }
            | Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::Typing { .. }
            | Self::Mode { .. } => Permission::ChatUse,
            Self::Tail { .. } | Self::TailPause { .. } | Self::TailEnd => Permission::LogsRead,
            Self::Auth { .. } | Self::Ping => Permission::AccountUse,
        }
    }
}

impl From<ClientError> for ServerFrame {
    fn from(error: ClientError) -> Self {
        Self::Error {
            code: error.code,
            message: error.message,
            retry_after_ms: error.retry_after_ms,
            turn_id: None,
            client_message_id: None,
        }
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Under way.
    Started,
    /// Done.
    Done,
    /// It failed; the turn goes on without it.
    Failed,
}

/// Close codes of ours: below 4500 connect again, from 4500 do not. A server that shuts down says
/// so in a `system` frame and closes with 1001 (going away, RFC 6455 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The client reads too slowly.
    Slow = 4001,
    /// The client was silent for too long.
    Stale = 4002,
    /// The token is not valid, or ended.
    InvalidToken = 4500,
    /// Over a limit.
    Limit = 4501,
    /// Not allowed.
    Forbidden = 4502,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_needs_only_its_content() {
        let frame: ClientFrame =
            serde_json::from_str(r#"{"type":"message","content":"why?"}"#).unwrap();
        assert_eq!(frame, ClientFrame::Message(Ask::new("why?")));
    }

    #[test]
    fn an_unknown_type_is_refused() {
        for text in [r#"{"type":"launch"}"#, r#"{"content":"x"}"#, "[]", "\"ping\"", ""] {
            assert!(serde_json::from_str::<ClientFrame>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn frames_read_back_what_they_print() {
        let frame =
            ServerFrame::StreamChunk { turn_id: TurnId::new(), seq: 7, content: "ü\0".into() };
        let json = serde_json::to_string(&frame).unwrap();
        assert!(json.starts_with(r#"{"type":"stream_chunk""#));
        assert_eq!(serde_json::from_str::<ServerFrame>(&json).unwrap(), frame);
    }
}
