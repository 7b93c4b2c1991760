//! The audit trail.

use sea_orm::entity::prelude::*;

/// A row of `audit_events`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub at: i64,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub object: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<Uuid>,
    pub details: Json,
    pub seq: Option<i64>,
    pub actor_name: Option<String>,
    pub salt: Option<Vec<u8>>,
    pub personal_digest: Option<Vec<u8>>,
    pub hash: Option<Vec<u8>>,
}

/// None is walked by a query.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
