//! One reply on its way in: bytes to events of the wire to events of ours, with the clocks that
//! end a silent one.
//!
//! Nothing is read ahead of the reader: the next bytes are asked for when the events of the last
//! are taken. Text is bounded by the longest answer allowed; a reply ends in a finish or an error,
//! never in both.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::{Instant, timeout_at};

use super::{Decode, Framing, Meter, Parser, ReplyEvent};
use crate::{ProviderError, ProviderErrorKind};

/// How long the usage may take to follow the finish reason. Servers send it at once or never.
const USAGE_GRACE: Duration = Duration::from_secs(2);

/// How long the end of the body may take to follow the end of the answer. A body that is read to
/// its end leaves its connection to the next request.
const BODY_GRACE: Duration = Duration::from_millis(50);

/// No tokenizer makes tokens that are longer on the average; a server that sends more than this
/// per token ignores the bound that it was given.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// What a reply is measured against.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The first token must have come.
    pub(crate) first_token: Instant,
    /// The end must have come.
    pub(crate) end: Instant,
    /// From one token to the next.
    pub(crate) idle: Duration,
    /// The longest answer, in tokens.
    pub(crate) max_output_tokens: u32,
    /// Named in the finish unless the reply names another.
    pub(crate) model: String,
    /// Counts what is used.
    pub(crate) meter: Arc<Meter>,
}

/// A reply with a good status.
pub(crate) struct Reader {
    response: reqwest::Response,
    parser: Parser,
    terms: Terms,
    deadline: Instant,
    /// It failed; what came before that is given first.
    failed: Option<ProviderError>,
}

impl Reader {
    /// A reply whose body has yet to be read.
    pub(crate) fn new(
        response: reqwest::Response,
        decoder: Box<dyn Decode>,
        framing: Framing,
        terms: Terms,
    ) -> Self {
        let max_bytes = (terms.max_output_tokens as usize).saturating_mul(MAX_BYTES_PER_TOKEN);
        Self {
            response,
            parser: Parser::new(decoder, framing, max_bytes, Arc::clone(&terms.meter)),
            deadline: terms.first_token.min(terms.end),
            terms,
            failed: None,
        }
    }

    /// Its events.
    pub(crate) fn into_events(self) -> impl Stream<Item = Result<ReplyEvent, ProviderError>> {
        stream::unfold(self, |mut reader| async move {
            let item = reader.next().await;
            Some((item, reader))
        })
    }

    async fn next(&mut self) -> Result<ReplyEvent, ProviderError> {
        loop {
            let intake = &mut self.parser.intake;
            if let Some(event) = intake.next_event() {
                return Ok(event);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if intake.is_done() {
                intake.end_calls();
                if let Some(event) = intake.next_event() {
                    return Ok(event);
                }
                if intake.said_done() {
                    self.read_to_end().await;
                }
                return self.parser.intake.conclude(&self.terms.model);
            }
            if let Err(error) = self.step().await {
                self.failed = Some(error);
            }
        }
    }

    /// Reads what comes next.
    async fn step(&mut self) -> Result<(), ProviderError> {
        let came = timeout_at(self.deadline, self.response.chunk()).await;
        let announced = self.parser.intake.finished().is_some();
        match came {
            Ok(Ok(Some(bytes))) => self.read(&bytes),
            Ok(Ok(None)) => self.parser.end_of_body(),
            // What a broken connection cost is only the end that had been announced.
            Ok(Err(_)) | Err(_) if announced => {
                self.parser.intake.close();
                Ok(())
            }
            Ok(Err(error)) => {
                Err(ProviderError::new(ProviderErrorKind::Interrupted).because(error))
            }
            Err(_) => Err(self.timed_out()),
        }
    }

    async fn read_to_end(&mut self) {
        let deadline = Instant::now() + BODY_GRACE;
        while let Ok(Ok(Some(_))) = timeout_at(deadline, self.response.chunk()).await {}
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        self.parser.read(bytes)?;
        if self.parser.intake.take_moved() {
            let wait = match self.parser.intake.finished() {
                Some(_) => USAGE_GRACE.min(self.terms.idle),
                None => self.terms.idle,
            };
            self.deadline = (Instant::now() + wait).min(self.terms.end);
        }
        Ok(())
    }

    fn timed_out(&self) -> ProviderError {
        let cause = if self.deadline >= self.terms.end {
            "the answer took longer than total_timeout_ms"
        } else if self.parser.intake.has_begun() {
            "no token came within idle_timeout_ms"
        } else {
            "no token came within first_token_timeout_ms"
        };
        ProviderError::new(ProviderErrorKind::Timeout).because(cause)
    }
}
