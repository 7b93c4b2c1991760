//! Chat completions as OpenAI, OpenRouter, vLLM, llama.cpp and LM Studio serve them:
//! <https://platform.openai.com/docs/api-reference/chat>. Azure's are the same at another address.

mod embeddings;
mod reply;
mod request;

use url::Url;

pub(super) use self::{
    embeddings::{encode_embeddings, read_embeddings},
    reply::Decoder,
    request::{Dialect, Tool, encode_chat, image_url},
};
use super::{Call, Wire};
use crate::{
    EmbedRequest, ProviderError,
    config::below,
    embed::Vectors,
    reply::Decode,
    transport::{KeyHeader, Outgoing},
};

/// One server of this wire.
#[derive(Debug)]
pub(super) struct OpenAi {
    base: Url,
    chat: Url,
    embeddings: Url,
    dialect: Dialect,
}

impl OpenAi {
    pub(super) fn new(base: Url) -> Self {
        let dialect = match base.host_str() {
            Some("api.openai.com") => Dialect::Vendor,
            _ => Dialect::Compatible,
        };
        Self {
            chat: below(&base, ["chat", "completions"]),
            embeddings: below(&base, ["embeddings"]),
            dialect,
            base,
        }
    }
}

impl Wire for OpenAi {
    fn base(&self) -> &Url {
        &self.base
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let body = encode_chat(call, self.dialect)?;
        Ok(Outgoing { url: self.chat.clone(), body, stream: call.request.stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder)
    }

    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        let body = encode_embeddings(model, request)?;
        Ok(Outgoing { url: self.embeddings.clone(), body, stream: false })
    }

    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError> {
        read_embeddings(body)
    }
}
