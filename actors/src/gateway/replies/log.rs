//! A reply that several may read: the program that asked first, and those that asked the same while
//! it was made. Bounded by whoever writes it; given up when its last reader has left.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use callboard_protocol::{ClientError, ErrorCode};
use callboard_providers::ReplyEvent;
use futures_util::Stream;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Attempt, GatewayError},
    Given,
};

/// See the module.
#[derive(Default)]
pub(crate) struct ReplyLog {
    state: Mutex<State>,
    abandoned: CancellationToken,
}

#[derive(Default)]
struct State {
    head: Option<Arc<LogHead>>,
    events: Vec<ReplyEvent>,
    /// How it ended, once it has.
    end: Option<Result<(), GatewayError>>,
    readers: usize,
    next_reader: u64,
    /// Readers that have read all there is.
    waiting: HashMap<u64, Waker>,
}

/// What is known of a reply when it begins.
pub(crate) struct LogHead {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) attempts: Vec<Attempt>,
    /// How old it is, when the second level had it.
    pub(crate) age: Option<Duration>,
}

/// Writes the log; dropped before its end, it ends the log with an error.
pub(super) struct LogWriter {
    log: Arc<ReplyLog>,
}

/// Reads the log from its beginning.
pub(crate) struct LogReader {
    log: Arc<ReplyLog>,
    number: u64,
    next: usize,
    ended: bool,
}

impl ReplyLog {
    /// Cancelled when nobody reads it any more.
    pub(super) fn abandoned(&self) -> &CancellationToken {
        &self.abandoned
    }

    /// Another reader; none when the log was given up already.
    pub(super) fn join(self: &Arc<Self>) -> Option<LogReader> {
        let mut state = self.state.lock();
        if self.abandoned.is_cancelled() {
            return None;
        }
        state.readers += 1;
        state.next_reader += 1;
        let number = state.next_reader;
        Some(LogReader { log: Arc::clone(self), number, next: 0, ended: false })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, waiting) = {
            let mut state = self.state.lock();
            (change(&mut state), std::mem::take(&mut state.waiting))
        };
        waiting.into_values().for_each(Waker::wake);
        changed
    }
}

impl LogWriter {
    pub(super) fn new(log: Arc<ReplyLog>) -> Self {
        Self { log }
    }

    /// The reply begins.
    pub(super) fn begin(&self, head: LogHead) {
        self.log.change(|state| state.head = Some(Arc::new(head)));
    }

    /// More of it.
    pub(super) fn append(&self, event: ReplyEvent) {
        self.log.change(|state| state.events.push(event));
    }

    /// All that was written.
    pub(super) fn events(&self) -> Vec<ReplyEvent> {
        self.log.state.lock().events.clone()
    }

    /// It is whole, or broke off.
    pub(super) fn end(&self, end: Result<(), GatewayError>) {
        self.log.change(|state| {
            state.end.get_or_insert(end);
        });
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let lost = ErrorCode::ProviderUnavailable;
        self.end(Err(ClientError::from(lost).into()));
    }
}

impl LogReader {
    /// Waits for its beginning.
    ///
    /// # Errors
    /// Those of whoever writes it.
    pub(super) async fn begun(&mut self) -> Result<Arc<LogHead>, GatewayError> {
        std::future::poll_fn(|context| {
            let mut state = self.log.state.lock();
            if let Some(head) = &state.head {
                return Poll::Ready(Ok(Arc::clone(head)));
            }
            if let Some(Err(error)) = &state.end {
                return Poll::Ready(Err(error.clone()));
            }
            state.waiting.insert(self.number, context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits for its end, and takes all of it.
    ///
    /// # Errors
    /// Those of whoever writes it.
    pub(in crate::gateway) async fn whole(self, head: &LogHead) -> Result<Given, GatewayError> {
        let events = std::future::poll_fn(|context| {
            let mut state = self.log.state.lock();
            match &state.end {
                Some(Ok(())) => return Poll::Ready(Ok(state.events.clone())),
                Some(Err(error)) => return Poll::Ready(Err(error.clone())),
                None => {}
            }
            state.waiting.insert(self.number, context.waker().clone());
            Poll::Pending
        });
        Ok(Given::new(&head.provider, &head.model, events.await?))
    }
}

impl Stream for LogReader {
    type Item = Result<ReplyEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let mut state = this.log.state.lock();
        if let Some(event) = state.events.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(event.clone())));
        }
        match &state.end {
            Some(end) => {
                this.ended = true;
                Poll::Ready(end.as_ref().err().map(|error| Err(error.client.clone())))
            }
            None => {
                state.waiting.insert(this.number, context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut state = self.log.state.lock();
        state.readers -= 1;
        state.waiting.remove(&self.number);
        if state.readers == 0 {
            self.log.abandoned.cancel();
        }
    }
}
