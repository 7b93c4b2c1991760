//! The only SQL in the system, a file for each kind of record. Functions take the [`Store`] first
//! and the instant last.
//!
//! [`Store`]: crate::Store

pub mod accounts;
pub mod alerts;
pub mod audit;
pub mod conversations;
pub mod holds;
pub mod jobs;
pub mod keys;
pub mod links;
pub mod messages;
pub mod roles;
pub mod second_factors;
pub mod settings;
pub mod setup;
pub mod sign_ins;
pub mod sources;
pub mod tokens;
pub mod usage;
pub mod users;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait,
    IntoActiveModel, TryInsertResult,
};

use crate::{Cursor, StoreError};

/// Inserts `row` unless a row with the same `columns` is there; tells whether it did. On
/// PostgreSQL it waits for a transaction that is inserting such a row, which no query that looks
/// first could do; and unlike a refused insert it leaves the transaction usable.
async fn insert_new<M, A>(
    db: &impl ConnectionTrait,
    row: M,
    columns: impl IntoIterator<Item = <A::Entity as EntityTrait>::Column>,
) -> Result<bool, StoreError>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    let inserted = A::Entity::insert(row.into_active_model())
        .on_conflict_do_nothing_on(columns)
        .exec_without_returning(db)
        .await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0))
}

/// Rows that come before `cursor` when the latest is first.
fn before(at: impl ColumnTrait, id: impl ColumnTrait, cursor: &Cursor) -> Condition {
    let millis = cursor.at.as_millis();
    // The first term is implied by the second; an index can seek by it.
    Condition::all().add(at.lte(millis)).add(at.lt(millis).or(id.lt(cursor.id)))
}
