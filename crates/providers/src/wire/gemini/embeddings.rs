//! Gemini's embeddings. The wire counts no tokens.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    EmbedRequest, ProviderError,
    embed::Vectors,
    fault,
    reply::malformed,
    wire::{self, read_whole},
};

#[derive(Serialize)]
struct Body<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: String,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    embeddings: Option<Vec<Embedding>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
}

/// The JSON of a request.
pub(super) fn encode(model: &str, request: &EmbedRequest) -> Result<Bytes, ProviderError> {
    let one = |text| One {
        model: format!("models/{model}"),
        content: Content { parts: [Part { text }] },
        output_dimensionality: request.dimensions,
    };
    let requests = request.input.iter().map(|text| one(text.as_str())).collect();
    wire::encode(&Body { requests }, &Map::new())
}

/// Reads a reply.
pub(super) fn read(body: &[u8]) -> Result<Vectors, ProviderError> {
    let reply: Reply = read_whole(body)?;
    if let Some(error) = reply.error.filter(|error| !error.is_null()) {
        return Err(fault::from_object(&error));
    }
    let embeddings = reply.embeddings.ok_or_else(|| malformed("the reply has no `embeddings`"))?;
    Ok(Vectors {
        vectors: embeddings.into_iter().map(|embedding| embedding.values).collect(),
        model: None,
        usage: None,
    })
}
