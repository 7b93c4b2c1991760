//! The configuration of one provider: a `[[providers]]` table.
//!
//! `src/config.rs` reads it, `actors` takes the limits of admission and of the circuit breaker
//! from it, and [`Client`](crate::Client) the rest. Unknown keys fail; [`ProviderConfig::validate`]
//! names every key that has a bad value.

use std::{
    collections::HashSet,
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// A key is a line of text; a larger file is the wrong file.
const MAX_KEY_BYTES: u64 = 16 * 1024;

/// The wire that a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Chat completions as OpenAI, OpenRouter, vLLM, llama.cpp and LM Studio serve them.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// Built in: answers from the log index alone, without a model.
    Extractive,
}

impl ProviderKind {
    /// The name, as in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Extractive => "extractive",
        }
    }
}

/// When the circuit breaker of a provider opens, and for how long. The breaker lives in `actors`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// How many of the last calls are looked at.
    pub window: u32,
    /// It stays closed until this many calls stand in the window.
    pub min_calls: u32,
    /// It opens when this share of the window failed: above 0, at most 1.
    pub failure_rate: f64,
    /// How long it stays open before one call goes through as a probe, in milliseconds.
    pub open_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { window: 20, min_calls: 5, failure_rate: 0.5, open_ms: 10_000 }
    }
}

/// One provider: where it is, what it may take, and what it costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// The name in the fallback chain, in metrics and in answers: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The wire it speaks.
    pub kind: ProviderKind,
    /// Where it is, up to and with the version: `https://api.openai.com/v1`. `openai` only.
    pub base_url: Option<String>,
    /// Sent as `Authorization: Bearer`. Local servers often need none.
    #[serde(serialize_with = "masked", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretString>,
    /// A file that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The model that is asked when a request names none.
    pub model: String,
    /// Requests in flight at once.
    pub max_concurrency: u32,
    /// Requests that may wait for one of those places.
    pub max_queue: u32,
    /// The longest wait for a place, in milliseconds.
    pub queue_timeout_ms: u64,
    /// To open a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// From sending the request to the first token, in milliseconds.
    pub first_token_timeout_ms: u64,
    /// From one token to the next, in milliseconds.
    pub idle_timeout_ms: u64,
    /// From sending the request to the end of the answer, in milliseconds.
    pub total_timeout_ms: u64,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
    /// Passed on when set: 0 to 2.
    pub temperature: Option<f64>,
    /// The most bytes of evidence that a prompt holds.
    pub max_evidence_bytes: usize,
    /// The most bytes of earlier messages that a prompt holds; the oldest are left out.
    pub max_history_bytes: usize,
    /// US dollars for a million tokens read.
    pub input_usd_per_million: f64,
    /// US dollars for a million tokens written.
    pub output_usd_per_million: f64,
    /// When to stop asking it for a while.
    pub breaker: BreakerConfig,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: ProviderKind::default(),
            base_url: None,
            api_key: None,
            api_key_file: None,
            model: String::new(),
            max_concurrency: 8,
            max_queue: 64,
            queue_timeout_ms: 10_000,
            connect_timeout_ms: 5_000,
            first_token_timeout_ms: 15_000,
            idle_timeout_ms: 10_000,
            total_timeout_ms: 300_000,
            max_output_tokens: 4_096,
            temperature: None,
            max_evidence_bytes: 48 * 1024,
            max_history_bytes: 32 * 1024,
            input_usd_per_million: 0.0,
            output_usd_per_million: 0.0,
            breaker: BreakerConfig::default(),
        }
    }
}

/// A bad value in the configuration of a provider, or a key that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct ConfigError {
    /// The key with its place: `providers[0].base_url`.
    pub key: String,
    /// What is wrong with it, to be read after the key.
    pub problem: String,
}

impl ProviderConfig {
    /// The built-in provider under its usual name: the last link of every fallback chain.
    #[must_use]
    pub fn extractive() -> Self {
        Self {
            name: "extractive".to_owned(),
            kind: ProviderKind::Extractive,
            model: "extractive".to_owned(),
            max_concurrency: 64,
            max_queue: 1_024,
            ..Self::default()
        }
    }

    /// To open a connection.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// From sending the request to the first token.
    #[must_use]
    pub fn first_token_timeout(&self) -> Duration {
        Duration::from_millis(self.first_token_timeout_ms)
    }

    /// From one token to the next.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// From sending the request to the end of the answer.
    #[must_use]
    pub fn total_timeout(&self) -> Duration {
        Duration::from_millis(self.total_timeout_ms)
    }

    /// The longest wait for a place.
    #[must_use]
    pub fn queue_timeout(&self) -> Duration {
        Duration::from_millis(self.queue_timeout_ms)
    }

