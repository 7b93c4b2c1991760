//! The providers of answers: LLM wire protocols, the built-in extractive provider, prompts,
//! citations and prices.
//!
//! `actors::turn` and the gateway call it. A [`ChatRequest`] is encoded by a file of `wire`, sent
//! by `transport`, and its reply read by `reply` into the [`ReplyEvent`]s of a [`ReplyStream`]. A
//! question of the assistant ([`CompletionRequest`]) becomes such a request in `prompt`. No actor,
//! no database and no HTTP server lives here; admission (queue, circuit breaker, fallback chain,
//! turns of the keys) is `actors`' part, its configuration stands here beside the rest of a
//! provider's.
//!
//! Invariants: every wait has an end and every buffer a bound; nothing is asked twice once the
//! first byte of a reply has come; an answer is whole only if the provider said so; log text is
//! data, in a prompt and in an answer.

mod chat;
mod citations;
mod client;
mod completion;
mod config;
mod embed;
mod error;
mod extractive;
mod fault;
mod lines;
mod markdown;
mod price;
mod prompt;
mod reply;
mod retry;
mod sse;
mod transport;
mod usage;
mod wire;

pub use chat::{
    ChatRequest, ImageSource, Message, Part, ReasoningEffort, ResponseFormat, Role, Schema,
    ToolCall, ToolChoice, ToolSpec,
};
pub use citations::{Cited, cite};
pub use client::Client;
pub use completion::{ChatMessage, CompletionRequest};
pub use config::{
    AzureAuth, BreakerConfig, ConfigError, ModelPrice, ProviderConfig, ProviderKind, validate_chain,
};
pub use embed::{EmbedRequest, Embeddings};
pub use error::{ProviderError, ProviderErrorKind};
pub use extractive::suggestions;
pub use price::{PRICES_AS_OF, cost_of, cost_usd};
pub use prompt::{Mode, Prompt, build as build_prompt, fence, log_line};
pub use reply::{RateLimit, RateLimits, ReplyEvent, ReplyHead, ReplyStream, StopReason};
pub use usage::TokenUsage;
