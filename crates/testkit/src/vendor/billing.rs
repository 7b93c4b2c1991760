//! What the fake provider would put on its bill.

use serde_json::Value;

use super::{reply::Stream, wire::VendorWire};

/// What one answered request used, by the provider's own count. Refusals and requests that broke
/// before an answer began are on no bill.
///
/// A token stands in each total once, whatever the wire does: `input` holds those of the cache,
/// `output` those of thoughts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    /// Counts the requests, from 0.
    pub request: usize,
    /// The wire that it spoke.
    pub wire: VendorWire,
    /// The model that was asked for.
    pub asked: String,
    /// The model that answered.
    pub model: String,
    /// Tokens read.
    pub input: u64,
    /// Tokens written: as the reply says, or, if it was cut or its reader left, those that were
    /// sent until then.
    pub output: u64,
    /// Of `input`, from the cache.
    pub cached_input: u64,
    /// Of `input`, written to the cache.
    pub cache_write: u64,
    /// Of `output`, thoughts.
    pub reasoning: u64,
    /// The answer was sent to its end.
    pub complete: bool,
}

/// Tokens read, where a reply does not say.
const INPUT: u64 = 10;

impl Billed {
    /// For a streamed reply, or the same one whole, of which `written` tokens were sent.
    pub(super) fn of_stream(stream: &Stream, written: u64, complete: bool) -> Self {
        let (input, output) = stream.usage.unwrap_or((INPUT, written));
        let output = if complete { output } else { written };
        Self {
            model: stream.model.clone(),
            input,
            output,
            cached_input: stream.cached_input,
            cache_write: stream.cache_write,
            reasoning: stream.reasoning_tokens.min(output),
            complete,
            ..Self::nothing()
        }
    }

    /// For a reply that was given as JSON: if it has `usage` as in chat completions, that is the
    /// bill.
    pub(super) fn of_body(body: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(body).ok()?;
        let usage = &json["usage"];
        Some(Self {
            model: json["model"].as_str().unwrap_or_default().to_owned(),
            input: usage["prompt_tokens"].as_u64()?,
            output: usage["completion_tokens"].as_u64().unwrap_or(0),
            ..Self::nothing()
        })
    }

    /// For embeddings of texts with so many tokens.
    pub(super) fn of_embeddings(model: &str, input: u64) -> Self {
        Self { model: model.to_owned(), input, ..Self::nothing() }
    }

    fn nothing() -> Self {
        Self {
            request: 0,
            wire: VendorWire::OpenAi,
            asked: String::new(),
            model: String::new(),
            input: 0,
            output: 0,
            cached_input: 0,
            cache_write: 0,
            reasoning: 0,
            complete: true,
        }
    }
}
