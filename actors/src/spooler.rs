//! Takes what programs push to one source, and answers when it is on the disk.
//!
//! Whatever comes while a write runs is written together in the next: a disk is asked to be sure once
//! for many pushes. The mailbox takes [`MAILBOX`]; in front of the disk at most [`MOST_WAITING`] bytes
//! wait, and on it as much as the spool holds: who comes after is told to come again. A panic costs
//! the pushes that waited, which were not answered.

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, Supervised,
    WrapFuture,
};
use callboard_logs::{Spool, SpoolError};
use callboard_protocol::{ClientError, ErrorCode};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::oneshot};
use tracing::error;

use crate::{keeper::Life, mailbox::Posted};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 64;

/// Bytes that wait for the disk.
const MOST_WAITING: usize = 32 << 20;

/// When to come again.
const AGAIN: Duration = Duration::from_secs(1);

/// Texts, each of them a record; the answer comes when they are on the disk.
pub(crate) struct Append(pub(crate) Vec<String>);

impl Message for Append {
    type Result = Result<(), ClientError>;
}

/// Whether there is room for so many bytes.
pub(crate) struct HasRoom(pub(crate) u64);

impl Message for HasRoom {
    type Result = Result<(), ClientError>;
}

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct SpoolerSeed {
    /// In the log.
    pub(crate) name: String,
    pub(crate) spool: Arc<Mutex<Spool>>,
    pub(crate) runtime: Handle,
}

/// See the module.
pub(crate) struct Spooler {
    seed: SpoolerSeed,
    life: Life,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    writing: bool,
}

struct Waiting {
    texts: Vec<String>,
    bytes: usize,
    answer: oneshot::Sender<Result<(), ClientError>>,
}

impl Spooler {
    pub(crate) fn new(seed: SpoolerSeed, life: Life) -> Self {
        Self { seed, life, waiting: Vec::new(), waiting_bytes: 0, writing: false }
    }

    /// Writes what waits, unless a write runs.
    fn write(&mut self, ctx: &mut Context<Self>) {
        if self.writing || self.waiting.is_empty() {
            return;
        }
        self.writing = true;
        self.waiting_bytes = 0;
        let batch = std::mem::take(&mut self.waiting);
        let SpoolerSeed { name, spool, runtime } = self.seed.clone();
        let written = runtime.spawn_blocking(move || write(&name, &spool, batch));
        ctx.spawn(written.into_actor(self).map(|written, actor, ctx| {
            if let Err(panic) = written {
                error!(%panic, source = actor.seed.name, "writing to a spool panicked");
            }
            actor.writing = false;
            actor.write(ctx);
        }));
    }
}

/// Writes a batch as one; when that is too much, push by push. Blocks.
fn write(name: &str, spool: &Mutex<Spool>, batch: Vec<Waiting>) {
    let mut spool = spool.lock();
    let all = batch.iter().flat_map(|waiting| &waiting.texts).map(String::as_str);
    if batch.len() > 1 && spool.append(all).is_ok() {
        for waiting in batch {
            // Who has gone does not want to know.
            drop(waiting.answer.send(Ok(())));
        }
        return;
    }
    for Waiting { texts, answer, .. } in batch {
        let written = spool.append(texts.iter().map(String::as_str));
        drop(answer.send(written.map_err(|error| refusal(name, &error))));
    }
}

fn refusal(name: &str, error: &SpoolError) -> ClientError {
    match error {
        SpoolError::Full(_) => {
            let message = "As many lines of this source wait to be indexed as may wait.";
            let again = u64::try_from(AGAIN.as_millis()).ok();
            ClientError { retry_after_ms: again, ..ClientError::new(ErrorCode::SpoolFull, message) }
        }
        SpoolError::Write(cause) => {
            error!(%cause, source = name, "a spool cannot be written");
            ErrorCode::StorageUnavailable.into()
        }
    }
}

impl Actor for Spooler {
    type Context = Context<Self>;
}

impl Supervised for Spooler {
    fn restarting(&mut self, _: &mut Self::Context) {
        *self = Self::new(self.seed.clone(), self.life.clone());
    }
}

impl Handler<Posted<Append>> for Spooler {
    type Result = ResponseFuture<Result<(), ClientError>>;

    fn handle(&mut self, message: Posted<Append>, ctx: &mut Self::Context) -> Self::Result {
        let Append(texts) = message.open();
        let bytes = texts.iter().map(|text| text.len() + 1).sum();
        if self.waiting_bytes.saturating_add(bytes) > MOST_WAITING {
            let full = SpoolError::Full(MOST_WAITING as u64);
            let refused = refusal(&self.seed.name, &full);
            return Box::pin(async { Err(refused) });
        }
        self.waiting_bytes += bytes;
        let (answer, answered) = oneshot::channel();
        self.waiting.push(Waiting { texts, bytes, answer });
        self.write(ctx);
        Box::pin(async { answered.await.unwrap_or_else(|_| Err(ErrorCode::Internal.into())) })
    }
}

impl Handler<Posted<HasRoom>> for Spooler {
    type Result = ResponseFuture<Result<(), ClientError>>;

    fn handle(&mut self, message: Posted<HasRoom>, _: &mut Self::Context) -> Self::Result {
        let HasRoom(bytes) = message.open();
        let waiting: usize = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        let asked = bytes.saturating_add(waiting as u64);
        let SpoolerSeed { name, spool, runtime } = self.seed.clone();
        Box::pin(async move {
            let checked = runtime.spawn_blocking(move || {
                spool.lock().check_room(asked).map_err(|error| refusal(&name, &error))
            });
            checked.await.unwrap_or_else(|_| Err(ErrorCode::Internal.into()))
        })
    }
}
