//! What the server itself must remember, by key.

use sea_orm_migration::prelude::*;

use crate::column::{instant, json};

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
            .table("settings")
            .col(ColumnDef::new("key").text().not_null().primary_key())
            .col(json("value"))
            .col(instant("updated_at"))
            .take();
        manager.create_table(table).await?;
        Ok(())
    }
}
