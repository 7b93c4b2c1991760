//! One followed log file: it is read from where the index was last committed, every second.
//!
//! Lines and the offset up to which they were read become durable in one commit, so whatever
//! happens in between, no line is lost and none comes twice. The mailbox takes [`MAILBOX`]; nobody
//! but the source itself writes to it. A panic costs nothing: the next look goes on from the last
//! commit.

use std::{
    io::ErrorKind,
    ops::ControlFlow,
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

use crate::{system::Shared, turn::store_failed};

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
    /// Whether a look is under way; shared with it, so that a restart does not look beside it.
    looking: Arc<AtomicBool>,
    /// When the file was last read to its end.
    caught_up: Instant,
}

impl LogSource {
    pub(crate) fn new(seed: SourceSeed) -> Self {
        Self { seed, _address: None, id: None, looking: Arc::default(), caught_up: Instant::now() }
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
        let (seed, id, looking) = (self.seed.clone(), self.id, Looking(Arc::clone(&self.looking)));
        ctx.spawn(read_on(seed, id, looking).into_actor(self).map(|read, source, _| {
            if let Some(id) = read {
                source.id = Some(id);
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

/// Reads what is new; answers the source's id when the end was reached.
async fn read_on(seed: SourceSeed, id: Option<SourceId>, looking: Looking) -> Option<SourceId> {
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
        ingest(&owned, id)
    };
    match seed.shared.runtime.spawn_blocking(ingest).await {
        Ok(Ok(())) => Some(id),
        // Not written yet: nothing to read.
        Ok(Err(IngestError::Open { source, .. })) if source.kind() == ErrorKind::NotFound => {
            Some(id)
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

fn ingest(seed: &SourceSeed, id: SourceId) -> Result<(), IngestError> {
    let options = IngestOptions::follow(id, seed.name.clone(), Timestamp::now());
    let mut go_on = |_: &_| {
        if seed.stopping.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let indexed = seed.shared.metrics.log_lines.with_label_values(&[seed.name.as_str()]);
    // The file that was renamed when it was full first: lines may have come since the last look.
    // What was read of it is known by its first bytes, so nothing is read twice.
    for path in [&rotated(&seed.path), &seed.path] {
        match seed.shared.logs.ingest_file(path, &options, &mut go_on) {
            Ok(progress) => indexed.inc_by(progress.lines),
            Err(IngestError::Open { .. }) if *path != seed.path => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where our own log goes when it is full: `path.1`.
fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}
