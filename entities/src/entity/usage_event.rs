//! The usage ledger.

use sea_orm::entity::prelude::*;

/// A row of `usage_events`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub request_id: Uuid,
    pub started_at: i64,
    pub ended_at: i64,
    pub user_id: Uuid,
    pub api_key_id: Option<Uuid>,
    pub turn_id: Option<Uuid>,
    pub endpoint: String,
    pub alias: String,
    pub provider: String,
    pub model: String,
    pub status: String,
    pub error: Option<String>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_input_tokens: i64,
    pub cache_write_tokens: i64,
    pub reasoning_tokens: i64,
    pub estimated: bool,
    pub cost_micro_usd: i64,
    pub ttft_ms: Option<i64>,
    pub duration_ms: i64,
}

/// None is walked by a query.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
