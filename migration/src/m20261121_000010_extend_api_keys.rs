//! What an API key shows of itself, what it may be used for, and what it may cost; and since when
//! an account is disabled, which ends its keys. A key made before this one has no scope.

use sea_orm_migration::prelude::*;

use crate::column::{index, later, optional_amount, optional_json};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ColumnDef::new("prefix").text().not_null().default("").take(),
            ColumnDef::new("scopes").json_binary().not_null().default("[]").take(),
            optional_json("models"),
            optional_amount("daily_budget_micro_usd"),
            optional_amount("monthly_budget_micro_usd"),
        ];
        // SQLite adds one column for each statement.
        for column in columns {
            let add = Table::alter().table("api_keys").add_column(column).take();
            manager.alter_table(add).await?;
        }
        let disabled = Table::alter().table("users").add_column(later("disabled_at")).take();
        manager.alter_table(disabled).await?;
        manager
            .create_index(index("ix_api_keys_created", "api_keys", &["created_at", "id"]))
            .await?;
        Ok(())
    }
}
