//! Google Gemini's `generateContent` and `streamGenerateContent?alt=sse`:
//! <https://ai.google.dev/api/generate-content>, and `batchEmbedContents`:
//! <https://ai.google.dev/api/embeddings>.

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
    reply::Decode,
    transport::{KeyHeader, Outgoing},
};

/// One server of this wire.
#[derive(Debug)]
pub(super) struct Gemini {
    base: Url,
}

impl Gemini {
    pub(super) fn new(base: Url) -> Self {
        Self { base }
    }

    fn at(&self, model: &str, method: &str) -> Url {
        let step = format!("{}:{method}", bare(model));
        below(&self.base, ["models", step.as_str()])
    }
}

/// The name of a model without the folder in which Google lists it.
fn bare(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

impl Wire for Gemini {
    fn base(&self) -> &Url {
        &self.base
    }

    fn key_header(&self) -> KeyHeader {
        KeyHeader::Plain("x-goog-api-key")
    }

    fn chat(&self, call: &Call<'_>) -> Result<Outgoing, ProviderError> {
        let stream = call.request.stream;
        let url = if stream {
            let mut url = self.at(call.model, "streamGenerateContent");
            url.query_pairs_mut().append_pair("alt", "sse");
            url
        } else {
            self.at(call.model, "generateContent")
        };
        Ok(Outgoing { url, body: request::encode_contents(call)?, stream })
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(Decoder)
    }

    fn embed(&self, model: &str, request: &EmbedRequest) -> Result<Outgoing, ProviderError> {
        let body = embeddings::encode(bare(model), request)?;
        Ok(Outgoing { url: self.at(model, "batchEmbedContents"), body, stream: false })
    }

    fn vectors(&self, body: &[u8]) -> Result<Vectors, ProviderError> {
        embeddings::read(body)
    }
}