    /// Everything that is wrong with it. `at` is its place, such as `providers[0]`.
    ///
    /// The key file is opened, so that a missing secret is found at start.
    #[must_use]
    pub fn validate(&self, at: &str) -> Vec<ConfigError> {
        let mut check = Check { at, errors: Vec::new() };
        check.that(is_name(&self.name), "name", "must be 1 to 64 letters, digits, `.`, `_`, `-`");
        match self.kind {
            ProviderKind::OpenAi => {
                if let Err(error) = self.endpoint() {
                    check.fail(error);
                }
                check.that(!self.model.trim().is_empty(), "model", "must name a model");
            }
            ProviderKind::Extractive => {
                check.that(self.base_url.is_none(), "base_url", "is not used by `extractive`");
                let no_key = self.api_key.is_none() && self.api_key_file.is_none();
                check.that(no_key, "api_key", "is not used by `extractive`");
            }
        }
        if let Err(error) = self.key() {
            check.fail(error);
        }
        self.check_limits(&mut check);
        check.errors
    }

    fn check_limits(&self, check: &mut Check<'_>) {
        let positive = "must be above 0";
        check.that(self.max_concurrency > 0, "max_concurrency", positive);
        check.that(self.max_output_tokens > 0, "max_output_tokens", positive);
        for (value, key) in [
            (self.queue_timeout_ms, "queue_timeout_ms"),
            (self.connect_timeout_ms, "connect_timeout_ms"),
            (self.first_token_timeout_ms, "first_token_timeout_ms"),
            (self.idle_timeout_ms, "idle_timeout_ms"),
            (self.total_timeout_ms, "total_timeout_ms"),
            (self.breaker.open_ms, "breaker.open_ms"),
        ] {
            check.that((1..=86_400_000).contains(&value), key, "must be 1 to 86400000 (a day)");
        }
        let temperature = self.temperature.is_none_or(|value| (0.0..=2.0).contains(&value));
        check.that(temperature, "temperature", "must be 0 to 2");
        for (value, key) in [
            (self.input_usd_per_million, "input_usd_per_million"),
            (self.output_usd_per_million, "output_usd_per_million"),
        ] {
            check.that(value.is_finite() && value >= 0.0, key, "must be 0 or more");
        }
        let breaker = &self.breaker;
        check.that(breaker.window > 0, "breaker.window", positive);
        let min_calls = (1..=breaker.window).contains(&breaker.min_calls);
        check.that(min_calls, "breaker.min_calls", "must be 1 to `breaker.window`");
        let rate = breaker.failure_rate > 0.0 && breaker.failure_rate <= 1.0;
        check.that(rate, "breaker.failure_rate", "must be above 0 and at most 1");
    }

    /// Where chat completions are asked for; the error's key stands without its place.
    pub(crate) fn endpoint(&self) -> Result<Url, ConfigError> {
        let fail =
            |problem: &str| ConfigError { key: "base_url".to_owned(), problem: problem.to_owned() };
        let text = self.base_url.as_deref().unwrap_or_default().trim();
        if text.is_empty() {
            return Err(fail("must be set, such as https://api.openai.com/v1"));
        }
        let mut url = Url::parse(text).map_err(|error| fail(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(fail("must start with http:// or https:// and name a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("must not hold a password: use `api_key` or `api_key_file`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fail("must not have a query or a fragment"));
        }
        let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(url)
    }

    /// The key, from where it is configured; the error's key stands without its place.
    pub(crate) fn key(&self) -> Result<Option<SecretString>, ConfigError> {
        let (key, at) = match (&self.api_key, &self.api_key_file) {
            (Some(_), Some(_)) => {
                return Err(ConfigError {
                    key: "api_key_file".to_owned(),
                    problem: "must not be set together with `api_key`".to_owned(),
                });
            }
            (Some(key), None) => (key.expose_secret().trim().to_owned(), "api_key"),
            (None, Some(path)) => (read_key(path)?, "api_key_file"),
            (None, None) => return Ok(None),
        };
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(ConfigError {
                key: at.to_owned(),
                problem: "must hold a key of visible ASCII characters".to_owned(),
            });
        }
        Ok(Some(SecretString::from(key)))
    }
}

/// Checks a whole fallback chain: each provider, and that no name stands twice. `at` is the place
/// of the list, such as `providers`.
#[must_use]
pub fn validate_chain(chain: &[ProviderConfig], at: &str) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut names = HashSet::new();
    for (index, provider) in chain.iter().enumerate() {
        let place = format!("{at}[{index}]");
        errors.extend(provider.validate(&place));
        if !names.insert(provider.name.as_str()) {
            errors.push(ConfigError {
                key: format!("{place}.name"),
                problem: format!("`{}` is the name of another provider", provider.name),
            });
        }
    }
    errors
}

