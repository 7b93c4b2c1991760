//! API keys: made, found by their hash, listed, revoked.
//!
//! What is stored is the SHA-256 of a key. A slow hash as for passwords would add nothing: a key
//! carries 256 random bits, so nobody can try them all, whatever one try costs; and it is checked
//! with every request.

use callboard_protocol::{
    ApiKey, ApiKeyId, KeyScope, KeySecret, NewApiKey, Role, Timestamp, UserId,
};
use rand::{TryRngCore, rngs::OsRng};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use sha2::{Digest, Sha256};

use super::before;
use crate::{
    Cursor, Record, Store, StoreError, TokenHash,
    entity::{
        api_key::{Column, Entity, Model},
        user,
    },
    value::{clean, from_name, to_json},
};

/// How old `last_used_at` may be before it is written anew, so that a busy key costs one change a
/// minute.
const TOUCH_EVERY_MS: i64 = 60_000;

/// A key as it was found by its hash, and what its account is now. Whether it is good is for the
/// caller to see: [`KeyOwner::is_good`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    /// The key.
    pub key: ApiKey,
    /// The name that its owner signs in with.
    pub username: String,
    /// The name of its owner to show.
    pub display_name: String,
    /// What its owner may do.
    pub role: Role,
    /// Whether its owner's account is disabled.
    pub disabled: bool,
}

impl KeyOwner {
    /// Whether the key opens anything at `now`.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        !self.disabled && self.key.is_good(now)
    }
}

/// A new key, from the operating system's random source.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn generate() -> Result<KeySecret, StoreError> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| StoreError::Internal(error.into()))?;
    Ok(KeySecret::from_random(bytes))
}

/// What is stored of a key, and what it is found by. See the module for why it is a fast hash.
#[must_use]
pub fn hash(secret: &KeySecret) -> TokenHash {
    Sha256::digest(secret.expose()).into()
}

/// Stores a key for `user`.
pub async fn insert(
    store: &Store,
    user: UserId,
    new: &NewApiKey,
    secret: &KeySecret,
    now: Timestamp,
) -> Result<ApiKey, StoreError> {
    store
        .run("keys.insert", async {
            let row = Model {
                id: ApiKeyId::new().0,
                user_id: user.0,
                name: clean(&new.name),
                key_hash: hash(secret).to_vec(),
                created_at: now.as_millis(),
                expires_at: new.expires_at.map(Timestamp::as_millis),
                last_used_at: None,
                revoked_at: None,
                prefix: secret.prefix(),
                scopes: to_json(&new.scopes)?,
                models: new.models.as_ref().map(to_json).transpose()?,
                daily_budget_micro_usd: new.daily_budget_micro_usd.map(stored),
                monthly_budget_micro_usd: new.monthly_budget_micro_usd.map(stored),
            };
            Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await?;
            key_of(row)
        })
        .await
}

/// The key with this hash, and its account: one read by an index. Revoked and expired keys are
/// found, too.
pub async fn find_by_hash(store: &Store, hash: &TokenHash) -> Result<Option<KeyOwner>, StoreError> {
    store
        .run("keys.find_by_hash", async {
            let found = Entity::find()
                .filter(Column::KeyHash.eq(hash.to_vec()))
                .find_also_related(user::Entity)
                .one(store.reader())
                .await?;
            let Some((key, Some(owner))) = found else { return Ok(None) };
            Ok(Some(KeyOwner {
                key: key_of(key)?,
                username: owner.username,
                display_name: owner.display_name,
                role: from_name(&owner.role)?,
                disabled: owner.disabled_at.is_some(),
            }))
        })
        .await
}

/// One key of any account.
pub async fn get(store: &Store, id: ApiKeyId) -> Result<ApiKey, StoreError> {
    store
        .run("keys.get", async {
            let row = Entity::find_by_id(id.0).one(store.reader()).await?;
            key_of(row.ok_or(StoreError::NotFound(Record::Key))?)
        })
        .await
}

