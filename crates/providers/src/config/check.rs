//! What is wrong with a configuration: every bad value, by its key.

use std::collections::HashSet;

use super::{ConfigError, ProviderConfig, ProviderKind};

impl ProviderConfig {
    /// Everything that is wrong with it. `at` is its place, such as `providers[0]`.
    ///
    /// The key files are opened, so that a missing secret is found at start.
    #[must_use]
    pub fn validate(&self, at: &str) -> Vec<ConfigError> {
        let mut check = Check { at, errors: Vec::new() };
        check.that(is_name(&self.name), "name", "must be 1 to 64 letters, digits, `.`, `_`, `-`");
        match self.kind {
            ProviderKind::OpenAi
            | ProviderKind::OpenAiResponses
            | ProviderKind::Anthropic
            | ProviderKind::Ollama
            | ProviderKind::Gemini
            | ProviderKind::Azure => {
                if let Err(error) = self.base() {
                    check.fail(error);
                }
                check.that(!self.model.trim().is_empty(), "model", "must name a model");
            }
            ProviderKind::Extractive => {
                check.that(self.base_url.is_none(), "base_url", "is not used by `extractive`");
                let no_key = self.api_key.is_none()
                    && self.api_key_file.is_none()
                    && self.api_keys.is_empty()
                    && self.api_key_files.is_empty();
                check.that(no_key, "api_key", "is not used by `extractive`");
                check.that(self.ca_file.is_none(), "ca_file", "is not used by `extractive`");
            }
        }
        self.check_azure(&mut check);
        if let Err(error) = self.keys() {
            check.fail(error);
        }
        if let Err(error) = self.certificates() {
            check.fail(error);
        }
        self.check_limits(&mut check);
        check.errors
    }

    fn check_azure(&self, check: &mut Check<'_>) {
        let segment = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=128).contains(&text.len()) && text.bytes().all(fits)
        };
        let fits = self.deployment.as_deref().is_none_or(segment);
        check.that(fits, "deployment", "must be letters, digits, `-`, `_`, `.`");
        let fits = self.api_version.as_deref().is_none_or(segment);
        check.that(fits, "api_version", "must be a date, such as `2024-10-21`");
    }

    fn check_prices(&self, check: &mut Check<'_>) {
        let bad = |value: f64| !(value.is_finite() && value >= 0.0);
        for (value, key) in [
            (self.input_usd_per_million, "input_usd_per_million"),
            (self.output_usd_per_million, "output_usd_per_million"),
        ] {
            check.that(!value.is_some_and(bad), key, "must be 0 or more");
        }
        for (index, price) in self.prices.iter().enumerate() {
            let at = |key: &str| format!("prices[{index}].{key}");
            check.that(!price.model.trim().is_empty(), &at("model"), "must name a model");
            for (value, key) in [
                (Some(price.input), "input"),
                (Some(price.output), "output"),
                (price.cached_input, "cached_input"),
                (price.cache_write, "cache_write"),
                (price.reasoning, "reasoning"),
            ] {
                check.that(!value.is_some_and(bad), &at(key), "must be 0 or more");
            }
        }
    }

    fn check_limits(&self, check: &mut Check<'_>) {
        let positive = "must be above 0";
        check.that(self.max_concurrency > 0, "max_concurrency", positive);
        check.that(self.max_output_tokens > 0, "max_output_tokens", positive);
        let room = u64::from(self.max_output_tokens) + 512;
        let fits = self.context_tokens.is_none_or(|window| window >= room);
        check.that(fits, "context_tokens", "must be at least 512 above `max_output_tokens`");
        let probes = self.probe_s.is_none_or(|seconds| (1..=86_400).contains(&seconds));
        check.that(probes, "probe_s", "must be 1 to 86400 (a day)");
        let above_zero = |limit: Option<u64>| limit != Some(0);
        check.that(above_zero(self.requests_per_minute), "requests_per_minute", positive);
        check.that(above_zero(self.tokens_per_minute), "tokens_per_minute", positive);
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
        self.check_prices(check);
        let breaker = &self.breaker;
        check.that(breaker.window > 0, "breaker.window", positive);
        let min_calls = (1..=breaker.window).contains(&breaker.min_calls);
        check.that(min_calls, "breaker.min_calls", "must be 1 to `breaker.window`");
        let rate = breaker.failure_rate > 0.0 && breaker.failure_rate <= 1.0;
        check.that(rate, "breaker.failure_rate", "must be above 0 and at most 1");
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
