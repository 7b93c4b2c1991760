//! The events of a reply, wherever it comes from.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::ReplyEvent;
use futures_util::{Stream, StreamExt as _, ready};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Flow, Given, replies::LogReader};

/// The last event is a [`ReplyEvent::Finish`] or an error, and nothing follows it.
pub struct ReplyEvents {
    /// None after the last event.
    from: Option<From>,
    /// The server ends, and cannot wait for the rest.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum From {
    /// A provider, at the pace of this reader.
    Provider(Box<Flow>),
    /// The log of a reply that is being made.
    Log(LogReader),
    /// The cache; the number of the next one.
    Cache(Arc<Given>, usize),
}

impl ReplyEvents {
    pub(super) fn of_provider(flow: Flow, cut: &CancellationToken) -> Self {
        Self::new(From::Provider(Box::new(flow)), cut)
    }

    pub(super) fn of_log(reader: LogReader, cut: &CancellationToken) -> Self {
        Self::new(From::Log(reader), cut)
    }

    pub(super) fn of_cache(given: Arc<Given>, cut: &CancellationToken) -> Self {
        Self::new(From::Cache(given, 0), cut)
    }

    fn new(from: From, cut: &CancellationToken) -> Self {
        Self { from: Some(from), cut: Box::pin(cut.clone().cancelled_owned()) }
    }
}

impl Stream for ReplyEvents {
    type Item = Result<ReplyEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(from) = &mut self.from else { return Poll::Ready(None) };
        let polled = match from {
            From::Provider(flow) => flow.poll_next_unpin(context),
            From::Log(reader) => reader.poll_next_unpin(context),
            From::Cache(given, next) => {
                let event = given.events.get(*next).cloned();
                *next += 1;
                Poll::Ready(event.map(Ok))
            }
        };
        if polled.is_ready() {
            return polled;
        }
        ready!(self.cut.as_mut().poll(context));
        self.from = None;
        Poll::Ready(Some(Err(ErrorCode::Draining.into())))
    }
}
