//! The one-time setup token, which makes the first administrator.

use callboard_protocol::{Timestamp, User};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};

use super::{
    settings,
    users::{self, NewUser},
};
use crate::{Store, StoreError, TokenHash, entity::setting};

const KEY: &str = "setup_token";

/// What is kept of the token.
#[derive(Serialize, Deserialize)]
struct Kept {
    hash: TokenHash,
    expires_at: Timestamp,
}

/// What came of using a setup token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupOutcome {
    /// The administrator is made, and the token is no more.
    Created(User),
    /// The token is wrong, too old or used. Nothing was changed.
    InvalidToken,
}

/// Keeps the hash of a new token, in the place of any earlier one.
pub async fn issue(
    store: &Store,
    hash: &TokenHash,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let kept = Kept { hash: *hash, expires_at };
    store.run("setup.issue", async { settings::write(store.writer(), KEY, &kept, now).await }).await
}

/// Whether the token is good, without using it.
pub async fn verify(store: &Store, hash: &TokenHash, now: Timestamp) -> Result<bool, StoreError> {
    store.run("setup.verify", async { is_good(store.reader(), hash, now).await }).await
}

/// Uses the token up and makes the first administrator, both or neither. Of several callers at
/// once one succeeds; the others get [`SetupOutcome::InvalidToken`] or fail with
/// [`Clash::AdminExists`](crate::Clash::AdminExists).
pub async fn complete(
    store: &Store,
    hash: &TokenHash,
    new: &NewUser,
    now: Timestamp,
) -> Result<SetupOutcome, StoreError> {
    store
        .run("setup.complete", async {
            let tx = store.begin().await?;
            if !is_good(&tx, hash, now).await? {
                return Ok(SetupOutcome::InvalidToken);
            }
            let user = users::insert_first_admin(&tx, new, now).await?;
            setting::Entity::delete_by_id(KEY.to_owned()).exec(&tx).await?;
            tx.commit().await?;
            Ok(SetupOutcome::Created(user))
        })
        .await
}

async fn is_good(
    db: &impl ConnectionTrait,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let kept: Option<Kept> = settings::read(db, KEY).await?;
    Ok(kept.is_some_and(|kept| kept.hash == *hash && kept.expires_at > now))
}
