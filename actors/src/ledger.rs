//! The usage ledger: every call of a model becomes one row in the database, whatever happens.
//!
//! Whoever calls a model first [opens](Ledger::open) the call and then [closes](OpenCall::close) it.
//! Both are a push into memory under a lock: they never wait for the disk or for the database. A
//! thread of its own writes them to the journal in the data folder a few milliseconds later, and the
//! `committer` brings what is in the journal into the database, some hundred rows at a time, and
//! deletes files that are done. After a `kill -9`, what was handed to the kernel is read back: calls
//! that were closed become rows, and calls that were only opened become rows with the status `lost`
//! and the input that was estimated before.
//!
//! **Bounds.** Memory: [`MOST_RECORDS`]. Disk: `max_journal_bytes`. Every call that is opened has room
//! reserved for its end, so a call can always be closed; when there is no room for another,
//! [`LedgerRefused::Full`] is the answer, readiness is down, and nothing has been dropped.
//!
//! **A panic** of the committer costs nothing: it reads the journal again from its place, and rows
//! are inserted once by their id.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use actix::ArbiterHandle;
use callboard_entities::Store;
use callboard_protocol::{CallId, CallStatus, CallTokens, Dependency, Health};
use parking_lot::{Condvar, Mutex};
use prometheus::{IntCounter, IntGauge};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    config::BadValue,
    keeper::{Keeper, Placement},
};

mod committer;
mod journal;
mod reader;
mod record;

#[cfg(test)]
mod tests;

use committer::{BATCH, Committer, Place, Step};
use journal::{Segment, Segments, Writer};
pub use record::{Call, LedgerRefused, Outcome};
use record::{Ended, LONGEST_LINE, Record};

/// Records in memory and calls that are open, at most: some 30 MB when the disk does not take any
/// for seconds. At ten thousand calls a second the disk may be away for three.
const MOST_RECORDS: usize = 65_536;

/// `[ledger]`: what calls used and cost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerConfig {
    /// How long a record may wait in memory before it is written to the journal, in milliseconds.
    pub flush_ms: u64,
    /// Whether the journal is forced onto the disk with every write: then nothing is lost when the
    /// machine loses power either.
    pub fsync: bool,
    /// How long a call may wait in the journal before it is brought into the database, in
    /// milliseconds, when it is there.
    pub commit_ms: u64,
    /// What the journal may grow to while the database is away, in bytes.
    pub max_journal_bytes: u64,
    /// How long calls are kept, in days.
    pub keep_days: u32,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            flush_ms: 10,
            fsync: false,
            commit_ms: 200,
            max_journal_bytes: 256 << 20,
            keep_days: 400,
        }
    }
}

impl LedgerConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        let bounds = [
            ("flush_ms", self.flush_ms, 0..=50),
            ("commit_ms", self.commit_ms, 10..=10_000),
            ("max_journal_bytes", self.max_journal_bytes, 1 << 20..=1 << 40),
            // Budgets of a month are counted from the ledger.
            ("keep_days", u64::from(self.keep_days), 32..=36_500),
        ];
        let bad = bounds.into_iter().filter(|(_, value, bounds)| !bounds.contains(value));
        bad.map(|(key, value, bounds)| {
            let problem = format!("is {value}, and must be {} to {}", bounds.start(), bounds.end());
            (key.to_owned(), problem)
        })
        .collect()
    }
}

/// What the ledger tells of itself; the registry of metrics holds clones of these.
#[derive(Clone, Debug)]
pub struct LedgerMetrics {
    /// `usage_ledger_pending`: calls that ended and are not in the database yet.
    pub pending: IntGauge,
    /// `usage_ledger_journal_bytes`: the size of the journal.
    pub journal_bytes: IntGauge,
    /// `usage_ledger_lost_total`: calls that were cut by the end of the server.
    pub lost: IntCounter,
}

