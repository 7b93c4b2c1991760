//! Second factors: the secret of an authenticator, sealed, and the hashes of recovery codes. A code is
//! good once: the step that it was made for, or its hash, is used up by one caller.

use callboard_protocol::{Timestamp, UserId};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::tokens;
use crate::{
    Clash, Store, StoreError, TokenHash,
    entity::second_factor::{Column, Entity, Model},
    value::to_json,
};

/// What is kept of a second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The secret, sealed.
    pub secret: Vec<u8>,
    /// Whether its owner has shown a code of it.
    pub confirmed: bool,
    /// Recovery codes that are left.
    pub recovery_left: usize,
}

/// The factor of an account, confirmed or not.
pub async fn find(store: &Store, user: UserId) -> Result<Option<Factor>, StoreError> {
    store
        .run("second_factors.find", async {
            let row = Entity::find_by_id(user.0).one(store.reader()).await?;
            row.map(|row| {
                let confirmed = row.confirmed_at.is_some();
                let recovery_left = hashes_of(&row)?.len();
                Ok(Factor { secret: row.secret, confirmed, recovery_left })
            })
            .transpose()
        })
        .await
}

/// Keeps a new secret that has yet to be confirmed, in the place of another such.
pub async fn begin(
    store: &Store,
    user: UserId,
    secret: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .run("second_factors.begin", async {
            let row = Model {
                user_id: user.0,
                secret,
                recovery: to_json(&[(); 0])?,
                last_step: 0,
                created_at: now.as_millis(),
                confirmed_at: None,
            };
            let again = OnConflict::column(Column::UserId)
                .update_columns([Column::Secret, Column::LastStep, Column::CreatedAt])
                .action_and_where(Expr::col((Entity, Column::ConfirmedAt)).is_null())
                .to_owned();
            let kept = Entity::insert(row.into_active_model())
                .on_conflict(again)
                .exec_without_returning(store.writer())
                .await?;
            if kept == 0 {
                return Err(StoreError::Conflict { what: Clash::SecondFactor });
            }
            Ok(())
        })
        .await
}

/// Puts a factor in force whose owner has shown the code of `step`; tells whether there was one to
/// confirm.
pub async fn confirm(
    store: &Store,
    user: UserId,
    step: u64,
    recovery: &[TokenHash],
    now: Timestamp,
) -> Result<bool, StoreError> {
    store
        .run("second_factors.confirm", async {
            let confirmed = Entity::update_many()
                .col_expr(Column::ConfirmedAt, Expr::value(now.as_millis()))
                .col_expr(Column::LastStep, Expr::value(signed(step)))
                .col_expr(Column::Recovery, Expr::value(to_json(&recovery)?))
                .filter(Column::UserId.eq(user.0))
                .filter(Column::ConfirmedAt.is_null())
                .exec(store.writer())
                .await?;
            Ok(confirmed.rows_affected > 0)
        })
        .await
}

/// Uses up the code of `step`, and all before it; tells whether it was still good.
pub async fn use_step(store: &Store, user: UserId, step: u64) -> Result<bool, StoreError> {
    store
        .run("second_factors.use_step", async {
            let used = Entity::update_many()
                .col_expr(Column::LastStep, Expr::value(signed(step)))
                .filter(Column::UserId.eq(user.0))
                .filter(Column::ConfirmedAt.is_not_null())
                .filter(Column::LastStep.lt(signed(step)))
                .exec(store.writer())
                .await?;
            Ok(used.rows_affected > 0)
        })
        .await
}

/// Uses up a recovery code; tells whether it was one.
pub async fn use_recovery(
    store: &Store,
    user: UserId,
    hash: &TokenHash,
) -> Result<bool, StoreError> {
    store
        .run("second_factors.use_recovery", async {
            let tx = store.begin().await?;
            tokens::lock_user(&tx, user.0).await?;
            let Some(row) = Entity::find_by_id(user.0).one(&tx).await? else { return Ok(false) };
            let mut left = hashes_of(&row)?;
            let Some(at) = left.iter().position(|kept| kept == hash) else { return Ok(false) };
            left.remove(at);
            Entity::update_many()
                .col_expr(Column::Recovery, Expr::value(to_json(&left)?))
                .filter(Column::UserId.eq(user.0))
                .exec(&tx)
                .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
}

/// Takes the factor of an account away; tells whether there was one.
pub async fn delete(store: &Store, user: UserId) -> Result<bool, StoreError> {
    store
        .run("second_factors.delete", async {
            let deleted = Entity::delete_by_id(user.0).exec(store.writer()).await?;
            Ok(deleted.rows_affected > 0)
        })
        .await
}

fn hashes_of(row: &Model) -> Result<Vec<TokenHash>, StoreError> {
    Ok(serde_json::from_value(row.recovery.clone())?)
}

fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}
