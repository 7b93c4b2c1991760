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
/// What a password is looked at by, in characters: the time that it takes grows with the square.
const LOOKED_AT: usize = 128;

/// Whether `password` may be chosen by the account of these names. How easily it is guessed is told by
/// zxcvbn (Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX Security 2016).
pub(crate) fn check_policy(password: &str, names: &[&str]) -> Result<(), ApiError> {
    let weak = |reason: &str| Err(ApiError::new(ErrorCode::WeakPassword, reason));
    if password.chars().count() < SHORTEST {
        return weak("a password has at least 12 characters");
    }
    if password.len() > LONGEST {
        return weak("a password has at most 1024 bytes");
    }
    let known: Vec<&str> = names.iter().copied().chain(["callboard"]).collect();
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    let estimate = zxcvbn::zxcvbn(&looked_at, &known);
    if estimate.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    match estimate.feedback().and_then(zxcvbn::feedback::Feedback::warning) {
        Some(warning) => weak(&format!("this password is guessed easily. {warning}")),
        None => weak("this password is guessed easily: take more words, or less common ones"),
    }
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

    /// Whether a hash is of the kind and the cost that one made now would have.
    pub(crate) fn is_of_now(&self, stored: &str) -> bool {
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        parameters(stored) == parameters(&self.of_nobody)
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

/// Whether it is a hash of bcrypt, as accounts have that are brought over.
fn is_bcrypt(stored: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|kind| stored.starts_with(kind))
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, ApiError> {
    let hash = argon2
        .hash_password(password.as_bytes())
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(argon2: &Argon2<'_>, password: &str, stored: &str) -> Result<bool, ApiError> {
    if is_bcrypt(stored) {
        return bcrypt::verify(password, stored)
            .map_err(|error| ApiError::internal(format!("a stored hash cannot be read: {error}")));
    }
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

    #[tokio::test]
    async fn a_hash_of_bcrypt_is_good_and_not_of_now() {
        let passwords = passwords();
        let brought = bcrypt::hash("four words and a half", 4).unwrap();
        let right = passwords.verify("four words and a half", Some(brought.clone())).await;
        assert!(right.unwrap());
        assert!(!passwords.verify("four words and a hal", Some(brought.clone())).await.unwrap());
        assert!(!passwords.is_of_now(&brought));
        assert!(passwords.is_of_now(&passwords.hash("x").await.unwrap()));
        let dearer = PasswordCost { memory_kib: 16, passes: 1, running: 1, waiting: 4 };
        let dearer = Passwords::new(dearer).unwrap();
        assert!(!dearer.is_of_now(&passwords.hash("x").await.unwrap()));
        let broken = passwords.verify("x", Some("$2b$no".to_owned())).await.unwrap_err();
        assert_eq!(broken.code(), ErrorCode::Internal);
    }

    #[test]
    fn weak_passwords_are_refused() {
        let long = "ab1! ".repeat(300);
        let weak = [
            "",
            "short",
            "elevenchars",
            "PassWord1234",
            "aaaaaaaaaaaaaaaa",
            "qwertyuiop12",
            "1q2w3e4r5t6y",
            "administrator1",
            "callboard1234",
            "p@ssw0rd1234",
            "grace.hopper1",
            &long,
        ];
        for password in weak {
            let error = check_policy(password, &["grace.hopper", "Grace"]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::WeakPassword, "{password}");
        }
        assert!(check_policy("ünïcödé wörds", &["ada"]).is_ok());
        assert!(check_policy("kettle-quartz-41", &["ada"]).is_ok());
    }
}