/// The keys of an account, or of all when there is none, the latest first; and where the next page
/// begins, if there is one.
pub async fn list(
    store: &Store,
    owner: Option<UserId>,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<(Vec<ApiKey>, Option<Cursor>), StoreError> {
    store
        .run("keys.list", async {
            let mut find = Entity::find();
            if let Some(owner) = owner {
                find = find.filter(Column::UserId.eq(owner.0));
            }
            if let Some(cursor) = cursor {
                find = find.filter(before(Column::CreatedAt, Column::Id, cursor));
            }
            let mut rows = find
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit) + 1)
                .all(store.reader())
                .await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let last = rows.last().filter(|_| more);
            let next =
                last.map(|row| Cursor { at: Timestamp::from_millis(row.created_at), id: row.id });
            let keys: Result<_, _> = rows.into_iter().map(key_of).collect();
            Ok((keys?, next))
        })
        .await
}

/// How many keys of an account are not revoked.
pub async fn count_of_user(store: &Store, user: UserId) -> Result<u64, StoreError> {
    use sea_orm::PaginatorTrait;
    store
        .run("keys.count_of_user", async {
            let live = Entity::find()
                .filter(Column::UserId.eq(user.0))
                .filter(Column::RevokedAt.is_null());
            Ok(live.count(store.reader()).await?)
        })
        .await
}

/// Revokes a key: of `owner`, or of anybody when there is none. One that is revoked already stays
/// as it is. Gives the hash, for whoever remembers the key.
pub async fn revoke(
    store: &Store,
    owner: Option<UserId>,
    id: ApiKeyId,
    now: Timestamp,
) -> Result<TokenHash, StoreError> {
    store
        .run("keys.revoke", async {
            let missing = || StoreError::NotFound(Record::Key);
            let row = Entity::find_by_id(id.0).one(store.writer()).await?.ok_or_else(missing)?;
            if owner.is_some_and(|owner| owner.0 != row.user_id) {
                return Err(missing());
            }
            Entity::update_many()
                .col_expr(Column::RevokedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0))
                .filter(Column::RevokedAt.is_null())
                .exec(store.writer())
                .await?;
            let hash = TokenHash::try_from(row.key_hash.as_slice());
            hash.map_err(|_| StoreError::internal("a key's hash is not of 32 bytes"))
        })
        .await
}

/// Notes that a key was used; nothing is written when that was noted within the last minute. Tells
/// whether it was written.
pub async fn touch(store: &Store, id: ApiKeyId, now: Timestamp) -> Result<bool, StoreError> {
    store
        .run("keys.touch", async {
            let stale = Column::LastUsedAt.lte(now.as_millis() - TOUCH_EVERY_MS);
            let touched = Entity::update_many()
                .col_expr(Column::LastUsedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0))
                .filter(sea_orm::Condition::any().add(Column::LastUsedAt.is_null()).add(stale))
                .exec(store.writer())
                .await?;
            Ok(touched.rows_affected > 0)
        })
        .await
}

fn key_of(row: Model) -> Result<ApiKey, StoreError> {
    let scopes: Vec<KeyScope> = serde_json::from_value(row.scopes)?;
    let models: Option<Vec<String>> = row.models.map(serde_json::from_value).transpose()?;
    Ok(ApiKey {
        id: ApiKeyId(row.id),
        user_id: UserId(row.user_id),
        name: row.name,
        prefix: row.prefix,
        scopes,
        models,
        daily_budget_micro_usd: row.daily_budget_micro_usd.map(i64::unsigned_abs),
        monthly_budget_micro_usd: row.monthly_budget_micro_usd.map(i64::unsigned_abs),
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: row.expires_at.map(Timestamp::from_millis),
        last_used_at: row.last_used_at.map(Timestamp::from_millis),
        revoked_at: row.revoked_at.map(Timestamp::from_millis),
    })
}

/// A budget that no column can hold is no limit in practice either.
fn stored(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
