//! The life of a turn: begun, finished, or interrupted.

use callboard_protocol::{
    Author, Citation, ClientMessageId, Conversation, ConversationId, FinishReason, Message,
    MessageId, MessageStatus, SearchedEvidence, Timestamp, TurnId, Usage, UserId,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, QueryFilter, sea_query::Expr,
};

use super::{message_of, none};
use crate::{
    Clash, Record, Store, StoreError,
    entity::{
        conversation,
        message::{ActiveModel, Column, Entity, Model},
    },
    queries::{
        conversations::{conversation_of, new_row},
        insert_new,
    },
    value::{clean, name_of, to_json},
};

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a conversation that exists.
    In(ConversationId),
    /// In a new one of this id.
    Opens(ConversationId),
}

/// A question, to be made durable.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// Who asks.
    pub user: UserId,
    /// Where.
    pub place: Place,
    /// The client's id: the same id of the same user is the same turn.
    pub client_message_id: ClientMessageId,
    /// The question.
    pub content: String,
    /// The title, if a new conversation is opened.
    pub title: String,
    /// Whether there is room for another turn; a turn that was begun before needs none.
    pub room: bool,
    /// When.
    pub now: Timestamp,
}

/// A turn that is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct BegunTurn {
    /// Where it stands.
    pub conversation: Conversation,
    /// The question.
    pub user_message: Message,
    /// The message that the answer will be.
    pub answer_message_id: MessageId,
    /// The turn.
    pub turn_id: TurnId,
    /// Whether an earlier call with the same `client_message_id` began it: do not answer it again.
    pub existing: bool,
}

/// All of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedAnswer {
    /// The text, as far as it was written.
    pub content: String,
    /// Any status but `streaming`.
    pub status: MessageStatus,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// The lines that it rests on.
    pub citations: Vec<Citation>,
    /// Questions that might come next.
    pub suggestions: Vec<String>,
    /// What was searched.
    pub evidence: Option<SearchedEvidence>,
    /// What it used.
    pub usage: Usage,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
    /// Who answered, if somebody did.
    pub provider: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// What came of finishing an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishOutcome {
    /// It is stored.
    Stored,
    /// It was final before, and stays as it was.
    AlreadyFinal,
}

/// Makes a question durable, with the place of its answer, and opens its conversation if it is new. The same `client_message_id` of the same user gives the first call's turn, also when
/// both calls run at once. Fails with [`Record::Conversation`] if it is not this user's.
pub async fn begin_turn(store: &Store, new: &NewTurn) -> Result<BegunTurn, StoreError> {
    store
        .run("messages.begin_turn", async {
            if !new.room {
                let begun = find_begun(store.reader(), new.user, &new.client_message_id).await?;
                return begun.ok_or(StoreError::Conflict { what: Clash::TurnsWaiting });
            }
            let tx = store.begin().await?;
            let conversation = match new.place {
                Place::In(id) => touch(&tx, new.user, id, new.now).await?,
                Place::Opens(id) => open(&tx, id, new).await?,
            };
            let turn_id = TurnId::new();
            let question = question_row(new, conversation.id, turn_id)?;
            let unique = [Column::OwnerId, Column::ClientMessageId];
            if !insert_new(&tx, question.clone(), unique).await? {
                // It was begun before. Undo what this call did.
                tx.rollback().await?;
                let begun = find_begun(store.writer(), new.user, &new.client_message_id).await?;
                return begun.ok_or(StoreError::NotFound(Record::Message));
            }
            let answer = placeholder_row(&question)?;
            let answer_message_id = MessageId(answer.id);
            Entity::insert(answer.into_active_model()).exec_without_returning(&tx).await?;
            tx.commit().await?;
            Ok(BegunTurn {
                conversation,
                user_message: message_of(question)?,
                answer_message_id,
                turn_id,
                existing: false,
            })
        })
        .await
}

/// Stores an answer, once: an answer that is final stays as it is.
pub async fn finish_answer(
    store: &Store,
    id: MessageId,
    answer: &FinishedAnswer,
    now: Timestamp,
) -> Result<FinishOutcome, StoreError> {
    store
        .run("messages.finish_answer", async {
            if answer.status == MessageStatus::Streaming {
                return Err(StoreError::internal("an answer cannot be finished as streaming"));
            }
            let tx = store.begin().await?;
            let changed = Entity::update_many()
                .set(final_columns(answer, now)?)
                .filter(Column::Id.eq(id.0))
                .filter(Column::Status.eq(name_of(&MessageStatus::Streaming)?))
                .exec_with_returning(&tx)
                .await?;
            let Some(row) = changed.into_iter().next() else {
                let there = Entity::find_by_id(id.0).one(&tx).await?;
                return match there {
                    Some(_) => Ok(FinishOutcome::AlreadyFinal),
                    None => Err(StoreError::NotFound(Record::Message)),
                };
            };
            touch(&tx, UserId(row.owner_id), ConversationId(row.conversation_id), now).await?;
            tx.commit().await?;
            Ok(FinishOutcome::Stored)
        })
        .await
}

/// Marks the answers that a server left behind when it ended; tells how many. Only at start-up,
/// and only where no other server shares the database.
pub async fn interrupt_unfinished(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    store
        .run("messages.interrupt_unfinished", async {
            let interrupted = name_of(&MessageStatus::Interrupted)?;
            let changed = Entity::update_many()
                .col_expr(Column::Status, Expr::value(interrupted))
                .col_expr(Column::FinishedAt, Expr::value(now.as_millis()))
                // In the text, not as a parameter: else the partial index is of no use.
                .filter(Expr::cust("status = 'streaming'"))
                .exec(store.writer())
                .await?;
            Ok(changed.rows_affected)
        })
        .await
}

