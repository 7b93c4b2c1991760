//! One source of log lines: the files of a pattern are read from where the index was last committed,
//! every second.
//!
//! Lines and the offset up to which they were read become durable in one commit, so whatever
//! happens in between, no line is lost and none comes twice; how files are known over rotations is the
//! [`Follower`]'s. The mailbox takes [`MAILBOX`]; nobody but the source itself writes to it. A panic
//! costs nothing: the next look goes on from the last commit.

pub(crate) mod elsewhere;

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Supervised, WrapFuture,
};
use callboard_entities::queries;
use callboard_logs::{Follower, IngestError, Looked, PatternError, ReadAs};
use callboard_protocol::{SourceId, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::elsewhere::Fetching;
use crate::{
    journal::{Entries, Journal},
    keeper::Life,
    ssh::{Address, Remote},
    storage::store_failed,
    system::Shared,
};

/// The name of the source that holds the server's own log.
pub(crate) const OWN_LOG: &str = "callboard";

/// What stands in metrics for all sources that are pushed to.
const PUSHED: &str = "push";

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a source follows.
#[derive(Clone, Debug)]
pub(crate) enum Followed {
    /// The server's own log, which is called [`OWN_LOG`].
    OwnLog(PathBuf),
    /// The files of a pattern, each a source of its own.
    Pattern(String),
    /// The files of a pattern on another machine, each a source of its own; their copies lie below this
    /// folder.
    Remote { address: Address, mirrors: PathBuf },
    /// systemd's journal; what is on its way lies below this folder.
    Journal { entries: Entries, mirrors: PathBuf },
    /// What programs pushed to a source.
    Spool { folder: PathBuf, source: SourceId },
}

/// How a source does.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) files: usize,
    /// Records indexed since the server started.
    pub(crate) lines: u64,
    pub(crate) last_line_at: Option<Timestamp>,
    /// When all of its files were last read to their ends.
    pub(crate) caught_up: Instant,
    pub(crate) problem: Option<String>,
}

impl Default for Standing {
    fn default() -> Self {
        let caught_up = Instant::now();
        Self { files: 0, lines: 0, last_line_at: None, caught_up, problem: None }
    }
}

impl Standing {
    /// How long ago all was read; nothing as long as it is looked at in time.
    pub(crate) fn lag(&self) -> Duration {
        self.caught_up.elapsed().saturating_sub(LOOK)
    }
}

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct SourceSeed {
    /// In metrics and in the log.
    pub(crate) name: String,
    pub(crate) followed: Followed,
    /// What is fixed of how its lines are read.
    pub(crate) read_as: ReadAs,
    pub(crate) shared: Arc<Shared>,
    /// Cancelled when it is to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) standing: Arc<Mutex<Standing>>,
}

impl SourceSeed {
    fn eyes(&self) -> Result<Eyes, PatternError> {
        let follower = match &self.followed {
            Followed::OwnLog(path) => Follower::of_file(path),
            Followed::Pattern(pattern) => self.shared.logs.follower(pattern),
            Followed::Spool { folder, .. } => Follower::of_spool(folder),
            Followed::Remote { address, mirrors } => {
                let most_waiting = self.shared.logs.spool_bytes();
                let remote = Remote::new(address.clone(), mirrors, most_waiting);
                let remote = remote.reading(self.read_as.clone());
                return Ok(Eyes::There(Box::new(remote)));
            }
            Followed::Journal { entries, mirrors } => {
                let most_waiting = self.shared.logs.spool_bytes();
                let journal = Journal::new(entries.clone(), mirrors, most_waiting);
                return Ok(Eyes::InJournal(Box::new(journal)));
            }
        };
        Ok(Eyes::Here(Box::new(follower?.reading(self.read_as.clone()))))
    }

    /// What it is called in metrics: names that strangers choose are none.
    fn label(&self) -> &str {
        if matches!(self.followed, Followed::Spool { .. }) { PUSHED } else { &self.name }
    }
}

/// See the module.
pub(crate) struct LogSource {
    seed: SourceSeed,
    life: Life,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
    /// Held by the thread that reads: a restarted actor's first look waits for it.
    reading: Arc<Mutex<Option<Reading>>>,
}

/// What is known from one look to the next.
struct Reading {
    eyes: Eyes,
    /// Sources by the paths of their files.
    sources: HashMap<PathBuf, SourceId>,
}

/// What looks at the files: on this machine, or on another one.
enum Eyes {
    Here(Box<Follower>),
    There(Box<Remote>),
    InJournal(Box<Journal>),
}

