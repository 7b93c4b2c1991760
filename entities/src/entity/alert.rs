//! What the rules found.

use sea_orm::entity::prelude::*;

/// A row of `alerts`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub rule_id: Uuid,
    pub state: String,
    pub finding: Json,
    pub muted: bool,
    pub started_at: i64,
    pub seen_at: i64,
    pub ended_at: Option<i64>,
}

/// None is walked by a query.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
