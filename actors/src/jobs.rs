//! Background jobs: the durable queue, and the actor that gives each job an actor of its own.
//!
//! A job is a row of the `jobs` table before it is anything else, so a restart of the server loses
//! none. The dispatcher claims the next one whenever there is room: it is woken by a new job and by
//! one that ended, and looks by itself every [`LOOK`] for jobs whose wait is over.

pub(crate) mod reindex;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt, ArbiterHandle, AsyncContext, Context, Handler, Message, Supervised,
    WrapFuture,
};
use callboard_entities::{
    StoreError,
    queries::{
        self,
        jobs::{ClaimedJob, NewJob},
    },
};
use callboard_protocol::{ClientError, ErrorCode, Job, JobId, JobState, Timestamp, UserId};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::JobsConfig,
    job::{INGEST, Ingest, JobSeed, JobWorker, NOTIFY, REINDEX},
    keeper::{Keeper, Life, Placement},
    mailbox::{Mailbox, Posted},
    notify::{Notice, NoticeKind},
    storage::store_failed,
    system::Shared,
};

/// How often the dispatcher looks by itself.
const LOOK: Duration = Duration::from_secs(2);

/// How often it looks for jobs whose owner gives no sign …
const RECOVER: Duration = Duration::from_secs(30);

/// … for this long.
const SILENT: Duration = Duration::from_secs(60);

/// Messages in the dispatcher's mailbox. A wake that does not fit is not needed: there is one
/// before it.
const MAILBOX: usize = 64;

/// How often a job is tried; a restart of the server in mid-job counts.
const MAX_ATTEMPTS: u32 = 10;

/// How often somebody is tried to be told of an alert: for about an hour.
const MAX_NOTIFY_ATTEMPTS: u32 = 20;

/// The kinds of jobs that work for long, of which `jobs.max_running` run at once.
const WORK: [&str; 2] = [INGEST, REINDEX];

/// Jobs that tell somebody of alerts at once: beside the others, since an alert cannot wait for an
/// index to be made.
const MAX_TELLING: usize = 8;

/// The longest name of an upload, in bytes …
const MAX_NAME: usize = 200;

/// … and of a file: the longest path that Linux opens (`PATH_MAX`).
const MAX_PATH: usize = 4_096;

/// The handle to the queue. A cheap clone.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
    dispatcher: Mailbox<Dispatcher>,
    stopping: CancellationToken,
}

impl Jobs {
    pub(crate) fn start(
        config: JobsConfig,
        shared: Arc<Shared>,
        keeper: &Keeper,
        arbiters: &Arc<[ArbiterHandle]>,
    ) -> Self {
        let stopping = CancellationToken::new();
        let seed = DispatcherSeed {
            config,
            shared: Arc::clone(&shared),
            keeper: keeper.clone(),
            arbiters: Arc::clone(arbiters),
            stopping: stopping.clone(),
            running: Arc::default(),
        };
        let dispatcher = keeper.keep("jobs", Placement::on(&arbiters[0], MAILBOX), move |life| {
            Dispatcher { seed, life }
        });
        Self { shared, dispatcher, stopping }
    }

    /// The name of an upload as it is kept: without blanks around it. It is shown and searched for,
    /// and never used as a path. The edge asks before it receives the file.
    ///
    /// # Errors
    /// `invalid_parameter` when it is empty, too long, or holds control characters.
    pub fn upload_name(name: &str) -> Result<&str, ClientError> {
        checked_name(name, MAX_NAME)
            .map_err(|message| ClientError::new(ErrorCode::InvalidParameter, message))
    }

    /// Indexes an uploaded file, which the job takes over and deletes when it is done. A file of
    /// the same name that grew since goes on where the last one ended.
    ///
    /// # Errors
    /// `invalid_parameter` for a bad name; that the database is away.
    pub async fn enqueue_upload(
        &self,
        by: UserId,
        name: &str,
        spool: PathBuf,
        bytes: u64,
    ) -> Result<Job, ClientError> {
        let name = Self::upload_name(name)?.to_owned();
        let ingest = Ingest { path: spool, name, delete_after: true, bytes };
        self.enqueue(by, "upload", ingest).await
    }

    /// Indexes a file of this machine. Only for those who may read it anyway.
    ///
    /// # Errors
    /// `validation_failed` when the path is no readable file; that the database is away.
    pub async fn enqueue_path(&self, by: UserId, path: PathBuf) -> Result<Job, ClientError> {
        let found = {
            let path = path.clone();
            let look = move || {
                let path = std::fs::canonicalize(path)?;
                let metadata = std::fs::metadata(&path)?;
                Ok::<_, std::io::Error>((path, metadata))
            };
            self.shared.runtime.spawn_blocking(look).await
        };
        let shown = path.display();
        let (path, metadata) = found
            .map_err(|_| ErrorCode::Internal)?
            .map_err(|error| invalid(format!("{shown}: {error}")))?;
        if !metadata.is_file() {
            return Err(invalid(format!("{shown} is not a file")));
        }
        let name = path.display().to_string();
        if let Err(message) = checked_name(&name, MAX_PATH) {
            return Err(invalid(message));
        }
        let ingest = Ingest { path, name, delete_after: false, bytes: metadata.len() };
        self.enqueue(by, "file", ingest).await
    }

