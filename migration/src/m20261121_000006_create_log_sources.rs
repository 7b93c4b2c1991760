//! Where log lines come from.

use sea_orm_migration::prelude::*;

use crate::column::{id, instant, json, text, unique};

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
            .table("log_sources")
            .col(id())
            .col(text("kind"))
            .col(text("name"))
            .col(json("config"))
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(unique("uq_log_sources_name", "log_sources", &["name"])).await?;
        Ok(())
    }
}
