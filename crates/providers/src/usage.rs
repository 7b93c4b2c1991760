//! What an answer used, in tokens.

use callboard_protocol::Usage;
use serde::{Deserialize, Serialize};

/// What an answer used. Vendors count differently: here a token stands in each total once, and the
/// finer figures are parts of the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Read by the model, with those from its cache and those written to it.
    pub input: u64,
    /// Written by the model, with those of its reasoning.
    pub output: u64,
    /// Of `input`: read from the provider's cache.
    pub cached_input: u64,
    /// Of `input`: written to the provider's cache.
    pub cache_write: u64,
    /// Of `output`: thoughts.
    pub reasoning: u64,
    /// The provider did not say: these are our guess from the length of the texts.
    pub estimated: bool,
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        Self { input: usage.input_tokens, output: usage.output_tokens, ..Self::default() }
    }
}

impl From<TokenUsage> for Usage {
    fn from(usage: TokenUsage) -> Self {
        Self { input_tokens: usage.input, output_tokens: usage.output }
    }
}

/// A token has about four characters.
pub(crate) fn estimate_tokens(chars: usize) -> u64 {
    chars.div_ceil(4) as u64
}
