//! The tokens of one socket: those that its `auth` frames bring, and the end of its session.
//!
//! Made by the edge with the socket and held by its `Session` actor, which asks it from time to
//! time whether the sign-in behind the socket was ended meanwhile.

use std::sync::Arc;

use callboard_actors::{Rights, TokenCheck};
use callboard_protocol::{ClientError, ErrorCode, Role, Timestamp, TokenFamilyId, UserId};
use parking_lot::Mutex;

use super::Identity;
use crate::extract::Principal;

/// See the module.
pub(crate) struct SocketTokens {
    identity: Identity,
    user: UserId,
    /// What the latest token says: the role, its sign-in (none on the Unix socket, whose account has no
    /// tokens), and whether that was done with a second factor.
    latest: Mutex<(Role, Option<TokenFamilyId>, bool)>,
}

impl SocketTokens {
    pub(crate) fn new(identity: Identity, caller: &Principal) -> Self {
        let latest = Mutex::new((caller.user.role, caller.family, caller.second_factor));
        Self { identity, user: caller.user.id, latest }
    }
}

impl TokenCheck for SocketTokens {
    fn check(&self, token: &str) -> Result<Timestamp, ClientError> {
        let renewed = self.identity.check_recent(token, Timestamp::now());
        let renewed = renewed.map_err(|error| error.client().clone())?;
        let (Some(expires_at), true) = (renewed.expires_at, renewed.user.id == self.user) else {
            return Err(ErrorCode::InvalidToken.into());
        };
        *self.latest.lock() = (renewed.user.role, renewed.family, renewed.second_factor);
        Ok(expires_at)
    }

    fn standing(&self) -> Option<(Role, Arc<Rights>)> {
        let (role, family, second_factor) = *self.latest.lock();
        self.identity.standing(self.user, role, (family, second_factor))
    }
}