impl LedgerMetrics {
    /// Outside of any registry.
    ///
    /// # Errors
    /// When a name is not one of Prometheus, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            pending: IntGauge::new("usage_ledger_pending", "Calls not in the database yet")?,
            journal_bytes: IntGauge::new("usage_ledger_journal_bytes", "Bytes of the journal")?,
            lost: IntCounter::new("usage_ledger_lost_total", "Calls cut by the server's end")?,
        })
    }
}

/// What is on its way to the journal, and the calls that are open.
#[derive(Default)]
struct Queue {
    records: Vec<Record>,
    /// Records that are not written yet: those above and those that the thread has in hand.
    queued: usize,
    open: HashMap<CallId, Arc<Call>>,
    stopping: bool,
}

/// What handles, guards, the writing thread and the committer share.
struct Inner {
    config: LedgerConfig,
    metrics: LedgerMetrics,
    queue: Mutex<Queue>,
    /// Wakes the writing thread.
    wake: Condvar,
    segments: Mutex<Segments>,
    journal_bytes: AtomicU64,
    /// Calls that ended and are not in the database yet.
    pending: AtomicU64,
    /// Wakes the committer before its time.
    commit_wake: Notify,
    place: tokio::sync::Mutex<Place>,
    disk_failing: AtomicBool,
    store_failing: AtomicBool,
    /// Cancelled when what a former run left is in the database.
    replayed: CancellationToken,
    /// The committer panics once.
    #[cfg(test)]
    panic_once: AtomicBool,
}

impl Inner {
    fn new(config: LedgerConfig, segments: Segments, metrics: LedgerMetrics) -> Self {
        let replayed = CancellationToken::new();
        if segments.is_empty() {
            replayed.cancel();
        }
        Self {
            config,
            metrics,
            queue: Mutex::default(),
            wake: Condvar::new(),
            segments: Mutex::new(segments),
            journal_bytes: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            commit_wake: Notify::new(),
            place: tokio::sync::Mutex::default(),
            disk_failing: AtomicBool::new(false),
            store_failing: AtomicBool::new(false),
            replayed,
            #[cfg(test)]
            panic_once: AtomicBool::new(false),
        }
    }

    /// Whether there is room for `more` records, and for the ends of all open calls.
    fn has_room(&self, queue: &Queue, more: usize) -> bool {
        let held = queue.queued + queue.open.len() + more;
        let bytes = self.journal_bytes.load(Ordering::Relaxed);
        held <= MOST_RECORDS
            && bytes.saturating_add((held * LONGEST_LINE) as u64) <= self.config.max_journal_bytes
    }

    fn push(&self, queue: &mut Queue, record: Record) {
        if matches!(record, Record::Closed(..)) {
            let pending = self.pending.fetch_add(1, Ordering::Relaxed) + 1;
            self.metrics.pending.set(pending.cast_signed());
        }
        queue.queued += 1;
        queue.records.push(record);
        if queue.records.len() == 1 {
            self.wake.notify_one();
        }
    }

    fn close(&self, call: &Arc<Call>, ended: Ended) {
        let mut queue = self.queue.lock();
        if queue.open.remove(&call.id).is_some() {
            self.push(&mut queue, Record::Closed(Arc::clone(call), Box::new(ended)));
        }
    }

    /// Takes the size of the journal; tells whether the committer should come at once.
    fn measure(&self, segments: &Segments) -> bool {
        let bytes: u64 = segments.iter().map(|segment: &Segment| segment.written).sum();
        self.journal_bytes.store(bytes, Ordering::Relaxed);
        self.metrics.journal_bytes.set(bytes.cast_signed());
        self.waiting() >= BATCH as u64
    }

