//! One background job: it runs the work on a blocking thread, reports progress every second, and
//! stores how it ended.
//!
//! The work goes on from the last commit of the index, so a job that is run again after a crash,
//! a panic or a shutdown indexes no line twice. A panic of the actor restarts it: the old thread
//! is told to stop and waited for, then the work goes on. The mailbox takes [`MAILBOX`]; nobody
//! but the job itself writes to it.

mod not_text;
mod task;

use std::{
    collections::HashSet,
    ffi::OsString,
    io::ErrorKind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Supervised, WrapFuture,
};
use callboard_entities::{
    Store, StoreError,
    queries::{
        self,
        jobs::{Beat, ClaimedJob, Finish, FinishedJob, Retry},
    },
};
use callboard_protocol::{ClientError, ErrorCode, IngestProgress, JobError, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize as _;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::task::Task;
pub(crate) use self::task::{INGEST, Ingest, NOTIFY, REINDEX};
use crate::{
    jobs::Seat,
    keeper::Life,
    storage::{STORE_RETRIES, store_failed},
    system::Shared,
};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// How often progress is stored, and a wish to cancel noticed.
const BEAT: Duration = Duration::from_secs(1);

/// The wait before a failed job is tried again; it doubles with each attempt …
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// … up to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct JobSeed {
    claimed: Arc<ClaimedJob>,
    shared: Arc<Shared>,
    /// Cancelled when the server ends: the job stops and goes on at the next start.
    stopping: CancellationToken,
    progress: Arc<Mutex<IngestProgress>>,
    /// Held by the thread that works, so that a second never works beside it.
    working: Arc<tokio::sync::Mutex<()>>,
    _seat: Arc<Seat>,
}

impl JobSeed {
    pub(crate) fn new(
        claimed: ClaimedJob,
        shared: Arc<Shared>,
        stopping: CancellationToken,
        seat: Seat,
    ) -> Self {
        Self {
            claimed: Arc::new(claimed),
            shared,
            stopping,
            progress: Arc::default(),
            working: Arc::default(),
            _seat: Arc::new(seat),
        }
    }
}

/// How the work ended.
enum Worked {
    Done(IngestProgress),
    /// It was told to stop.
    Stopped,
    Failed {
        error: JobError,
        again: bool,
    },
}

/// See the module.
pub(crate) struct JobWorker {
    seed: JobSeed,
    life: Life,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
    /// Told to the thread that works.
    stop: Arc<AtomicBool>,
    /// Somebody asked for the job to be cancelled.
    cancelled: bool,
}

impl JobWorker {
    pub(crate) fn new(seed: JobSeed, life: Life) -> Self {
        Self { seed, life, _address: None, stop: Arc::default(), cancelled: false }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        ctx.run_interval(BEAT, |job, ctx| job.beat(ctx));
        let seed = self.seed.clone();
        let stop = Arc::clone(&self.stop);
        ctx.spawn(work(seed, stop).into_actor(self).map(|worked, job, ctx| job.end(worked, ctx)));
    }

    /// Stores the progress, and learns whether to go on.
    fn beat(&mut self, ctx: &mut Context<Self>) {
        if self.seed.stopping.is_cancelled() {
            self.stop.store(true, Ordering::Relaxed);
        }
        let (shared, claim) = (Arc::clone(&self.seed.shared), self.seed.claimed.claim);
        let progress = self.seed.progress.lock().clone();
        let beat = async move {
            queries::jobs::heartbeat(&shared.store, claim, &progress, Timestamp::now()).await
        };
        ctx.spawn(beat.into_actor(self).map(|beat, job, _| match beat {
            Ok(Beat::Continue) => {}
            Ok(Beat::Cancel) => {
                job.cancelled = true;
                job.stop.store(true, Ordering::Relaxed);
            }
            Ok(Beat::Lost) => job.stop.store(true, Ordering::Relaxed),
            Err(error) => store_failed("report a job", &error),
        }));
    }

    /// Stores how the work ended, then ends the actor.
    fn end(&mut self, worked: Worked, ctx: &mut Context<Self>) {
        let seed = self.seed.clone();
        let cancelled = self.cancelled;
        let ended = async move { store_end(&seed, worked, cancelled).await };
        ctx.wait(ended.into_actor(self).map(|(), job, ctx| {
            job.life.finish();
            ctx.stop();
        }));
    }
}

impl Actor for JobWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Supervised for JobWorker {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.stop.store(true, Ordering::Relaxed);
        *self = Self::new(self.seed.clone(), self.life.clone());
        self.begin(ctx);
    }
}

