//! Sources whose lines are held, whatever retention says.

use callboard_protocol::{LogHold, LogHoldId, NewLogHold, Timestamp, UserId};
use sea_orm::{EntityTrait, IntoActiveModel, PaginatorTrait, QueryOrder};

use crate::{
    Record, Store, StoreError,
    entity::log_hold::{Column, Entity, Model},
    value::clean,
};

/// Makes a hold.
pub async fn create(
    store: &Store,
    new: &NewLogHold,
    by: UserId,
    now: Timestamp,
) -> Result<LogHold, StoreError> {
    store
        .run("holds.create", async {
            let row = Model {
                id: LogHoldId::new().0,
                sources: clean(&new.sources),
                reason: clean(&new.reason),
                created_by: Some(by.0),
                created_at: now.as_millis(),
            };
            Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await?;
            Ok(hold_of(row))
        })
        .await
}

/// All of them, the first made first.
pub async fn list(store: &Store) -> Result<Vec<LogHold>, StoreError> {
    store
        .run("holds.list", async {
            let rows = Entity::find()
                .order_by_asc(Column::CreatedAt)
                .order_by_asc(Column::Id)
                .all(store.reader())
                .await?;
            Ok(rows.into_iter().map(hold_of).collect())
        })
        .await
}

/// How many there are.
pub async fn count(store: &Store) -> Result<u64, StoreError> {
    store.run("holds.count", async { Ok(Entity::find().count(store.reader()).await?) }).await
}

/// Ends a hold.
pub async fn delete(store: &Store, id: LogHoldId) -> Result<(), StoreError> {
    store
        .run("holds.delete", async {
            let deleted = Entity::delete_by_id(id.0).exec(store.writer()).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::Hold));
            }
            Ok(())
        })
        .await
}

fn hold_of(row: Model) -> LogHold {
    LogHold {
        id: LogHoldId(row.id),
        sources: row.sources,
        reason: row.reason,
        created_by: row.created_by.map(UserId),
        created_at: Timestamp::from_millis(row.created_at),
    }
}
