//! Embeddings: bags of words, so that texts with the same words are alike and others are not.

use serde_json::{Value, json};

use super::{FakeVendor, RecordedRequest, billing::Billed, wire::VendorWire};

/// The reply to a request for embeddings, and what it costs: a token for each word.
pub(super) fn embeddings(
    wire: VendorWire,
    request: &RecordedRequest,
    model: &str,
) -> (Value, Billed) {
    let body = &request.body;
    let texts: Vec<&str> = match wire {
        VendorWire::GeminiEmbeddings => {
            let requests = body["requests"].as_array().into_iter().flatten();
            requests.filter_map(|one| one["content"]["parts"][0]["text"].as_str()).collect()
        }
        VendorWire::OpenAi
        | VendorWire::Responses
        | VendorWire::Anthropic
        | VendorWire::Ollama
        | VendorWire::Gemini
        | VendorWire::Azure
        | VendorWire::OpenAiEmbeddings
        | VendorWire::OllamaEmbeddings => {
            let list = body["input"].as_array().into_iter().flatten();
            list.chain([&body["input"]]).filter_map(Value::as_str).collect()
        }
    };
    let size = body["dimensions"]
        .as_u64()
        .or_else(|| body["requests"][0]["outputDimensionality"].as_u64())
        .unwrap_or(FakeVendor::VECTOR as u64);
    let input: u64 = texts.iter().map(|text| text.split_whitespace().count() as u64).sum();
    let vectors = texts.iter().map(|text| vector(text, size));
    let json = match wire {
        VendorWire::OllamaEmbeddings => json!({"model": model,
            "embeddings": vectors.collect::<Vec<_>>(), "prompt_eval_count": input}),
        VendorWire::GeminiEmbeddings => {
            let embeddings: Vec<Value> = vectors.map(|vector| json!({"values": vector})).collect();
            json!({"embeddings": embeddings})
        }
        VendorWire::OpenAi
        | VendorWire::Responses
        | VendorWire::Anthropic
        | VendorWire::Ollama
        | VendorWire::Gemini
        | VendorWire::Azure
        | VendorWire::OpenAiEmbeddings => {
            let entry = |(index, vector)| json!({"object": "embedding", "index": index, "embedding": vector});
            let data: Vec<Value> = vectors.enumerate().map(entry).collect();
            json!({"object": "list", "data": data, "model": model,
                "usage": {"prompt_tokens": input, "total_tokens": input}})
        }
    };
    (json, Billed::of_embeddings(model, input))
}

/// How often the words of each place stand in the text.
fn vector(text: &str, size: u64) -> Vec<f64> {
    let mut vector = vec![0.0; usize::try_from(size).unwrap_or(usize::MAX)];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // FNV-1a: the same on every machine.
        let hash = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if let Some(place) = usize::try_from(hash % size).ok().and_then(|at| vector.get_mut(at)) {
            *place += 1.0;
        }
    }
    vector
}
