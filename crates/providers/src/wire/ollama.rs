//! Ollama's own wire, `/api/chat` and `/api/embed`:
//! <https://github.com/ollama/ollama/blob/main/docs/api.md>.
//!
//! A stream is one JSON object on each line; an error in the middle is a line `{"error": …}`.

mod embeddings;
mod reply;
mod request;

use url::Url;

use self::reply::Decoder;
use super::{Call, Wire};
use crate::{
    EmbedRequest, ProviderError,
    config::below,
    embed::Vectors,
    reply::{Decode, Framing},
    transport::{KeyHeader, Outgoing},
};

/// One server of this wire.
#[derive(Debug)]
pub(super) struct Ollama {
    base: Url,
    chat: Url,
    embed: Url,
}

impl Ollama {
    pub(super) fn new(base: Url) -> Self {
        Self { chat: below(&base, ["api", "chat"]), embed: below(&base, ["api", "embed"]), base }
    }
}

impl Wire for Ollama {
    fn base(&self) -> &Url {
        &self.base
    }

    fn probe(&self) -> Url {
        below(&self.base, ["api", "tags"])
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let body = request::encode_chat(call)?;
        Ok(Outgoing { url: self.chat.clone(), body, stream: call.request.stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder)
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        let body = embeddings::encode(model, request)?;
        Ok(Outgoing { url: self.embed.clone(), body, stream: false })
    }

    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError> {
        embeddings::read(body)
    }
}
