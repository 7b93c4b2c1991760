//! The audit trail: it only grows.

use callboard_protocol::{AuditEventId, RequestId, Timestamp, UserId};
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder, QuerySelect};
use serde_json::Value;

use crate::{
    Store, StoreError,
    entity::audit_event::{Column, Entity, Model},
    value::{clean, to_json},
};

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Who did it; none for the server itself, or for somebody unknown.
    pub actor: Option<UserId>,
    /// What: `auth.login`, `conversation.delete`…
    pub action: String,
    /// To what.
    pub object: Option<String>,
    /// From which network address.
    pub address: Option<String>,
    /// In which request.
    pub request_id: Option<RequestId>,
    /// More; no secrets.
    pub details: Value,
    /// When.
    pub at: Timestamp,
}

/// Adds to the trail.
pub async fn append(store: &Store, event: &AuditEvent) -> Result<(), StoreError> {
    store
        .run("audit.append", async {
            let row = Model {
                id: AuditEventId::new().0,
                at: event.at.as_millis(),
                actor_id: event.actor.map(|id| id.0),
                action: clean(&event.action),
                object: event.object.as_deref().map(clean),
                address: event.address.as_deref().map(clean),
                request_id: event.request_id.map(|id| id.0),
                details: to_json(&event.details)?,
            };
            Entity::insert(row.into_active_model()).exec_without_returning(store.writer()).await?;
            Ok(())
        })
        .await
}

/// The latest events, the last first.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<AuditEvent>, StoreError> {
    store
        .run("audit.list", async {
            let rows = Entity::find()
                .order_by_desc(Column::At)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            Ok(rows.into_iter().map(event_of).collect())
        })
        .await
}

fn event_of(row: Model) -> AuditEvent {
    AuditEvent {
        actor: row.actor_id.map(UserId),
        action: row.action,
        object: row.object,
        address: row.address,
        request_id: row.request_id.map(RequestId),
        details: row.details,
        at: Timestamp::from_millis(row.at),
    }
}
