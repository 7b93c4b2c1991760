//! Where log lines come from.

use callboard_protocol::{SourceId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, sea_query::OnConflict,
};
use serde_json::Value;

use crate::{
    Record, Store, StoreError,
    entity::log_source::{Column, Entity, Model},
    value::{clean, to_json},
};

/// A source, as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSource {
    /// Its id.
    pub id: SourceId,
    /// How it is read: `upload`, `file`, `own`…
    pub kind: String,
    /// Its name; no two sources share one.
    pub name: String,
    /// What its kind needs to know.
    pub config: Value,
    /// When it was first named.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The source of this name: made if there is none, changed to `kind` and `config` if there is.
pub async fn ensure(
    store: &Store,
    kind: &str,
    name: &str,
    config: &Value,
    now: Timestamp,
) -> Result<LogSource, StoreError> {
    store
        .run("sources.ensure", async {
            let row = Model {
                id: SourceId::new().0,
                kind: clean(kind),
                name: clean(name),
                config: to_json(config)?,
                created_at: now.as_millis(),
                updated_at: now.as_millis(),
            };
            let change = OnConflict::column(Column::Name)
                .update_columns([Column::Kind, Column::Config, Column::UpdatedAt])
                .to_owned();
            Entity::insert(row.into_active_model())
                .on_conflict(change)
                .exec_without_returning(store.writer())
                .await?;
            let row = Entity::find()
                .filter(Column::Name.eq(clean(name)))
                .one(store.writer())
                .await?
                .ok_or(StoreError::NotFound(Record::Source))?;
            Ok(source_of(row))
        })
        .await
}

/// All sources, by name.
pub async fn list(store: &Store) -> Result<Vec<LogSource>, StoreError> {
    store
        .run("sources.list", async {
            let rows = Entity::find().order_by_asc(Column::Name).all(store.reader()).await?;
            Ok(rows.into_iter().map(source_of).collect())
        })
        .await
}

/// One source.
pub async fn get(store: &Store, id: SourceId) -> Result<LogSource, StoreError> {
    store
        .run("sources.get", async {
            let row = Entity::find_by_id(id.0).one(store.reader()).await?;
            row.map(source_of).ok_or(StoreError::NotFound(Record::Source))
        })
        .await
}

fn source_of(row: Model) -> LogSource {
    LogSource {
        id: SourceId(row.id),
        kind: row.kind,
        name: row.name,
        config: row.config,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    }
}
