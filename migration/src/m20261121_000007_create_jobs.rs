//! Background work: the queue and its history.

use sea_orm_migration::prelude::*;

use crate::column::{
    count, flag, id, index, instant, json, later, mention_of, optional_json, optional_text, text,
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
            .table("jobs")
            .col(id())
            .col(text("kind"))
            .col(text("title"))
            .col(json("payload"))
            .col(text("state"))
            .col(json("progress"))
            .col(count("attempts"))
            .col(count("max_attempts"))
            .col(instant("not_before"))
            .col(optional_text("claimed_by"))
            .col(later("heartbeat_at"))
            .col(flag("cancel_requested"))
            .col(ColumnDef::new("source_id").uuid())
            .col(optional_json("error"))
            .col(ColumnDef::new("created_by").uuid())
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .col(later("finished_at"))
            .foreign_key(&mut mention_of("jobs", "source_id", "log_sources"))
            .foreign_key(&mut mention_of("jobs", "created_by", "users"))
            .take();
        manager.create_table(table).await?;
        manager
            .create_index(index("ix_jobs_state_not_before", "jobs", &["state", "not_before", "id"]))
            .await?;
        manager.create_index(index("ix_jobs_created", "jobs", &["created_at", "id"])).await?;
        manager.create_index(index("ix_jobs_source_id", "jobs", &["source_id"])).await?;
        manager.create_index(index("ix_jobs_created_by", "jobs", &["created_by"])).await?;
        Ok(())
    }
}
