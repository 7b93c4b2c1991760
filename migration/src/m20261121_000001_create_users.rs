//! Accounts. `username` is stored normalised, so that one index makes it unique in any spelling.

use sea_orm_migration::prelude::*;

use crate::column::{id, instant, optional_text, text, unique};

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
            .table("users")
            .col(id())
            .col(text("username"))
            .col(text("display_name"))
            .col(text("role"))
            .col(optional_text("password_hash"))
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(unique("uq_users_username", "users", &["username"])).await?;
        Ok(())
    }
}
