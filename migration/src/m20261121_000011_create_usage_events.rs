//! What every call of a model used and cost: a row for each attempt, and for each answer from the
//! cache. No foreign keys: the books outlive the accounts and the keys that they tell of.

use sea_orm_migration::prelude::*;

use crate::column::{
    amount, flag, id, index, instant, optional_amount, optional_text, reference, text,
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
            .table("usage_events")
            .col(id())
            .col(reference("request_id"))
            .col(instant("started_at"))
            .col(instant("ended_at"))
            .col(reference("user_id"))
            .col(ColumnDef::new("api_key_id").uuid())
            .col(ColumnDef::new("turn_id").uuid())
            .col(text("endpoint"))
            .col(text("alias"))
            .col(text("provider"))
            .col(text("model"))
            .col(text("status"))
            .col(optional_text("error"))
            .col(amount("input_tokens"))
            .col(amount("output_tokens"))
            .col(amount("cached_input_tokens"))
            .col(amount("cache_write_tokens"))
            .col(amount("reasoning_tokens"))
            .col(flag("estimated"))
            .col(amount("cost_micro_usd"))
            .col(optional_amount("ttft_ms"))
            .col(amount("duration_ms"))
            .take();
        manager.create_table(table).await?;
        let indexes = [
            ("ix_usage_events_user_started", ["user_id", "started_at"]),
            ("ix_usage_events_key_started", ["api_key_id", "started_at"]),
            ("ix_usage_events_started", ["started_at", "id"]),
        ];
        for (name, columns) in indexes {
            manager.create_index(index(name, "usage_events", &columns)).await?;
        }
        Ok(())
    }
}
