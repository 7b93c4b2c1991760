//! The configuration of one provider: a `[[providers]]` table.
//!
//! `src/config.rs` reads it, `actors` takes the limits of admission and of the circuit breaker
//! from it, and [`Client`](crate::Client) the rest. Unknown keys fail; [`ProviderConfig::validate`]
//! names every key that has a bad value.

mod certificates;
mod check;
mod keys;
mod target;

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::check::validate_chain;
use self::keys::{all_masked, masked};
pub(crate) use self::target::below;

/// The wire that a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Chat completions as OpenAI, OpenRouter, vLLM, llama.cpp and LM Studio serve them.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
    /// OpenAI's responses: <https://platform.openai.com/docs/api-reference/responses>.
    #[serde(rename = "openai_responses")]
    OpenAiResponses,
    /// Anthropic's messages: <https://docs.claude.com/en/api/messages>.
    Anthropic,
    /// Ollama's own wire: <https://github.com/ollama/ollama/blob/main/docs/api.md>.
    Ollama,
    /// Google Gemini's `generateContent`: <https://ai.google.dev/api/generate-content>.
    Gemini,
    /// Chat completions of Azure OpenAI:
    /// <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.
    Azure,
    /// Built in: answers from the log index alone, without a model.
    Extractive,
}

impl ProviderKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Ollama,
        Self::Gemini,
        Self::Azure,
        Self::Extractive,
    ];

    /// The name, as in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::Gemini => "gemini",
            Self::Azure => "azure",
            Self::Extractive => "extractive",
        }
    }

    /// Where such a provider is unless `base_url` says otherwise. An `openai` server is one of
    /// many, and an Azure resource has an address of its own: these must be named.
    #[must_use]
    pub fn default_base_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAiResponses => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com/v1"),
            Self::Ollama => Some("http://127.0.0.1:11434"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
            Self::OpenAi | Self::Azure | Self::Extractive => None,
        }
    }
}

/// How a key is shown to Azure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureAuth {
    /// A key of the resource, as `api-key`.
    #[default]
    ApiKey,
    /// A token of Entra ID, as `Authorization: Bearer`. It is not renewed here.
    Entra,
}

/// What the tokens of one model cost, in US dollars for a million.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// The model, as a request names it.
    pub model: String,
    /// Read.
    pub input: f64,
    /// Written.
    #[serde(default)]
    pub output: f64,
    /// Read from the provider's cache; `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Written to the provider's cache; `input` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// Thoughts; `output` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<f64>,
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
    /// Where it is: `https://api.openai.com/v1`. With the version, except for Ollama and Azure,
    /// whose paths begin at the host. See [`ProviderKind::default_base_url`].
    pub base_url: Option<String>,
    /// A file of certificates (PEM) that vouch for it, beside those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Shown as the wire demands it. Local servers often need none.
    #[serde(serialize_with = "masked", skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretString>,
    /// A file that holds the key, instead of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// More keys, to take turns with.
    #[serde(serialize_with = "all_masked", skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<SecretString>,
    /// Files that hold a key each, to take turns with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_key_files: Vec<PathBuf>,
    /// Azure's name for the model where it runs; `model` when absent. `azure` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Azure's version of the wire. `azure` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// How the key is shown to Azure. `azure` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_auth: Option<AzureAuth>,
    /// Whether prompts go there as they are. Otherwise secrets and personal data are taken out
    /// before, and put back in the answer. When absent: only for a provider on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// The model that is asked when a request names none.
    pub model: String,
    /// Requests in flight at once.
    pub max_concurrency: u32,
    /// Requests that may wait for one of those places.
    pub max_queue: u32,
    /// The longest wait for a place, in milliseconds.
    pub queue_timeout_ms: u64,
    /// Requests that it takes in a minute; no limit of ours when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens, read and written, that it takes in a minute; no limit of ours when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
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
    /// The window of its models, in tokens: what they read and write together. Prompts of the
    /// assistant keep within it; when absent, within the bounds in bytes below alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// How often it is asked whether it is there, in seconds, by a request that asks no model. Never,
    /// when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_s: Option<u64>,
    /// Whether its models are offered the assistant's tools. When absent: until one refuses a request
    /// that has tools and takes the same one without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Passed on when set: 0 to 2.
    pub temperature: Option<f64>,
    /// The most bytes of evidence that a prompt holds.
    pub max_evidence_bytes: usize,
    /// The most bytes of earlier messages that a prompt holds; the oldest are left out.
    pub max_history_bytes: usize,
    /// US dollars for a million tokens that `model` reads. When absent: `prices`, then the built-in
    /// table (see [`cost_usd`](crate::cost_usd)), then nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_usd_per_million: Option<f64>,
    /// US dollars for a million tokens that `model` writes, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_usd_per_million: Option<f64>,
    /// Prices of its models in full.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<ModelPrice>,
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
            ca_file: None,
            api_key_file: None,
            api_keys: Vec::new(),
            api_key_files: Vec::new(),
            deployment: None,
            api_version: None,
            azure_auth: None,
            trusted: None,
            model: String::new(),
            max_concurrency: 8,
            max_queue: 64,
            queue_timeout_ms: 10_000,
            requests_per_minute: None,
            tokens_per_minute: None,
            connect_timeout_ms: 5_000,
            first_token_timeout_ms: 15_000,
            idle_timeout_ms: 10_000,
            total_timeout_ms: 300_000,
            max_output_tokens: 4_096,
            context_tokens: None,
            probe_s: None,
            tools: None,
            temperature: None,
            max_evidence_bytes: 48 * 1024,
            max_history_bytes: 32 * 1024,
            input_usd_per_million: None,
            output_usd_per_million: None,
            prices: Vec::new(),
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

impl ConfigError {
    /// For a key whose place its reader knows.
    pub(crate) fn new(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
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

    /// Whether prompts go there as they are.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        let is_here = || {
            let base = self.base_url.as_deref().or_else(|| self.kind.default_base_url());
            let url = base.and_then(|base| url::Url::parse(base).ok());
            url.is_some_and(|url| crate::transport::is_loopback(&url))
        };
        self.kind == ProviderKind::Extractive || self.trusted.unwrap_or_else(is_here)
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
}

#[cfg(test)]
mod tests;
