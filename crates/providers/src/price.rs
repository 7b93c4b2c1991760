//! What an answer costs. `actors::turn` and the gateway's ledger call it when an answer ends.

mod table;

use url::Url;

pub use self::table::PRICES_AS_OF;
use crate::{ModelPrice, ProviderConfig, ProviderKind, TokenUsage};

/// What `usage` costs in US dollars at the provider's own model; see [`cost_of`].
#[must_use]
pub fn cost_usd(usage: impl Into<TokenUsage>, config: &ProviderConfig) -> f64 {
    cost_of(usage, &config.model, config)
}

/// What `usage` of this model, named as in the request, costs in US dollars. The price is looked
/// for in `prices`, then, for the provider's own model, in `input_usd_per_million` and
/// `output_usd_per_million`, then in the table of list prices ([`PRICES_AS_OF`]) if the provider is
/// the vendor itself. What has no price anywhere costs nothing.
#[must_use]
pub fn cost_of(usage: impl Into<TokenUsage>, model: &str, config: &ProviderConfig) -> f64 {
    let Some(price) = price_of(model, config) else { return 0.0 };
    let usage = usage.into();
    let tokens = |count: u64, usd: f64| count as f64 * usd / 1_000_000.0;
    let cached_input = usage.cached_input.min(usage.input);
    let cache_write = usage.cache_write.min(usage.input - cached_input);
    let reasoning = usage.reasoning.min(usage.output);
    tokens(usage.input - cached_input - cache_write, price.input)
        + tokens(cached_input, price.cached_input.unwrap_or(price.input))
        + tokens(cache_write, price.cache_write.unwrap_or(price.input))
        + tokens(usage.output - reasoning, price.output)
        + tokens(reasoning, price.reasoning.unwrap_or(price.output))
}

fn price_of(model: &str, config: &ProviderConfig) -> Option<ModelPrice> {
    if let Some(price) = config.prices.iter().find(|price| price.model == model) {
        return Some(price.clone());
    }
    let listed = if is_vendor(config) { table::list_price(model) } else { None };
    let own = (config.input_usd_per_million, config.output_usd_per_million);
    if model != config.model || own == (None, None) {
        return listed;
    }
    let listed = listed.unwrap_or_default();
    Some(ModelPrice {
        // A price of ours takes the place of the finer ones in the list, too.
        cached_input: own.0.is_none().then_some(listed.cached_input).flatten(),
        cache_write: own.0.is_none().then_some(listed.cache_write).flatten(),
        reasoning: own.1.is_none().then_some(listed.reasoning).flatten(),
        input: own.0.unwrap_or(listed.input),
        output: own.1.unwrap_or(listed.output),
        model: model.to_owned(),
    })
}

/// Whether list prices hold there: a model of the same name elsewhere may cost anything.
fn is_vendor(config: &ProviderConfig) -> bool {
    let host = || {
        let base = config.base_url.as_deref().or_else(|| config.kind.default_base_url())?;
        Url::parse(base).ok()?.host_str().map(str::to_owned)
    };
    match config.kind {
        ProviderKind::OpenAi | ProviderKind::OpenAiResponses => {
            host().as_deref() == Some("api.openai.com")
        }
        ProviderKind::Anthropic => host().as_deref() == Some("api.anthropic.com"),
        ProviderKind::Gemini => host().as_deref() == Some("generativelanguage.googleapis.com"),
        ProviderKind::Azure => host().is_some_and(|host| host.ends_with(".azure.com")),
        ProviderKind::Ollama | ProviderKind::Extractive => false,
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::Usage;

    use super::*;

    fn close(cost: f64, expected: f64) -> bool {
        (cost - expected).abs() < 1e-12
    }

    #[test]
    fn tokens_read_and_written_have_prices_of_their_own() {
        let config = ProviderConfig {
            input_usd_per_million: Some(2.5),
            output_usd_per_million: Some(10.0),
            ..ProviderConfig::default()
        };
        let usage = Usage { input_tokens: 4_000, output_tokens: 500 };
        assert!(close(cost_usd(usage, &config), 0.015));
        assert_eq!(cost_usd(usage, &ProviderConfig::extractive()), 0.0);
    }

    #[test]
    fn parts_of_a_total_are_not_paid_twice() {
        let price = ModelPrice {
            model: "m".to_owned(),
            input: 10.0,
            output: 20.0,
            cached_input: Some(1.0),
            cache_write: Some(12.5),
            reasoning: Some(40.0),
        };
        let config = ProviderConfig { prices: vec![price], ..ProviderConfig::default() };
        let usage = TokenUsage {
            input: 1_000,
            output: 500,
            cached_input: 600,
            cache_write: 100,
            reasoning: 200,
            estimated: false,
        };
        let expected =
            (300.0 * 10.0 + 600.0 * 1.0 + 100.0 * 12.5 + 300.0 * 20.0 + 200.0 * 40.0) / 1_000_000.0;
        assert!(close(cost_of(usage, "m", &config), expected));
        // Figures that contradict each other never make a price negative.
        let odd = TokenUsage { input: 5, cached_input: 9, cache_write: 9, ..usage };
        assert!(cost_of(odd, "m", &config) > 0.0);
    }

    #[test]
    fn list_prices_hold_at_the_vendor_alone() {
        let usage = TokenUsage { input: 1_000_000, ..TokenUsage::default() };
        let at = |kind, base_url: Option<&str>, model: &str| {
            let config = ProviderConfig {
                kind,
                base_url: base_url.map(str::to_owned),
                model: model.to_owned(),
                ..ProviderConfig::default()
            };
            cost_usd(usage, &config)
        };
        let openai = Some("https://api.openai.com/v1");
        assert!(close(at(ProviderKind::OpenAi, openai, "gpt-4o-mini"), 0.15));
        assert!(close(at(ProviderKind::OpenAi, openai, "gpt-4o-mini-2024-07-18"), 0.15));
        assert!(close(at(ProviderKind::OpenAi, openai, "gpt-4o-2024-08-06"), 2.5));
        assert!(close(at(ProviderKind::Anthropic, None, "claude-haiku-4-5-20251001"), 1.0));
        assert_eq!(at(ProviderKind::OpenAi, openai, "gpt-4o-audio"), 0.0);
        let local = Some("http://127.0.0.1:8000/v1");
        assert_eq!(at(ProviderKind::OpenAi, local, "gpt-4o-mini"), 0.0);
    }

    #[test]
    fn what_is_configured_goes_before_the_list() {
        let config = ProviderConfig {
            kind: ProviderKind::Anthropic,
            model: "claude-haiku-4-5".to_owned(),
            input_usd_per_million: Some(0.5),
            prices: vec![ModelPrice {
                model: "claude-sonnet-4-5".to_owned(),
                input: 7.0,
                ..ModelPrice::default()
            }],
            ..ProviderConfig::default()
        };
        let input = TokenUsage { input: 1_000_000, ..TokenUsage::default() };
        let output = TokenUsage { output: 1_000_000, ..TokenUsage::default() };
        assert!(close(cost_usd(input, &config), 0.5));
        assert!(close(cost_usd(output, &config), 5.0), "the list fills what is left open");
        assert!(close(cost_of(input, "claude-sonnet-4-5", &config), 7.0));
        assert!(close(cost_of(input, "claude-opus-4-5", &config), 5.0));
    }
}
