//! The actors that work by themselves from the start of the server to its end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::ArbiterHandle;
use callboard_entities::StoreError;
use callboard_logs::ReadAs;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    intake::Intake,
    jobs::Jobs,
    keeper::{Keeper, Placement},
    listeners,
    log_source::{self, Followed, LogSource, SourceSeed},
    sources::Sources,
    system::Shared,
    upkeep::{self, KeepDays, Upkeep, UpkeepSeed},
    watch::{self, Watch, WatchSeed},
};

/// Where the actors live that work by themselves.
pub(crate) struct Background<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) keeper: &'a Keeper,
    pub(crate) arbiters: &'a Arc<[ArbiterHandle]>,
}

impl Background<'_> {
    /// Starts those whose addresses nobody has.
    pub(crate) fn keep(
        &self,
        own_log: Option<PathBuf>,
        stopping: CancellationToken,
        keep: KeepDays,
    ) {
        let Self { shared, keeper, arbiters } = self;
        if let Some(path) = own_log {
            let seed = SourceSeed {
                read_as: ReadAs::default(),
                name: log_source::OWN_LOG.to_owned(),
                followed: Followed::OwnLog(path),
                shared: Arc::clone(shared),
                stopping,
                standing: Arc::default(),
            };
            let placement = Placement::on(&arbiters[arbiters.len() - 1], log_source::MAILBOX);
            let make = move |life| LogSource::new(seed, life);
            drop(keeper.keep("log_source:callboard", placement, make));
        }
        let store = shared.store.clone();
        let (logs, runtime) = (shared.logs.clone(), shared.runtime.clone());
        let every = upkeep::EVERY;
        let upkeep = UpkeepSeed { store, logs, runtime, every, keep };
        let placement = Placement::on(&arbiters[0], upkeep::MAILBOX);
        drop(keeper.keep("upkeep", placement, move |_| Upkeep::new(upkeep)));
    }

    /// Starts the one that evaluates the alert rules.
    pub(crate) fn watch(&self, jobs: &Jobs, every_s: u64) {
        let Self { shared, keeper, arbiters } = self;
        let seed = WatchSeed {
            shared: Arc::clone(shared),
            jobs: jobs.clone(),
            every: Duration::from_secs(every_s),
            started: Instant::now(),
            stopping: jobs.stopping(),
        };
        let placement = Placement::on(&arbiters[0], watch::MAILBOX);
        drop(keeper.keep("watch", placement, move |_| Watch::new(seed)));
    }

    /// Starts those that take what programs push.
    pub(crate) async fn intake(&self, folder: PathBuf, stopping: CancellationToken) -> Intake {
        let Self { shared, keeper, arbiters } = self;
        let (shared, keeper) = (Arc::clone(shared), (*keeper).clone());
        Intake::start((shared, keeper), Arc::clone(arbiters), folder, stopping).await
    }

    /// Starts those that listen for senders of other ways than HTTP.
    pub(crate) fn listen(
        &self,
        intake: &Arc<Intake>,
        stopping: &CancellationToken,
    ) -> std::io::Result<()> {
        let Self { shared, keeper, arbiters } = self;
        listeners::start(shared.logs.listen(), intake, keeper, arbiters, stopping)
    }

    /// Starts those that follow what somebody configured.
    pub(crate) async fn sources(
        &self,
        mirrors: PathBuf,
        stopping: CancellationToken,
    ) -> Result<Sources, StoreError> {
        let Self { shared, keeper, arbiters } = self;
        let (shared, keeper) = (Arc::clone(shared), (*keeper).clone());
        Sources::start(shared, keeper, Arc::clone(arbiters), (mirrors, stopping)).await
    }
}
