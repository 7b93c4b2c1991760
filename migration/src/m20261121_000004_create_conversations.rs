//! Threads of messages.

use sea_orm_migration::prelude::*;

use crate::column::{child_of, id, index, instant, reference, text};

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
            .table("conversations")
            .col(id())
            .col(reference("owner_id"))
            .col(text("title"))
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .foreign_key(&mut child_of("conversations", "owner_id", "users"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(index(
                "ix_conversations_owner_updated",
                "conversations",
                &["owner_id", "updated_at", "id"],
            ))
            .await?;
        Ok(())
    }
}
