//! Sources whose lines are held: none of them goes while a hold is in force.

use sea_orm_migration::prelude::*;

use crate::column::{id, index, instant, mention_of, text};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let holds = Table::create()
            .table("log_holds")
            .col(id())
            .col(text("sources"))
            .col(text("reason"))
            .col(ColumnDef::new("created_by").uuid())
            .col(instant("created_at"))
            .foreign_key(&mut mention_of("log_holds", "created_by", "users"))
            .take();
        manager.create_table(holds).await?;
        manager.create_index(index("ix_log_holds_created_by", "log_holds", &["created_by"])).await
    }
}
