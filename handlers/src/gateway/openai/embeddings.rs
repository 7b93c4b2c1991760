//! `POST /v1/embeddings`: <https://platform.openai.com/docs/api-reference/embeddings>.
//!
//! The official Python client asks for base64 when its caller asks for nothing, and unpacks it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use callboard_providers::{EmbedRequest, Embeddings};

use crate::gateway::{
    Fault, Flaw, Head,
    fields::{self, Fields, Place, list, mismatch, positive, string, word},
    tree::Node,
    write,
};

/// OpenAI's own limit.
const MAX_INPUTS: usize = 2_048;

/// How the vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Lists of numbers.
    #[default]
    Float,
    /// The numbers as little-endian `f32`, in base64.
    Base64,
}

/// A request as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// What is asked.
    pub(crate) request: EmbedRequest,
    /// How the client wants it.
    pub(crate) encoding: Encoding,
}

/// Reads the body.
pub(crate) fn parse(body: &[u8]) -> Result<Parsed, Fault> {
    let node = Node::parse(body).map_err(|error| Fault::no_json(&error))?;
    let mut fields = Fields::of(node, Place::Root)?;
    let words = [("float", Encoding::Float), ("base64", Encoding::Base64)];
    let encoding = fields.get("encoding_format", |node, place| word(node, place, &words))?;
    let request = EmbedRequest {
        model: Some(fields.need("model", fields::name)?),
        input: fields.need("input", input)?,
        dimensions: fields.get("dimensions", positive)?,
        user: fields.get("user", string)?,
    };
    fields.end()?;
    Ok(Parsed { request, encoding: encoding.unwrap_or_default() })
}

fn input(node: Node<'_>, place: Place<'_>) -> Result<Vec<String>, Fault> {
    match node {
        Node::Text(_) => Ok(vec![some_text(node, place)?]),
        Node::List(_) => {
            let texts = list(node, place, MAX_INPUTS, some_text)?;
            if texts.is_empty() {
                return Err(Fault::value(place, "must not be empty"));
            }
            Ok(texts)
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string or an array of strings"))
        }
    }
}

fn some_text(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    if matches!(node, Node::Number(_) | Node::List(_)) {
        let problem = "must be text: tokens mean something to one model only";
        return Err(Fault::at(place, Flaw::Unsupported, problem));
    }
    let text = string(node, place)?;
    if text.is_empty() { Err(Fault::value(place, "must not be empty")) } else { Ok(text) }
}

/// The reply. Of the head, the model (should the provider name none) and what the gateway says.
pub(crate) fn whole(head: &Head<'_>, embeddings: &Embeddings, encoding: Encoding) -> Bytes {
    let numbers: usize = embeddings.vectors.iter().map(Vec::len).sum();
    let mut out = BytesMut::with_capacity(256 + 64 * embeddings.vectors.len() + 12 * numbers);
    write::raw(&mut out, "{\"object\":\"list\",\"data\":[");
    for (index, vector) in embeddings.vectors.iter().enumerate() {
        write::raw(&mut out, if index == 0 { "" } else { "," });
        write::raw(&mut out, "{\"object\":\"embedding\",\"index\":");
        write::number(&mut out, index);
        write::raw(&mut out, ",\"embedding\":");
        match encoding {
            Encoding::Float => put_numbers(&mut out, vector),
            Encoding::Base64 => put_base64(&mut out, vector),
        }
        write::raw(&mut out, "}");
    }
    write::raw(&mut out, "],\"model\":");
    let model = Some(embeddings.model.as_str()).filter(|model| !model.is_empty());
    write::string(&mut out, model.unwrap_or(head.model));
    write::raw(&mut out, ",\"usage\":{\"prompt_tokens\":");
    write::number(&mut out, embeddings.usage.input);
    write::raw(&mut out, ",\"total_tokens\":");
    write::number(&mut out, embeddings.usage.input);
    write::raw(&mut out, "}");
    if let Some(callboard) = head.callboard {
        write::raw(&mut out, ",\"callboard\":");
        write::raw(&mut out, callboard);
    }
    write::raw(&mut out, "}");
    out.freeze()
}

fn put_numbers(out: &mut BytesMut, vector: &[f32]) {
    // It writes the shortest text that reads back as the same number; none of them is infinite,
    // since JSON, from which they come, has no word for that.
    let written = serde_json::to_writer(out.writer(), vector);
    debug_assert!(written.is_ok(), "a BytesMut takes everything");
}

fn put_base64(out: &mut BytesMut, vector: &[f32]) {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    write::raw(out, "\"");
    write::raw(out, &STANDARD.encode(bytes));
    write::raw(out, "\"");
}

#[cfg(test)]
mod tests {
    use callboard_providers::TokenUsage;

    use super::*;

    fn head() -> Head<'static> {
        Head { id: "unused", created: 0, model: "asked", callboard: None }
    }

    #[test]
    fn every_field_is_read() {
        let parsed = parse(
            br#"{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":3,
                "user":"u"}"#,
        )
        .unwrap();
        let request = EmbedRequest {
            model: Some("m".to_owned()),
            input: vec!["a".to_owned(), "b".to_owned()],
            dimensions: Some(3),
            user: Some("u".to_owned()),
        };
        assert_eq!(parsed.request, request);
        assert_eq!(parsed.encoding, Encoding::Base64);
        let one = parse(br#"{"model":"m","input":"a"}"#).unwrap();
        assert_eq!((one.request.input.len(), one.encoding), (1, Encoding::Float));
    }

    #[test]
    fn a_refusal_names_its_parameter() {
        for (body, param) in [
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":["a",""]}"#, "input.[1]"),
            (r#"{"model":"m","input":[1,2]}"#, "input.[0]"),
            (r#"{"model":"m","input":[[1,2]]}"#, "input.[0]"),
            (r#"{"model":"m","input":{}}"#, "input"),
            (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, "encoding_format"),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions"),
            (r#"{"model":"m","input":"a","x":0}"#, "x"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().param.as_deref(), Some(param), "{body}");
        }
        let many = format!(r#"{{"model":"m","input":[{}"a"]}}"#, "\"a\",".repeat(MAX_INPUTS));
        assert_eq!(parse(many.as_bytes()).unwrap_err().param.as_deref(), Some("input"));
    }

    #[test]
    fn vectors_are_numbers_or_their_bytes() {
        let embeddings = Embeddings {
            vectors: vec![vec![1.0, -0.5], vec![0.1, 2.0]],
            model: "real".to_owned(),
            usage: TokenUsage { input: 7, ..TokenUsage::default() },
        };
        let floats = whole(&head(), &embeddings, Encoding::Float);
        assert_eq!(
            floats,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]},{"object":"embedding","index":1,"embedding":[0.1,2.0]}],"model":"real","usage":{"prompt_tokens":7,"total_tokens":7}}"#
        );
        let head = Head { callboard: Some(r#"{"attempts":1}"#), ..head() };
        let packed = whole(&head, &embeddings, Encoding::Base64);
        let packed: serde_json::Value = serde_json::from_slice(&packed).unwrap();
        let bytes = STANDARD.decode(packed["data"][1]["embedding"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, [0.1_f32.to_le_bytes(), 2.0_f32.to_le_bytes()].concat());
        assert_eq!(packed["callboard"]["attempts"], 1);
    }
}