    fn waiting(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// So many calls of this run are in the database now.
    fn committed(&self, rows: usize) {
        let rows = rows as u64;
        let less = |pending: u64| Some(pending.saturating_sub(rows));
        let _ = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.metrics.pending.set(self.waiting().cast_signed());
    }

    fn is_last_old(&self, number: u64) -> bool {
        !self.segments.lock().iter().any(|segment| segment.old && segment.number > number)
    }
}

/// What the ledger is like right now: for tests and for the admin page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerSnapshot {
    /// Calls that are open.
    pub open: usize,
    /// Calls that ended and are not in the database yet; those of a former run not counted.
    pub pending: u64,
    /// The size of the journal's files.
    pub journal_bytes: u64,
    /// How many they are.
    pub journal_files: usize,
    /// Whether what a former run left is in the database.
    pub replayed: bool,
    /// Whether new calls are refused, because there is no room to note them.
    pub full: bool,
    /// Whether the journal cannot be written right now.
    pub disk_failing: bool,
    /// Whether the database does not take rows right now.
    pub store_failing: bool,
}

/// See the module. A cheap clone; the last one to go ends the writing thread, after it has written
/// what it was given.
#[derive(Clone)]
pub struct Ledger {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.queue.lock().stopping = true;
        self.inner.wake.notify_one();
    }
}

impl Ledger {
    /// Opens the journal in `folder`, which it makes, and starts the thread that writes it. Nothing
    /// goes into the database before [`Ledger::commit_to`].
    ///
    /// # Errors
    /// When the folder cannot be read and written.
    pub fn start(config: LedgerConfig, folder: &Path, metrics: LedgerMetrics) -> io::Result<Self> {
        let segments = journal::found_in(folder)?;
        let inner = Arc::new(Inner::new(config, segments, metrics));
        let writer = Writer::begin(Arc::clone(&inner), folder)?;
        inner.measure(&inner.segments.lock());
        let thread = std::thread::Builder::new().name("usage-journal".into());
        let thread = Mutex::new(Some(thread.spawn(move || writer.run())?));
        Ok(Self { handle: Arc::new(Handle { inner, thread }) })
    }

    /// Starts the actor that brings the journal into the database, what a former run left first.
    pub fn commit_to(&self, store: Store, keeper: &Keeper, arbiter: &ArbiterHandle) {
        let inner = Arc::clone(&self.handle.inner);
        let placement = Placement::on(arbiter, committer::MAILBOX);
        drop(keeper.keep("usage_ledger", placement, move |_| Committer::new(inner, store)));
    }

    /// Notes that a call begins. To be asked before the upstream is, with a fresh id for each
    /// attempt. A push under a lock: it never waits for the disk or the database.
    ///
    /// # Errors
    /// When there is no room to note it, or the server is shutting down. Then the upstream must
    /// not be asked.
    pub fn open(&self, call: Call) -> Result<OpenCall, LedgerRefused> {
        let inner = &self.handle.inner;
        let call = Arc::new(call.bounded());
        {
            let mut queue = inner.queue.lock();
            if queue.stopping {
                return Err(LedgerRefused::Stopping);
            }
            if !inner.has_room(&queue, 2) {
                return Err(LedgerRefused::Full);
            }
            queue.open.insert(call.id, Arc::clone(&call));
            inner.push(&mut queue, Record::Opened(Arc::clone(&call)));
        }
        let partial = call.estimate(CallStatus::Cancelled);
        let (inner, opened) = (Arc::clone(inner), Instant::now());
        Ok(OpenCall { inner, call, opened, ttft: None, partial: Some(partial) })
    }

