//! Lines as they come in, told over a socket.
//!
//! A socket has one tail; another takes its place. It is read as a turn is, one frame at a time and only
//! as fast as the socket drains: what came meanwhile is looked at together, and of more than a frame
//! holds the last are told, and the others counted.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext, SpawnHandle, StreamHandler};
use callboard_logs::LogStore;
use callboard_protocol::{ClientError, ErrorCode, LineId, LogTail, ServerFrame, TailSearch};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::sleep};
use tracing::warn;

use super::Session;
use crate::{rights::Rights, socket::SocketContext, system::Shared, turn::in_engine};

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(250);

/// The longest look.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tail that is told.
pub(super) struct Tailing {
    handle: SpawnHandle,
    paused: watch::Sender<bool>,
}

/// What comes of a tail.
pub(super) struct Told(Result<LogTail, ClientError>);

impl Session {
    /// Tells lines from `after` on, or after some that were there before.
    pub(super) fn tail(
        &mut self,
        search: TailSearch,
        after: Option<LineId>,
        ctx: &mut SocketContext,
    ) {
        if let Err(error) = LogStore::lines_before(&search) {
            return self.refuse(error.client_error(), ctx);
        }
        let _before = self.end_tail(ctx);
        let (paused, is_paused) = watch::channel(false);
        let shared = Arc::clone(self.system.shared());
        let rights = Arc::clone(&self.who.rights);
        let tail = Tail { shared, rights, search, seen: after, is_paused };
        let handle = ctx.add_stream(tail.told());
        self.tailing = Some(Tailing { handle, paused });
    }

    /// Lets the tail wait, or go on with what came meanwhile.
    pub(super) fn pause_tail(&self, on: bool, ctx: &mut SocketContext) {
        match &self.tailing {
            Some(tailing) => drop(tailing.paused.send(on)),
            None => {
                let message = "this socket has no tail";
                self.refuse(ClientError::new(ErrorCode::Conflict, message), ctx);
            }
        }
    }

    /// Ends the tail; says whether there was one.
    pub(super) fn end_tail(&mut self, ctx: &mut SocketContext) -> bool {
        let tailing = self.tailing.take();
        tailing.is_some_and(|tailing| ctx.cancel_future(tailing.handle))
    }
}

impl StreamHandler<Told> for Session {
    fn handle(&mut self, Told(told): Told, ctx: &mut SocketContext) {
        match told {
            Ok(LogTail { lines, skipped, seen }) => {
                self.send(&ServerFrame::Tail { lines, skipped, seen }, ctx);
            }
            Err(error) => {
                self.tailing = None;
                self.refuse(error, ctx);
            }
        }
    }

    /// The tail ended; the session goes on.
    fn finished(&mut self, _: &mut SocketContext) {}
}

/// What is looked for, and from where on.
struct Tail {
    shared: Arc<Shared>,
    rights: Arc<Rights>,
    search: TailSearch,
    /// The last line that was looked at; none before the first look.
    seen: Option<LineId>,
    is_paused: watch::Receiver<bool>,
}

impl Tail {
    /// Ends behind an error.
    fn told(self) -> impl Stream<Item = Told> {
        stream::unfold(Some(self), |tail| async move {
            let mut tail = tail?;
            let next = tail.next().await?;
            let goes_on = next.is_ok();
            Some((Told(next), goes_on.then_some(tail)))
        })
    }

    /// What comes next; none when nobody wants it any more.
    async fn next(&mut self) -> Option<Result<LogTail, ClientError>> {
        loop {
            if self.seen.is_some() {
                sleep(LOOK).await;
            }
            self.is_paused.wait_for(|paused| !paused).await.ok()?;
            if self.seen.is_some_and(|seen| self.shared.logs.last_line() <= seen) {
                continue;
            }
            let is_first = self.seen.is_none();
            match self.look().await {
                Ok(Some(newer)) => {
                    self.seen = Some(newer.seen);
                    if is_first || !newer.lines.is_empty() {
                        return Some(Ok(newer));
                    }
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn look(&self) -> Result<Option<LogTail>, ClientError> {
        let (search, seen) = (self.search.clone(), self.seen);
        let look = move |logs: &LogStore| logs.tail(&search, seen);
        let looked = in_engine(&self.shared, &self.rights, PATIENCE, look);
        match looked.await {
            Some(looked) => looked.map_err(|error| {
                let shown = error.client_error();
                if shown.code == ErrorCode::Internal {
                    warn!(%error, "the lines that came in could not be read");
                }
                shown
            }),
            None => Err(ErrorCode::Timeout.into()),
        }
    }
}
