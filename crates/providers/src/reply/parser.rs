//! The bytes of one reply to events: what it turns out to be, cut as its wire cuts it, and read by
//! the wire's decoder. It waits for nothing; `reader` brings the bytes.

use std::sync::Arc;

use super::{Intake, Meter, malformed};
use crate::{ProviderError, lines, sse};

/// A reply that is not streamed is held whole; the longest answers have a tenth of this.
const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// How a wire cuts its stream into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON object on each line.
    Lines,
}

/// What a wire makes of its events.
pub(crate) trait Decode: Send {
    /// Reads one event of a stream. What cannot be read is skipped; an error of the provider is
    /// one.
    fn event(&mut self, name: &str, data: &str, intake: &mut Intake) -> Result<(), ProviderError>;

    /// Reads a whole reply that is not streamed.
    fn whole(&mut self, body: &[u8], intake: &mut Intake) -> Result<(), ProviderError>;
}

/// A reply as far as it has come.
pub(crate) struct Parser {
    decoder: Box<dyn Decode>,
    framing: Framing,
    form: Form,
    /// What was read.
    pub(crate) intake: Intake,
}

/// What a reply turns out to be at its first byte: one JSON value, events, or lines.
enum Form {
    Unknown,
    Events(sse::Decoder),
    Lines(lines::Decoder),
    Json(Vec<u8>),
}

impl Parser {
    /// For an answer of at most `max_bytes`.
    pub(crate) fn new(
        decoder: Box<dyn Decode>,
        framing: Framing,
        max_bytes: usize,
        meter: Arc<Meter>,
    ) -> Self {
        Self { decoder, framing, form: Form::Unknown, intake: Intake::new(max_bytes, meter) }
    }

    /// Reads more bytes, split anywhere.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        if matches!(self.form, Form::Unknown) {
            let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(());
            };
            self.form = match (first, self.framing) {
                (_, Framing::Lines) => Form::Lines(lines::Decoder::default()),
                (b'{' | b'[', Framing::Events) => Form::Json(Vec::new()),
                (_, Framing::Events) => Form::Events(sse::Decoder::default()),
            };
        }
        match &mut self.form {
            Form::Unknown => return Ok(()),
            Form::Json(body) if body.len() + bytes.len() > MAX_JSON_BYTES => {
                return Err(malformed("the reply is larger than any answer"));
            }
            Form::Json(body) => {
                body.extend_from_slice(bytes);
                return Ok(());
            }
            Form::Events(decoder) => decoder.push(bytes),
            Form::Lines(decoder) => decoder.push(bytes),
        }
        self.read_events()
    }

    /// The body has ended.
    pub(crate) fn end_of_body(&mut self) -> Result<(), ProviderError> {
        match &mut self.form {
            Form::Unknown => return Err(malformed("the reply is empty")),
            Form::Events(decoder) => decoder.finish(),
            Form::Lines(decoder) => decoder.finish(),
            Form::Json(body) => {
                let body = std::mem::take(body);
                self.decoder.whole(&body, &mut self.intake)?;
            }
        }
        self.read_events()?;
        self.intake.close();
        Ok(())
    }

    fn read_events(&mut self) -> Result<(), ProviderError> {
        while !self.intake.is_done() {
            match &mut self.form {
                Form::Unknown | Form::Json(_) => break,
                Form::Events(decoder) => {
                    let Some(event) = decoder.next_event() else { break };
                    self.decoder.event(&event.name, &event.data, &mut self.intake)?;
                }
                Form::Lines(decoder) => {
                    let Some(line) = decoder.next_line() else { break };
                    self.decoder.event("", &line, &mut self.intake)?;
                }
            }
        }
        Ok(())
    }
}
