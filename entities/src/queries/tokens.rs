//! Refresh tokens: good for one use each; a second use ends the whole family.
//!
//! Rotations and revocations of one user take turns (they lock the user's row), so that no token
//! is born into a family that is being revoked.

use callboard_protocol::{Timestamp, TokenFamilyId, TokenId, User, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};

use super::{sign_ins, users::user_of};
use crate::{
    Record, Store, StoreError, TokenHash,
    entity::{
        refresh_token::{Column, Entity, Model},
        user,
    },
};

/// A refresh token to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewRefreshToken {
    /// Its hash.
    pub hash: TokenHash,
    /// The sign-in that it descends from.
    pub family: TokenFamilyId,
    /// Whose it is.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What came of showing a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was good, and the new one is stored in its place.
    Rotated {
        /// Whose it is, as the account is now.
        user: User,
        /// The family of both tokens.
        family: TokenFamilyId,
    },
    /// It was used before: somebody else has a copy. The family is revoked.
    Reused {
        /// Whose it is.
        user_id: UserId,
        /// The family that is no more.
        family: TokenFamilyId,
    },
    /// Its family was revoked before, or its account is disabled.
    Revoked,
    /// It is too old.
    Expired,
    /// There is no such token.
    Unknown,
}

/// Stores the first token of a family.
pub async fn insert(
    store: &Store,
    new: &NewRefreshToken,
    now: Timestamp,
) -> Result<(), StoreError> {
    store.run("tokens.insert", async { insert_row(store.writer(), row_of(new, now)).await }).await
}

/// Exchanges a token for a new one. Of several callers with the same token at once one gets
/// [`Rotation::Rotated`]; the next gets [`Rotation::Reused`].
pub async fn rotate(
    store: &Store,
    hash: &TokenHash,
    new_hash: &TokenHash,
    new_expires_at: Timestamp,
    now: Timestamp,
) -> Result<Rotation, StoreError> {
    store
        .run("tokens.rotate", async {
            let tx = store.begin().await?;
            let find = || Entity::find().filter(Column::TokenHash.eq(hash.to_vec()));
            let Some(seen) = find().one(&tx).await? else {
                return Ok(Rotation::Unknown);
            };
            let user = lock_user(&tx, seen.user_id).await?;
            // Once more: it may have changed while waiting for the lock.
            let Some(token) = find().one(&tx).await? else {
                return Ok(Rotation::Unknown);
            };
            let family = TokenFamilyId(token.family_id);
            let rotation = if token.revoked_at.is_some() || user.disabled_at.is_some() {
                Rotation::Revoked
            } else if token.used_at.is_some() {
                revoke_rows(&tx, Column::FamilyId, family.0, now).await?;
                sign_ins::note_end(&tx, family, now).await?;
                Rotation::Reused { user_id: UserId(token.user_id), family }
            } else if token.expires_at <= now.as_millis() {
                Rotation::Expired
            } else {
                mark_used(&tx, &token, now).await?;
                let user_id = UserId(token.user_id);
                let (hash, expires_at) = (*new_hash, new_expires_at);
                let new = NewRefreshToken { hash, family, user: user_id, expires_at };
                insert_row(&tx, row_of(&new, now)).await?;
                Rotation::Rotated { user: user_of(user)?, family }
            };
            tx.commit().await?;
            Ok(rotation)
        })
        .await
}

/// Whose family a token belongs to, whatever its state: for signing out.
pub async fn family_of(
    store: &Store,
    hash: &TokenHash,
) -> Result<Option<TokenFamilyId>, StoreError> {
    store
        .run("tokens.family_of", async {
            let token = Entity::find()
                .filter(Column::TokenHash.eq(hash.to_vec()))
                .one(store.reader())
                .await?;
            Ok(token.map(|token| TokenFamilyId(token.family_id)))
        })
        .await
}

/// Ends a family: none of its tokens is good any more. Nothing happens if there is no such family.
pub async fn revoke_family(
    store: &Store,
    family: TokenFamilyId,
    now: Timestamp,
) -> Result<(), StoreError> {
    store
        .run("tokens.revoke_family", async {
            let tx = store.begin().await?;
            let one = Entity::find().filter(Column::FamilyId.eq(family.0)).one(&tx).await?;
            let Some(token) = one else { return Ok(()) };
            lock_user(&tx, token.user_id).await?;
            revoke_rows(&tx, Column::FamilyId, family.0, now).await?;
            sign_ins::note_end(&tx, family, now).await?;
            Ok(tx.commit().await?)
        })
        .await
}

/// Whether a family is revoked, or all of it has been purged.
pub async fn is_family_revoked(store: &Store, family: TokenFamilyId) -> Result<bool, StoreError> {
    store
        .run("tokens.is_family_revoked", async {
            let live = Entity::find()
                .filter(Column::FamilyId.eq(family.0))
                .filter(Column::RevokedAt.is_null())
                .count(store.reader())
                .await?;
            Ok(live == 0)
        })
        .await
}

/// Forgets the tokens that have ended by `now`; tells how many.
pub async fn purge_expired(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    store
        .run("tokens.purge_expired", async {
            let purged = Entity::delete_many()
                .filter(Column::ExpiresAt.lte(now.as_millis()))
                .exec(store.writer())
                .await?;
            Ok(purged.rows_affected)
        })
        .await
}

/// Ends those families of a user that are in force and meant; tells which. The user's row is locked.
pub(super) async fn revoke_rows_of(
    tx: &DatabaseTransaction,
    user: UserId,
    is_meant: impl Fn(TokenFamilyId) -> bool,
    now: Timestamp,
) -> Result<Vec<TokenFamilyId>, StoreError> {
    let families: Vec<uuid::Uuid> = Entity::find()
        .select_only()
        .column(Column::FamilyId)
        .distinct()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::RevokedAt.is_null())
        .into_tuple()
        .all(tx)
        .await?;
    let meant: Vec<TokenFamilyId> =
        families.into_iter().map(TokenFamilyId).filter(|family| is_meant(*family)).collect();
    for family in &meant {
        revoke_rows(tx, Column::FamilyId, family.0, now).await?;
    }
    Ok(meant)
}

/// Lets nobody else change the tokens of this user until the transaction ends.
pub(super) async fn lock_user(
    tx: &DatabaseTransaction,
    id: uuid::Uuid,
) -> Result<user::Model, StoreError> {
    let row = user::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(tx).await?;
    row.ok_or(StoreError::NotFound(Record::User))
}

async fn revoke_rows(
    tx: &DatabaseTransaction,
    column: Column,
    id: uuid::Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.as_millis()))
        .filter(column.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

async fn mark_used(
    tx: &DatabaseTransaction,
    token: &Model,
    now: Timestamp,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now.as_millis()))
        .filter(Column::Id.eq(token.id))
        .exec(tx)
        .await?;
    Ok(())
}

async fn insert_row(db: &impl ConnectionTrait, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(())
}

fn row_of(new: &NewRefreshToken, now: Timestamp) -> Model {
    Model {
        id: TokenId::new().0,
        family_id: new.family.0,
        user_id: new.user.0,
        token_hash: new.hash.to_vec(),
        issued_at: now.as_millis(),
        expires_at: new.expires_at.as_millis(),
        used_at: None,
        revoked_at: None,
    }
}
