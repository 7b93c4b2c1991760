//! Rules that watch the log lines.

use sea_orm::entity::prelude::*;

/// A row of `alert_rules`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_rules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub condition: Json,
    pub severity: String,
    pub channels: Json,
    pub state: String,
    pub problem: Option<String>,
    pub evaluated_at: Option<i64>,
    pub muted_until: Option<i64>,
    pub created_by: Option<Uuid>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// None is walked by a query.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
