//! Accounts that were changed lately: what they are now, whatever their tokens say.
//!
//! Access tokens are good without a look at the database; this makes another role, a disabled account
//! and a deleted one count at once. An account stays here until the last token from before its change
//! has ended. Changes by other processes on this database are looked for each second.

use std::{collections::HashMap, time::Duration};

use callboard_entities::queries::{
    accounts::{self, Standing},
    roles, sign_ins,
};
use callboard_protocol::{Role, Timestamp, UserId};
use parking_lot::RwLock;
use tokio::time::sleep;

use super::Identity;
use crate::ApiError;

/// How often others are looked after: as long as a change that was made elsewhere may not count here.
const LOOK: Duration = Duration::from_secs(1);
/// How much earlier than the last look a change may be dated that was not seen by it: a transaction takes
/// its time, and the clocks of two nodes differ.
const OVERLAP: Duration = Duration::from_secs(10);

/// The accounts that were changed lately.
#[derive(Default)]
pub(super) struct Standings(RwLock<HashMap<UserId, Changed>>);

#[derive(Clone, Copy)]
struct Changed {
    /// None: the account is disabled, or gone.
    role: Option<Role>,
    at: Timestamp,
    until: Timestamp,
}

impl Standings {
    /// What the account is now whose token says `role`; none when it opens nothing.
    pub(super) fn role_of(&self, user: UserId, role: Role) -> Option<Role> {
        self.0.read().get(&user).map_or(Some(role), |changed| changed.role)
    }

    /// Notes a change, unless a later one is known; tells whether it is new.
    fn note(&self, user: UserId, role: Option<Role>, at: Timestamp, until: Timestamp) -> bool {
        let mut known = self.0.write();
        if known.get(&user).is_some_and(|known| known.at >= at) {
            return false;
        }
        known.retain(|_, changed| changed.until > at);
        known.insert(user, Changed { role, at, until });
        true
    }
}

impl Identity {
    /// From now on the account is this, whatever its tokens say.
    pub(super) fn note_standing(&self, standing: &Standing) {
        let until = standing.at.plus(self.0.access.lifetime()).plus(OVERLAP);
        let role = (!standing.disabled).then_some(standing.role);
        if self.0.standings.note(standing.user, role, standing.at, until) {
            self.0.api_keys.forget_of(standing.user);
        }
    }

    /// From now on the account is gone.
    pub(super) fn note_gone(&self, user: UserId, now: Timestamp) {
        let until = now.plus(self.0.access.lifetime()).plus(OVERLAP);
        self.0.standings.note(user, None, now, until);
        self.0.api_keys.forget_of(user);
    }

    /// Takes over what was changed while tokens may be out there that say otherwise: a restart must not
    /// make them count again.
    pub(super) async fn recall(&self) -> Result<(), ApiError> {
        let started = self.0.started;
        self.look(started.minus(self.0.access.lifetime()).minus(OVERLAP), started).await
    }

    /// Looks after what other processes on this database change, such as `callboard user`, for as long
    /// as it is polled.
    pub async fn follow(self) {
        let mut since = self.0.started;
        loop {
            let now = Timestamp::now();
            match self.look(since.minus(OVERLAP), now).await {
                Ok(()) => since = now,
                Err(error) => tracing::warn!(%error, "changes of accounts could not be read"),
            }
            sleep(LOOK).await;
        }
    }

    async fn look(&self, since: Timestamp, now: Timestamp) -> Result<(), ApiError> {
        for standing in accounts::changed_since(&self.0.store, since).await? {
            self.note_standing(&standing);
        }
        for (family, _) in sign_ins::ended_since(&self.0.store, since).await? {
            if !self.is_revoked(family) {
                self.end_access(family, now);
            }
        }
        self.0.roles.set(roles::list(&self.0.store).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_change_counts_for_as_long_as_tokens_may_say_otherwise() {
        let standings = Standings::default();
        let (ada, bob) = (UserId::new(), UserId::new());
        let at = Timestamp::from_millis;
        assert_eq!(standings.role_of(ada, Role::ADMIN), Some(Role::ADMIN));
        assert!(standings.note(ada, Some(Role::VIEWER), at(5), at(100)));
        assert_eq!(standings.role_of(ada, Role::ADMIN), Some(Role::VIEWER));
        assert!(!standings.note(ada, Some(Role::ADMIN), at(5), at(100)), "seen before");
        assert!(!standings.note(ada, Some(Role::ADMIN), at(4), at(100)), "an older one");
        assert!(standings.note(ada, None, at(6), at(100)));
        assert_eq!(standings.role_of(ada, Role::ADMIN), None);
        assert_eq!(standings.role_of(bob, Role::ANALYST), Some(Role::ANALYST));
        assert!(standings.note(bob, None, at(100), at(200)));
        assert_eq!(standings.role_of(ada, Role::ADMIN), Some(Role::ADMIN), "forgotten");
    }
}
