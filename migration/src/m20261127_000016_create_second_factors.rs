//! Second factors of accounts. The secret is sealed; recovery codes are hashes.

use sea_orm_migration::prelude::*;

use crate::column::{amount, child_of, instant, json, later};

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
            .table("second_factors")
            .col(ColumnDef::new("user_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("secret").binary().not_null())
            .col(json("recovery"))
            .col(amount("last_step"))
            .col(instant("created_at"))
            .col(later("confirmed_at"))
            .foreign_key(&mut child_of("second_factors", "user_id", "users"))
            .take();
        manager.create_table(table).await
    }
}