    async fn enqueue(&self, by: UserId, kind: &str, ingest: Ingest) -> Result<Job, ClientError> {
        let now = Timestamp::now();
        let store = &self.shared.store;
        let failed = |error: callboard_entities::StoreError| {
            store_failed("enqueue a job", &error);
            error.client()
        };
        let source =
            queries::sources::ensure(store, kind, &ingest.name, &serde_json::json!({}), now)
                .await
                .map_err(failed)?;
        let shown = Path::new(&ingest.name)
            .file_name()
            .map_or_else(|| ingest.name.clone(), |name| name.to_string_lossy().into_owned());
        let new = NewJob {
            kind: INGEST.into(),
            title: format!("index {shown}"),
            payload: serde_json::to_value(&ingest).map_err(|_| ErrorCode::Internal)?,
            source_id: Some(source.id),
            created_by: Some(by),
            max_attempts: MAX_ATTEMPTS,
        };
        let job = queries::jobs::enqueue(store, &new, now).await.map_err(failed)?;
        self.wake();
        Ok(job)
    }

    /// Asks a job to stop: one that waits is cancelled at once, one that runs within a second.
    ///
    /// # Errors
    /// `job_not_found`; that the database is away.
    pub async fn cancel(&self, id: JobId) -> Result<Job, ClientError> {
        let store = &self.shared.store;
        let cancelled = async {
            let job = queries::jobs::request_cancel(store, id, Timestamp::now()).await?;
            // No worker has seen a job that was cancelled while it waited.
            if job.state == JobState::Cancelled {
                crate::job::delete_spool(&queries::jobs::payload(store, id).await?).await;
            }
            Ok(job)
        };
        cancelled.await.map_err(|error| {
            store_failed("cancel a job", &error);
            error.client()
        })
    }

    /// Looks for jobs now, since somebody stored one.
    pub(crate) fn wake(&self) {
        // Full means that a wake is waiting already.
        drop(self.dispatcher.try_send(Wake));
    }

    /// Cancelled by [`stop`](Self::stop).
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Lets no new job start, and stops those that run at their next commit; they go on at the
    /// next start.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }
}

/// The job that tells somebody; it is stored with what it tells of.
pub(crate) fn notify(notice: &Notice) -> Result<NewJob, StoreError> {
    let what = match notice.kind {
        NoticeKind::Fired => "fired",
        NoticeKind::Resolved => "resolved",
        NoticeKind::Test => "test",
    };
    Ok(NewJob {
        kind: NOTIFY.into(),
        title: format!("tell {}: {} ({what})", notice.channel, notice.rule),
        payload: serde_json::to_value(notice)?,
        source_id: None,
        created_by: None,
        max_attempts: MAX_NOTIFY_ATTEMPTS,
    })
}

fn invalid(message: String) -> ClientError {
    ClientError::new(ErrorCode::ValidationFailed, message)
}

/// The name without blanks around it, or what is wrong with it.
pub(crate) fn checked_name(name: &str, most: usize) -> Result<&str, String> {
    let name = name.trim();
    let fits = (1..=most).contains(&name.len()) && !name.chars().any(char::is_control);
    fits.then_some(name)
        .ok_or_else(|| format!("a name has 1 to {most} bytes and no control characters"))
}

/// Looks for jobs to start.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// What outlives a restart of the dispatcher.
#[derive(Clone)]
struct DispatcherSeed {
    config: JobsConfig,
    shared: Arc<Shared>,
    keeper: Keeper,
    arbiters: Arc<[ArbiterHandle]>,
    stopping: CancellationToken,
    /// Jobs whose actors run. A place is given back by [`Seat`].
    running: Arc<Mutex<Running>>,
}

/// How many jobs run.
#[derive(Default)]
struct Running {
    working: usize,
    telling: usize,
}

impl Running {
    fn of(&mut self, kind: &str) -> &mut usize {
        if kind == NOTIFY { &mut self.telling } else { &mut self.working }
    }
}

/// One running job's place; dropping it makes room and wakes the dispatcher.
pub(crate) struct Seat {
    running: Arc<Mutex<Running>>,
    kind: String,
    dispatcher: Mailbox<Dispatcher>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.running.lock().of(&self.kind) -= 1;
        drop(self.dispatcher.try_send(Wake));
    }
}

/// See the module.
pub(crate) struct Dispatcher {
    seed: DispatcherSeed,
    life: Life,
}

