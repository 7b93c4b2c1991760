//! The providers of answers: LLM wire protocols, the built-in extractive provider, prompts,
//! citations and prices.
//!
//! `actors::turn` calls it. No actor, no database and no HTTP server lives here; admission (queue,
//! circuit breaker, fallback chain) is `actors`' part, its configuration stands here beside the
//! rest of a provider's.
//!
//! Invariants: every wait has an end and every buffer a bound; nothing is asked twice once the
//! first byte of a reply has come; log text is data, in a prompt and in an answer.

mod citations;
mod client;
mod completion;
mod config;
mod error;
mod extractive;
mod markdown;
mod openai;
mod price;
mod prompt;
mod retry;
mod sse;

pub use citations::{Cited, cite};
pub use client::Client;
pub use completion::{ChatMessage, CompletionRequest, CompletionStream, StreamEvent};
pub use config::{BreakerConfig, ConfigError, ProviderConfig, ProviderKind, validate_chain};
pub use error::{ProviderError, ProviderErrorKind};
pub use extractive::suggestions;
pub use price::cost_usd;
pub use prompt::{Mode, Prompt, build as build_prompt};
