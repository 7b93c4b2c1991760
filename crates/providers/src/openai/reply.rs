//! One reply on its way in: bytes to chunks to events, with the clocks that end a silent one.
//!
//! Invariants: at most one event queue entry per chunk; text is bounded by the longest answer
//! allowed; a reply ends in a finish or an error, never in both.

use std::{collections::VecDeque, time::Duration};

use callboard_protocol::{FinishReason, Usage};
use futures_util::{Stream, stream};
use tokio::time::{Instant, timeout_at};

use super::{fault, wire};
use crate::{ProviderError, ProviderErrorKind, StreamEvent, sse};

/// A reply that is not streamed is held whole; the longest answers have a tenth of this.
const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// How long the usage may take to follow the finish reason. Servers send it at once or never.
const USAGE_GRACE: Duration = Duration::from_secs(2);

/// How long the end of the body may take to follow `[DONE]`. A body that is read to its end leaves
/// its connection to the next request.
const BODY_GRACE: Duration = Duration::from_millis(50);

/// No tokenizer makes tokens that are longer on the average; a server that sends more than this
/// per token ignores the bound that it was given.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// What a reply is measured against.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// The first token must have come.
    pub(super) first_token: Instant,
    /// The end must have come.
    pub(super) end: Instant,
    /// From one token to the next.
    pub(super) idle: Duration,
    /// The longest answer, in tokens.
    pub(super) max_output_tokens: u32,
    /// Named in the finish unless the reply names another.
    pub(super) model: String,
    /// Used when the reply counts no tokens.
    pub(super) prompt_chars: usize,
}

/// A reply.
pub(super) struct Reply {
    response: reqwest::Response,
    terms: Terms,
    form: Form,
    queue: VecDeque<StreamEvent>,
    progress: Progress,
    deadline: Instant,
}

/// What a reply turns out to be at its first byte: a JSON object, or events.
enum Form {
    Unknown,
    Events(sse::Decoder),
    Json(Vec<u8>),
}

#[derive(Default)]
struct Progress {
    /// The text so far.
    chars: usize,
    bytes: usize,
    /// A chunk could be read.
    any_chunk: bool,
    /// The model writes.
    begun: bool,
    finish: Option<FinishReason>,
    /// Nothing more is expected: the provider said `[DONE]`, or the text is over its bound.
    done: bool,
    /// The provider said `[DONE]`.
    said_done: bool,
    usage: Option<Usage>,
    model: Option<String>,
}

impl Reply {
    /// A reply with status 200 whose body has yet to be read.
    pub(super) fn new(response: reqwest::Response, terms: Terms) -> Self {
        Self {
            response,
            deadline: terms.first_token.min(terms.end),
            terms,
            form: Form::Unknown,
            queue: VecDeque::new(),
            progress: Progress::default(),
        }
    }

    /// Its events.
    pub(super) fn into_events(self) -> impl Stream<Item = Result<StreamEvent, ProviderError>> {
        stream::unfold(self, |mut reply| async move {
            let item = reply.next().await;
            Some((item, reply))
        })
    }

