//! Messages. `owner_id` repeats the owner of the conversation: for idempotency and for search.
//! `folded` is the content in lower case, so that a search finds the same on both databases.

use sea_orm_migration::prelude::*;

use crate::column::{
    child_of, flag, id, index, instant, json, later, optional_json, optional_text, reference, text,
    unique,
};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("messages")
            .col(id())
            .col(reference("conversation_id"))
            .col(reference("owner_id"))
            .col(reference("turn_id"))
            .col(text("author"))
            .col(text("content"))
            .col(text("folded"))
            .col(text("status"))
            .col(optional_text("finish_reason"))
            .col(json("citations"))
            .col(json("suggestions"))
            .col(optional_json("evidence"))
            .col(ColumnDef::new("input_tokens").big_integer())
            .col(ColumnDef::new("output_tokens").big_integer())
            .col(ColumnDef::new("cost_usd").double())
            .col(optional_text("provider"))
            .col(optional_text("model"))
            .col(flag("cached"))
            .col(optional_text("client_message_id"))
            .col(instant("created_at"))
            .col(later("finished_at"))
            .foreign_key(&mut child_of("messages", "conversation_id", "conversations"))
            .foreign_key(&mut child_of("messages", "owner_id", "users"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(unique(
                "uq_messages_owner_client_message_id",
                "messages",
                &["owner_id", "client_message_id"],
            ))
            .await?;
        manager
            .create_index(unique("uq_messages_turn_author", "messages", &["turn_id", "author"]))
            .await?;
        manager
            .create_index(index(
                "ix_messages_conversation_created",
                "messages",
                &["conversation_id", "created_at", "id"],
            ))
            .await?;
        manager
            .create_index(index(
                "ix_messages_owner_created",
                "messages",
                &["owner_id", "created_at", "id"],
            ))
            .await?;
        manager
            .create_index(
                index("ix_messages_streaming", "messages", &["status"])
                    .and_where(Expr::col("status").eq("streaming"))
                    .take(),
            )
            .await?;
        Ok(())
    }
}
