//! From the journal into the database: one reader of the journal, for what comes now and for what a
//! former run left.
//!
//! Rows are inserted once by their id, so that it does no harm to read a piece again: after a
//! failure, after a restart of the actor, after the end of the server. What a former run left is
//! read to its end before anything of it is deleted, because only then it is known which of its
//! calls were never closed.

use std::{collections::HashMap, fs, io, sync::Arc, sync::atomic::Ordering, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_entities::{Store, StoreError, queries};
use callboard_protocol::{CallId, Timestamp, UsageEvent};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::{
    Inner,
    journal::Segment,
    reader::{self, Piece, Span},
    record::{Call, Entry, event_of, lost_event_of},
};

/// Messages in the mailbox; nobody writes to it.
pub(super) const MAILBOX: usize = 4;

/// Rows in one statement.
pub(super) const BATCH: usize = 500;

/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How far the journal has been read.
#[derive(Default)]
pub(super) struct Place {
    /// The segment that is being read; none before the first.
    number: u64,
    offset: u64,
    /// Calls of a former run that were opened and not closed, as far as it has been read.
    unresolved: HashMap<CallId, Call>,
    /// The latest instant that a former run's journal tells of.
    seen: Option<Timestamp>,
}

/// Whether there may be more to commit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

/// Why a step failed. It will be taken again.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Commits what is in the journal for as long as it is polled.
pub(super) async fn run(inner: Arc<Inner>, store: Store) {
    let every = Duration::from_millis(inner.config.commit_ms);
    let mut wait = every;
    loop {
        match step(&inner, &store).await {
            Ok(Step::More) => wait = every,
            Ok(Step::Done) => {
                wait = every;
                let begun = Instant::now();
                // Many rows end the wait. When it was ended by fewer, the rest of it is slept.
                if timeout(every, inner.commit_wake.notified()).await.is_ok()
                    && inner.waiting() < BATCH as u64
                {
                    sleep(every.saturating_sub(begun.elapsed())).await;
                }
            }
            Err(_) => {
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Takes one batch from the journal into the database, and notes how that went.
pub(super) async fn step(inner: &Arc<Inner>, store: &Store) -> Result<Step, StepError> {
    let stepped = try_step(inner, store).await;
    match &stepped {
        Ok(_) => {
            if inner.store_failing.swap(false, Ordering::AcqRel) {
                info!("usage is written to the database again");
            }
        }
        Err(error) => {
            if !inner.store_failing.swap(true, Ordering::AcqRel) {
                error!(%error, "usage cannot be written to the database; the journal keeps it");
            }
        }
    }
    stepped
}

async fn try_step(inner: &Arc<Inner>, store: &Store) -> Result<Step, StepError> {
    let mut place = inner.place.lock().await;
    #[cfg(test)]
    assert!(!inner.panic_once.swap(false, Ordering::AcqRel), "asked for by a test");
    let Some(segment) = segment_at(inner, &mut place) else { return Ok(Step::Done) };
    if place.offset >= segment.written {
        if !segment.sealed {
            return Ok(Step::Done);
        }
        return end_of(inner, store, &mut place, &segment).await;
    }
    let span =
        Span { from: place.offset, until: segment.written, most: BATCH, opened: segment.old };
    let path = segment.path.clone();
    let read = tokio::task::spawn_blocking(move || reader::read(&path, span)).await;
    let piece = read.map_err(|error| io::Error::other(error.to_string()))??;
    let next = piece.next;
    if piece.damaged > 0 {
        warn!(records = piece.damaged, segment = segment.number, "damaged usage records skipped");
    }
    let rows = rows_of(&mut place, piece, segment.old);
    queries::usage::insert_many(store, &rows).await?;
    place.offset = next;
    if !segment.old {
        inner.committed(rows.len());
    }
    Ok(Step::More)
}

/// The segment where `place` is; the oldest at first.
fn segment_at(inner: &Inner, place: &mut Place) -> Option<Segment> {
    let segments = inner.segments.lock();
    let segment = segments.iter().find(|segment| segment.number >= place.number)?;
    if segment.number != place.number {
        (place.number, place.offset) = (segment.number, 0);
    }
    Some(segment.clone())
}

/// The rows of a piece. Opened and closed calls of a former run are kept in mind.
fn rows_of(place: &mut Place, piece: Piece, old: bool) -> Vec<UsageEvent> {
    let mut rows = Vec::new();
    for entry in piece.entries {
        match entry {
            Entry::Opened(call) => {
                place.seen = place.seen.max(Some(call.started_at));
                place.unresolved.insert(call.id, call);
            }
            Entry::Closed(call, ended) => {
                if old {
                    place.seen = place.seen.max(Some(ended.at));
                    place.unresolved.remove(&call.id);
                }
                rows.push(event_of(call, ended));
            }
        }
    }
    rows
}

/// A segment has been read to its end, and nothing will be added to it.
async fn end_of(
    inner: &Arc<Inner>,
    store: &Store,
    place: &mut Place,
    segment: &Segment,
) -> Result<Step, StepError> {
    if !segment.old {
        remove(inner, |other| !other.old && other.number <= segment.number)?;
    } else if inner.is_last_old(segment.number) {
        let lost = lost(inner, store, place).await?;
        if lost > 0 {
            warn!(calls = lost, "calls were cut by the end of the former run");
        }
        remove(inner, |other| other.old)?;
        inner.replayed.cancel();
    }
    (place.number, place.offset) = (segment.number + 1, 0);
    Ok(Step::More)
}

/// The calls that a former run opened and never closed become rows, too.
async fn lost(inner: &Inner, store: &Store, place: &mut Place) -> Result<u64, StepError> {
    let seen = place.seen.unwrap_or(Timestamp::from_millis(0));
    let rows: Vec<_> =
        place.unresolved.values().map(|call| lost_event_of(call.clone(), seen)).collect();
    let new = queries::usage::insert_many(store, &rows).await?;
    inner.metrics.lost.inc_by(new);
    place.unresolved = HashMap::new();
    Ok(new)
}

/// Deletes segments. One that is gone already is no matter.
fn remove(inner: &Inner, which: impl Fn(&Segment) -> bool) -> io::Result<()> {
    let mut segments = inner.segments.lock();
    for segment in segments.iter().filter(|segment| which(segment)) {
        if let Err(error) = fs::remove_file(&segment.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    segments.retain(|segment| !which(segment));
    inner.measure(&segments);
    Ok(())
}

/// The actor that runs it, so that the Keeper runs it again should it panic. It loses nothing by
/// that: all that it knows is in the journal and in [`Place`].
pub(super) struct Committer {
    inner: Arc<Inner>,
    store: Store,
    /// Its own address: nobody else needs one, and an actor without any would end.
    address: Option<Addr<Self>>,
}

impl Committer {
    pub(super) fn new(inner: Arc<Inner>, store: Store) -> Self {
        Self { inner, store, address: None }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self.address = Some(ctx.address());
        ctx.spawn(run(Arc::clone(&self.inner), self.store.clone()).into_actor(self));
    }
}

impl Actor for Committer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for Committer {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}
