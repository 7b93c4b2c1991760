//! Anthropic's messages: <https://docs.claude.com/en/api/messages>, streamed as in
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>.

mod reply;
mod request;

use url::Url;

use self::reply::Decoder;
use super::{Call, Wire, no_words};
use crate::{
    EmbedRequest, ProviderError,
    config::below,
    embed::Vectors,
    reply::Decode,
    transport::{KeyHeader, Outgoing},
};

/// One server of this wire.
#[derive(Debug)]
pub(super) struct Anthropic {
    base: Url,
    messages: Url,
}

impl Anthropic {
    pub(super) fn new(base: Url) -> Self {
        Self { messages: below(&base, ["messages"]), base }
    }
}

impl Wire for Anthropic {
    fn base(&self) -> &Url {
        &self.base
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Plain("x-api-key")
    }

    fn fixed_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let body = request::encode_messages(call)?;
        Ok(Outgoing { url: self.messages.clone(), body, stream: call.request.stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder::default())
    }

    fn embed(&self, _model: &str, _request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        Err(no_words("Anthropic messages", "embeddings"))
    }

    fn vectors(&self, _body: &[u8]) -> Result<Vectors, ProviderError> {
        Err(no_words("Anthropic messages", "embeddings"))
    }
}
