use std::path::PathBuf;

use candle_nn::VarMap;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A model of the same kind as the real ones, far smaller, with weights of chance.
fn model() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let config = json!({
        "vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 16, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "model_type": "bert",
    });
    fs::write(path.join("config.json"), config.to_string()).unwrap();
    let weights = VarMap::new();
    let config: Config = serde_json::from_value(config).unwrap();
    let builder = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    BertModel::load(builder, &config).unwrap();
    weights.save(path.join("model.safetensors")).unwrap();
    let vocabulary = json!({
        "[PAD]": 0, "[UNK]": 1, "disk": 2, "full": 3, "is": 4, "the": 5, "not": 6, "down": 7,
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" },
    });
    fs::write(path.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    (folder, path)
}

#[test]
fn a_text_has_the_same_vector_alone_and_among_others() {
    let (_folder, path) = model();
    let embedder = LocalEmbedder::open(&path).unwrap();
    let long = "the disk is full ".repeat(20);
    let mut texts = vec!["disk", "the disk is full", "down", long.as_str()];
    texts.extend(["not down"; 40]);
    let together = embedder.embed(&texts).unwrap();
    assert!(together.iter().all(|vector| vector.len() == 8));
    for (text, vector) in texts.iter().zip(&together) {
        let alone = &embedder.embed(&[text]).unwrap()[0];
        let apart = alone.iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{text}: {apart}");
    }
    assert_ne!(together[0], together[2]);
}

#[test]
fn the_first_token_may_stand_for_the_text() {
    let (_folder, path) = model();
    let mean = LocalEmbedder::open(&path).unwrap();
    fs::create_dir(path.join("1_Pooling")).unwrap();
    let pooling = json!({ "pooling_mode_cls_token": true }).to_string();
    fs::write(path.join("1_Pooling/config.json"), pooling).unwrap();
    let first = LocalEmbedder::open(&path).unwrap();
    assert_eq!((mean.pooling, first.pooling), (Pooling::Mean, Pooling::First));
    let text = ["the disk is full"];
    assert_ne!(mean.embed(&text).unwrap(), first.embed(&text).unwrap());
    assert_eq!(mean.embed(&["disk"]).unwrap(), first.embed(&["disk"]).unwrap());
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let (_folder, path) = model();
        fs::write(path.join(file), "{").unwrap();
        let error = LocalEmbedder::open(&path).err().unwrap();
        assert!(error.0.contains(file), "{error}");
        fs::remove_file(path.join(file)).unwrap();
        let error = LocalEmbedder::open(&path).err().unwrap();
        assert!(error.0.contains(file), "{error}");
    }
    // Words that the model has no place for.
    let (_folder, path) = model();
    let tokenizer = fs::read_to_string(path.join("tokenizer.json")).unwrap();
    let tokenizer = tokenizer.replace("\"[UNK]\":1", "\"[UNK]\":999");
    fs::write(path.join("tokenizer.json"), tokenizer).unwrap();
    assert!(LocalEmbedder::open(&path).is_err());
}
