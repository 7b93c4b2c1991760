//! Access tokens: short-lived JWTs, HS256 and nothing else.
//!
//! Made at sign-in and refresh, checked by the extractors on every request. Checking needs no
//! database: what is in the token counts until it expires, unless its family was revoked.

use std::time::Duration;

use callboard_protocol::{ErrorCode, Role, Timestamp, TokenFamilyId, TokenId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::keys::derive;
use crate::ApiError;

/// Who makes the tokens, and for whom: a token of another system does not pass here.
const ISSUER: &str = "callboard";
const AUDIENCE: &str = "callboard-api";
/// Longer texts are not looked at; ours have about 400 bytes.
const LONGEST: usize = 2048;
/// How far the clocks of two nodes may differ.
const LEEWAY_S: i64 = 5;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// Whose it is.
    pub(crate) sub: UserId,
    /// The name to sign in with.
    pub(crate) name: String,
    /// The name to show.
    pub(crate) display: String,
    /// What it may do.
    pub(crate) role: Role,
    /// The token's own id.
    pub(crate) jti: TokenId,
    /// The sign-in that it descends from.
    pub(crate) family: TokenFamilyId,
    /// Whether that was done with a second factor.
    pub(crate) mfa: bool,
    nbf: i64,
    exp: i64,
}

impl Claims {
    /// The second in which the token was made.
    pub(crate) fn issued_at(&self) -> Timestamp {
        Timestamp::from_millis(self.nbf.saturating_mul(1000))
    }

    /// When the token ends.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }
}

/// Whom a token is made for.
pub(crate) struct Subject<'a> {
    pub(crate) user: &'a callboard_protocol::User,
    pub(crate) family: TokenFamilyId,
    pub(crate) second_factor: bool,
}

/// Makes and checks access tokens.
pub(crate) struct AccessKey {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl AccessKey {
    pub(crate) fn new(secret: &[u8], lifetime: Duration) -> Self {
        let key = derive(secret, "callboard access token v1");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // The times are checked below, against the instant that is given.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            sign: EncodingKey::from_secret(&key),
            verify: DecodingKey::from_secret(&key),
            validation,
            lifetime,
        }
    }

    /// How long a token is good for.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A new token, good from `now` on.
    pub(crate) fn issue(&self, subject: &Subject<'_>, now: Timestamp) -> Result<String, ApiError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user.id,
            name: subject.user.username.clone(),
            display: subject.user.display_name.clone(),
            role: subject.user.role,
            jti: TokenId::new(),
            family: subject.family,
            mfa: subject.second_factor,
            nbf: now.as_millis().div_euclid(1000),
            exp: now.plus(self.lifetime).as_millis().div_euclid(1000),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .map_err(ApiError::internal)
    }

    /// What a token says, if it is one of ours and good at `now`.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<Claims, ApiError> {
        if token.len() > LONGEST {
            return Err(refused("the token is too long"));
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verify, &self.validation)
            .map_err(|error| refused(error.to_string()))?
            .claims;
        let now = now.as_millis().div_euclid(1000);
        if now >= claims.exp {
            return Err(refused("the token is expired"));
        }
        if now.saturating_add(LEEWAY_S) < claims.nbf {
            return Err(refused("the token is not good yet"));
        }
        Ok(claims)
    }
}

fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::from(ErrorCode::InvalidToken).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use callboard_protocol::User;
    use serde_json::{Value, json};

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(600);

    fn key() -> AccessKey {
        AccessKey::new(&[7; 32], LIFETIME)
    }

    fn ada() -> User {
        User {
            id: UserId::new(),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            role: Role::ANALYST,
        }
    }

    fn token(key: &AccessKey, now: Timestamp) -> String {
        let user = ada();
        key.issue(&Subject { user: &user, family: TokenFamilyId::new(), second_factor: false }, now)
            .unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    /// A token with our key's signature and whatever header and claims a test wants.
    fn forged(header: &Value, change: impl FnOnce(&mut Value)) -> String {
        let genuine = token(&key(), now());
        let part = |index: usize| {
            let bytes = URL_SAFE_NO_PAD.decode(genuine.split('.').nth(index).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        let mut claims = part(1);
        change(&mut claims);
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let secret = derive(&[7; 32], "callboard access token v1");
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let signature = aws_lc_rs::hmac::sign(&hmac, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn hs256() -> Value {
        json!({ "typ": "JWT", "alg": "HS256" })
    }

    fn assert_refused(token: &str) {
        let error = key().check(token, now()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidToken, "{token}");
    }

    #[test]
    fn a_token_says_who_it_is_for_until_it_expires() {
        let key = key();
        let (user, family) = (ada(), TokenFamilyId::new());
        let token =
            key.issue(&Subject { user: &user, family, second_factor: true }, now()).unwrap();
        let claims = key.check(&token, now()).unwrap();
        assert_eq!((claims.sub, claims.role, claims.family), (user.id, Role::ANALYST, family));
        assert_eq!(claims.expires_at(), now().plus(LIFETIME));
        assert!(key.check(&token, now().plus(LIFETIME - Duration::from_secs(1))).is_ok());
        assert!(key.check(&token, now().plus(LIFETIME)).is_err());
        assert!(key.check(&token, now().minus(Duration::from_secs(10))).is_err());
    }

    #[test]
    fn the_forger_of_these_tests_makes_tokens_that_would_pass() {
        assert!(key().check(&forged(&hs256(), |_| ()), now()).is_ok());
    }

    #[test]
    fn other_algorithms_are_refused() {
        for alg in ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "HS1"] {
            assert_refused(&forged(&json!({ "typ": "JWT", "alg": alg }), |_| ()));
        }
        let unsigned = forged(&json!({ "alg": "none" }), |_| ());
        let cut = unsigned.rsplit_once('.').unwrap().0;
        assert_refused(&format!("{cut}."));
        assert_refused(cut);
    }

    #[test]
    fn a_token_of_another_system_is_refused() {
        assert_refused(&forged(&hs256(), |claims| claims["aud"] = json!("other")));
        assert_refused(&forged(&hs256(), |claims| claims["aud"] = json!(["callboard-api", "x"])));
        assert_refused(&forged(&hs256(), |claims| claims["iss"] = json!("other")));
        assert_refused(&token(&AccessKey::new(&[8; 32], LIFETIME), now()));
    }

    #[test]
    fn a_token_without_a_claim_is_refused() {
        for claim in ["iss", "aud", "sub", "role", "jti", "family", "mfa", "nbf", "exp", "name"] {
            assert_refused(&forged(&hs256(), |claims| {
                claims.as_object_mut().unwrap().remove(claim);
            }));
        }
        assert_refused(&forged(&hs256(), |claims| claims["exp"] = json!("2999-01-01")));
        assert_refused(&forged(&hs256(), |claims| claims["role"] = json!("Root!")));
    }

    #[test]
    fn a_changed_token_is_refused() {
        let genuine = token(&key(), now());
        for at in (0..genuine.len()).step_by(7) {
            let mut changed = genuine.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key().check(&changed, now()).is_err(), "{at}");
        }
        for text in ["", ".", "..", "a.b.c", "ü.ü.ü", &"a".repeat(3000), &format!("{genuine}.x")]
        {
            assert_refused(text);
        }
    }
}
