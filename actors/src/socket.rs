//! The only file that knows `actix-web-actors`, which is no longer developed: the upgrade, the
//! decoding of frames into whole messages, and the guard around a session's actor.
//!
//! What the crate leaves to its user and this file does: fragments are joined (bounded), UTF-8 is
//! checked on whole messages, every violation has its close code (RFC 6455 §7.4), and a panic in
//! the actor closes the socket with 1011 instead of without a word.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use actix::{ActorContext, AsyncContext, StreamHandler};
use actix_http::ws::{Codec, Frame, Item};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{self, ProtocolError, WebsocketContext};
use bytes::{Bytes, BytesMut};
use callboard_protocol::{CloseCode, SessionId};
use futures_util::{Stream, stream};
use tokio_util::codec::Decoder;
use tracing::error;

use crate::{
    keeper::panic_text,
    session::{Session, SessionUser},
    system::System,
};

/// The context of a session.
pub(crate) type SocketContext = WebsocketContext<Session>;

/// The close frame with code 1011, as a server sends it: FIN and close, two bytes, unmasked.
const INTERNAL_ERROR_CLOSE: &[u8] = &[0x88, 0x02, 0x03, 0xF3];

/// What a client sent, in whole messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Binary,
    Ping(Bytes),
    Pong,
    /// The client closes, with this code if it gave one.
    Close(Option<u16>),
    /// The client broke the protocol, and the socket must close with this code.
    Violation(u16),
}

