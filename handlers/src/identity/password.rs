//! Passwords: the policy, and Argon2id on a bounded pool.
//!
//! A hash takes tens of milliseconds and 19 MiB, so only a few run at once and few wait
//! ([`BlockingPool`]); a flood of sign-ins gets `overloaded` and slows nobody else. An unknown user
//! costs the same hash as a known one, so that time does not tell who has an account.

use std::time::Duration;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use callboard_protocol::ErrorCode;

use crate::{ApiError, blocking::BlockingPool, config::PasswordCost};

/// The shortest password, in characters.
const SHORTEST: usize = 12;
/// The longest, in bytes: what is hashed must be bounded.
const LONGEST: usize = 1024;
/// The longest that a sign-in waits for its hash.
const TIMEOUT: Duration = Duration::from_secs(15);
/// A password of fewer different characters is a pattern, whatever its length.
const FEWEST_DIFFERENT: usize = 5;

/// The most common passwords of twelve characters and more, in lower case: what remains of the
/// lists of leaked passwords once the short ones are gone.
const COMMON: &[&str] = &[
    "123456789012",
    "1234567890123",
    "12345678901234",
    "1234567890ab",
    "0123456789012",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "password!234",
    "passw0rd1234",
    "p@ssw0rd1234",
    "p@ssword1234",
    "mypassword123",
    "changeme1234",
    "changemechangeme",
    "administrator",
    "administrator1",
    "admin1234567",
    "adminadminadmin",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "qwertyuiop[]",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "qazwsxedcrfv",
    "q1w2e3r4t5y6",
    "asdfghjkl123",
    "zxcvbnm12345",
    "abcdefghijkl",
    "abcd12345678",
    "abc123abc123",
    "iloveyou1234",
    "iloveyou12345",
    "welcome12345",
    "welcome123456",
    "letmein12345",
    "letmeinletmein",
    "football1234",
    "baseball1234",
    "sunshine1234",
    "princess1234",
    "superman1234",
    "trustno1trustno1",
    "correcthorsebatterystaple",
    "callboard123",
    "callboard1234",
    "callboardcallboard",
    "unknownunknown",
    "1234qwerasdf",
    "qwer1234asdf",
];

/// Whether `password` may be chosen by the user of this name.
pub(crate) fn check_policy(password: &str, username: &str) -> Result<(), ApiError> {
    let weak = |reason: &str| Err(ApiError::new(ErrorCode::WeakPassword, reason));
    if password.chars().count() < SHORTEST {
        return weak("a password has at least 12 characters");
    }
    if password.len() > LONGEST {
        return weak("a password has at most 1024 bytes");
    }
    let lower = password.to_lowercase();
    if COMMON.contains(&lower.as_str()) {
        return weak("this password is among the most common ones");
    }
    let different: std::collections::HashSet<char> = lower.chars().collect();
    if different.len() < FEWEST_DIFFERENT {
        return weak("this password repeats too few characters");
    }
    // A name of one or two letters is in many good passwords by chance.
    if username.len() >= 3 && lower.replace(&username.to_lowercase(), "").chars().count() < 8 {
        return weak("this password is hardly more than the user name");
    }
    Ok(())
}

/// Hashes and verifies.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    pool: BlockingPool,
    /// The hash of a password that nobody knows, with the present cost.
    of_nobody: String,
}

impl Passwords {
    pub(crate) fn new(cost: PasswordCost) -> Result<Self, ApiError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let of_nobody = hash(&argon2, &super::keys::random_token()?)?;
        let pool = BlockingPool::new(cost.running, cost.waiting, TIMEOUT);
        Ok(Self { argon2, pool, of_nobody })
    }

    /// What is stored of a password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        self.pool.run(move || hash(&argon2, &password)).await?
    }

    /// Whether `password` is the one whose hash is `stored`. Without a hash, because there is no
    /// such user or the user has no password, it takes as long and says no.
    pub(crate) async fn verify(
        &self,
        password: &str,
        stored: Option<String>,
    ) -> Result<bool, ApiError> {
        let argon2 = self.argon2.clone();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.of_nobody.clone());
        // Over the limit it cannot be right; an empty one in its place takes the same time.
        let fits = password.len() <= LONGEST;
        let password = if fits { password.to_owned() } else { String::new() };
        let right = self.pool.run(move || verify(&argon2, &password, &stored)).await??;
        Ok(right && known && fits)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, ApiError> {
    let hash = argon2
        .hash_password(password.as_bytes())
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &str, stored: &str) -> Result<bool, ApiError> {
    let stored = PasswordHash::new(stored)
        .map_err(|error| ApiError::internal(format!("a stored hash cannot be read: {error}")))?;
    Ok(argon2.verify_password(password.as_bytes(), &stored).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        let cost = PasswordCost { memory_kib: 8, passes: 1, running: 1, waiting: 4 };
        Passwords::new(cost).unwrap()
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_alone() {
        let passwords = passwords();
        let stored = passwords.hash("four words and a half").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert_ne!(stored, passwords.hash("four words and a half").await.unwrap());
        let right = passwords.verify("four words and a half", Some(stored.clone())).await;
        assert!(right.unwrap());
        assert!(!passwords.verify("four words and a hal", Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify(&"x".repeat(2000), Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = passwords();
        assert!(!passwords.verify("", None).await.unwrap());
        assert!(!passwords.verify("four words and a half", None).await.unwrap());
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_nobody_costs_a_hash_like_everybody() {
        let cost = PasswordCost { memory_kib: 8, passes: 1, running: 1, waiting: 0 };
        let passwords = Passwords::new(cost).unwrap();
        let stored = passwords.of_nobody.clone();
        let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
        let busy = passwords.pool.run(move || held.recv());
        let flood = async {
            for stored in [None, Some(stored)] {
                let error = passwords.verify("kettle-quartz-41", stored).await.unwrap_err();
                assert_eq!(error.code(), ErrorCode::Overloaded);
                assert!(error.client().retry_after_ms.is_some());
            }
            release.send(()).unwrap();
        };
        // `join!` polls in order: the only place is taken before the flood begins.
        let (done, ()) = tokio::join!(busy, flood);
        assert_eq!(done, Ok(Ok(())));
    }

    #[tokio::test]
    async fn a_broken_hash_is_our_fault() {
        let error = passwords().verify("x", Some("plain".to_owned())).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
    }

    #[test]
    fn weak_passwords_are_refused() {
        let long = "ab1! ".repeat(300);
        let weak = ["", "short", "elevenchars", "PassWord1234", "aaaaaaaaaaaaaaaa", &long];
        for password in weak {
            let error = check_policy(password, "ada").unwrap_err();
            assert_eq!(error.code(), ErrorCode::WeakPassword, "{password}");
        }
        assert!(check_policy("grace.hopper1", "grace.hopper").is_err());
        assert!(check_policy("ünïcödé wörds", "ada").is_ok());
        assert!(check_policy("kettle-quartz-41", "ada").is_ok());
    }
}
