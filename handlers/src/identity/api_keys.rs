//! API keys: checked with every request of a program, made, listed and revoked.
//!
//! The extractors check them, the routes of `/keys` and the command line manage them. A good key is
//! remembered for half a minute, so that a busy program costs one look-up in that time. Invariants:
//! a text whose checksum does not fit never reaches the database; a key is remembered by its hash
//! alone; what was revoked here is refused from then on, also when its look-up was under way.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use callboard_actors::Limits;
use callboard_entities::{
    Cursor, TokenHash,
    queries::{
        keys::{self, KeyOwner},
        users,
    },
};
use callboard_protocol::{
    ApiKey, ApiKeyCreated, ApiKeyId, ApiKeyPage, ErrorCode, KeyScope, KeySecret, KeyTextError,
    NewApiKey, Timestamp, User, UserId,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Identity, no_such_account};
use crate::{
    ApiError,
    extract::{Principal, Via},
};

/// Keys that are remembered; of more, one is forgotten for each new one.
const MOST_REMEMBERED: usize = 4_096;
/// How long a key that another process revoked may still be good here.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// The last use of a key is noted to the minute.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Notes of last uses that are written at once; what is beyond them is noted with a later request.
const TOUCHES: usize = 16;
/// Keys of an account that are not revoked.
const MOST_KEYS: u64 = 50;
/// The longest name of a key, and of a model, in characters.
const LONGEST_NAME: usize = 100;
const LONGEST_MODEL: usize = 200;
/// Models that a key may list.
const MOST_MODELS: usize = 100;

/// The key with which a request came, as far as it counts behind the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOfCaller {
    /// Its id.
    pub id: ApiKeyId,
    /// What it may be used for.
    pub scopes: Vec<KeyScope>,
    /// The models that it may name; all when absent.
    pub models: Option<Vec<String>>,
    /// What it may cost.
    pub budgets: Limits,
}

impl KeyOfCaller {
    /// Whether it may name this model.
    #[must_use]
    pub fn may_name(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| allowed == model))
    }
}

/// The keys that are known, and what bounds their management.
pub(super) struct ApiKeys {
    known: Mutex<Known>,
    touches: Arc<Semaphore>,
    /// Held while a key is made: two at once cannot both be the account's last.
    making: tokio::sync::Mutex<()>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            touches: Arc::new(Semaphore::new(TOUCHES)),
            making: tokio::sync::Mutex::default(),
        }
    }
}

#[derive(Default)]
struct Known {
    keys: HashMap<TokenHash, Remembered>,
    /// Grows with each revocation: what was looked up before one is not remembered after it.
    revocations: u64,
    /// Those that were revoked here last, the latest last: for what goes on longer than a request.
    revoked: VecDeque<ApiKeyId>,
}

/// A key that was good when it was looked up.
#[derive(Clone)]
struct Remembered {
    user: User,
    key: Arc<KeyOfCaller>,
    expires_at: Option<Timestamp>,
    looked_up: Timestamp,
    touched: Option<Timestamp>,
}

impl Remembered {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back makes nothing last longer.
        self.looked_up <= now && now < self.looked_up.plus(REMEMBERED_FOR)
    }
}

impl ApiKeys {
    /// The key, if it is remembered and was looked up lately; and the count of revocations, for
    /// [`remember`](Self::remember).
    fn find(&self, hash: &TokenHash, now: Timestamp) -> Result<Remembered, u64> {
        let known = self.known.lock();
        let found = known.keys.get(hash).filter(|found| found.is_fresh(now)).cloned();
        found.ok_or(known.revocations)
    }

    /// Remembers a key, unless one was revoked since its look-up began.
    fn remember(&self, hash: TokenHash, found: Remembered, revocations: u64, now: Timestamp) {
        let mut known = self.known.lock();
        if known.revocations != revocations {
            return;
        }
        if known.keys.len() >= MOST_REMEMBERED && !known.keys.contains_key(&hash) {
            known.keys.retain(|_, found| found.is_fresh(now));
            if known.keys.len() >= MOST_REMEMBERED
                && let Some(any) = known.keys.keys().next().copied()
            {
                known.keys.remove(&any);
            }
        }
        known.keys.insert(hash, found);
    }