/// Upgrades a request to a WebSocket with a session on it. The caller has authorised it and
/// checked its `Origin`.
///
/// # Errors
/// `too_many_connections`, `draining`, or a handshake that is none; as a client error for the
/// first two.
pub fn start_session(
    system: &System,
    who: SessionUser,
    session_id: Option<SessionId>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, StartError> {
    let mut response = ws::handshake(request).map_err(StartError::Handshake)?;
    let session = Session::new(system, who, session_id).map_err(StartError::Refused)?;
    let incoming = Messages::new(payload, system.session_limits().max_message_bytes);
    let guarded = Guarded::new(WebsocketContext::with_factory(
        // The crate's own decoder gets nothing to decode: frames come through ours.
        stream::pending(),
        move |ctx| {
            ctx.add_stream(incoming);
            session
        },
    ));
    Ok(response.streaming(guarded))
}

/// Why there is no session.
#[derive(Debug)]
pub enum StartError {
    /// The request does not ask for a WebSocket.
    Handshake(ws::HandshakeError),
    /// There is no room.
    Refused(callboard_protocol::ClientError),
}

/// Closes with a code of ours and ends the actor once the frame is out.
pub(crate) fn close(ctx: &mut SocketContext, code: CloseCode, reason: &str) {
    close_with(ctx, code as u16, Some(reason));
}

/// Closes with any code. 1005 stands for a close without one.
pub(crate) fn close_with(ctx: &mut SocketContext, code: u16, reason: Option<&str>) {
    let reason = (code != 1005).then(|| ws::CloseReason {
        code: ws::CloseCode::from(code),
        description: reason.map(str::to_owned),
    });
    ctx.close(reason);
    ctx.stop();
}

/// The crate asks for it; its own decoder never yields.
impl StreamHandler<Result<ws::Message, ProtocolError>> for Session {
    fn handle(&mut self, _: Result<ws::Message, ProtocolError>, _: &mut SocketContext) {}
}

/// Decodes frames and joins them into messages.
struct Messages<S> {
    payload: S,
    codec: Codec,
    buffer: BytesMut,
    /// The fragments of the message that is coming in, and whether it is text.
    partial: Option<(bool, BytesMut)>,
    max_bytes: usize,
    ended: bool,
}

impl<S> Messages<S> {
    fn new(payload: S, max_bytes: usize) -> Self {
        Self {
            payload,
            codec: Codec::new().max_size(max_bytes),
            buffer: BytesMut::new(),
            partial: None,
            max_bytes,
            ended: false,
        }
    }

    /// The next message in the buffer; `None` when it needs more bytes.
    fn decode(&mut self) -> Option<Incoming> {
        loop {
            let message = match self.codec.decode(&mut self.buffer) {
                Ok(None) => return None,
                Ok(Some(frame)) => self.join(frame),
                Err(error) => Some(Incoming::Violation(violation_code(&error))),
            };
            if message.is_some() {
                return message;
            }
        }
    }

    /// The message that `frame` is or completes.
    fn join(&mut self, frame: Frame) -> Option<Incoming> {
        match frame {
            Frame::Text(bytes) => Some(text(&bytes)),
            Frame::Binary(_) => Some(Incoming::Binary),
            Frame::Ping(bytes) => Some(Incoming::Ping(bytes)),
            Frame::Pong(_) => Some(Incoming::Pong),
            Frame::Close(reason) => Some(match reason.map(|reason| u16::from(reason.code)) {
                Some(code) if !may_be_sent(code) => Incoming::Violation(1002),
                code => Incoming::Close(code),
            }),
            Frame::Continuation(Item::FirstText(bytes)) => self.begin(true, &bytes),
            Frame::Continuation(Item::FirstBinary(bytes)) => self.begin(false, &bytes),
            Frame::Continuation(Item::Continue(bytes)) => self.extend(&bytes),
            Frame::Continuation(Item::Last(bytes)) => {
                let too_large = self.extend(&bytes);
                let whole = self.partial.take();
                too_large.or_else(|| match whole {
                    Some((true, whole)) => Some(text(&whole)),
                    Some((false, _)) => Some(Incoming::Binary),
                    None => Some(Incoming::Violation(1002)),
                })
            }
        }
    }

    fn begin(&mut self, is_text: bool, bytes: &[u8]) -> Option<Incoming> {
        self.partial = Some((is_text, BytesMut::new()));
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Option<Incoming> {
        let Some((_, partial)) = self.partial.as_mut() else {
            return Some(Incoming::Violation(1002));
        };
        if partial.len() + bytes.len() > self.max_bytes {
            return Some(Incoming::Violation(1009));
        }
        partial.extend_from_slice(bytes);
        None
    }
}

fn text(bytes: &[u8]) -> Incoming {
    match std::str::from_utf8(bytes) {
        Ok(text) => Incoming::Text(text.to_owned()),
        Err(_) => Incoming::Violation(1007),
    }
}

fn violation_code(error: &ProtocolError) -> u16 {
    if matches!(error, ProtocolError::Overflow) { 1009 } else { 1002 }
}

/// Whether a close code may stand in a frame (RFC 6455 §7.4.1, §7.4.2).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl<S, E> Stream for Messages<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Incoming>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(message) = this.decode() {
                // After a violation the bytes that follow mean nothing.
                this.ended = matches!(message, Incoming::Violation(_) | Incoming::Close(_));
                return Poll::Ready(Some(message));
            }
            match Pin::new(&mut this.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => this.buffer.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(_)) | None) => this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Polls a session's output and turns its panic into a close frame.
struct Guarded<S> {
    output: Option<Pin<Box<S>>>,
}

impl<S> Guarded<S> {
    fn new(output: S) -> Self {
        Self { output: Some(Box::pin(output)) }
    }
}

impl<S> Stream for Guarded<S>
where
    S: Stream<Item = Result<Bytes, actix_web::Error>>,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        let Some(output) = self.output.as_mut() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| output.as_mut().poll_next(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                error!(panic = panic_text(&*panic), "a session panicked and its socket is closed");
                let broken = self.output.take();
                // Dropping polls the actor once more, for its `stopped`.
                drop(catch_unwind(AssertUnwindSafe(move || drop(broken))));
                Poll::Ready(Some(Ok(Bytes::from_static(INTERNAL_ERROR_CLOSE))))
            }
        }
    }
}

#[cfg(test)]
mod tests;
