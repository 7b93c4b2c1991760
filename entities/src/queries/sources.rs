//! Where log lines come from.

use callboard_protocol::{SourceId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use serde_json::Value;

use crate::{
    Clash, Record, Store, StoreError,
    entity::log_source::{Column, Entity, Model},
    error::is_duplicate,
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

/// The kind of a source that follows files by a pattern of their paths.
pub const FILES: &str = "files";

/// The source of this name: made if there is none, changed to `kind` and `config` if there is, unless
/// somebody configured it ([`FILES`]).
pub async fn ensure(
    store: &Store,
    kind: &str,
    name: &str,
    config: &Value,
    now: Timestamp,
) -> Result<LogSource, StoreError> {
    store
        .run("sources.ensure", async {
            let row = new_row((kind, name), config, now)?;
            let change = OnConflict::column(Column::Name)
                .update_columns([Column::Kind, Column::Config, Column::UpdatedAt])
                .action_and_where(Expr::col((Entity, Column::Kind)).ne(FILES))
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

/// The sources of one kind, by name.
pub async fn of_kind(store: &Store, kind: &str) -> Result<Vec<LogSource>, StoreError> {
    store
        .run("sources.of_kind", async {
            let rows = Entity::find()
                .filter(Column::Kind.eq(kind))
                .order_by_asc(Column::Name)
                .all(store.reader())
                .await?;
            Ok(rows.into_iter().map(source_of).collect())
        })
        .await
}

/// Makes a source whose name no other has.
pub async fn create(
    store: &Store,
    kind: &str,
    name: &str,
    config: &Value,
    now: Timestamp,
) -> Result<LogSource, StoreError> {
    store
        .run("sources.create", async {
            let row = new_row((kind, name), config, now)?;
            match Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await
            {
                Ok(_) => Ok(source_of(row)),
                Err(error) if is_duplicate(&error) => {
                    Err(StoreError::Conflict { what: Clash::SourceName })
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
}

/// Changes what a source of this kind is configured to be; answers it as it is then.
pub async fn configure(
    store: &Store,
    (id, kind): (SourceId, &str),
    config: &Value,
    now: Timestamp,
) -> Result<LogSource, StoreError> {
    store
        .run("sources.configure", async {
            let changed = Entity::update_many()
                .col_expr(Column::Config, Expr::value(to_json(config)?))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0))
                .filter(Column::Kind.eq(kind))
                .exec(store.writer())
                .await?;
            if changed.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::Source));
            }
            let row = Entity::find_by_id(id.0).one(store.writer()).await?;
            row.map(source_of).ok_or(StoreError::NotFound(Record::Source))
        })
        .await
}

/// Forgets a source of this kind; its lines stay.
pub async fn delete(store: &Store, (id, kind): (SourceId, &str)) -> Result<(), StoreError> {
    store
        .run("sources.delete", async {
            let deleted = Entity::delete_many()
                .filter(Column::Id.eq(id.0))
                .filter(Column::Kind.eq(kind))
                .exec(store.writer())
                .await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::Source));
            }
            Ok(())
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

fn new_row(
    (kind, name): (&str, &str),
    config: &Value,
    now: Timestamp,
) -> Result<Model, StoreError> {
    Ok(Model {
        id: SourceId::new().0,
        kind: clean(kind),
        name: clean(name),
        config: to_json(config)?,
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
    })
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
