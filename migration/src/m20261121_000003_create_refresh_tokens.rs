//! Refresh tokens, by hash; those that descend from one sign-in share a family.

use sea_orm_migration::prelude::*;

use crate::column::{binary, child_of, id, index, instant, later, reference, unique};

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
            .table("refresh_tokens")
            .col(id())
            .col(reference("family_id"))
            .col(reference("user_id"))
            .col(binary("token_hash"))
            .col(instant("issued_at"))
            .col(instant("expires_at"))
            .col(later("used_at"))
            .col(later("revoked_at"))
            .foreign_key(&mut child_of("refresh_tokens", "user_id", "users"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(unique("uq_refresh_tokens_token_hash", "refresh_tokens", &["token_hash"]))
            .await?;
        manager
            .create_index(index("ix_refresh_tokens_family_id", "refresh_tokens", &["family_id"]))
            .await?;
        manager
            .create_index(index("ix_refresh_tokens_user_id", "refresh_tokens", &["user_id"]))
            .await?;
        manager
            .create_index(index("ix_refresh_tokens_expires_at", "refresh_tokens", &["expires_at"]))
            .await?;
        Ok(())
    }
}
