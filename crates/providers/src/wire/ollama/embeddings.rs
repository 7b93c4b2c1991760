//! Ollama's embeddings.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    EmbedRequest, ProviderError, TokenUsage,
    embed::Vectors,
    fault,
    reply::malformed,
    wire::{self, read_whole},
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    /// A text that is too long is an error, and not embedded by its beginning.
    truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    embeddings: Option<Vec<Vec<f32>>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    error: Option<Value>,
}

/// The JSON of a request.
pub(super) fn encode(model: &str, request: &EmbedRequest) -> Result<Bytes, ProviderError> {
    let body =
        Body { model, input: &request.input, truncate: false, dimensions: request.dimensions };
    wire::encode(&body, &Map::new())
}

/// Reads a reply.
pub(super) fn read(body: &[u8]) -> Result<Vectors, ProviderError> {
    let reply: Reply = read_whole(body)?;
    if let Some(error) = reply.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    let counted = reply.prompt_eval_count;
    Ok(Vectors {
        vectors: reply.embeddings.ok_or_else(|| malformed("the reply has no `embeddings`"))?,
        model: reply.model,
        usage: counted.map(|input| TokenUsage { input, ..TokenUsage::default() }),
    })
}