    async fn next(&mut self) -> Result<StreamEvent, ProviderError> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            if self.progress.done {
                if self.progress.said_done {
                    self.read_to_end().await;
                }
                return self.finish();
            }
            match timeout_at(self.deadline, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.read(&bytes)?,
                Ok(Ok(None)) => {
                    self.end_of_body()?;
                    self.progress.done = true;
                }
                // What a broken connection cost is only the end that had been announced.
                Ok(Err(_)) | Err(_) if self.progress.finish.is_some() => self.progress.done = true,
                Ok(Err(error)) => {
                    return Err(ProviderError::new(ProviderErrorKind::Interrupted).because(error));
                }
                Err(_) => return Err(self.timed_out()),
            }
        }
    }

    async fn read_to_end(&mut self) {
        let deadline = Instant::now() + BODY_GRACE;
        while let Ok(Ok(Some(_))) = timeout_at(deadline, self.response.chunk()).await {}
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        if matches!(self.form, Form::Unknown) {
            let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(());
            };
            self.form = match first {
                b'{' => Form::Json(Vec::new()),
                _ => Form::Events(sse::Decoder::default()),
            };
        }
        match &mut self.form {
            Form::Unknown => Ok(()),
            Form::Json(body) if body.len() + bytes.len() > MAX_JSON_BYTES => {
                Err(malformed("the reply is larger than any answer"))
            }
            Form::Json(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Form::Events(decoder) => {
                decoder.push(bytes);
                self.read_events()
            }
        }
    }

    fn end_of_body(&mut self) -> Result<(), ProviderError> {
        match &mut self.form {
            Form::Unknown => Err(malformed("the reply is empty")),
            Form::Events(decoder) => {
                decoder.finish();
                self.read_events()
            }
            Form::Json(body) => {
                let mut chunk: wire::Chunk = serde_json::from_slice(body).map_err(|error| {
                    ProviderError::new(ProviderErrorKind::Malformed).because(error)
                })?;
                if let Some(error) = chunk.error() {
                    return Err(fault::from_object(&error));
                }
                self.take(chunk)
            }
        }
    }

    fn read_events(&mut self) -> Result<(), ProviderError> {
        loop {
            let Form::Events(decoder) = &mut self.form else { return Ok(()) };
            if self.progress.done {
                return Ok(());
            }
            let Some(event) = decoder.next_event() else { return Ok(()) };
            self.read_event(&event)?;
        }
    }

    fn read_event(&mut self, event: &sse::Event) -> Result<(), ProviderError> {
        if event.data.trim() == "[DONE]" {
            // Some servers say no more than this.
            if self.progress.any_chunk {
                self.progress.finish.get_or_insert(FinishReason::Stop);
            }
            self.progress.done = true;
            self.progress.said_done = true;
            return Ok(());
        }
        match serde_json::from_str::<wire::Chunk>(&event.data) {
            Ok(mut chunk) => match chunk.error() {
                Some(error) => Err(fault::from_object(&error)),
                None if event.name == "error" => Err(named_error(event)),
                None => self.take(chunk),
            },
            Err(_) if event.name == "error" => Err(named_error(event)),
            Err(error) => {
                tracing::debug!(%error, "skipped a chunk that cannot be read");
                Ok(())
            }
        }
    }

    fn take(&mut self, chunk: wire::Chunk) -> Result<(), ProviderError> {
        let news = chunk.into_news();
        let progress = &mut self.progress;
        progress.any_chunk = true;
        progress.usage = news.usage.or(progress.usage);
        progress.model = news.model.or_else(|| progress.model.take());
        if !news.text.is_empty() || news.thinking {
            progress.begun = true;
            self.deadline = (Instant::now() + self.terms.idle).min(self.terms.end);
        }
        let limit = (self.terms.max_output_tokens as usize).saturating_mul(MAX_BYTES_PER_TOKEN);
        progress.chars += news.text.chars().count();
        progress.bytes += news.text.len();
        if !news.text.is_empty() {
            self.queue.push_back(StreamEvent::Delta(news.text));
        }
        if progress.bytes > limit {
            progress.finish = Some(FinishReason::Length);
            progress.done = true;
        } else if let Some(reason) = news.finish {
            let Some(reason) = wire::read_finish(&reason) else {
                return Err(ProviderError::new(ProviderErrorKind::Interrupted)
                    .because(format!("finish_reason is {reason}")));
            };
            progress.finish = Some(reason);
            self.deadline = (Instant::now() + USAGE_GRACE.min(self.terms.idle)).min(self.terms.end);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<StreamEvent, ProviderError> {
        let progress = &mut self.progress;
        let reason = match progress.finish {
            Some(FinishReason::Stop) if progress.chars == 0 => {
                return Err(malformed("the answer is empty"));
            }
            Some(reason) => reason,
            None if progress.any_chunk => {
                return Err(ProviderError::new(ProviderErrorKind::Interrupted)
                    .because("the reply ended without a finish_reason"));
            }
            None => return Err(malformed("the reply holds no chunk that can be read")),
        };
        let usage = progress.usage.unwrap_or_else(|| Usage {
            input_tokens: estimate_tokens(self.terms.prompt_chars),
            output_tokens: estimate_tokens(progress.chars),
        });
        let model = progress.model.take().unwrap_or_else(|| self.terms.model.clone());
        Ok(StreamEvent::Finish { reason, usage, model })
    }

    fn timed_out(&self) -> ProviderError {
        let cause = if self.deadline >= self.terms.end {
            "the answer took longer than total_timeout_ms"
        } else if self.progress.begun {
            "no token came within idle_timeout_ms"
        } else {
            "no token came within first_token_timeout_ms"
        };
        ProviderError::new(ProviderErrorKind::Timeout).because(cause)
    }
}

/// A token has about four characters.
fn estimate_tokens(chars: usize) -> u64 {
    chars.div_ceil(4) as u64
}

fn named_error(event: &sse::Event) -> ProviderError {
    let value = serde_json::from_str(&event.data)
        .unwrap_or_else(|_| serde_json::Value::String(event.data.clone()));
    fault::from_object(&value)
}

fn malformed(cause: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Malformed).because(cause)
}