struct Check<'a> {
    at: &'a str,
    errors: Vec<ConfigError>,
}

impl Check<'_> {
    fn that(&mut self, holds: bool, key: &str, problem: &str) {
        if !holds {
            self.fail(ConfigError { key: key.to_owned(), problem: problem.to_owned() });
        }
    }

    fn fail(&mut self, error: ConfigError) {
        self.errors.push(ConfigError { key: format!("{}.{}", self.at, error.key), ..error });
    }
}

fn is_name(name: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(visible)
}

fn read_key(path: &Path) -> Result<String, ConfigError> {
    let fail = |problem: String| ConfigError { key: "api_key_file".to_owned(), problem };
    let shown = path.display();
    let file = std::fs::File::open(path)
        .map_err(|error| fail(format!("cannot be read ({shown}): {error}")))?;
    let mut key = String::new();
    let read = file.take(MAX_KEY_BYTES + 1).read_to_string(&mut key);
    read.map_err(|error| fail(format!("cannot be read ({shown}): {error}")))?;
    if key.len() as u64 > MAX_KEY_BYTES {
        return Err(fail(format!("is too large for a key ({shown})")));
    }
    Ok(key.trim().to_owned())
}

fn masked<S: Serializer>(key: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|_| Mask).serialize(serializer)
}

/// What `callboard config print` shows of a secret.
struct Mask;

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> ProviderConfig {
        serde_json::from_value(json).unwrap()
    }

    fn keys(config: &ProviderConfig) -> Vec<String> {
        config.validate("providers[0]").into_iter().map(|error| error.key).collect()
    }

    fn local() -> ProviderConfig {
        read(serde_json::json!({
            "name": "local", "base_url": "http://127.0.0.1:8000/v1/", "model": "tiny",
        }))
    }

    #[test]
    fn a_short_configuration_is_enough() {
        assert_eq!(keys(&local()), Vec::<String>::new());
        assert_eq!(
            local().endpoint().unwrap().as_str(),
            "http://127.0.0.1:8000/v1/chat/completions"
        );
        assert_eq!(keys(&ProviderConfig::extractive()), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let json = serde_json::json!({"name": "x", "max_concurency": 3});
        let error = serde_json::from_value::<ProviderConfig>(json).unwrap_err();
        assert!(error.to_string().contains("max_concurency"), "{error}");
    }

    #[test]
    fn every_bad_value_is_named() {
        let config = ProviderConfig {
            name: "a b".to_owned(),
            base_url: Some("ftp://x".to_owned()),
            max_concurrency: 0,
            idle_timeout_ms: 0,
            temperature: Some(f64::NAN),
            output_usd_per_million: -1.0,
            breaker: BreakerConfig { min_calls: 21, failure_rate: 0.0, ..BreakerConfig::default() },
            ..ProviderConfig::default()
        };
        let expected = [
            "name",
            "base_url",
            "model",
            "max_concurrency",
            "idle_timeout_ms",
            "temperature",
            "output_usd_per_million",
            "breaker.min_calls",
            "breaker.failure_rate",
        ];
        assert_eq!(keys(&config), expected.map(|key| format!("providers[0].{key}")));
    }

    #[test]
    fn a_base_url_is_checked() {
        for url in ["", "api.openai.com/v1", "https://me:pw@host/v1", "https://host/v1?a=b"] {
            let config = ProviderConfig { base_url: Some(url.to_owned()), ..local() };
            assert_eq!(keys(&config), ["providers[0].base_url"], "{url}");
        }
    }

    #[test]
    fn a_key_comes_from_its_file_without_the_newline() {
        let dir = std::env::temp_dir();
        let path = dir.join(format!("callboard-key-{}", std::process::id()));
        std::fs::write(&path, "sk-secret\n").unwrap();
        let config = ProviderConfig { api_key_file: Some(path.clone()), ..local() };
        assert_eq!(config.key().unwrap().unwrap().expose_secret(), "sk-secret");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(keys(&config), ["providers[0].api_key_file"]);
    }

    #[test]
    fn a_key_is_never_printed() {
        let config = ProviderConfig { api_key: Some("sk-secret".to_owned().into()), ..local() };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("********") && !json.contains("sk-secret"), "{json}");
        assert!(!format!("{config:?}").contains("sk-secret"));
    }

    #[test]
    fn a_name_may_stand_once_in_a_chain() {
        let errors = validate_chain(&[local(), local()], "providers");
        assert_eq!(errors.len(), 1);
        assert_eq!(
            errors[0].to_string(),
            "`providers[1].name` `local` is the name of another provider"
        );
    }
}
