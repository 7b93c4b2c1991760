//! A streamed answer as the body of a response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use callboard_actors::ReplyEvents;
use futures_util::{Stream, StreamExt as _};

use super::dialect::Encoder;

/// Events that have come together travel in one piece, of about this many at most.
const MAX_EVENTS: usize = 64;

/// Polled by the connection as its client reads: one that stops reading stops the provider, too,
/// and costs no more than this piece and the buffers of the sockets.
///
/// The provider's connection hands its bytes over chunk by chunk and is pending in between, even
/// when more have come already. So whoever has something to send asks once more before it sends:
/// that joins what came together, and halves the cost of a stream. The first piece goes at once.
pub(crate) struct Body {
    events: Option<ReplyEvents>,
    encoder: Encoder,
    /// Events in the piece that is not sent yet.
    gathered: usize,
    begun: bool,
}

impl Body {
    pub(crate) fn new(events: ReplyEvents, encoder: Encoder) -> Self {
        Self { events: Some(events), encoder, gathered: 0, begun: false }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let before = this.gathered;
        while let Some(events) = this.events.as_mut().filter(|_| this.gathered < MAX_EVENTS) {
            match events.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(event))) => this.encoder.push(&event),
                Poll::Ready(Some(Err(error))) => this.encoder.fail(&error.into()),
                Poll::Ready(None) => this.events = None,
                Poll::Pending if this.begun && this.gathered > before => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
            this.gathered += 1;
        }
        this.gathered = 0;
        let piece = this.encoder.take();
        if !piece.is_empty() {
            this.begun = true;
            return Poll::Ready(Some(Ok(piece)));
        }
        if this.events.is_some() { Poll::Pending } else { Poll::Ready(None) }
    }
}
