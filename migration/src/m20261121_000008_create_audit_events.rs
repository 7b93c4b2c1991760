//! Who did what. No foreign keys: the trail outlives what it tells of.

use sea_orm_migration::prelude::*;

use crate::column::{id, index, instant, json, optional_text, text};

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
            .table("audit_events")
            .col(id())
            .col(instant("at"))
            .col(ColumnDef::new("actor_id").uuid())
            .col(text("action"))
            .col(optional_text("object"))
            .col(optional_text("address"))
            .col(ColumnDef::new("request_id").uuid())
            .col(json("details"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("ix_audit_events_at", "audit_events", &["at", "id"])).await?;
        Ok(())
    }
}
