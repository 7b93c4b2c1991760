//! The keys of the edge, and the random and the hashes that identity needs: all from aws-lc.
//!
//! One secret (configured, or made at the first start and kept in the settings) gives two keys, so
//! that a CSRF token can never pass for a signature.

use aws_lc_rs::{digest, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callboard_protocol::TokenFamilyId;

use crate::ApiError;

/// 32 random bytes as base64url: a token that cannot be guessed.
pub(crate) fn random_token() -> Result<String, ApiError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| ApiError::internal("no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a random token. It has 256 random bits, so a plain hash is enough: there is
/// nothing to guess.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    // The digest has as many bytes as the array, by the algorithm's definition.
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// The key for one use, made from the one secret.
pub(crate) fn derive(secret: &[u8], usage: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, usage.as_bytes()).as_ref().to_vec()
}

/// Makes and checks the tokens that a page sends back to show that it, and not another site, made
/// the request. A token is bound to the family of the session; it needs no storage.
pub(crate) struct CsrfKey(hmac::Key);

impl CsrfKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, "callboard csrf v1")))
    }

    /// The token of a session.
    pub(crate) fn token(&self, family: TokenFamilyId) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, family.0.as_bytes()))
    }

    /// Whether `token` is that of the session.
    pub(crate) fn is_of(&self, token: &str, family: TokenFamilyId) -> bool {
        same(token.as_bytes(), self.token(family).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csrf_token_is_of_one_session_and_one_secret() {
        let (key, other) = (CsrfKey::new(&[1; 32]), CsrfKey::new(&[2; 32]));
        let family = TokenFamilyId::new();
        let token = key.token(family);
        assert!(key.is_of(&token, family));
        assert!(!key.is_of(&token, TokenFamilyId::new()));
        assert!(!other.is_of(&token, family));
        assert!(!key.is_of("", family));
    }

    #[test]
    fn random_tokens_have_256_bits_and_differ() {
        let tokens: std::collections::HashSet<String> =
            (0..100).map(|_| random_token().unwrap()).collect();
        assert_eq!(tokens.len(), 100);
        assert!(tokens.iter().all(|token| URL_SAFE_NO_PAD.decode(token).unwrap().len() == 32));
    }
}
