//! Searching one's own messages.

use callboard_protocol::{MessageHit, MessageHits, MessageId, Timestamp, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::excerpt::excerpt;
use crate::{
    Store, StoreError,
    entity::{
        conversation,
        message::{Column, Entity},
    },
    queries::conversations::conversation_of,
    value::{clean, containing, from_name},
};

/// More words than this are not looked at: each costs a pass over the messages.
const MOST_WORDS: usize = 8;
/// Longer words are cut.
const LONGEST_WORD: usize = 100;

/// This user's messages that hold all of the words, in any case and in any place, latest first.
pub async fn search(
    store: &Store,
    owner: UserId,
    words: &str,
    limit: u32,
) -> Result<MessageHits, StoreError> {
    let words = split(words);
    if words.is_empty() {
        return Ok(MessageHits { items: Vec::new() });
    }
    store
        .run("messages.search", async {
            let mut find = Entity::find()
                .find_also_related(conversation::Entity)
                .filter(Column::OwnerId.eq(owner.0));
            for word in &words {
                find = find.filter(Expr::col((Entity, Column::Folded)).like(containing(word)));
            }
            let rows = find
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            let mut items = Vec::with_capacity(rows.len());
            for (row, conversation) in rows {
                let Some(conversation) = conversation else { continue };
                items.push(MessageHit {
                    message_id: MessageId(row.id),
                    conversation: conversation_of(conversation),
                    author: from_name(&row.author)?,
                    excerpt: excerpt(&row.content, &words),
                    created_at: Timestamp::from_millis(row.created_at),
                });
            }
            Ok(MessageHits { items })
        })
        .await
}

/// The words in the form in which messages are folded.
fn split(words: &str) -> Vec<String> {
    clean(words)
        .to_lowercase()
        .split_whitespace()
        .take(MOST_WORDS)
        .map(|word| word.chars().take(LONGEST_WORD).collect())
        .collect()
}
