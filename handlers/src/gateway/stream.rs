//! A streamed answer as the body of a response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use callboard_actors::Flow;
use futures_util::{Stream, StreamExt as _};

use super::dialect::Encoder;

/// Events that have come together travel in one piece, up to about this size.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// Polled by the connection as its client reads: one that stops reading stops the provider, too,
/// and costs no more than this piece and the buffers of the sockets.
pub(crate) struct Body {
    flow: Option<Flow>,
    encoder: Encoder,
}

impl Body {
    pub(crate) fn new(flow: Flow, encoder: Encoder) -> Self {
        Self { flow: Some(flow), encoder }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut written = 0;
        while let Some(flow) = this.flow.as_mut().filter(|_| written < MAX_PIECE_BYTES) {
            match flow.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(event))) => this.encoder.push(&event),
                Poll::Ready(Some(Err(error))) => this.encoder.fail(&error.into()),
                Poll::Ready(None) => this.flow = None,
                Poll::Pending => break,
            }
            written += 256;
        }
        let piece = this.encoder.take();
        if !piece.is_empty() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if this.flow.is_some() { Poll::Pending } else { Poll::Ready(None) }
    }
}