/// The turn that a user's question began, if it was stored.
pub async fn begun(
    store: &Store,
    user: UserId,
    client_message_id: &ClientMessageId,
) -> Result<Option<BegunTurn>, StoreError> {
    // From the writer: what was committed a moment ago must be seen.
    let find = async { find_begun(store.writer(), user, client_message_id).await };
    store.run("messages.begun", find).await
}

/// Marks one answer that nobody writes any more; tells whether it was unfinished.
pub async fn interrupt(store: &Store, id: MessageId, now: Timestamp) -> Result<bool, StoreError> {
    store
        .run("messages.interrupt", async {
            let changed = Entity::update_many()
                .col_expr(Column::Status, Expr::value(name_of(&MessageStatus::Interrupted)?))
                .col_expr(Column::FinishedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0))
                .filter(Column::Status.eq(name_of(&MessageStatus::Streaming)?))
                .exec(store.writer())
                .await?;
            Ok(changed.rows_affected > 0)
        })
        .await
}

/// The turn that an earlier call began.
async fn find_begun(
    db: &impl ConnectionTrait,
    user: UserId,
    client_message_id: &ClientMessageId,
) -> Result<Option<BegunTurn>, StoreError> {
    let question = Entity::find()
        .filter(Column::OwnerId.eq(user.0))
        .filter(Column::ClientMessageId.eq(client_message_id.as_str()))
        .one(db)
        .await?;
    let Some(question) = question else { return Ok(None) };
    let answer = Entity::find()
        .filter(Column::TurnId.eq(question.turn_id))
        .filter(Column::Author.eq(name_of(&Author::Assistant)?))
        .one(db)
        .await?
        .ok_or(StoreError::NotFound(Record::Message))?;
    let conversation = conversation::Entity::find_by_id(question.conversation_id)
        .one(db)
        .await?
        .ok_or(StoreError::NotFound(Record::Conversation))?;
    Ok(Some(BegunTurn {
        conversation: conversation_of(conversation),
        turn_id: TurnId(question.turn_id),
        answer_message_id: MessageId(answer.id),
        user_message: message_of(question)?,
        existing: true,
    }))
}

/// Moves the user's conversation to the top of the list. It never goes back in time.
async fn touch(
    tx: &DatabaseTransaction,
    owner: UserId,
    id: ConversationId,
    now: Timestamp,
) -> Result<Conversation, StoreError> {
    let (column, now) = (conversation::Column::UpdatedAt, now.as_millis());
    let later = Expr::case(column.lt(now), now).finally(column.into_expr());
    let touched = conversation::Entity::update_many()
        .col_expr(column, later.into())
        .filter(conversation::Column::Id.eq(id.0))
        .filter(conversation::Column::OwnerId.eq(owner.0))
        .exec_with_returning(tx)
        .await?;
    let row = touched.into_iter().next();
    Ok(conversation_of(row.ok_or(StoreError::NotFound(Record::Conversation))?))
}

async fn open(
    tx: &DatabaseTransaction,
    id: ConversationId,
    new: &NewTurn,
) -> Result<Conversation, StoreError> {
    let row = new_row(id, new.user, &new.title, new.now);
    conversation::Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx)
        .await?;
    Ok(conversation_of(row))
}

fn question_row(
    new: &NewTurn,
    conversation: ConversationId,
    turn: TurnId,
) -> Result<Model, StoreError> {
    let content = clean(&new.content);
    Ok(Model {
        id: MessageId::new().0,
        conversation_id: conversation.0,
        owner_id: new.user.0,
        turn_id: turn.0,
        author: name_of(&Author::User)?,
        folded: content.to_lowercase(),
        content,
        status: name_of(&MessageStatus::Complete)?,
        finish_reason: None,
        citations: none(),
        suggestions: none(),
        evidence: None,
        input_tokens: None,
        output_tokens: None,
        cost_usd: None,
        provider: None,
        model: None,
        cached: false,
        client_message_id: Some(new.client_message_id.as_str().to_owned()),
        created_at: new.now.as_millis(),
        finished_at: Some(new.now.as_millis()),
    })
}

fn placeholder_row(question: &Model) -> Result<Model, StoreError> {
    Ok(Model {
        id: MessageId::new().0,
        author: name_of(&Author::Assistant)?,
        content: String::new(),
        folded: String::new(),
        status: name_of(&MessageStatus::Streaming)?,
        client_message_id: None,
        finished_at: None,
        ..question.clone()
    })
}

fn final_columns(answer: &FinishedAnswer, now: Timestamp) -> Result<ActiveModel, StoreError> {
    let content = clean(&answer.content);
    let tokens = |count: u64| Set(Some(i64::try_from(count).unwrap_or(i64::MAX)));
    Ok(ActiveModel {
        folded: Set(content.to_lowercase()),
        content: Set(content),
        status: Set(name_of(&answer.status)?),
        finish_reason: Set(Some(name_of(&answer.finish_reason)?)),
        citations: Set(to_json(&answer.citations)?),
        suggestions: Set(to_json(&answer.suggestions)?),
        evidence: Set(answer.evidence.as_ref().map(to_json).transpose()?),
        input_tokens: tokens(answer.usage.input_tokens),
        output_tokens: tokens(answer.usage.output_tokens),
        // Neither database keeps what is not a number.
        cost_usd: Set(Some(answer.cost_usd).filter(|cost| cost.is_finite())),
        provider: Set(answer.provider.as_deref().map(clean)),
        model: Set(answer.model.as_deref().map(clean)),
        cached: Set(answer.cached),
        finished_at: Set(Some(now.as_millis())),
        ..ActiveModel::default()
    })
}
