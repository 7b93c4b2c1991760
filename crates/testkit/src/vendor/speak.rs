//! How an answer is said on each wire, streamed or whole.

mod anthropic;
mod chat;
mod gemini;
mod ollama;
mod responses;

use serde_json::Value;

use super::{
    reply::{Call, Stream},
    wire::VendorWire,
};

/// A part of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Reasoning(&'a str),
    /// The calls are counted from 0.
    Call(usize, &'a Call),
}

/// One reply on one wire. Each method gives the bytes to be sent; some give none.
pub(super) trait Speak: Send + Sync {
    /// `Content-Type` of the stream.
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    /// What is said before the answer.
    fn begin(&mut self, stream: &Stream) -> String;

    /// A part of the answer.
    fn piece(&mut self, stream: &Stream, piece: Piece<'_>) -> String;

    /// What cannot be read.
    fn malformed(&self, stream: &Stream) -> String;

    /// A sign of life that says nothing.
    fn ping(&self, stream: &Stream) -> String {
        format!(": still here{0}{0}", stream.newline)
    }

    /// An error in place of the rest.
    fn error(&self, stream: &Stream, error: &Value) -> String;

    /// Why the answer ends, and what it used.
    fn finish(&mut self, stream: &Stream) -> String;

    /// That nothing follows.
    fn done(&self, _stream: &Stream) -> String {
        String::new()
    }

    /// The whole answer at once.
    fn whole(&self, stream: &Stream) -> Value;
}

/// The speaker of a wire for chat.
pub(super) fn speaker(wire: VendorWire) -> Box<dyn Speak> {
    match wire {
        VendorWire::OpenAi
        | VendorWire::Azure
        | VendorWire::OpenAiEmbeddings
        | VendorWire::OllamaEmbeddings
        | VendorWire::GeminiEmbeddings => Box::new(chat::Chat),
        VendorWire::Responses => Box::new(responses::Responses::default()),
        VendorWire::Anthropic => Box::new(anthropic::Anthropic::default()),
        VendorWire::Ollama => Box::new(ollama::Ollama),
        VendorWire::Gemini => Box::new(gemini::Gemini),
    }
}

/// An event without a name.
fn data(stream: &Stream, json: &Value) -> String {
    format!("data: {json}{0}{0}", stream.newline)
}

/// An event whose name is the `type` in its data.
fn named(stream: &Stream, json: &Value) -> String {
    let name = json["type"].as_str().unwrap_or_default();
    format!("event: {name}{0}data: {json}{0}{0}", stream.newline)
}

/// The sentence of an error.
fn message_of(error: &Value) -> String {
    let message = error.as_str().or_else(|| error["message"].as_str());
    message.map_or_else(|| error.to_string(), str::to_owned)
}

/// The arguments of a call as JSON.
fn arguments_of(call: &Call) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_else(|_| Value::String(call.arguments.clone()))
}

/// A call's arguments in two pieces, as they are streamed.
fn halves(arguments: &str) -> [&str; 2] {
    let (first, second) = arguments.split_at(arguments.floor_char_boundary(arguments.len() / 2));
    [first, second]
}
