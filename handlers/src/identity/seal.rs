//! Secrets in the database: sealed with AES-256-GCM, so that a copy of the database opens none.
//!
//! The key is made from the one secret; kept outside of the database (`auth.secret`), it is in no backup of
//! that. What is sealed is bound to whose it is: put into another row, it does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::keys::derive;
use crate::ApiError;

/// The first byte of all that is sealed, for when there is another way.
const VERSION: u8 = 1;

/// Seals and opens.
pub(super) struct Seal(RandomizedNonceKey);

impl Seal {
    pub(super) fn new(secret: &[u8]) -> Result<Self, ApiError> {
        let key = derive(secret, "callboard sealed secrets v1");
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key);
        Ok(Self(key.map_err(|_| ApiError::internal("no key to seal with"))?))
    }

    /// The secret of `owner`, sealed.
    pub(super) fn seal(&self, secret: &[u8], owner: &[u8]) -> Result<Vec<u8>, ApiError> {
        let mut text = secret.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(owner), &mut text);
        let nonce = nonce.map_err(|_| ApiError::internal("a secret could not be sealed"))?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// What was sealed for `owner`; none when it was not, or with another key.
    pub(super) fn open(&self, sealed: &[u8], owner: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(&[VERSION])?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        Some(self.0.open_in_place(nonce, Aad::from(owner), &mut text).ok()?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_owner_open_what_was_sealed() {
        let (seal, other) = (Seal::new(&[1; 32]).unwrap(), Seal::new(&[2; 32]).unwrap());
        let sealed = seal.seal(b"secret", b"ada").unwrap();
        assert_eq!(seal.open(&sealed, b"ada").as_deref(), Some(&b"secret"[..]));
        assert_eq!(seal.open(&sealed, b"bob"), None);
        assert_eq!(other.open(&sealed, b"ada"), None);
        assert_ne!(sealed, seal.seal(b"secret", b"ada").unwrap());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed, b"ada"), None, "{at}");
        }
        assert_eq!(seal.open(&[], b"ada"), None);
        assert_eq!(seal.open(&sealed[..5], b"ada"), None);
    }
}
