//! Replies of the fake provider, good ones and faults.

use std::time::Duration;

use serde_json::{Value, json};

use super::wire::{About, Fault};

/// One reply. Start from an answer ([`Reply::text`], [`Reply::tokens`], [`Reply::endless`]) and
/// bend it, or from a fault. It is said in the words of whichever wire the request speaks, streamed
/// or whole as the request asks.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Stream(Box<Stream>),
    Whole { status: u16, headers: Vec<(String, String)>, body: String },
    Fault { fault: Fault, headers: Vec<(String, String)> },
    Reset,
    Silent,
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) tokens: Tokens,
    pub(super) reasoning: Vec<String>,
    pub(super) calls: Vec<Call>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) first_after: Duration,
    pub(super) delay: Duration,
    pub(super) end: End,
    pub(super) malformed_at: Option<usize>,
    pub(super) gate_after: usize,
    pub(super) role_chunk: bool,
    pub(super) pings: bool,
    pub(super) finish: Option<String>,
    pub(super) usage: Option<(u64, u64)>,
    pub(super) cached_input: u64,
    pub(super) cache_write: u64,
    pub(super) reasoning_tokens: u64,
    pub(super) done: bool,
    pub(super) lingers: bool,
    pub(super) bills_prompt: bool,
    pub(super) newline: &'static str,
    pub(super) write_bytes: usize,
    pub(super) model: String,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Stream {
    /// The token at this place, if there is one.
    pub(super) fn token(&self, index: usize) -> Option<String> {
        match &self.tokens {
            Tokens::These(tokens) => tokens.get(index).cloned(),
            Tokens::Endless => Some(format!("t{index} ")),
        }
    }

    /// All tokens; those of an endless answer are none.
    pub(super) fn text(&self) -> String {
        match &self.tokens {
            Tokens::These(tokens) => tokens.concat(),
            Tokens::Endless => String::new(),
        }
    }

    /// The reason of the end in the words of chat completions.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        match self.finish.as_deref() {
            Some("stop") if !self.calls.is_empty() => Some("tool_calls"),
            other => other,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Tokens {
    These(Vec<String>),
    Endless,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Whole,
    CutAfter(usize),
    StallAfter(usize),
    ErrorAfter(usize, Value),
}

impl Reply {
    /// An answer of these tokens, streamed.
    #[must_use]
    pub fn text(tokens: &[&str]) -> Self {
        let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        let count = tokens.len() as u64;
        Self::stream(Tokens::These(tokens), Some((10, count)))
    }

    /// An answer of `count` tokens: `t0 t1 t2 …`.
    #[must_use]
    pub fn tokens(count: usize) -> Self {
        let tokens = (0..count).map(|index| format!("t{index} ")).collect();
        Self::stream(Tokens::These(tokens), Some((10, count as u64)))
    }

    /// An answer that never ends, as fast as it is read.
    #[must_use]
    pub fn endless() -> Self {
        Self::stream(Tokens::Endless, None)
    }

    fn stream(tokens: Tokens, usage: Option<(u64, u64)>) -> Self {
        Self {
            kind: Kind::Stream(Box::new(Stream {
                tokens,
                reasoning: Vec::new(),
                calls: Vec::new(),
                headers: Vec::new(),
                first_after: Duration::ZERO,
                delay: Duration::ZERO,
                end: End::Whole,
                malformed_at: None,
                gate_after: 0,
                role_chunk: true,
                pings: false,
                finish: Some("stop".to_owned()),
                usage,
                cached_input: 0,
                cache_write: 0,
                reasoning_tokens: 0,
                done: true,
                lingers: false,
                bills_prompt: false,
                newline: "\n",
                write_bytes: usize::MAX,
                model: "fake-model".to_owned(),
            })),
        }
    }

    /// This status, with this JSON as the body.
    #[must_use]
    pub fn status(status: u16, body: &Value) -> Self {
        Self { kind: Kind::Whole { status, headers: Vec::new(), body: body.to_string() } }
    }

    /// An error as the wire tells it; those that have no codes leave `code` out.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::fault(status, code, message, About::Anything)
    }

    fn fault(status: u16, code: &str, message: &str, about: About) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        let fault = Fault { status, code, message, about };
        Self { kind: Kind::Fault { fault, headers: Vec::new() } }
    }

    /// 429, with `Retry-After` when it is given.
    #[must_use]
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        let reply = Self::error(429, "rate_limit_exceeded", "Rate limit reached");
        match retry_after {
            Some(value) => reply.header("Retry-After", value),
            None => reply,
        }
    }

    /// 400: the prompt is longer than the model can read.
    #[must_use]
    pub fn context_too_long() -> Self {
        let message = "This model's maximum context length is 8192 tokens.";
        Self::fault(400, "context_length_exceeded", message, About::ContextTooLong)
    }

    /// The content filter refuses the prompt: 400, but for Gemini, which says it in a 200.
    #[must_use]
    pub fn content_filtered() -> Self {
        let message = "The response was filtered.";
        Self::fault(400, "content_filter", message, About::ContentFiltered)
    }

    /// The model is overloaded: 529 with `overloaded_error`, or as the wire says it.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::error(529, "overloaded_error", "Overloaded")
    }

    /// 200, with this body as it stands: empty, HTML, or JSON instead of a stream.
    #[must_use]
    pub fn body(content_type: &str, body: &str) -> Self {
        let kind = Kind::Whole { status: 200, headers: Vec::new(), body: body.to_owned() };
        Self { kind }.header("Content-Type", content_type)
    }

    /// A whole answer in JSON, although a stream was asked for.
    #[must_use]
    pub fn json_answer(text: &str) -> Self {
        let body = json!({
            "object": "chat.completion", "model": "fake-model",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
        });
        Self::status(200, &body)
    }

    /// The connection is reset once the request was read.
    #[must_use]
    pub fn reset() -> Self {
        Self { kind: Kind::Reset }
    }

    /// The request is read, and nothing is ever said.
    #[must_use]
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// With this header. A `Content-Length` beyond the body of a reply that is not streamed leaves
    /// the client waiting for the rest.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let header = (name.to_owned(), value.to_owned());
        match &mut self.kind {
            Kind::Stream(stream) => stream.headers.push(header),
            Kind::Whole { headers, .. } | Kind::Fault { headers, .. } => headers.push(header),
            Kind::Reset | Kind::Silent => panic!("a reply that never comes has no headers"),
        }
        self
    }

    /// Thinks these pieces before it answers.
    #[must_use]
    pub fn reasoning(self, pieces: &[&str]) -> Self {
        self.bend(|stream| stream.reasoning.extend(pieces.iter().map(|piece| (*piece).to_owned())))
    }

    /// Calls this tool behind its text; `arguments` is JSON text. It ends with the reason for it,
    /// unless another is set.
    #[must_use]
    pub fn tool_call(self, id: &str, name: &str, arguments: &str) -> Self {
        self.bend(|stream| {
            stream.calls.push(Call {
                id: id.to_owned(),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            });
        })
    }

    /// The first token comes after this time.
    #[must_use]
    pub fn first_token_after(self, delay: Duration) -> Self {
        self.bend(|stream| stream.first_after = delay)
    }

    /// This time passes between tokens.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.bend(|stream| stream.delay = delay)
    }

    /// The connection is cut after `count` tokens.
    #[must_use]
    pub fn cut_after(self, count: usize) -> Self {
        self.bend(|stream| stream.end = End::CutAfter(count))
    }

    /// Nothing more is said after `count` tokens, and the connection stays open.
    #[must_use]
    pub fn stall_after(self, count: usize) -> Self {
        self.bend(|stream| stream.end = End::StallAfter(count))
    }

    /// After `count` tokens an error object takes the place of the next, and the stream ends as if
    /// all were well.
    #[must_use]
    pub fn error_after(self, count: usize, error: Value) -> Self {
        self.bend(|stream| stream.end = End::ErrorAfter(count, error))
    }

    /// A chunk that is no JSON stands before token `index`.
    #[must_use]
    pub fn malformed_at(self, index: usize) -> Self {
        self.bend(|stream| stream.malformed_at = Some(index))
    }

    /// The gate of [`FakeVendor::hold`](super::FakeVendor::hold) stands after `count` tokens
    /// instead of before the first byte.
    #[must_use]
    pub fn gate_after(self, count: usize) -> Self {
        self.bend(|stream| stream.gate_after = count)
    }

    /// Comments stand between the tokens, and keep coming while the stream stalls.
    #[must_use]
    pub fn pings(self) -> Self {
        self.bend(|stream| stream.pings = true)
    }

    /// Ends with this `finish_reason`.
    #[must_use]
    pub fn finish(self, reason: &str) -> Self {
        self.bend(|stream| stream.finish = Some(reason.to_owned()))
    }

    /// Ends without a `finish_reason`.
    #[must_use]
    pub fn without_finish(self) -> Self {
        self.bend(|stream| stream.finish = None)
    }

    /// Says these figures of tokens read and written.
    #[must_use]
    pub fn usage(self, input: u64, output: u64) -> Self {
        self.bend(|stream| stream.usage = Some((input, output)))
    }

    /// Of the tokens read so many came from the cache, and so many were written to it.
    #[must_use]
    pub fn cached(self, read: u64, written: u64) -> Self {
        self.bend(|stream| (stream.cached_input, stream.cache_write) = (read, written))
    }

    /// Of the tokens written so many were thoughts.
    #[must_use]
    pub fn reasoning_tokens(self, count: u64) -> Self {
        self.bend(|stream| stream.reasoning_tokens = count)
    }

    /// Says nothing of tokens.
    #[must_use]
    pub fn without_usage(self) -> Self {
        self.bend(|stream| stream.usage = None)
    }

    /// Ends without `[DONE]`, or `message_stop`; the other wires have no such word.
    #[must_use]
    pub fn without_done(self) -> Self {
        self.bend(|stream| stream.done = false)
    }

    /// Keeps the connection open behind the end of the stream, and the body with it.
    #[must_use]
    pub fn lingers(self) -> Self {
        self.bend(|stream| stream.lingers = true)
    }

    /// Puts the prompt on the bill even when its client leaves before the first token.
    #[must_use]
    pub fn bills_prompt(self) -> Self {
        self.bend(|stream| stream.bills_prompt = true)
    }

    /// Lines end in CR and LF.
    #[must_use]
    pub fn crlf(self) -> Self {
        self.bend(|stream| stream.newline = "\r\n")
    }

    /// Each write carries so many bytes: 1 splits at every position.
    #[must_use]
    pub fn split(self, bytes: usize) -> Self {
        self.bend(|stream| stream.write_bytes = bytes.max(1))
    }

    /// Answers as this model.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        self.bend(|stream| stream.model = model.to_owned())
    }

    /// Whether it is an answer, or one that breaks off: what can be bent.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    fn bend(mut self, change: impl FnOnce(&mut Stream)) -> Self {
        match &mut self.kind {
            Kind::Stream(stream) => change(stream),
            Kind::Whole { .. } | Kind::Fault { .. } | Kind::Reset | Kind::Silent => {
                panic!("only a streamed reply can be bent this way")
            }
        }
        self
    }
}
