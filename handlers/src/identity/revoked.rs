//! The families of tokens that were revoked lately.
//!
//! Access tokens are good without a look at the database; this list makes a sign-out count at
//! once. A family stays on it until its last access token has expired, so the list holds at most
//! the sign-outs of the last few minutes. It is filled from the database at start.

use std::collections::HashMap;

use callboard_protocol::{Timestamp, TokenFamilyId};
use parking_lot::RwLock;

/// Revoked families, and when the last of their access tokens ends.
#[derive(Default)]
pub(crate) struct RevokedFamilies(RwLock<HashMap<TokenFamilyId, Timestamp>>);

impl RevokedFamilies {
    /// Puts a family on the list, and takes those off that no longer matter.
    pub(crate) fn add(&self, family: TokenFamilyId, until: Timestamp, now: Timestamp) {
        let mut families = self.0.write();
        families.retain(|_, until| *until > now);
        families.insert(family, until);
    }

    /// Whether the family is on the list.
    pub(crate) fn contains(&self, family: TokenFamilyId) -> bool {
        self.0.read().contains_key(&family)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_family_stays_until_its_tokens_ended() {
        let revoked = RevokedFamilies::default();
        let (first, second) = (TokenFamilyId::new(), TokenFamilyId::new());
        let now = Timestamp::from_millis(0);
        let end = now.plus(Duration::from_secs(600));
        revoked.add(first, end, now);
        assert!(revoked.contains(first) && !revoked.contains(second));
        revoked.add(second, end.plus(Duration::from_secs(600)), end);
        assert!(!revoked.contains(first) && revoked.contains(second));
    }
}
