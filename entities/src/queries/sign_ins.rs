//! Sign-ins: what is known of each family of refresh tokens.

use callboard_protocol::{SignIn, SignInMethod, Timestamp, TokenFamilyId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::tokens;
use crate::{
    Store, StoreError,
    entity::sign_in::{Column, Entity, Model},
    value::{clean, from_name, name_of},
};

/// Sign-ins of an account that are listed.
const MOST_LISTED: u64 = 200;
/// The longest name of a device, in characters.
const LONGEST_DEVICE: usize = 200;

/// From where a sign-in is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenFrom {
    /// What the client calls itself.
    pub device: Option<String>,
    /// Its network address.
    pub address: Option<String>,
}

/// A sign-in that is seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The sign-in.
    pub family: TokenFamilyId,
    /// Whose it is.
    pub user: UserId,
    /// How it was done; of one that was noted already this changes nothing.
    pub method: SignInMethod,
    /// From where.
    pub from: &'a SeenFrom,
    /// When its latest refresh token ends.
    pub expires_at: Timestamp,
}

/// Notes a sign-in, or that it was seen again.
pub async fn note(store: &Store, seen: &Seen<'_>, now: Timestamp) -> Result<(), StoreError> {
    store
        .run("sign_ins.note", async {
            let short = |text: &str| clean(text).chars().take(LONGEST_DEVICE).collect();
            let row = Model {
                id: seen.family.0,
                user_id: seen.user.0,
                method: name_of(&seen.method)?,
                device: seen.from.device.as_deref().map(short),
                address: seen.from.address.clone(),
                started_at: now.as_millis(),
                last_seen_at: now.as_millis(),
                expires_at: seen.expires_at.as_millis(),
                ended_at: None,
            };
            let again = OnConflict::column(Column::Id)
                .update_columns([
                    Column::Device,
                    Column::Address,
                    Column::LastSeenAt,
                    Column::ExpiresAt,
                ])
                .to_owned();
            Entity::insert(row.into_active_model())
                .on_conflict(again)
                .exec_without_returning(store.writer())
                .await?;
            Ok(())
        })
        .await
}

/// How a sign-in was done; none if that was not noted.
pub async fn method_of(
    store: &Store,
    family: TokenFamilyId,
) -> Result<Option<SignInMethod>, StoreError> {
    store
        .run("sign_ins.method_of", async {
            let row = Entity::find_by_id(family.0).one(store.reader()).await?;
            row.map(|row| from_name(&row.method)).transpose()
        })
        .await
}

/// The sign-ins of an account that are in force at `now`, the one that was seen last first; `current`
/// is marked.
pub async fn list(
    store: &Store,
    user: UserId,
    current: Option<TokenFamilyId>,
    now: Timestamp,
) -> Result<Vec<SignIn>, StoreError> {
    store
        .run("sign_ins.list", async {
            let rows = Entity::find()
                .filter(Column::UserId.eq(user.0))
                .filter(Column::EndedAt.is_null())
                .filter(Column::ExpiresAt.gt(now.as_millis()))
                .order_by_desc(Column::LastSeenAt)
                .limit(MOST_LISTED)
                .all(store.reader())
                .await?;
            rows.into_iter().map(|row| sign_in_of(row, current)).collect()
        })
        .await
}

/// Ends one sign-in of an account; tells whether it was in force.
pub async fn end(
    store: &Store,
    user: UserId,
    family: TokenFamilyId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    store
        .run("sign_ins.end", async {
            let tx = store.begin().await?;
            tokens::lock_user(&tx, user.0).await?;
            let ended = end_rows(
                &tx,
                Condition::all().add(Column::UserId.eq(user.0)).add(Column::Id.eq(family.0)),
                now,
            );
            let ended = ended.await?;
            tokens::revoke_rows_of(&tx, user, |at| at == family, now).await?;
            tx.commit().await?;
            Ok(ended > 0)
        })
        .await
}

/// Ends all sign-ins of an account but one; tells which were in force.
pub async fn end_others(
    store: &Store,
    user: UserId,
    kept: Option<TokenFamilyId>,
    now: Timestamp,
) -> Result<Vec<TokenFamilyId>, StoreError> {
    store
        .run("sign_ins.end_others", async {
            let tx = store.begin().await?;
            let ended = end_all_of(&tx, user, kept, now).await?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
}

/// As [`end_others`], within a transaction.
pub(super) async fn end_all_of(
    tx: &DatabaseTransaction,
    user: UserId,
    kept: Option<TokenFamilyId>,
    now: Timestamp,
) -> Result<Vec<TokenFamilyId>, StoreError> {
    tokens::lock_user(tx, user.0).await?;
    let families = tokens::revoke_rows_of(tx, user, |at| Some(at) != kept, now).await?;
    let kept = kept.map(|kept| Column::Id.ne(kept.0));
    let of_them = Condition::all().add(Column::UserId.eq(user.0)).add_option(kept);
    end_rows(tx, of_them, now).await?;
    Ok(families)
}

/// The families that were ended at or after `since`, and when: for other processes on this database.
pub async fn ended_since(
    store: &Store,
    since: Timestamp,
) -> Result<Vec<(TokenFamilyId, Timestamp)>, StoreError> {
    store
        .run("sign_ins.ended_since", async {
            let rows = Entity::find()
                .filter(Column::EndedAt.gte(since.as_millis()))
                .all(store.reader())
                .await?;
            let ended =
                |row: Model| Some((TokenFamilyId(row.id), Timestamp::from_millis(row.ended_at?)));
            Ok(rows.into_iter().filter_map(ended).collect())
        })
        .await
}

/// Notes that a family has ended; nothing happens if it is not noted.
pub(super) async fn note_end(
    db: &impl ConnectionTrait,
    family: TokenFamilyId,
    now: Timestamp,
) -> Result<(), StoreError> {
    end_rows(db, Condition::all().add(Column::Id.eq(family.0)), now).await.map(drop)
}

async fn end_rows(
    db: &impl ConnectionTrait,
    which: Condition,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let ended = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now.as_millis()))
        .filter(which)
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(ended.rows_affected)
}

/// Forgets the sign-ins that have ended by `now`; tells how many.
pub async fn purge_expired(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    store
        .run("sign_ins.purge_expired", async {
            let purged = Entity::delete_many()
                .filter(Column::ExpiresAt.lte(now.as_millis()))
                .exec(store.writer())
                .await?;
            Ok(purged.rows_affected)
        })
        .await
}

fn sign_in_of(row: Model, current: Option<TokenFamilyId>) -> Result<SignIn, StoreError> {
    let id = TokenFamilyId(row.id);
    Ok(SignIn {
        id,
        user_id: UserId(row.user_id),
        method: from_name(&row.method)?,
        device: row.device,
        address: row.address,
        started_at: Timestamp::from_millis(row.started_at),
        last_seen_at: Timestamp::from_millis(row.last_seen_at),
        current: Some(id) == current,
    })
}
