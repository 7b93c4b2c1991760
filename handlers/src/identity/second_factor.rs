//! The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost.
//!
//! A sign-in shows the code beside the password, in one request: there is no state in between. A code is
//! good once, in its half minute and the ones beside it. Accounts of `auth.second_factor_roles` that have
//! none, or signed in without, may do nothing but see to their own account.

use aws_lc_rs::rand;
use callboard_actors::Rights;
use callboard_entities::queries::second_factors;
use callboard_logs::SourceAccess;
use callboard_protocol::{
    ErrorCode, Permission, RecoveryCodes, Role, SecondFactor, SecondFactorSecret, Timestamp, User,
    UserId,
};
use std::sync::Arc;
use totp_rs::{Algorithm, Builder, Secret, Totp};

use super::{Identity, keys};
use crate::{ApiError, extract::Principal};

/// Who the codes are for, as the authenticator shows it.
const ISSUER: &str = "Callboard";
const RECOVERY_CODES: usize = 10;
/// The longest code that is looked at, in bytes.
const LONGEST_CODE: usize = 64;

impl Identity {
    /// What the caller's second factor is.
    pub(crate) async fn second_factor(&self, caller: &Principal) -> Result<SecondFactor, ApiError> {
        let found = second_factors::find(&self.0.store, caller.user.id).await?;
        let found = found.filter(|found| found.confirmed);
        Ok(SecondFactor {
            enrolled: found.is_some(),
            required: self.0.second_factor_roles.contains(&caller.user.role),
            recovery_codes_left: found.map_or(0, |found| found.recovery_left as u64),
        })
    }

    /// A new secret for the caller's authenticator; it counts once a code of it is shown.
    pub(crate) async fn begin_second_factor(
        &self,
        user: &User,
        now: Timestamp,
    ) -> Result<SecondFactorSecret, ApiError> {
        let secret = Secret::generate();
        let sealed = self.0.seal.seal(secret.as_bytes(), user.id.0.as_bytes())?;
        second_factors::begin(&self.0.store, user.id, sealed, now).await?;
        let shown = secret.to_base32();
        let totp = totp(secret, &user.username)?;
        let url = totp.to_url().map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(SecondFactorSecret { secret: shown, url })
    }

    /// Puts the second factor in force with the first code of it.
    pub(crate) async fn confirm_second_factor(
        &self,
        user: &User,
        code: &str,
        now: Timestamp,
    ) -> Result<RecoveryCodes, ApiError> {
        let found = second_factors::find(&self.0.store, user.id).await?;
        let found = found.filter(|found| !found.confirmed).ok_or_else(|| {
            ApiError::new(ErrorCode::Conflict, "there is no second factor to confirm: begin one")
        })?;
        let step = self.step_of(user, &found.secret, code, now)?.ok_or(ErrorCode::InvalidCode)?;
        let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?;
        let hashes: Vec<_> = codes.iter().map(|code| keys::token_hash(code)).collect();
        if !second_factors::confirm(&self.0.store, user.id, step, &hashes, now).await? {
            return Err(ErrorCode::InvalidCode.into());
        }
        Ok(RecoveryCodes { codes })
    }

    /// Takes the caller's second factor away; they show a code of it.
    pub(crate) async fn remove_second_factor(
        &self,
        user: &User,
        code: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !self.check_second_factor(user, Some(code), now).await? {
            return Err(ErrorCode::NotFound.into());
        }
        second_factors::delete(&self.0.store, user.id).await?;
        Ok(())
    }

    /// Takes the second factor of an account away, and ends its sign-ins.
    pub(crate) async fn forget_second_factor(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !second_factors::delete(&self.0.store, user).await? {
            return Err(ErrorCode::NotFound.into());
        }
        self.end_sign_ins(user, None, now).await?;
        Ok(())
    }

