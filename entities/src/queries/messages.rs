//! Messages and turns: a turn is a person's message and the answer to it.
//!
//! Invariants: a turn is begun in one transaction, once for each `client_message_id` of a user; an
//! answer goes from `streaming` to a final status once, and then does not change.

mod excerpt;
mod search;
mod turn;

use callboard_protocol::{
    Answer, Author, ConversationId, FinishReason, Message, MessageId, MessagePage, MessageStatus,
    Timestamp, TurnId, Usage, UserId,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JsonValue, QueryFilter, QueryOrder, QuerySelect,
};

pub use self::{
    search::search,
    turn::{
        BegunTurn, FinishOutcome, FinishedAnswer, NewTurn, Place, begin_turn, begun, finish_answer,
        interrupt, interrupt_unfinished,
    },
};
use super::before;
use crate::{
    Cursor, Record, Store, StoreError,
    entity::{
        conversation,
        message::{Column, Entity, Model},
    },
    value::{from_name, name_of},
};

/// An answer as it is stored: all that `POST /assistant/chat` replies.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnswer {
    /// The message; its status may be `streaming`.
    pub message: Message,
    /// Questions that might come next.
    pub suggestions: Vec<String>,
    /// Why it ended; none while it is being written, or if the server ended first.
    pub finish_reason: Option<FinishReason>,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
}

impl StoredAnswer {
    /// The reply to the program that asked; none while the answer is being written.
    #[must_use]
    pub fn into_answer(self) -> Option<Answer> {
        let Self { message, suggestions, finish_reason, cost_usd } = self;
        if message.status == MessageStatus::Streaming {
            return None;
        }
        Some(Answer {
            conversation_id: message.conversation_id,
            turn_id: message.turn_id,
            message_id: message.id,
            response: message.content,
            citations: message.citations,
            suggestions,
            finish_reason: finish_reason.unwrap_or(FinishReason::Error),
            usage: message.usage.unwrap_or_default(),
            cost_usd,
            provider: message.provider.unwrap_or_default(),
            model: message.model.unwrap_or_default(),
            cached: message.cached,
        })
    }
}

/// A page of a conversation: the latest messages, or those before a cursor; oldest first.
pub async fn page(
    store: &Store,
    owner: UserId,
    conversation: ConversationId,
    older_than: Option<&Cursor>,
    limit: u32,
) -> Result<MessagePage, StoreError> {
    store
        .run("messages.page", async {
            let owned = conversation::Entity::find_by_id(conversation.0)
                .filter(conversation::Column::OwnerId.eq(owner.0))
                .one(store.reader())
                .await?;
            if owned.is_none() {
                return Err(StoreError::NotFound(Record::Conversation));
            }
            let mut find = Entity::find().filter(Column::ConversationId.eq(conversation.0));
            if let Some(cursor) = older_than {
                find = find.filter(before(Column::CreatedAt, Column::Id, cursor));
            }
            let limit = limit as usize;
            // One more than asked for tells whether there is another page.
            let mut rows = find
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(limit as u64 + 1)
                .all(store.reader())
                .await?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next_cursor = rows.last().filter(|_| more).map(|row| {
                Cursor { at: Timestamp::from_millis(row.created_at), id: row.id }.to_string()
            });
            Ok(MessagePage {
                items: oldest_first(rows)?,
                next_cursor,
                running_turn: running_turn(store.reader(), conversation).await?,
            })
        })
        .await
}

/// The last `count` messages that are not being written, oldest first: the history for a prompt.
/// The caller has checked whose conversation it is.
pub async fn recent(
    store: &Store,
    conversation: ConversationId,
    count: u32,
) -> Result<Vec<Message>, StoreError> {
    store
        .run("messages.recent", async {
            let rows = Entity::find()
                .filter(Column::ConversationId.eq(conversation.0))
                .filter(Column::Status.ne(name_of(&MessageStatus::Streaming)?))
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(count))
                .all(store.reader())
                .await?;
            oldest_first(rows)
        })
        .await
}

/// The answer of a turn of this user.
pub async fn find_answer(
    store: &Store,
    owner: UserId,
    turn: TurnId,
) -> Result<Option<StoredAnswer>, StoreError> {
    store
        .run("messages.find_answer", async {
            let row = Entity::find()
                .filter(Column::TurnId.eq(turn.0))
                .filter(Column::OwnerId.eq(owner.0))
                .filter(Column::Author.eq(name_of(&Author::Assistant)?))
                .one(store.reader())
                .await?;
            row.map(answer_of).transpose()
        })
        .await
}

async fn running_turn(
    db: &impl ConnectionTrait,
    conversation: ConversationId,
) -> Result<Option<TurnId>, StoreError> {
    let row = Entity::find()
        .filter(Column::ConversationId.eq(conversation.0))
        .filter(Column::Status.eq(name_of(&MessageStatus::Streaming)?))
        .order_by_desc(Column::CreatedAt)
        .one(db)
        .await?;
    Ok(row.map(|row| TurnId(row.turn_id)))
}

/// Turns rows that were read latest first.
fn oldest_first(rows: Vec<Model>) -> Result<Vec<Message>, StoreError> {
    rows.into_iter().rev().map(message_of).collect()
}

fn answer_of(mut row: Model) -> Result<StoredAnswer, StoreError> {
    let suggestions = serde_json::from_value(std::mem::take(&mut row.suggestions))?;
    let finish_reason = row.finish_reason.as_deref().map(from_name).transpose()?;
    let cost_usd = row.cost_usd.unwrap_or_default();
    Ok(StoredAnswer { message: message_of(row)?, suggestions, finish_reason, cost_usd })
}

fn message_of(row: Model) -> Result<Message, StoreError> {
    let usage = row.input_tokens.zip(row.output_tokens).map(|(input, output)| Usage {
        input_tokens: input.unsigned_abs(),
        output_tokens: output.unsigned_abs(),
    });
    let client_message_id = row.client_message_id.map(|id| id.parse()).transpose();
    Ok(Message {
        id: MessageId(row.id),
        conversation_id: ConversationId(row.conversation_id),
        turn_id: TurnId(row.turn_id),
        author: from_name(&row.author)?,
        content: row.content,
        status: from_name(&row.status)?,
        citations: serde_json::from_value(row.citations)?,
        usage,
        cost_usd: row.cost_usd,
        provider: row.provider,
        model: row.model,
        cached: row.cached,
        evidence: row.evidence.map(serde_json::from_value).transpose()?,
        client_message_id: client_message_id.map_err(StoreError::internal)?,
        created_at: Timestamp::from_millis(row.created_at),
    })
}

/// An empty JSON list.
fn none() -> JsonValue {
    JsonValue::Array(Vec::new())
}
