//! The edge's part of the configuration tree: `[server]` is [`EdgeConfig`], `[auth]` is
//! [`AuthConfig`].
//!
//! Read by `src/config.rs`, which knows the file, the environment and the flags. Every key has a
//! default; an unknown key is an error. [`EdgeConfig::check`] and [`AuthConfig::check`] are called
//! once at start and name the key that is wrong.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};

use callboard_protocol::Role;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

/// A setting with a value that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The key, without the name of its section.
    pub key: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

impl ConfigError {
    fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}

/// The HTTP edge: `[server]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeConfig {
    /// Where to listen, `address:port`; port 0 takes any free one.
    pub listen: String,
    /// How browsers reach the server, when that is not `http://` and the `Host` they send. With
    /// `https` cookies are `Secure` and HSTS is sent.
    pub public_url: Option<Url>,
    /// Further origins whose pages may open a socket here, such as `https://ops.example.org`.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed. Others are taken at their own address.
    pub trusted_proxies: Vec<IpAddr>,
    /// The largest sizes and longest waits.
    pub limits: EdgeLimits,
    /// Who may read `/metrics`.
    pub metrics: MetricsConfig,
    /// A folder to serve the page from instead of the built-in one, while working on the page.
    pub web_folder: Option<PathBuf>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: EdgeLimits::default(),
            metrics: MetricsConfig::default(),
            web_folder: None,
        }
    }
}

impl EdgeConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the first key with a bad value.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.public_url
            && (!matches!(url.scheme(), "http" | "https") || url.host().is_none())
        {
            return Err(ConfigError::new("public_url", "must begin with http:// or https://"));
        }
        for origin in &self.allowed_origins {
            let same = Url::parse(origin).is_ok_and(|url| {
                url.origin().is_tuple() && url.origin().ascii_serialization() == *origin
            });
            if !same {
                let reason =
                    format!("{origin:?} is not an origin, such as https://ops.example.org");
                return Err(ConfigError::new("allowed_origins", reason));
            }
        }
        self.limits.check()
    }

    /// Whether browsers reach the server over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

/// The largest sizes and longest waits: `[server.limits]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeLimits {
    /// The largest JSON body, in bytes.
    pub json_bytes: usize,
    /// The largest uploaded log file, in bytes.
    pub upload_bytes: u64,
    /// The largest body of logs that are pushed, when unpacked, in bytes.
    pub push_bytes: usize,
    /// How long an upload may pause between two pieces, in seconds.
    pub upload_idle_s: u64,
    /// Uploads that may run at once; further ones are refused.
    pub uploads: usize,
    /// Log tails that are open at once.
    pub tails: usize,
    /// The longest query of a search, in bytes.
    pub query_bytes: usize,
    /// Log searches that may run at once.
    pub log_reads: usize,
    /// Log searches that may wait for their turn; further ones are refused.
    pub log_reads_waiting: usize,
    /// The longest that a log search may take, waiting included, in seconds.
    pub log_read_timeout_s: u64,
    /// The longest that `POST /assistant/chat` waits for a whole answer, in seconds.
    pub answer_timeout_s: u64,
    /// A client that takes nothing of what it is sent for this long is gone, in seconds.
    pub stalled_reader_s: u64,
    /// How long turns and calls that run may go on when the server is asked to end, in seconds.
    pub drain_s: u64,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            json_bytes: 256 * 1024,
            upload_bytes: 2 * 1024 * 1024 * 1024,
            push_bytes: 16 * 1024 * 1024,
            upload_idle_s: 30,
            uploads: 8,
            tails: 64,
            query_bytes: 4 * 1024,
            log_reads: 4,
            log_reads_waiting: 64,
            log_read_timeout_s: 10,
            answer_timeout_s: 300,
            stalled_reader_s: 30,
            drain_s: 20,
        }
    }
}

