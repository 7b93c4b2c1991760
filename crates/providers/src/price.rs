//! What an answer costs. `actors::turn` calls it when a turn ends.

use callboard_protocol::Usage;

use crate::ProviderConfig;

/// The price of `usage` in US dollars; zero for a provider without prices.
#[must_use]
pub fn cost_usd(usage: Usage, config: &ProviderConfig) -> f64 {
    let input = usage.input_tokens as f64 * config.input_usd_per_million;
    let output = usage.output_tokens as f64 * config.output_usd_per_million;
    (input + output) / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_and_written_have_prices_of_their_own() {
        let config = ProviderConfig {
            input_usd_per_million: 2.5,
            output_usd_per_million: 10.0,
            ..ProviderConfig::default()
        };
        let usage = Usage { input_tokens: 4_000, output_tokens: 500 };
        assert!((cost_usd(usage, &config) - 0.015).abs() < 1e-12);
        assert_eq!(cost_usd(usage, &ProviderConfig::extractive()), 0.0);
    }
}