impl LogSource {
    pub(crate) fn new(seed: SourceSeed, life: Life) -> Self {
        Self { seed, life, _address: None, reading: Arc::default() }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        if matches!(self.seed.followed, Followed::OwnLog(_)) {
            ctx.run_later(LOOK, Self::look);
        } else {
            // Somebody may wait for it.
            self.look(ctx);
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.seed.stopping.is_cancelled() {
            self.life.finish();
            ctx.stop();
            return;
        }
        if !matches!(self.seed.followed, Followed::Spool { .. }) {
            let lag = &self.seed.shared.metrics.log_lag;
            let behind = self.seed.standing.lock().lag().as_secs_f64();
            lag.with_label_values(&[self.seed.label()]).set(behind);
        }
        let (seed, reading) = (self.seed.clone(), Arc::clone(&self.reading));
        let looked = self.seed.shared.runtime.spawn_blocking(move || read_on(&seed, &reading));
        ctx.spawn(looked.into_actor(self).map(|looked, source, ctx| {
            if let Err(panic) = looked {
                error!(%panic, source = source.seed.name, "reading a source panicked");
                // What it was about is not to be trusted.
                source.reading = Arc::default();
            }
            ctx.run_later(LOOK, Self::look);
        }));
    }
}

impl Actor for LogSource {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for LogSource {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        let reading = Arc::clone(&self.reading);
        *self = Self { reading, ..Self::new(self.seed.clone(), self.life.clone()) };
        self.arm(ctx);
    }
}

/// One look at the files. Blocks.
fn read_on(seed: &SourceSeed, reading: &Mutex<Option<Reading>>) {
    let mut reading = reading.lock();
    let known = match reading.take() {
        Some(reading) => Ok(reading),
        None => seed.eyes().map(|eyes| Reading { eyes, sources: HashMap::new() }),
    };
    let Reading { eyes, sources } = match known {
        Ok(known) => reading.insert(known),
        Err(error) => {
            seed.standing.lock().problem = Some(error.to_string());
            return;
        }
    };
    let mut source_of = |path: &Path| {
        if let Followed::Spool { source, .. } = seed.followed {
            return Some((source, seed.name.clone()));
        }
        let is_own = matches!(seed.followed, Followed::OwnLog(_));
        let name = if is_own { OWN_LOG.to_owned() } else { path.display().to_string() };
        let id = match sources.get(path) {
            Some(id) => *id,
            None => *sources.entry(path.to_owned()).or_insert(named(seed, path, &name)?),
        };
        Some((id, name))
    };
    let mut on_progress = |_: &_| {
        if seed.stopping.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let at = Timestamp::now();
    let store = (&seed.shared.logs, at);
    let fetching = Fetching { runtime: &seed.shared.runtime, stopping: &seed.stopping };
    let looked = match eyes {
        Eyes::Here(follower) => follower.look(store, &mut source_of, &mut on_progress),
        Eyes::There(remote) => remote.look(store, fetching, &mut source_of, &mut on_progress),
        Eyes::InJournal(journal) => journal.look(store, fetching, &mut source_of, &mut on_progress),
    };
    seed.shared.index.wrote(&looked);
    note(seed, at, looked);
}

/// The source of this name, made if there is none.
fn named(seed: &SourceSeed, path: &Path, name: &str) -> Option<SourceId> {
    let config = serde_json::json!({ "path": path });
    let store = &seed.shared.store;
    let named = queries::sources::ensure(store, "follow", name, &config, Timestamp::now());
    match seed.shared.runtime.block_on(named) {
        Ok(source) => Some(source.id),
        Err(error) => {
            store_failed("name a log source", &error);
            None
        }
    }
}

fn note(seed: &SourceSeed, at: Timestamp, looked: Result<Looked, IngestError>) {
    let mut standing = seed.standing.lock();
    match looked {
        Ok(Looked { files, lines, problem }) => {
            let indexed = &seed.shared.metrics.log_lines;
            indexed.with_label_values(&[seed.label()]).inc_by(lines);
            standing.files = files;
            standing.lines += lines;
            if lines > 0 {
                standing.last_line_at = Some(at);
            }
            let is_new = problem.is_some() && problem != standing.problem;
            if is_new && !matches!(seed.followed, Followed::OwnLog(_)) {
                warn!(source = seed.name, problem, "a source cannot be followed as a whole");
            }
            if problem.is_none() {
                standing.caught_up = Instant::now();
            }
            standing.problem = problem;
        }
        Err(error) => {
            // At debug level: the server follows its own log, and must not answer itself.
            debug!(%error, source = seed.name, "a source could not be read");
            standing.problem = Some(error.client_error().message);
        }
    }
}

#[cfg(test)]
mod tests;