impl EdgeLimits {
    fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("limits.json_bytes", self.json_bytes as u64),
            ("limits.upload_bytes", self.upload_bytes),
            ("limits.push_bytes", self.push_bytes as u64),
            ("limits.upload_idle_s", self.upload_idle_s),
            ("limits.uploads", self.uploads as u64),
            ("limits.tails", self.tails as u64),
            ("limits.query_bytes", self.query_bytes as u64),
            ("limits.log_reads", self.log_reads as u64),
            ("limits.log_read_timeout_s", self.log_read_timeout_s),
            ("limits.answer_timeout_s", self.answer_timeout_s),
            ("limits.stalled_reader_s", self.stalled_reader_s),
            ("limits.drain_s", self.drain_s),
        ];
        for (key, count) in counts {
            if count == 0 {
                return Err(ConfigError::new(key, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// Who may read `/metrics`: `[server.metrics]`. Callers on the same machine always may, unless a
/// proxy forwarded the request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// The bearer token that others must show; without one they are refused.
    #[serde(serialize_with = "masked", deserialize_with = "secret")]
    pub token: Option<SecretString>,
}

/// Sign-in: `[auth]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// What signs access tokens: at least 32 bytes. Made at the first start and kept in the
    /// database when absent.
    #[serde(serialize_with = "masked", deserialize_with = "secret")]
    pub secret: Option<SecretString>,
    /// How long an access token is good for, in seconds.
    pub access_token_s: u64,
    /// How long a refresh token is good for after its last use, in seconds.
    pub refresh_token_s: u64,
    /// How long the setup link is good for, in seconds; at most one hour.
    pub setup_link_s: u64,
    /// The cost of a password hash.
    pub password: PasswordCost,
    /// Sign-in attempts allowed per user name from one address.
    pub login_per_name: AttemptLimit,
    /// Sign-in attempts allowed per address.
    pub login_per_address: AttemptLimit,
    /// How long the links are good with which an invited account, or one whose password is lost, gets a
    /// password, in seconds.
    pub account_link_s: u64,
    /// The roles whose accounts may do nothing before they have a second factor.
    pub second_factor_roles: Vec<Role>,
    /// Sign-in attempts per user name from everywhere, above which each is delayed.
    pub login_per_name_everywhere: AttemptLimit,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            secret: None,
            access_token_s: 600,
            refresh_token_s: 30 * 24 * 3600,
            setup_link_s: 3600,
            account_link_s: 3 * 24 * 3600,
            second_factor_roles: Vec::new(),
            password: PasswordCost::default(),
            login_per_name: AttemptLimit::new(10, 5),
            login_per_address: AttemptLimit::new(60, 20),
            login_per_name_everywhere: AttemptLimit::new(60, 100),
        }
    }
}

impl AuthConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the first key with a bad value.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < 32) {
            return Err(ConfigError::new("secret", "must have at least 32 bytes"));
        }
        let spans = [
            ("access_token_s", self.access_token_s, 10..=24 * 3600),
            ("refresh_token_s", self.refresh_token_s, 60..=365 * 24 * 3600),
            ("setup_link_s", self.setup_link_s, 60..=3600),
            ("account_link_s", self.account_link_s, 60..=30 * 24 * 3600),
        ];
        for (key, value, span) in spans {
            if !span.contains(&value) {
                let reason = format!("must lie between {} and {}", span.start(), span.end());
                return Err(ConfigError::new(key, reason));
            }
        }
        self.password.check()
    }
}

/// What one password hash (Argon2id) costs, and how many run at once: `[auth.password]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordCost {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Hashes that run at once.
    pub running: usize,
    /// Hashes that may wait for their turn; further sign-ins are refused.
    pub waiting: usize,
}

impl Default for PasswordCost {
    /// The cost is OWASP's first recommendation of its size: 19 MiB, two passes.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, running: 2, waiting: 32 }
    }
}

impl PasswordCost {
    fn check(&self) -> Result<(), ConfigError> {
        if !(8..=4 * 1024 * 1024).contains(&self.memory_kib) {
            return Err(ConfigError::new("password.memory_kib", "must lie between 8 and 4194304"));
        }
        if !(1..=64).contains(&self.passes) {
            return Err(ConfigError::new("password.passes", "must lie between 1 and 64"));
        }
        if self.running == 0 {
            return Err(ConfigError::new("password.running", "must be at least 1"));
        }
        Ok(())
    }
}

/// How many attempts are allowed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptLimit {
    /// On average.
    pub per_minute: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl AttemptLimit {
    /// A limit; zero counts as one.
    #[must_use]
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self { per_minute: at_least_one(per_minute), burst: at_least_one(burst) }
    }
}

/// A secret is printed as whether it is there.
fn masked<S: serde::Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "********").serialize(serializer)
}

/// An empty secret (an environment variable set to nothing) counts as none.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_their_own_check() {
        assert_eq!(EdgeConfig::default().check(), Ok(()));
        assert_eq!(AuthConfig::default().check(), Ok(()));
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = serde_json::from_str::<EdgeConfig>(r#"{"lisen": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn a_bad_value_is_named() {
        let key = |json: &str| serde_json::from_str::<AuthConfig>(json).unwrap().check();
        assert_eq!(key(r#"{"secret": "short"}"#).unwrap_err().key, "secret");
        assert_eq!(key(r#"{"setup_link_s": 3601}"#).unwrap_err().key, "setup_link_s");
        let edge = |json: &str| serde_json::from_str::<EdgeConfig>(json).unwrap().check();
        assert_eq!(edge(r#"{"public_url": "ftp://x"}"#).unwrap_err().key, "public_url");
        for origin in ["https://x/", "x", "null", "https://x/path"] {
            let json = serde_json::json!({ "allowed_origins": [origin] }).to_string();
            assert_eq!(edge(&json).unwrap_err().key, "allowed_origins", "{origin}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let json = r#"{"secret": "0123456789abcdef0123456789abcdef"}"#;
        let config: AuthConfig = serde_json::from_str(json).unwrap();
        let printed = serde_json::to_string(&config).unwrap() + &format!("{config:?}");
        assert!(!printed.contains("0123456789"), "{printed}");
        assert!(printed.contains("********"));
    }
}
