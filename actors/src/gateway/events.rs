//! The events of a reply, wherever it comes from.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use callboard_protocol::ClientError;
use callboard_providers::ReplyEvent;
use futures_util::{Stream, StreamExt as _};

use super::{Flow, Given, replies::LogReader};

/// The last event is a [`ReplyEvent::Finish`] or an error, and nothing follows it.
pub struct ReplyEvents(From);

enum From {
    /// A provider, at the pace of this reader.
    Provider(Box<Flow>),
    /// The log of a reply that is being made.
    Log(LogReader),
    /// The cache; the number of the next one.
    Cache(Arc<Given>, usize),
}

impl ReplyEvents {
    pub(super) fn of_provider(flow: Flow) -> Self {
        Self(From::Provider(Box::new(flow)))
    }

    pub(super) fn of_log(reader: LogReader) -> Self {
        Self(From::Log(reader))
    }

    pub(super) fn of_cache(given: Arc<Given>) -> Self {
        Self(From::Cache(given, 0))
    }
}

impl Stream for ReplyEvents {
    type Item = Result<ReplyEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            From::Provider(flow) => flow.poll_next_unpin(context),
            From::Log(reader) => reader.poll_next_unpin(context),
            From::Cache(given, next) => {
                let event = given.events.get(*next).cloned();
                *next += 1;
                Poll::Ready(event.map(Ok))
            }
        }
    }
}
