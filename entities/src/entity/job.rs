//! Background work.

use sea_orm::entity::prelude::*;

/// A row of `jobs`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub title: String,
    pub payload: Json,
    pub state: String,
    pub progress: Json,
    pub attempts: i32,
    pub max_attempts: i32,
    pub not_before: i64,
    pub claimed_by: Option<String>,
    pub heartbeat_at: Option<i64>,
    pub cancel_requested: bool,
    pub source_id: Option<Uuid>,
    pub error: Option<Json>,
    pub created_by: Option<Uuid>,
    pub created_at: i64,
    pub updated_at: i64,
    pub finished_at: Option<i64>,
}

/// None is walked by a query.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
