//! An answer on its way from a provider to whoever reads it.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use callboard_protocol::ClientError;
use callboard_providers::{ProviderError, ProviderErrorKind, ReplyEvent, ReplyStream, TokenUsage};
use futures_util::{Stream, StreamExt as _};

use super::{Meter, question::to_program};
use crate::{
    privacy::Restoring,
    provider::{Lease, Outcome},
};

/// The events of an answer. The last one is [`ReplyEvent::Finish`] or an error, and nothing follows
/// it. Polled as the reader reads; dropped, it ends the call at the provider and frees its place.
pub(crate) struct Flow {
    /// Events that may be shown, first the one that made this target win.
    ready: VecDeque<ReplyEvent>,
    /// Puts back what the provider may not read.
    restoring: Option<Restoring>,
    /// Dropped before the lease: the place is free when the connection is.
    stream: Option<ReplyStream>,
    lease: Lease,
    meter: Meter,
}

impl Flow {
    pub(super) fn new(
        (first, stream): (ReplyEvent, ReplyStream),
        lease: Lease,
        meter: Meter,
        restoring: Option<Restoring>,
    ) -> Self {
        let ready = VecDeque::new();
        let mut flow = Self { ready, restoring, stream: Some(stream), lease, meter };
        flow.pass(first);
        flow
    }

    fn pass(&mut self, event: ReplyEvent) {
        self.note(&event);
        match &mut self.restoring {
            Some(restoring) => restoring.feed(event, &mut self.ready),
            None => self.ready.push_back(event),
        }
    }

    fn note(&mut self, event: &ReplyEvent) {
        match event {
            ReplyEvent::Text(_) | ReplyEvent::Reasoning(_) => self.meter.wrote(),
            ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ToolCallArguments { .. }
            | ReplyEvent::ReasoningSignature(_) => self.meter.wrote(),
            ReplyEvent::Finish { usage, .. } => {
                self.meter.answered(*usage);
                self.lease.used(usage.input + usage.output);
                self.lease.report(Outcome::Answered);
                self.stream = None;
            }
        }
    }

    /// What has been used until now costs, in US dollars, at the prices of its provider.
    pub(crate) fn cost_usd(&self, usage: TokenUsage) -> f64 {
        self.meter.cost_usd(usage)
    }

    /// What was used until now.
    pub(crate) fn usage_so_far(&self) -> TokenUsage {
        self.stream.as_ref().map_or_else(TokenUsage::default, ReplyStream::usage_so_far)
    }

    /// Ends it, since it took longer than its reader may wait.
    pub(crate) fn time_out(mut self) {
        self.fail(&ProviderError::new(ProviderErrorKind::Timeout));
    }

    fn fail(&mut self, error: &ProviderError) {
        let Some(stream) = self.stream.take() else { return };
        self.meter.failed(error, stream.usage_so_far());
        self.lease.report(Outcome::from(error));
    }

    /// The whole answer, gathered; at most `max_bytes` of it.
    ///
    /// # Errors
    /// When it is cut, or longer.
    pub(super) async fn whole(mut self, max_bytes: usize) -> Result<Vec<ReplyEvent>, ClientError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(event) = self.next().await {
            let event = event?;
            bytes += event.text_bytes();
            if bytes > max_bytes {
                return Err(callboard_protocol::ErrorCode::PayloadTooLarge.into());
            }
            merge(&mut events, event);
        }
        Ok(events)
    }
}

/// Joins text to the text before it.
fn merge(events: &mut Vec<ReplyEvent>, event: ReplyEvent) {
    match (events.last_mut(), event) {
        (Some(ReplyEvent::Text(text)), ReplyEvent::Text(more))
        | (Some(ReplyEvent::Reasoning(text)), ReplyEvent::Reasoning(more)) => text.push_str(&more),
        (
            Some(ReplyEvent::ToolCallArguments { index: last, piece }),
            ReplyEvent::ToolCallArguments { index, piece: more },
        ) if *last == index => piece.push_str(&more),
        (_, event) => events.push(event),
    }
}

impl Stream for Flow {
    type Item = Result<ReplyEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(stream) = self.stream.as_mut() else { return Poll::Ready(None) };
            match std::task::ready!(stream.poll_next_unpin(context)) {
                Some(Ok(event)) => self.pass(event),
                Some(Err(error)) => {
                    self.fail(&error);
                    return Poll::Ready(Some(Err(to_program(&error))));
                }
                None => self.stream = None,
            }
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The reader has left: what was streamed until now is billed.
        if let Some(stream) = self.stream.take() {
            self.meter.cancelled(stream.usage_so_far());
        }
    }
}
