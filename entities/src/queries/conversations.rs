//! Conversations. Every query names the owner: another's conversation is not found.

use callboard_protocol::{Conversation, ConversationId, ConversationPage, Timestamp, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

use super::before;
use crate::{
    Cursor, Record, Store, StoreError,
    entity::conversation::{Column, Entity, Model},
    value::clean,
};

/// Opens a conversation.
pub async fn create(
    store: &Store,
    owner: UserId,
    title: &str,
    now: Timestamp,
) -> Result<Conversation, StoreError> {
    store
        .run("conversations.create", async {
            let row = new_row(ConversationId::new(), owner, title, now);
            Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await?;
            Ok(conversation_of(row))
        })
        .await
}

/// One conversation.
pub async fn get(
    store: &Store,
    owner: UserId,
    id: ConversationId,
) -> Result<Conversation, StoreError> {
    store
        .run("conversations.get", async {
            let row = Entity::find_by_id(id.0)
                .filter(Column::OwnerId.eq(owner.0))
                .one(store.reader())
                .await?;
            row.map(conversation_of).ok_or(StoreError::NotFound(Record::Conversation))
        })
        .await
}

/// A page of conversations, the one with the latest message first.
pub async fn page(
    store: &Store,
    owner: UserId,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<ConversationPage, StoreError> {
    store
        .run("conversations.page", async {
            let mut find = Entity::find().filter(Column::OwnerId.eq(owner.0));
            if let Some(cursor) = after {
                find = find.filter(before(Column::UpdatedAt, Column::Id, cursor));
            }
            let limit = limit as usize;
            // One more than asked for tells whether there is another page.
            let mut rows = find
                .order_by_desc(Column::UpdatedAt)
                .order_by_desc(Column::Id)
                .limit(limit as u64 + 1)
                .all(store.reader())
                .await?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let last = rows.last().filter(|_| more);
            let next_cursor = last.map(|row| {
                Cursor { at: Timestamp::from_millis(row.updated_at), id: row.id }.to_string()
            });
            Ok(ConversationPage {
                items: rows.into_iter().map(conversation_of).collect(),
                next_cursor,
            })
        })
        .await
}

/// Gives a conversation another title. It keeps its place in the list.
pub async fn rename(
    store: &Store,
    owner: UserId,
    id: ConversationId,
    title: &str,
) -> Result<Conversation, StoreError> {
    store
        .run("conversations.rename", async {
            let rows = Entity::update_many()
                .col_expr(Column::Title, Expr::value(clean(title)))
                .filter(Column::Id.eq(id.0))
                .filter(Column::OwnerId.eq(owner.0))
                .exec_with_returning(store.writer())
                .await?;
            let row = rows.into_iter().next();
            row.map(conversation_of).ok_or(StoreError::NotFound(Record::Conversation))
        })
        .await
}

/// Deletes a conversation and its messages.
pub async fn delete(store: &Store, owner: UserId, id: ConversationId) -> Result<(), StoreError> {
    store
        .run("conversations.delete", async {
            let deleted = Entity::delete_many()
                .filter(Column::Id.eq(id.0))
                .filter(Column::OwnerId.eq(owner.0))
                .exec(store.writer())
                .await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::Conversation));
            }
            Ok(())
        })
        .await
}

pub(super) fn new_row(id: ConversationId, owner: UserId, title: &str, now: Timestamp) -> Model {
    Model {
        id: id.0,
        owner_id: owner.0,
        title: clean(title),
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
    }
}

pub(super) fn conversation_of(row: Model) -> Conversation {
    Conversation {
        id: ConversationId(row.id),
        title: row.title,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    }
}
