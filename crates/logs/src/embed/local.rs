//! A sentence model on this machine: a folder as the sentence-transformers library writes it, of the
//! BERT family (all-MiniLM-L6-v2 and its like), run by candle on the CPU.
//!
//! Read are `config.json`, `tokenizer.json`, `model.safetensors`, and when they are there
//! `1_Pooling/config.json` and `sentence_bert_config.json`. The folder is the operator's: what it says
//! is held against bounds all the same, since it may be damaged.

use std::{fs, path::Path};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde::{Deserialize, de::DeserializeOwned};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use super::{EmbedError, Embedder};

/// Texts that are embedded together.
const BATCH: usize = 16;

/// Tokens of a text, at most; log templates are far shorter.
const MOST_TOKENS: usize = 256;

/// The largest model that is loaded, in bytes.
const LARGEST: u64 = 2 << 30;

/// See the module.
pub struct LocalEmbedder {
    model: BertModel,
    tokenizer: Tokenizer,
    pooling: Pooling,
}

/// How the vectors of the tokens become that of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pooling {
    /// Their mean.
    #[default]
    Mean,
    /// That of the first.
    First,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
}

#[derive(Deserialize)]
struct Lengths {
    max_seq_length: usize,
}

impl LocalEmbedder {
    /// Loads the model of a folder.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another kind of model.
    pub fn open(folder: &Path) -> Result<Self, EmbedError> {
        let wrong = |file: &str, error: &dyn std::fmt::Display| {
            EmbedError(format!("{}: {error}", folder.join(file).display()))
        };
        let config: Config = json(folder, "config.json")?;
        let weights = folder.join("model.safetensors");
        let size =
            fs::metadata(&weights).map_err(|error| wrong("model.safetensors", &error))?.len();
        if size > LARGEST {
            return Err(wrong("model.safetensors", &"it has more than 2 GiB"));
        }
        let weights = fs::read(&weights).map_err(|error| wrong("model.safetensors", &error))?;
        let model = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|error| wrong("model.safetensors", &error))?;
        let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json"))
            .map_err(|error| wrong("tokenizer.json", &error))?;
        let lengths = json::<Lengths>(folder, "sentence_bert_config.json");
        let asked = lengths.map_or(MOST_TOKENS, |lengths| lengths.max_seq_length);
        // Two more stand around each text.
        let max_length = asked.min(MOST_TOKENS).min(config.max_position_embeddings).max(8);
        tokenizer
            .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))
            .map_err(|error| wrong("tokenizer.json", &error))?
            .with_padding(Some(PaddingParams::default()));
        let pooling = json::<PoolingConfig>(folder, "1_Pooling/config.json");
        let first = pooling.is_ok_and(|pooling| pooling.pooling_mode_cls_token);
        let pooling = if first { Pooling::First } else { Pooling::Mean };
        let embedder = Self { model, tokenizer, pooling };
        // A folder whose parts do not fit together is found out now, and not by the first question.
        embedder.embed(&["a line"])?;
        Ok(embedder)
    }

    fn batch(
        &self,
        texts: &[&str],
    ) -> Result<Vec<Vec<f32>>, Box<dyn std::error::Error + Send + Sync>> {
        let tokens = self.tokenizer.encode_batch(texts.to_vec(), true)?;
        let ids: Vec<&[u32]> = tokens.iter().map(|tokens| tokens.get_ids()).collect();
        let mask: Vec<&[u32]> = tokens.iter().map(|tokens| tokens.get_attention_mask()).collect();
        let (ids, mask) = (stack(&ids)?, stack(&mask)?);
        let vectors = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = match self.pooling {
            Pooling::First => vectors.narrow(1, 0, 1)?.squeeze(1)?,
            Pooling::Mean => {
                let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
                let sums = vectors.broadcast_mul(&mask)?.sum(1)?;
                sums.broadcast_div(&mask.sum(1)?)?
            }
        };
        Ok(pooled.to_vec2()?)
    }
}

impl Embedder for LocalEmbedder {
    fn at_once(&self) -> usize {
        BATCH
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        // Those of one length together: shorter ones are filled up to the longest.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|index| texts[*index].len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in order.chunks(BATCH) {
            let of_batch: Vec<&str> = batch.iter().map(|index| texts[*index]).collect();
            let made = self.batch(&of_batch).map_err(|error| EmbedError(error.to_string()))?;
            for (index, vector) in batch.iter().zip(made) {
                vectors[*index] = vector;
            }
        }
        Ok(vectors)
    }
}

fn stack(rows: &[&[u32]]) -> candle_core::Result<Tensor> {
    let width = rows.first().map_or(0, |row| row.len());
    Tensor::from_vec(rows.concat(), (rows.len(), width), &Device::Cpu)
}

fn json<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<T, EmbedError> {
    let path = folder.join(file);
    let wrong = |error: &dyn std::fmt::Display| EmbedError(format!("{}: {error}", path.display()));
    let text = fs::read(&path).map_err(|error| wrong(&error))?;
    serde_json::from_slice(&text).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests;
