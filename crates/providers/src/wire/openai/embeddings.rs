//! Embeddings of this wire: <https://platform.openai.com/docs/api-reference/embeddings>.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    EmbedRequest, ProviderError, TokenUsage,
    embed::Vectors,
    fault,
    reply::malformed,
    wire::{encode, read_whole},
};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    data: Option<Vec<Entry>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
}

/// The JSON of a request.
pub(in crate::wire) fn encode_embeddings(
    model: &str,
    request: &EmbedRequest,
) -> Result<Bytes, ProviderError> {
    let body = Body {
        model,
        input: &request.input,
        encoding_format: "float",
        dimensions: request.dimensions,
        user: request.user.as_deref(),
    };
    encode(&body, &Map::new())
}

/// Reads a reply. The entries may come in any order.
pub(in crate::wire) fn read_embeddings(body: &[u8]) -> Result<Vectors, ProviderError> {
    let reply: Reply = read_whole(body)?;
    if let Some(error) = reply.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    let mut entries: Vec<(usize, Vec<f32>)> = reply
        .data
        .ok_or_else(|| malformed("the reply has no `data`"))?
        .into_iter()
        .enumerate()
        .map(|(place, entry)| (entry.index.unwrap_or(place), entry.embedding))
        .collect();
    entries.sort_by_key(|(index, _)| *index);
    if entries.iter().enumerate().any(|(place, (index, _))| place != *index) {
        return Err(malformed("the reply leaves out an embedding, or gives one twice"));
    }
    Ok(Vectors {
        vectors: entries.into_iter().map(|(_, vector)| vector).collect(),
        model: reply.model,
        usage: reply
            .usage
            .map(|usage| TokenUsage { input: usage.prompt_tokens, ..TokenUsage::default() }),
    })
}
