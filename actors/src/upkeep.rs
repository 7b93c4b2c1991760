//! Forgets what is of no use any more, at the start and then once an hour: refresh tokens and sign-ins
//! that have ended, events of the audit trail that are older than `audit.keep_days`, calls in the ledger that are older than `ledger.keep_days`, alerts that were over before
//! `alerts.keep_days`, the jobs that told of them, and log lines that are older than
//! `logs.keep_days` or more than `logs.keep_gb`, or than `logs.keep` says of their source, unless they
//! are held.
//!
//! Nothing depends on when they go; they would only fill the database. The mailbox takes
//! [`MAILBOX`]; nobody but the actor itself writes to it. A panic costs nothing: it goes on when it
//! is back.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_entities::{
    Store, StoreError,
    queries::{self, alerts, audit, holds, sign_ins, tokens, usage},
};
use callboard_logs::{IngestError, LogStore, Retention, SourceNames};
use callboard_protocol::Timestamp;
use tokio::runtime::Handle;
use tracing::{debug, error, info, warn};

use crate::{job::NOTIFY, jobs, storage::store_failed};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// How often it looks.
pub(crate) const EVERY: Duration = Duration::from_secs(3_600);

/// Calls that are forgotten at once, so that others can write in between.
const CALLS_AT_ONCE: u32 = 1_000;

const DAY: Duration = Duration::from_secs(86_400);

/// How long it can be looked up whether somebody was told of an alert.
const KEEP_NOTICES: Duration = Duration::from_secs(7 * 86_400);

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct UpkeepSeed {
    pub(crate) store: Store,
    pub(crate) logs: LogStore,
    pub(crate) runtime: Handle,
    pub(crate) every: Duration,
    pub(crate) keep: KeepDays,
}

/// How long things are kept, in days.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepDays {
    /// Calls in the ledger.
    pub(crate) calls: u32,
    /// Alerts that are over.
    pub(crate) alerts: u32,
    /// Events of the audit trail; 0 keeps them for ever.
    pub(crate) audit: u32,
}

/// See the module.
pub(crate) struct Upkeep {
    seed: UpkeepSeed,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
}

impl Upkeep {
    pub(crate) fn new(seed: UpkeepSeed) -> Self {
        Self { seed, _address: None }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        self.purge(ctx);
        // It takes far less than an hour: none runs beside another.
        ctx.run_interval(self.seed.every, |actor, ctx| actor.purge(ctx));
    }

    fn purge(&self, ctx: &mut Context<Self>) {
        let UpkeepSeed { store, keep, logs, runtime, .. } = self.seed.clone();
        let purge = async move {
            let now = Timestamp::now();
            match tokens::purge_expired(&store, now).await {
                Ok(purged) => debug!(purged, "refresh tokens that ended were forgotten"),
                Err(error) => store_failed("purge refresh tokens", &error),
            }
            match sign_ins::purge_expired(&store, now).await {
                Ok(purged) => debug!(purged, "sign-ins that ended were forgotten"),
                Err(error) => store_failed("purge sign-ins", &error),
            }
            match purge_audit(&store, keep.audit, now).await {
                Ok(purged) => debug!(purged, "old events of the audit trail were forgotten"),
                Err(error) => store_failed("purge the audit trail", &error),
            }
            match purge_calls(&store, now.minus(DAY * keep.calls)).await {
                Ok(purged) => debug!(purged, "old calls were forgotten"),
                Err(error) => store_failed("purge the ledger", &error),
            }
            match purge_alerts(&store, keep.alerts, now).await {
                Ok(purged) => debug!(purged, "old alerts were forgotten"),
                Err(error) => store_failed("purge the alerts", &error),
            }
            retain(&store, logs, &runtime, now).await;
        };
        ctx.spawn(purge.into_actor(self));
    }
}

/// Lets old events of the audit trail go, some thousands at a time.
async fn purge_audit(store: &Store, keep_days: u32, now: Timestamp) -> Result<u64, StoreError> {
    let mut purged = 0;
    if keep_days == 0 {
        return Ok(purged);
    }
    loop {
        match audit::let_go(store, now.minus(DAY * keep_days), now).await? {
            0 => return Ok(purged),
            more => purged += more,
        }
    }
}

/// Lets old lines go, but for those that are held: none while it is not known which are.
async fn retain(store: &Store, logs: LogStore, runtime: &Handle, now: Timestamp) {
    if logs.retention(Vec::new()) == Retention::default() {
        return;
    }
    let holds = match holds::list(store).await {
        Ok(holds) => holds,
        Err(error) => return store_failed("read the holds", &error),
    };
    let held: Result<Vec<_>, _> =
        holds.iter().map(|hold| SourceNames::parse(&hold.sources)).collect();
    let held = match held {
        Ok(held) => held,
        Err(problem) => return error!(problem, "a hold cannot be read: nothing leaves the index"),
    };
    let retaining = move || {
        let gone = logs.retain(&logs.retention(held), now)?;
        Ok::<_, IngestError>((gone, logs.is_sparse()))
    };
    match runtime.spawn_blocking(retaining).await {
        Ok(Ok((lines, is_sparse))) => {
            if lines > 0 {
                info!(lines, "old log lines have left the index");
            }
            if is_sparse && let Err(error) = jobs::reindex::enqueue(store, None, None).await {
                warn!(%error, "the log index cannot be made anew to make room yet");
            }
        }
        Ok(Err(error)) => warn!(%error, "old log lines could not leave the index"),
        Err(panic) => error!(%panic, "letting old log lines go panicked"),
    }
}

/// Alerts, and what told of them.
async fn purge_alerts(store: &Store, keep_days: u32, now: Timestamp) -> Result<u64, StoreError> {
    queries::jobs::purge(store, NOTIFY, now.minus(KEEP_NOTICES)).await?;
    alerts::purge(store, now.minus(DAY * keep_days)).await
}

async fn purge_calls(store: &Store, before: Timestamp) -> Result<u64, StoreError> {
    let mut all = 0;
    loop {
        let purged = usage::purge(store, before, CALLS_AT_ONCE).await?;
        all += purged;
        if purged < u64::from(CALLS_AT_ONCE) {
            return Ok(all);
        }
    }
}

impl Actor for Upkeep {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for Upkeep {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        *self = Self::new(self.seed.clone());
        self.arm(ctx);
    }
}

#[cfg(test)]
mod tests;