impl Dispatcher {
    fn arm(&self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK, |dispatcher, ctx| dispatcher.claim(ctx));
        ctx.run_interval(RECOVER, |dispatcher, ctx| dispatcher.recover(SILENT, ctx));
    }

    /// Puts jobs back whose owner has given no sign for this long, then claims.
    fn recover(&self, silent: Duration, ctx: &mut Context<Self>) {
        let store = self.seed.shared.store.clone();
        let recovered = async move {
            let now = Timestamp::now();
            queries::jobs::recover(&store, now.minus(silent), now).await
        };
        ctx.spawn(recovered.into_actor(self).map(|recovered, dispatcher, ctx| {
            match recovered {
                Ok(0) => {}
                Ok(jobs) => warn!(jobs, "jobs were lost by their owner and wait again"),
                Err(error) => store_failed("recover jobs", &error),
            }
            dispatcher.claim(ctx);
        }));
    }

    /// Claims one job if there is room, and looks again if there was one.
    fn claim(&mut self, ctx: &mut Context<Self>) {
        let kinds = self.kinds_with_room();
        if kinds.is_empty() || self.seed.stopping.is_cancelled() {
            return;
        }
        let store = self.seed.shared.store.clone();
        let claimed = async move {
            let worker = format!("callboard:{}", std::process::id());
            queries::jobs::claim_next(&store, &kinds, &worker, Timestamp::now()).await
        };
        // Nothing else is handled meanwhile, so that two looks cannot pass the limit together.
        ctx.wait(claimed.into_actor(self).map(|claimed, dispatcher, ctx| match claimed {
            Ok(Some(job)) => {
                let mailbox = dispatcher.life.mailbox(ctx);
                dispatcher.start_job(job, mailbox.clone());
                drop(mailbox.try_send(Wake));
            }
            Ok(None) => {}
            Err(error) => store_failed("claim a job", &error),
        }));
    }

    fn kinds_with_room(&self) -> Vec<&'static str> {
        let running = self.seed.running.lock();
        let work = WORK.into_iter().filter(|_| running.working < self.seed.config.max_running);
        work.chain((running.telling < MAX_TELLING).then_some(NOTIFY)).collect()
    }

    fn start_job(&self, claimed: ClaimedJob, dispatcher: Mailbox<Self>) {
        let id = claimed.job.id;
        info!(job_id = %id, attempt = claimed.claim.attempt, "job claimed");
        let kind = claimed.job.kind.clone();
        *self.seed.running.lock().of(&kind) += 1;
        let running = Arc::clone(&self.seed.running);
        let seed = JobSeed::new(
            claimed,
            Arc::clone(&self.seed.shared),
            self.seed.stopping.clone(),
            Seat { running, kind, dispatcher },
        );
        let place = id.0.as_u128() as usize % self.seed.arbiters.len();
        // The job keeps its own address alive for as long as it works.
        drop(self.seed.keeper.keep(
            format!("job:{id}"),
            Placement::of_many(&self.seed.arbiters[place], crate::job::MAILBOX),
            move |life| JobWorker::new(seed, life),
        ));
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
        // The data folder is this process's alone: whatever runs was lost with a former process.
        self.recover(Duration::ZERO, ctx);
    }
}

impl Supervised for Dispatcher {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Handler<Posted<Wake>> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Posted<Wake>, ctx: &mut Self::Context) {
        self.claim(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, eventually, run};

    /// The state and the attempts of a job that indexes a line, and panics as often as told.
    async fn panicking(times: usize) -> (JobState, u32) {
        let world = World::start().await;
        for _ in 0..times {
            world.system.shared().trap.set("ingest");
        }
        let path = world.folder.path().join("app.log");
        std::fs::write(&path, "2026-11-20T03:00:00Z ERROR it failed\n").unwrap();
        let job = world.system.jobs().enqueue_path(world.user.id, path).await.unwrap();
        let ended = eventually(async || {
            let job = queries::jobs::get(&world.store, job.id).await.unwrap();
            job.state.is_final().then_some((job.state, job.attempts))
        });
        ended.await
    }

    #[test]
    fn a_job_that_panics_twice_is_set_aside() {
        run(async {
            let (once, twice) = futures_util::join!(panicking(1), panicking(2));
            assert_eq!(once, (JobState::Succeeded, 2));
            assert_eq!(twice, (JobState::Failed, 2));
        });
    }

    #[test]
    fn the_name_of_an_upload_is_plain_text() {
        assert_eq!(Jobs::upload_name(" OpenSSH 2k.log ").unwrap(), "OpenSSH 2k.log");
        for name in ["", "  ", "a\nb", "a\0", &"x".repeat(201)] {
            let error = Jobs::upload_name(name).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidParameter, "{name:?}");
        }
    }
}