    fn forget(&self, id: ApiKeyId) {
        let mut known = self.known.lock();
        known.revocations = known.revocations.wrapping_add(1);
        known.keys.retain(|_, found| found.key.id != id);
        if known.revoked.len() >= MOST_REMEMBERED {
            known.revoked.pop_front();
        }
        known.revoked.push_back(id);
    }

    fn was_revoked(&self, id: ApiKeyId) -> bool {
        self.known.lock().revoked.contains(&id)
    }

    /// Forgets the keys of an account, which was changed.
    pub(super) fn forget_of(&self, user: UserId) {
        let mut known = self.known.lock();
        known.revocations = known.revocations.wrapping_add(1);
        known.keys.retain(|_, found| found.user.id != user);
    }

    /// Leave to note that the key is used, at most once in [`TOUCH_EVERY`].
    fn begin_touch(&self, hash: &TokenHash, now: Timestamp) -> Option<OwnedSemaphorePermit> {
        let mut known = self.known.lock();
        let found = known.keys.get_mut(hash)?;
        if found.touched.is_some_and(|at| now < at.plus(TOUCH_EVERY)) {
            return None;
        }
        let leave = Arc::clone(&self.touches).try_acquire_owned().ok()?;
        found.touched = Some(now);
        Some(leave)
    }
}

/// Forgets a key when it goes: also when whoever asked for the revocation has gone meanwhile.
struct Forgetting<'a>(&'a ApiKeys, ApiKeyId);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

