//! Embeddings: what is asked and what comes back.

use crate::{ProviderError, TokenUsage, chat::refused, reply::malformed, usage::estimate_tokens};

/// More texts go into no request: OpenAI's own limit.
const MAX_INPUTS: usize = 2_048;

/// A vector is at most so many bytes of JSON: 8 192 numbers of some 24 characters each.
const MAX_VECTOR_BYTES: usize = 8_192 * 24;

/// No reply is larger, however much was asked.
const MAX_REPLY_BYTES: usize = 128 * 1024 * 1024;

/// Texts to be embedded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The model to ask; the configured one when absent.
    pub model: Option<String>,
    /// The texts: 1 to 2 048, none empty.
    pub input: Vec<String>,
    /// How many numbers each vector shall have, where the model leaves a choice.
    pub dimensions: Option<u32>,
    /// Who asks, in a word that names nobody; passed on where the wire has a place for it.
    pub user: Option<String>,
}

/// One vector for each text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// In the order of the texts.
    pub vectors: Vec<Vec<f32>>,
    /// The model that made them, as the provider names it.
    pub model: String,
    /// What it used.
    pub usage: TokenUsage,
}

/// What a wire reads from a reply.
#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) model: Option<String>,
    pub(crate) usage: Option<TokenUsage>,
}

impl EmbedRequest {
    /// Refuses what no wire takes.
    pub(crate) fn check(&self) -> Result<(), ProviderError> {
        if self.input.is_empty() || self.input.len() > MAX_INPUTS {
            return Err(refused(format!("The request must hold 1 to {MAX_INPUTS} texts.")));
        }
        if self.input.iter().any(String::is_empty) {
            return Err(refused("A text of the request is empty."));
        }
        Ok(())
    }

    /// The largest reply that is read.
    pub(crate) fn max_reply_bytes(&self) -> usize {
        (64 * 1024 + self.input.len() * MAX_VECTOR_BYTES).min(MAX_REPLY_BYTES)
    }
}

impl Vectors {
    /// Holds the reply against the request.
    pub(crate) fn complete(
        self,
        request: &EmbedRequest,
        model: &str,
    ) -> Result<Embeddings, ProviderError> {
        if self.vectors.len() != request.input.len() {
            let cause = format!("{} texts, {} vectors", request.input.len(), self.vectors.len());
            return Err(malformed(cause));
        }
        let size = self.vectors.first().map_or(0, Vec::len);
        if size == 0 || self.vectors.iter().any(|vector| vector.len() != size) {
            return Err(malformed("the vectors are empty, or differ in their size"));
        }
        let chars = request.input.iter().map(|text| text.chars().count()).sum();
        let usage = self.usage.unwrap_or_else(|| TokenUsage {
            input: estimate_tokens(chars),
            estimated: true,
            ..TokenUsage::default()
        });
        let named = self.model.filter(|name| !name.is_empty());
        let model = named.unwrap_or_else(|| model.to_owned());
        Ok(Embeddings { vectors: self.vectors, model, usage })
    }
}
