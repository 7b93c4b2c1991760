//! OpenAI's responses: <https://platform.openai.com/docs/api-reference/responses>, streamed as in
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! Nothing is stored at the provider: every request carries its whole conversation.

mod reply;
mod request;

use url::Url;

use self::reply::Decoder;
use super::{
    Call, Wire,
    openai::{encode_embeddings, read_embeddings},
};
use crate::{
    EmbedRequest, ProviderError,
    config::below,
    embed::Vectors,
    reply::Decode,
    transport::{KeyHeader, Outgoing},
};

/// One server of this wire.
#[derive(Debug)]
pub(super) struct Responses {
    base: Url,
    responses: Url,
}

impl Responses {
    pub(super) fn new(base: Url) -> Self {
        Self { responses: below(&base, ["responses"]), base }
    }
}

impl Wire for Responses {
    fn base(&self) -> &Url {
        &self.base
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let body = request::encode_response(call)?;
        Ok(Outgoing { url: self.responses.clone(), body, stream: call.request.stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder)
    }

    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        let url = below(&self.base, ["embeddings"]);
        Ok(Outgoing { url, body: encode_embeddings(model, request)?, stream: false })
    }

    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError> {
        read_embeddings(body)
    }
}
