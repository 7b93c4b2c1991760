//! The audit trail becomes a chain: each event carries its number and a hash over itself and the event
//! before. Those from before this version stay outside of it. What may tell of a person stands behind
//! a salted digest, so that it can be erased and the chain still holds.

use sea_orm_migration::prelude::*;

use crate::column::{index, optional_text, unique};

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
            ColumnDef::new("seq").big_integer().take(),
            optional_text("actor_name"),
            ColumnDef::new("salt").binary().take(),
            ColumnDef::new("personal_digest").binary().take(),
            ColumnDef::new("hash").binary().take(),
        ];
        for column in columns {
            let add = Table::alter().table("audit_events").add_column(column).take();
            manager.alter_table(add).await?;
        }
        manager.create_index(unique("uq_audit_events_seq", "audit_events", &["seq"])).await?;
        manager
            .create_index(index("ix_audit_events_actor", "audit_events", &["actor_id", "at"]))
            .await
    }
}
