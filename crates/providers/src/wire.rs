//! The wire protocols: one file for each, with its requests and replies below it.
//!
//! A wire turns a [`ChatRequest`] into HTTP and the events of a reply into ours. It sends nothing
//! and waits for nothing; that is `transport`'s and `reply`'s part.

mod anthropic;
mod azure;
mod gemini;
mod ollama;
mod openai;
mod responses;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    ChatRequest, ConfigError, EmbedRequest, ProviderConfig, ProviderError, ProviderErrorKind,
    ProviderKind,
    chat::refused,
    config::below,
    embed::Vectors,
    reply::{Decode, Framing},
    transport::{KeyHeader, Outgoing},
};

/// A wire protocol, at one provider.
pub(crate) trait Wire: fmt::Debug + Send + Sync {
    /// The address that all requests begin with.
    fn base(&self) -> &Url;

    /// How a key is shown.
    fn key_header(&self) -> KeyHeader;

    /// Headers that go with every request.
    fn fixed_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// An address that answers without asking a model, for a look whether the provider is there.
    fn probe(&self) -> Url {
        below(self.base(), ["models"])
    }

    /// Encodes a request.
    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError>;

    /// Reads one reply.
    fn decoder(&self) -> Box<dyn Decode>;

    /// How a stream is cut into events.
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// Encodes a request for embeddings.
    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError>;

    /// Reads them.
    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError>;
}

/// A request with what the configuration adds to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// What is asked.
    pub(crate) request: &'a ChatRequest,
    /// The model that is asked.
    pub(crate) model: &'a str,
    /// The longest answer, in tokens.
    pub(crate) max_output_tokens: u32,
    /// As asked, or as configured.
    pub(crate) temperature: Option<f64>,
}

/// The wire that a provider speaks; `None` for the built-in one.
pub(crate) fn open(config: &ProviderConfig) -> Result<Option<Box<dyn Wire>>, ConfigError> {
    Ok(Some(match config.kind {
        ProviderKind::OpenAi => Box::new(openai::OpenAi::new(config.base()?)),
        ProviderKind::OpenAiResponses => Box::new(responses::Responses::new(config.base()?)),
        ProviderKind::Anthropic => Box::new(anthropic::Anthropic::new(config.base()?)),
        ProviderKind::Ollama => Box::new(ollama::Ollama::new(config.base()?)),
        ProviderKind::Gemini => Box::new(gemini::Gemini::new(config.base()?)),
        ProviderKind::Azure => Box::new(azure::Azure::new(config.base()?, config)),
        ProviderKind::Extractive => return Ok(None),
    }))
}

/// The JSON of a request. `extra` is put in behind the wire's own fields.
fn encode(body: &impl Serialize, extra: &Map<String, Value>) -> Result<Bytes, ProviderError> {
    let fail = |error| ProviderError::new(ProviderErrorKind::BadRequest).because(error);
    let mut json = serde_json::to_vec(body).map_err(fail)?;
    if !extra.is_empty() {
        let own: BTreeMap<Cow<'_, str>, IgnoredAny> =
            serde_json::from_slice(&json).map_err(fail)?;
        if let Some(twice) = extra.keys().find(|key| own.contains_key(key.as_str())) {
            return Err(refused(format!("The field `{twice}` of the request is set twice.")));
        }
        let more = serde_json::to_vec(extra).map_err(fail)?;
        json.pop();
        json.push(b',');
        json.extend_from_slice(&more[1..]);
    }
    Ok(Bytes::from(json))
}

/// Reads one event of a stream; one that cannot be read is skipped.
fn read_chunk<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    serde_json::from_str(data)
        .inspect_err(|error| tracing::debug!(%error, "skipped a chunk that cannot be read"))
        .ok()
}

/// Reads a whole reply.
fn read_whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body)
        .map_err(|error| ProviderError::new(ProviderErrorKind::Malformed).because(error))
}

/// The text of a tool's result on a wire that has no word for a failed call.
fn result_text(content: &str, is_error: bool) -> Cow<'_, str> {
    if is_error { Cow::Owned(format!("Error: {content}")) } else { Cow::Borrowed(content) }
}

/// The arguments of a call, where the wire wants an object and not its text.
fn arguments_object(
    arguments: &str,
) -> Result<Cow<'_, serde_json::value::RawValue>, ProviderError> {
    let text = arguments.trim();
    let parsed = if text.is_empty() {
        serde_json::value::RawValue::from_string("{}".to_owned()).map(Cow::Owned)
    } else {
        serde_json::from_str(text).map(Cow::Borrowed)
    };
    parsed.map_err(|_| refused("The arguments of a tool call are not a JSON object."))
}

/// What this wire has no words for.
fn no_words(wire: &str, what: &str) -> ProviderError {
    refused(format!("The provider's protocol ({wire}) cannot express {what}."))
}

#[cfg(test)]
mod tests;
