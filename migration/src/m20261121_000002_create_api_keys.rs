//! Keys for programs; only their hashes are stored.

use sea_orm_migration::prelude::*;

use crate::column::{binary, child_of, id, index, instant, later, reference, text, unique};

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
            .table("api_keys")
            .col(id())
            .col(reference("user_id"))
            .col(text("name"))
            .col(binary("key_hash"))
            .col(instant("created_at"))
            .col(later("expires_at"))
            .col(later("last_used_at"))
            .col(later("revoked_at"))
            .foreign_key(&mut child_of("api_keys", "user_id", "users"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(unique("uq_api_keys_key_hash", "api_keys", &["key_hash"])).await?;
        manager.create_index(index("ix_api_keys_user_id", "api_keys", &["user_id"])).await?;
        Ok(())
    }
}
