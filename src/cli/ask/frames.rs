//! The frames of one turn, as server-sent events.

use anyhow::{Context, bail};
use callboard_protocol::{Ask, ConversationId, ServerFrame, TurnId};
use reqwest::{Method, Response, header};

use crate::cli::client::{Client, accepted};

/// The longest event of the stream: a `response` frame holds the whole answer.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// What ends an event.
const END: &[u8] = b"\n\n";

/// A turn that was accepted, and its frames from then on.
pub(super) struct Frames {
    pub(super) conversation_id: ConversationId,
    pub(super) turn_id: TurnId,
    events: Events,
}

impl Frames {
    /// Asks, and waits until the question is accepted.
    pub(super) async fn open(client: &Client, ask: &Ask) -> anyhow::Result<Self> {
        let request = client.request(Method::POST, "/assistant/chat").json(ask);
        let request = request.header(header::ACCEPT, "text/event-stream");
        let reply = accepted(request.send().await?).await?;
        let mut events = Events { reply, unread: Vec::new(), looked_at: 0 };
        match events.next().await? {
            Some(ServerFrame::Accepted { conversation_id, turn_id, .. }) => {
                Ok(Self { conversation_id, turn_id, events })
            }
            _ => bail!("the server did not accept the question"),
        }
    }

    /// The next one; none after the last.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<ServerFrame>> {
        self.events.next().await
    }
}

struct Events {
    reply: Response,
    unread: Vec<u8>,
    /// So much of `unread` holds no end of an event.
    looked_at: usize,
}

impl Events {
    async fn next(&mut self) -> anyhow::Result<Option<ServerFrame>> {
        loop {
            while let Some(event) = self.take() {
                if let Some(frame) = frame(&event)? {
                    return Ok(Some(frame));
                }
            }
            if self.unread.len() > MAX_EVENT {
                bail!("the server's reply is too long");
            }
            let piece = self.reply.chunk().await;
            let piece = piece.context("the answer was cut off: the connection broke")?;
            let Some(piece) = piece else { return Ok(None) };
            self.unread.extend_from_slice(&piece);
        }
    }

    /// The first whole event, if there is one.
    fn take(&mut self) -> Option<Vec<u8>> {
        let rest = &self.unread[self.looked_at..];
        match rest.windows(END.len()).position(|window| window == END) {
            Some(at) => {
                let end = self.looked_at + at + END.len();
                self.looked_at = 0;
                Some(self.unread.drain(..end).collect())
            }
            None => {
                // Half of the end may be there.
                self.looked_at = self.unread.len().saturating_sub(END.len() - 1);
                None
            }
        }
    }
}

/// The frame in an event's `data` field; comments have none.
fn frame(event: &[u8]) -> anyhow::Result<Option<ServerFrame>> {
    let event = std::str::from_utf8(event)?;
    let data = event.lines().find_map(|line| line.strip_prefix("data:"));
    Ok(data.map(|data| serde_json::from_str(data.trim_start())).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_data_is_no_frame() {
        assert_eq!(frame(b": keep-alive\n\n").unwrap(), None);
        let pong =
            frame(b"event: x\ndata: {\"type\":\"pong\",\"at\":\"2026-11-21T00:00:00Z\"}\n\n");
        assert!(matches!(pong.unwrap(), Some(ServerFrame::Pong { .. })));
    }
}