/// Runs the work on a blocking thread, after whoever worked before.
async fn work(seed: JobSeed, stop: Arc<AtomicBool>) -> Worked {
    let Some(task) = Task::of(&seed.claimed) else {
        return Worked::Failed { error: internal(), again: false };
    };
    let again = seed.claimed.claim.attempt < PANICS;
    let alone = Arc::clone(&seed.working).lock_owned().await;
    let runtime = seed.shared.runtime.clone();
    let thread = runtime.spawn_blocking(move || {
        let _alone = alone;
        task.run(&seed, &stop)
    });
    thread.await.unwrap_or_else(|panic| {
        error!(%panic, again, "a job panicked");
        Worked::Failed { error: internal(), again }
    })
}

fn internal() -> JobError {
    ClientError::from(ErrorCode::Internal).into()
}

/// A job that panics in this attempt, or a later one, is set aside: what it works on makes it fail.
const PANICS: u32 = 2;

/// Stores how the work ended; a database that is away for a moment is tried again. What cannot be
/// stored at all is found by its silence, and the job runs again from the last commit.
async fn store_end(seed: &JobSeed, worked: Worked, cancelled: bool) {
    let mut waits = STORE_RETRIES.iter();
    loop {
        match try_store_end(seed, &worked, cancelled).await {
            Ok(is_over) => {
                if is_over && let Some(task) = Task::of(&seed.claimed) {
                    task.clean_up(seed).await;
                }
                return;
            }
            Err(error) => store_failed("store the end of a job", &error),
        }
        match waits.next() {
            Some(wait) => tokio::time::sleep(*wait).await,
            None => return,
        }
    }
}

/// Answers whether the job is over for good, and was ours to end.
async fn try_store_end(
    seed: &JobSeed,
    worked: &Worked,
    cancelled: bool,
) -> Result<bool, StoreError> {
    let (store, claim) = (&seed.shared.store, seed.claimed.claim);
    let now = Timestamp::now();
    let so_far = seed.progress.lock().clone();
    let (finish, progress) = match worked {
        Worked::Done(progress) => (Finish::Succeeded, progress),
        Worked::Stopped if cancelled => (Finish::Cancelled, &so_far),
        // The server ends, or the job is another's: it stays claimed, and goes on at the next
        // start, or when its new owner says so.
        Worked::Stopped => return Ok(false),
        Worked::Failed { error, again: false } => (Finish::Failed(error.clone()), &so_far),
        Worked::Failed { error, again: true } => {
            let factor = 2u32.saturating_pow(claim.attempt.saturating_sub(1));
            let wait = RETRY_AFTER.saturating_mul(factor).min(MAX_RETRY_AFTER);
            let put_back = queries::jobs::retry(store, claim, error, now.plus(wait), now).await?;
            return Ok(matches!(put_back, Retry::GivenUp | Retry::Cancelled));
        }
    };
    let (job_id, lines) = (claim.job_id, progress.lines);
    let ended = queries::jobs::finish(store, claim, &finish, progress, now).await?;
    info!(%job_id, lines, ?finish, "job ended");
    Ok(ended == FinishedJob::Stored)
}

/// Deletes the spooled uploads that no job will read: those of a process that died between the
/// upload and its job, or between the job's end and this.
pub(crate) async fn sweep_spool(store: &Store, folder: &Path) -> Result<(), StoreError> {
    let payloads = queries::jobs::unfinished_payloads(store).await?;
    let needed: HashSet<OsString> = payloads
        .iter()
        .filter_map(|payload| Ingest::deserialize(payload).ok())
        .filter_map(|ingest| ingest.path.file_name().map(ToOwned::to_owned))
        .collect();
    let Ok(mut files) = tokio::fs::read_dir(folder).await else { return Ok(()) };
    while let Ok(Some(file)) = files.next_entry().await {
        if needed.contains(&file.file_name()) {
            continue;
        }
        match tokio::fs::remove_file(file.path()).await {
            Ok(()) => info!(file = %file.path().display(), "an upload without a job was deleted"),
            Err(error) => warn!(%error, "an upload without a job could not be deleted"),
        }
    }
    Ok(())
}

/// A spooled upload is not needed once its job has ended for good.
pub(crate) async fn delete_spool(payload: &serde_json::Value) {
    if let Ok(Ingest { path, delete_after: true, .. }) = Ingest::deserialize(payload)
        && let Err(error) = tokio::fs::remove_file(&path).await
        // Cancelled twice.
        && error.kind() != ErrorKind::NotFound
    {
        warn!(%error, "a spooled upload could not be deleted");
    }
}
