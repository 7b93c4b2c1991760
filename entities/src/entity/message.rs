//! Messages of conversations.

use sea_orm::entity::prelude::*;

/// A row of `messages`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub conversation_id: Uuid,
    pub owner_id: Uuid,
    pub turn_id: Uuid,
    pub author: String,
    pub content: String,
    pub folded: String,
    pub status: String,
    pub finish_reason: Option<String>,
    pub citations: Json,
    pub suggestions: Json,
    pub evidence: Option<Json>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cost_usd: Option<f64>,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub cached: bool,
    pub client_message_id: Option<String>,
    pub created_at: i64,
    pub finished_at: Option<i64>,
}

/// The conversation that a message stands in.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::conversation::Entity",
        from = "Column::ConversationId",
        to = "super::conversation::Column::Id"
    )]
    Conversation,
}

impl Related<super::conversation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
