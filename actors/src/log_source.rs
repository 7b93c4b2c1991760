//! One followed log file: it is read from where the index was last committed, every second.
//!
//! Lines and the offset up to which they were read become durable in one commit, so whatever
//! happens in between, no line is lost and none comes twice. The file that was renamed when it was
//! full is read once more, and then only when another one stands in its place. The mailbox takes [`MAILBOX`]; nobody
//! but the source itself writes to it. A panic costs nothing: the next look goes on from the last
//! commit.

use std::{
    io::ErrorKind,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_entities::queries;
use callboard_logs::{IngestError, IngestOptions};
use callboard_protocol::{SourceId, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::{storage::store_failed, system::Shared};

/// The name of the source that holds the server's own log.
pub(crate) const OWN_LOG: &str = "callboard";

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct SourceSeed {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stopping: CancellationToken,
}

/// See the module.
pub(crate) struct LogSource {
    seed: SourceSeed,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
    id: Option<SourceId>,
    /// The rotated file as it was when it was last read to its end.
    rotated: Option<Mark>,
    /// Whether a look is under way; shared with it, so that a restart does not look beside it.
    looking: Arc<AtomicBool>,
    /// When the file was last read to its end.
    caught_up: Instant,
}

impl LogSource {
    pub(crate) fn new(seed: SourceSeed) -> Self {
        Self {
            seed,
            _address: None,
            id: None,
            rotated: None,
            looking: Arc::default(),
            caught_up: Instant::now(),
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        ctx.run_interval(LOOK, |source, ctx| source.look(ctx));
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let lag = &self.seed.shared.metrics.log_lag;
        let behind = self.caught_up.elapsed().saturating_sub(LOOK).as_secs_f64();
        lag.with_label_values(&[self.seed.name.as_str()]).set(behind);
        if self.seed.stopping.is_cancelled() || self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let look = Look {
            seed: self.seed.clone(),
            id: self.id,
            rotated: self.rotated,
            looking: Looking(Arc::clone(&self.looking)),
        };
        ctx.spawn(read_on(look).into_actor(self).map(|read, source, _| {
            if let Some((id, rotated)) = read {
                source.id = Some(id);
                source.rotated = rotated;
                source.caught_up = Instant::now();
            }
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
        // The thread that may still read is waited for: the next look finds the mark set.
        let looking = Arc::clone(&self.looking);
        *self = Self { looking, ..Self::new(self.seed.clone()) };
        self.arm(ctx);
    }
}

/// A look under way; however it ends, the next may begin.
struct Looking(Arc<AtomicBool>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// One look at the file.
struct Look {
    seed: SourceSeed,
    id: Option<SourceId>,
    rotated: Option<Mark>,
    looking: Looking,
}

/// Reads what is new; when the end was reached, answers the source's id and the rotated file.
async fn read_on(look: Look) -> Option<(SourceId, Option<Mark>)> {
    let Look { seed, id, rotated, looking } = look;
    let id = match id {
        Some(id) => id,
        None => {
            let (store, now) = (&seed.shared.store, Timestamp::now());
            let config = serde_json::json!({ "path": seed.path });
            match queries::sources::ensure(store, "follow", &seed.name, &config, now).await {
                Ok(source) => source.id,
                Err(error) => {
                    store_failed("name a log source", &error);
                    return None;
                }
            }
        }
    };
    let owned = seed.clone();
    let ingest = move || {
        // Held by the thread: the actor may be restarted while it reads.
        let _looking = looking;
        let read = ingest(&owned, id, rotated);
        owned.shared.index.wrote(&read);
        read
    };
    match seed.shared.runtime.spawn_blocking(ingest).await {
        Ok(Ok(rotated)) => Some((id, rotated)),
        // Not written yet: nothing to read.
        Ok(Err(IngestError::Open { source, .. })) if source.kind() == ErrorKind::NotFound => {
            Some((id, rotated))
        }
        Ok(Err(error)) => {
            // At debug level: the server follows its own log, and must not answer itself.
            debug!(%error, source = seed.name, "a source could not be read");
            None
        }
        Err(panic) => {
            error!(%panic, source = seed.name, "reading a source panicked");
            None
        }
    }
}

/// Reads the rotated file, unless it is the one that was read before, and then the file itself.
/// Answers the rotated one.
fn ingest(
    seed: &SourceSeed,
    id: SourceId,
    read_before: Option<Mark>,
) -> Result<Option<Mark>, IngestError> {
    let options = IngestOptions::follow(id, seed.name.clone(), Timestamp::now());
    let mut go_on = |_: &_| {
        if seed.stopping.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let indexed = seed.shared.metrics.log_lines.with_label_values(&[seed.name.as_str()]);
    let mut read = |path: &Path| -> Result<(), IngestError> {
        let progress = seed.shared.logs.ingest_file(path, &options, &mut go_on)?;
        indexed.inc_by(progress.lines);
        Ok(())
    };
    // The file that was renamed when it was full first: lines may have come since the last look.
    // What was read of it is known by its first bytes, so nothing is read twice. It is marked
    // before it is read: one that takes its place meanwhile is read at the next look.
    let rotated = rotated(&seed.path);
    let mark = Mark::of(&rotated);
    if mark.is_some() && mark != read_before {
        match read(&rotated) {
            Ok(()) | Err(IngestError::Open { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    read(&seed.path)?;
    // Cut short at the end of the server: the next run looks anew.
    Ok(mark)
}

/// Which file stands at a path: a rotated one is not written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    bytes: u64,
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len() })
    }
}

/// Where our own log goes when it is full: `path.1`.
fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests;