    /// Notes a call that asked no upstream, such as an answer from the cache, and took this long.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn note(&self, call: Call, outcome: Outcome, took: Duration) -> Result<(), LedgerRefused> {
        let inner = &self.handle.inner;
        let call = call.bounded();
        let ended = Ended {
            at: call.started_at.plus(took),
            ttft_ms: None,
            duration_ms: millis(took),
            outcome: outcome.bounded(),
        };
        let mut queue = inner.queue.lock();
        if queue.stopping {
            return Err(LedgerRefused::Stopping);
        }
        if !inner.has_room(&queue, 1) {
            return Err(LedgerRefused::Full);
        }
        inner.push(&mut queue, Record::Closed(Arc::new(call), Box::new(ended)));
        Ok(())
    }

    /// Waits until what a former run left is in the database: before budgets are loaded.
    pub async fn replayed(&self) {
        self.handle.inner.replayed.cancelled().await;
    }

    /// Takes no new calls, writes what is in memory, and brings the journal into the database;
    /// then nothing is left of it, unless a call is open still or the database is away. The caller
    /// bounds how long this may take; what is not done then is done at the next start.
    pub async fn stop(&self, store: &Store) {
        let inner = &self.handle.inner;
        inner.queue.lock().stopping = true;
        inner.wake.notify_one();
        let thread = self.handle.thread.lock().take();
        if let Some(thread) = thread {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
        loop {
            match committer::step(inner, store).await {
                Ok(Step::More) => {}
                Ok(Step::Done) => break,
                Err(_) => return,
            }
        }
        let queue = inner.queue.lock();
        if queue.open.is_empty() && queue.queued == 0 {
            for segment in inner.segments.lock().drain(..) {
                drop(std::fs::remove_file(&segment.path));
            }
        }
    }

    /// What it is like right now.
    #[must_use]
    pub fn observe(&self) -> LedgerSnapshot {
        let inner = &self.handle.inner;
        let (open, full) = {
            let queue = inner.queue.lock();
            (queue.open.len(), !inner.has_room(&queue, 2))
        };
        LedgerSnapshot {
            open,
            full,
            pending: inner.waiting(),
            journal_bytes: inner.journal_bytes.load(Ordering::Relaxed),
            journal_files: inner.segments.lock().len(),
            replayed: inner.replayed.is_cancelled(),
            disk_failing: inner.disk_failing.load(Ordering::Relaxed),
            store_failing: inner.store_failing.load(Ordering::Relaxed),
        }
    }

    /// The entry of readiness.
    #[must_use]
    pub fn health(&self) -> Dependency {
        let now = self.observe();
        let (health, message) = if now.full {
            (Health::Down, Some("usage cannot be recorded: the journal is full"))
        } else if now.disk_failing {
            (Health::Degraded, Some("the usage journal cannot be written"))
        } else if now.store_failing {
            (Health::Degraded, Some("usage waits in the journal for the database"))
        } else {
            (Health::Up, None)
        };
        Dependency { name: "usage_ledger".into(), health, message: message.map(str::to_owned) }
    }
}

/// A call that is open. Dropping it closes it as `cancelled`, with what was
/// [streamed](OpenCall::streamed) until then, or with the estimate of its input.
#[must_use = "dropping it closes the call as cancelled"]
pub struct OpenCall {
    inner: Arc<Inner>,
    call: Arc<Call>,
    opened: Instant,
    ttft: Option<Duration>,
    /// What is counted when it is dropped; none when it is closed.
    partial: Option<Outcome>,
}

impl OpenCall {
    /// The call's id.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.call.id
    }

    /// Notes that the first token has come. Only the first time counts.
    pub fn first_token(&mut self) {
        self.ttft.get_or_insert_with(|| self.opened.elapsed());
    }

    /// What was used until now, as far as we can count it, and what that costs. It is cheap enough
    /// for every token: nothing is written.
    pub fn streamed(&mut self, tokens: CallTokens, cost_micro_usd: u64) {
        if let Some(partial) = &mut self.partial {
            (partial.tokens, partial.cost_micro_usd) = (tokens, cost_micro_usd);
        }
    }

    /// Notes how the call ended.
    pub fn close(mut self, outcome: Outcome) {
        self.partial = None;
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        let took = self.opened.elapsed();
        let ended = Ended {
            at: self.call.started_at.plus(took),
            ttft_ms: self.ttft.map(millis),
            duration_ms: millis(took),
            outcome: outcome.bounded(),
        };
        self.inner.close(&self.call, ended);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take() {
            self.end(partial);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
