//! The tokens of one socket: those that its `auth` frames bring, and the end of its session.
//!
//! Made by the edge with the socket and held by its `Session` actor, which asks it from time to
//! time whether the sign-in behind the socket was ended meanwhile.

use callboard_actors::TokenCheck;
use callboard_protocol::{ClientError, ErrorCode, Role, Timestamp, TokenFamilyId, UserId};
use parking_lot::Mutex;

use super::Identity;
use crate::extract::Principal;

/// See the module.
pub(crate) struct SocketTokens {
    identity: Identity,
    user: UserId,
    /// The sign-in of the latest token; none on the Unix socket, whose account has no tokens.
    family: Mutex<Option<TokenFamilyId>>,
}

impl SocketTokens {
    pub(crate) fn new(identity: Identity, caller: &Principal) -> Self {
        Self { identity, user: caller.user.id, family: Mutex::new(caller.family) }
    }
}

impl TokenCheck for SocketTokens {
    fn check(&self, token: &str) -> Result<(Role, Timestamp), ClientError> {
        let renewed = self.identity.check_recent(token, Timestamp::now());
        let renewed = renewed.map_err(|error| error.client().clone())?;
        let (Some(expires_at), true) = (renewed.expires_at, renewed.user.id == self.user) else {
            return Err(ErrorCode::InvalidToken.into());
        };
        *self.family.lock() = renewed.family;
        Ok((renewed.user.role, expires_at))
    }

    fn is_revoked(&self) -> bool {
        self.family.lock().is_some_and(|family| self.identity.is_revoked(family))
    }
}