    /// Whether the account has a second factor; then the code must be one of it.
    ///
    /// # Errors
    /// When it has one, and the code is missing or wrong.
    pub(super) async fn check_second_factor(
        &self,
        user: &User,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let found = second_factors::find(&self.0.store, user.id).await?;
        let Some(found) = found.filter(|found| found.confirmed) else { return Ok(false) };
        let code = code.map(str::trim).filter(|code| !code.is_empty());
        let code = code.ok_or(ErrorCode::SecondFactorRequired)?;
        let good = match self.step_of(user, &found.secret, code, now)? {
            Some(step) => second_factors::use_step(&self.0.store, user.id, step).await?,
            None => {
                let hash = keys::token_hash(&code.to_ascii_lowercase());
                second_factors::use_recovery(&self.0.store, user.id, &hash).await?
            }
        };
        if good { Ok(true) } else { Err(ErrorCode::InvalidCode.into()) }
    }

    /// What an account may do that signed in with a second factor, or without.
    pub(super) fn rights_with(&self, role: Role, second_factor: bool) -> Arc<Rights> {
        if second_factor || !self.0.second_factor_roles.contains(&role) {
            return self.rights(role);
        }
        let permissions = [Permission::AccountUse].into_iter().collect();
        Arc::new(Rights { permissions, sources: SourceAccess::Only([].into()) })
    }

    /// The step that a code was made for, if it is one of the secret's.
    fn step_of(
        &self,
        user: &User,
        sealed: &[u8],
        code: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, ApiError> {
        if code.len() > LONGEST_CODE {
            return Ok(None);
        }
        let Some(secret) = self.0.seal.open(sealed, user.id.0.as_bytes()) else {
            // Recovery codes are good all the same.
            tracing::error!(user = %user.id, "a second factor was sealed with another auth.secret");
            return Ok(None);
        };
        let totp = totp(Secret::from(secret), &user.username)?;
        let seconds = u64::try_from(now.as_millis().div_euclid(1_000)).unwrap_or(0);
        Ok(totp.check(code, seconds))
    }
}

/// Six digits for each half minute by SHA-1, which is what all authenticators know; the half minutes
/// beside it are good, too (RFC 6238, 5.2).
fn totp(secret: Secret, username: &str) -> Result<Totp, ApiError> {
    let built = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_skew(1)
        .with_issuer(Some(ISSUER))
        .with_account_name(username)
        .with_secret(secret)
        .build();
    built.map_err(|error| ApiError::internal(error.to_string()))
}

/// 80 random bits, for people to write down: `abcd-efgh-ijkl-mnop`.
fn recovery_code() -> Result<String, ApiError> {
    let mut bytes = [0_u8; 10];
    rand::fill(&mut bytes).map_err(|_| ApiError::internal("no random bytes"))?;
    let letters = Secret::from(&bytes[..]).to_base32().to_ascii_lowercase();
    let groups: Vec<&str> =
        (0..4).filter_map(|group| letters.get(group * 4..group * 4 + 4)).collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_differ_and_have_four_groups() {
        let codes: std::collections::HashSet<String> =
            (0..100).map(|_| recovery_code().unwrap()).collect();
        assert_eq!(codes.len(), 100);
        for code in codes {
            assert!(code.len() == 19 && code.split('-').all(|group| group.len() == 4), "{code}");
        }
    }

    #[test]
    fn a_code_is_that_of_rfc_6238() {
        // Appendix B: the secret `12345678901234567890`, at 59 s, the last six digits of 94287082.
        let secret = Secret::from(&b"12345678901234567890"[..]);
        let totp = totp(secret, "ada").unwrap();
        assert_eq!(totp.check("287082", 59), Some(1));
        assert_eq!(totp.check("287082", 59 + 30), Some(1), "half a minute later");
        assert_eq!(totp.check("287082", 59 + 60), None);
        assert_eq!(totp.check("287083", 59), None);
        for odd in ["", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(totp.check(odd, 59), None, "{odd}");
        }
    }
}
