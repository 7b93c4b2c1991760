//! Rules that watch the log lines, and what they found.

use sea_orm_migration::prelude::*;

use crate::column::{
    child_of, flag, id, index, instant, json, later, mention_of, optional_text, reference, text,
    unique,
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
        let rules = Table::create()
            .table("alert_rules")
            .col(id())
            .col(text("name"))
            .col(json("condition"))
            .col(text("severity"))
            .col(json("channels"))
            .col(text("state"))
            .col(optional_text("problem"))
            .col(later("evaluated_at"))
            .col(later("muted_until"))
            .col(ColumnDef::new("created_by").uuid())
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .foreign_key(&mut mention_of("alert_rules", "created_by", "users"))
            .take();
        manager.create_table(rules).await?;
        manager.create_index(unique("uq_alert_rules_name", "alert_rules", &["name"])).await?;
        manager
            .create_index(index("ix_alert_rules_created_by", "alert_rules", &["created_by"]))
            .await?;
        let alerts = Table::create()
            .table("alerts")
            .col(id())
            .col(reference("rule_id"))
            .col(text("state"))
            .col(json("finding"))
            .col(flag("muted"))
            .col(instant("started_at"))
            .col(instant("seen_at"))
            .col(later("ended_at"))
            .foreign_key(&mut child_of("alerts", "rule_id", "alert_rules"))
            .take();
        manager.create_table(alerts).await?;
        manager.create_index(index("ix_alerts_rule_id", "alerts", &["rule_id", "state"])).await?;
        manager.create_index(index("ix_alerts_started", "alerts", &["started_at", "id"])).await?;
        Ok(())
    }
}
