//! Evaluates the alert rules, one after the other, every `alerts.every_s` seconds, and stores what came
//! of it together with the jobs that tell of it.
//!
//! A round that takes longer puts the next one off. The mailbox takes [`MAILBOX`]; nobody but the actor
//! itself writes to it. A panic costs a round: what fires stands in the database, so that nothing is
//! told twice and nothing is forgotten.

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_entities::{
    StoreError,
    queries::{
        alerts::{self, Outcome, Settled},
        jobs::NewJob,
    },
};
use callboard_logs::Evaluated;
use callboard_protocol::{AlertCondition, AlertRule, AlertRuleState, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    jobs::{self, Jobs},
    notify::{Notice, NoticeKind},
    storage::store_failed,
    system::Shared,
};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 4;

/// Silence is not looked for in the first rounds: what was written while the server was away is still
/// being read.
const CATCHING_UP: u32 = 2;

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct WatchSeed {
    pub(crate) shared: Arc<Shared>,
    /// To be woken when there is somebody to be told.
    pub(crate) jobs: Jobs,
    pub(crate) every: Duration,
    pub(crate) started: Instant,
    /// Cancelled when the server ends.
    pub(crate) stopping: CancellationToken,
}

/// See the module.
pub(crate) struct Watch {
    seed: WatchSeed,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
}

impl Watch {
    pub(crate) fn new(seed: WatchSeed) -> Self {
        Self { seed, _address: None }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        ctx.run_later(self.seed.every, |watch, ctx| watch.round(ctx));
    }

    fn round(&self, ctx: &mut Context<Self>) {
        if self.seed.stopping.is_cancelled() {
            return;
        }
        let round = round(self.seed.clone());
        ctx.spawn(round.into_actor(self).map(|(), watch, ctx| watch.arm(ctx)));
    }
}

impl Actor for Watch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for Watch {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        *self = Self::new(self.seed.clone());
        self.arm(ctx);
    }
}

async fn round(seed: WatchSeed) {
    let shared = &seed.shared;
    #[cfg(test)]
    shared.trap.spring("watch");
    let rules = match alerts::rules(&shared.store).await {
        Ok(rules) => rules,
        Err(error) => return store_failed("read the alert rules", &error),
    };
    for rule in rules.into_iter().filter(|rule| rule.state != AlertRuleState::Off) {
        if seed.stopping.is_cancelled() {
            return;
        }
        let now = Timestamp::now();
        let outcome = evaluate(&seed, &rule, now).await;
        let jobs = |rule: &_, news: &_| jobs_of(rule, news, now);
        let settled = alerts::settle(&shared.store, &rule, &outcome, now, jobs);
        match settled.await {
            Ok(news) => {
                seed.jobs.wake();
                for alert in news.fired {
                    let (rule, summary) = (&rule.name, &alert.finding.summary);
                    info!(alert_id = %alert.id, rule, summary, "alert fired");
                }
                for alert in news.resolved {
                    info!(alert_id = %alert.id, rule = rule.name, "alert resolved");
                }
            }
            Err(error) => store_failed("store what an alert rule found", &error),
        }
    }
    match alerts::count_firing(&shared.store).await {
        Ok(firing) => shared.metrics.alerts_firing.set(i64::try_from(firing).unwrap_or(i64::MAX)),
        Err(error) => store_failed("count alerts", &error),
    }
}

/// Holds a rule against the index, on a thread that may block.
async fn evaluate(seed: &WatchSeed, rule: &AlertRule, now: Timestamp) -> Outcome {
    let is_absence = matches!(rule.condition, AlertCondition::Absence { .. });
    if is_absence && seed.started.elapsed() < seed.every * CATCHING_UP {
        return Outcome::Waiting("The server has just started, and is still reading.".to_owned());
    }
    let (logs, condition) = (seed.shared.logs.clone(), rule.condition.clone());
    let evaluated =
        seed.shared.runtime.spawn_blocking(move || logs.evaluate(&condition, now)).await;
    let outcome = match evaluated {
        Ok(Ok(Evaluated::Found(findings))) => Outcome::Found(findings),
        Ok(Ok(Evaluated::Waiting(why))) => Outcome::Waiting(why.to_owned()),
        Ok(Err(error)) => {
            warn!(%error, rule = rule.name, "an alert rule cannot be evaluated");
            Outcome::Failed(error.client_error().message)
        }
        Err(panic) => {
            error!(%panic, rule = rule.name, "evaluating an alert rule panicked");
            Outcome::Failed("Something went wrong on our side.".to_owned())
        }
    };
    if matches!(outcome, Outcome::Failed(_)) {
        seed.shared.metrics.alert_failures.inc();
    }
    outcome
}

/// One job for each channel of the rule and each kind of news.
fn jobs_of(rule: &AlertRule, news: &Settled, now: Timestamp) -> Result<Vec<NewJob>, StoreError> {
    let kinds = [(NoticeKind::Fired, &news.fired), (NoticeKind::Resolved, &news.resolved)];
    let mut new = Vec::new();
    for (kind, alerts) in kinds.into_iter().filter(|(_, alerts)| !alerts.is_empty()) {
        for channel in &rule.channels {
            new.push(jobs::notify(&Notice::of((rule, channel), kind, alerts.clone(), now))?);
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests;