impl Identity {
    /// Whose key it is, and what it may do, if it is good at `now`.
    pub(crate) async fn check_key(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Principal, ApiError> {
        let secret: KeySecret =
            text.parse().map_err(|error: KeyTextError| refused(&error.to_string()))?;
        let hash = keys::hash(&secret);
        let found = match self.0.api_keys.find(&hash, now) {
            Ok(found) => found,
            Err(revocations) => self.look_up(hash, revocations, now).await?,
        };
        if found.expires_at.is_some_and(|end| end <= now) {
            return Err(refused("this key has expired"));
        }
        self.touch(&hash, found.key.id, now);
        let Remembered { user, key, expires_at, .. } = found;
        let rights = self.rights(user.role);
        let (family, via, key) = (None, Via::ApiKey, Some(key));
        // A key is not asked for a second factor: its owner was, to make it.
        Ok(Principal { user, rights, family, second_factor: true, expires_at, via, key })
    }

    /// Whether a key was revoked here lately.
    pub(crate) fn was_key_revoked(&self, id: ApiKeyId) -> bool {
        self.0.api_keys.was_revoked(id)
    }

    async fn look_up(
        &self,
        hash: TokenHash,
        revocations: u64,
        now: Timestamp,
    ) -> Result<Remembered, ApiError> {
        let owner = keys::find_by_hash(&self.0.store, &hash).await?;
        let owner = owner.ok_or_else(|| refused("there is no such key"))?;
        if !owner.is_good(now) {
            return Err(refused(if owner.key.revoked_at.is_some() {
                "this key is revoked"
            } else if owner.disabled {
                "the account of this key is disabled"
            } else {
                "this key has expired"
            }));
        }
        let found = remembered(owner, now);
        self.0.api_keys.remember(hash, found.clone(), revocations, now);
        Ok(found)
    }

    /// Notes in the background that a key is used: nobody waits for that.
    fn touch(&self, hash: &TokenHash, id: ApiKeyId, now: Timestamp) {
        let Some(leave) = self.0.api_keys.begin_touch(hash, now) else { return };
        let store = self.0.store.clone();
        actix_web::rt::spawn(async move {
            if let Err(error) = keys::touch(&store, id, now).await {
                tracing::warn!(%error, key = %id, "the use of a key could not be noted");
            }
            drop(leave);
        });
    }

    /// Makes a key. The secret in the answer is nowhere else and cannot be shown again.
    ///
    /// # Errors
    /// When a field breaks a rule, the account has as many keys as it may, or the store fails.
    pub async fn create_key(
        &self,
        owner: UserId,
        new: NewApiKey,
        now: Timestamp,
    ) -> Result<ApiKeyCreated, ApiError> {
        let new = checked(new, now)?;
        let _making = self.0.api_keys.making.lock().await;
        if keys::count_of_user(&self.0.store, owner).await? >= MOST_KEYS {
            let message = format!("an account has at most {MOST_KEYS} keys: revoke one first");
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        let secret = keys::generate()?;
        let key = keys::insert(&self.0.store, owner, &new, &secret, now).await?;
        Ok(ApiKeyCreated { key, secret: secret.expose().to_owned() })
    }

    /// The keys of an account, or of all when there is none, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys(
        &self,
        owner: Option<UserId>,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ApiKeyPage, ApiError> {
        let (items, next) = keys::list(&self.0.store, owner, cursor, limit).await?;
        Ok(ApiKeyPage { items, next_cursor: next.map(|next| next.to_string()) })
    }

    /// Revokes a key of `owner`, or of anybody when there is none. From now on this process refuses
    /// it; the others within half a minute.
    ///
    /// # Errors
    /// When there is no such key, or the store fails.
    pub async fn revoke_key(
        &self,
        owner: Option<UserId>,
        id: ApiKeyId,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let _forgetting = Forgetting(&self.0.api_keys, id);
        keys::revoke(&self.0.store, owner, id, now).await?;
        Ok(())
    }

    /// As [`create_key`](Self::create_key), by the machine's operator, for themselves or for the
    /// account of this name.
    ///
    /// # Errors
    /// As there, and when there is no such account.
    pub async fn add_key(
        &self,
        username: Option<&str>,
        new: NewApiKey,
        now: Timestamp,
    ) -> Result<ApiKeyCreated, ApiError> {
        let owner = match username {
            None => self.0.local.id,
            Some(name) => {
                let found = users::find_by_username(&self.0.store, name).await?;
                found.ok_or_else(no_such_account)?.id
            }
        };
        let made = self.create_key(owner, new, now).await?;
        self.note("key.create", &made.key.id.to_string(), now).await;
        Ok(made)
    }

    /// As [`revoke_key`](Self::revoke_key), by the machine's operator.
    ///
    /// # Errors
    /// As there.
    pub async fn withdraw_key(&self, id: ApiKeyId, now: Timestamp) -> Result<Duration, ApiError> {
        self.revoke_key(None, id, now).await?;
        self.note("key.revoke", &id.to_string(), now).await;
        Ok(REMEMBERED_FOR)
    }
}

fn remembered(owner: KeyOwner, now: Timestamp) -> Remembered {
    let KeyOwner { key, username, display_name, role, .. } = owner;
    let ApiKey { id, user_id, scopes, models, expires_at, last_used_at, .. } = key;
    let budgets = Limits { day: key.daily_budget_micro_usd, month: key.monthly_budget_micro_usd };
    Remembered {
        user: User { id: user_id, username, display_name, role },
        key: Arc::new(KeyOfCaller { id, scopes, models, budgets }),
        expires_at,
        looked_up: now,
        touched: last_used_at,
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidToken, why)
}

/// A new key whose fields keep the rules.
fn checked(mut new: NewApiKey, now: Timestamp) -> Result<NewApiKey, ApiError> {
    new.name = new.name.trim().to_owned();
    if !is_name(&new.name, LONGEST_NAME) {
        let rule = "a name has 1 to 100 characters, none of them a control character";
        return Err(ApiError::invalid("name", rule));
    }
    new.scopes.sort_unstable();
    new.scopes.dedup();
    if new.scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "a key has at least one scope"));
    }
    if let Some(models) = &mut new.models {
        models.sort_unstable();
        models.dedup();
        if models.is_empty() || models.len() > MOST_MODELS {
            let rule = "a list of models has 1 to 100 of them; leave it out to allow all";
            return Err(ApiError::invalid("models", rule));
        }
        if !models.iter().all(|model| is_name(model, LONGEST_MODEL)) {
            let rule = "a model has 1 to 200 characters, none of them a control character";
            return Err(ApiError::invalid("models", rule));
        }
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::invalid("expires_at", "the end of a key lies in the future"));
    }
    Ok(new)
}

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
