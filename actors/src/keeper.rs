//! Supervision: an actor that panics or stops by itself comes back **on the same address, with its
//! queued messages**, its state made anew, after an exponential backoff; one that fails too often
//! in a window is given up loudly, and readiness turns red.
//!
//! actix's own `Supervisor` drops the mailbox with an actor that panicked and restarts without
//! limit. The Keeper instead polls the actor's [`ContextFut`] inside `catch_unwind` and restarts
//! that same future. Only the message being handled is lost; its sender gets `Closed`, so a
//! message that makes its actor panic is never handled twice. Futures and timers of the context
//! are gone after a restart: an actor arms them in `started` and again in `restarting`, where it
//! also rebuilds its state.
//!
//! What OTP calls intensity (`supervisor(3)`: `MaxR` restarts in `MaxT`) is [`RestartPolicy`].
//!
//! An actor that does not come back from a message holds up all others on its thread, and cannot be
//! restarted: Rust has no way to take a thread back. It is seen from outside, by its [`Pulse`].

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use actix::{
    Actor, Addr, ArbiterHandle, AsyncContext as _, Context, Supervised,
    dev::{ContextFut, channel},
};
use callboard_protocol::Timestamp;
use parking_lot::Mutex;
use prometheus::IntCounterVec;
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep};
use tracing::{error, info, warn};

use crate::mailbox::{Depth, Mailbox};

/// How often an actor may fail, and how long to wait before it is restarted.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// The next failure after this many restarts …
    pub max_restarts: u32,
    /// … inside this window gives the actor up.
    pub within: Duration,
    /// The wait before the first restart in the window; it doubles with each.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Whether giving it up turns readiness red. Not for actors of which there are many and which
    /// are started anew when they are next needed.
    pub escalates: bool,
}

impl Default for RestartPolicy {
    /// Five in a minute: an actor that fails on every message is given up within seconds, one that
    /// meets a rare poison message lives on.
    fn default() -> Self {
        Self {
            max_restarts: 5,
            within: Duration::from_secs(60),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(5),
            escalates: true,
        }
    }
}

/// Handed to a kept actor: its wish to end, so that it can be told from a failure, and what waits
/// for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    finished: Arc<AtomicBool>,
    depth: Depth,
}

impl Life {
    /// The next stop is final: no restart.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// The actor's own mailbox.
    pub(crate) fn mailbox<A: Actor<Context = Context<A>>>(&self, ctx: &Context<A>) -> Mailbox<A> {
        Mailbox::new(ctx.address(), self.depth.clone())
    }
}

/// Where a kept actor lives, and how it is kept.
#[derive(Clone, Copy)]
pub(crate) struct Placement<'a> {
    /// The thread it runs on.
    pub(crate) arbiter: &'a ArbiterHandle,
    /// Messages that its mailbox takes.
    pub(crate) mailbox: usize,
    /// How often it may fail; the keeper's own policy when absent.
    pub(crate) policy: Option<RestartPolicy>,
    /// Whether it is one of many: given up, it is forgotten, and started anew when it is next needed.
    pub(crate) one_of_many: bool,
}

impl<'a> Placement<'a> {
    /// An actor that the server cannot do without.
    pub(crate) fn on(arbiter: &'a ArbiterHandle, mailbox: usize) -> Self {
        Self { arbiter, mailbox, policy: None, one_of_many: false }
    }

    /// One of many.
    pub(crate) fn of_many(arbiter: &'a ArbiterHandle, mailbox: usize) -> Self {
        Self { one_of_many: true, ..Self::on(arbiter, mailbox) }
    }
}

/// What has become of a kept actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// At work.
    Running,
    /// Waits out its backoff.
    Restarting,
    /// Failed too often: its address is closed.
    GivenUp,
}

impl KeptState {
    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::GivenUp => "given_up",
        }
    }
}

/// One kept actor, for readiness and the admin page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptStatus {
    /// What has become of it.
    pub state: KeptState,
    /// How often it was restarted since the start of the server.
    pub restarts: u64,
    /// The text of its last panic; for administrators alone.
    pub last_failure: Option<String>,
    /// When it was started, by the keeper's call.
    pub since: Timestamp,
    /// How long it has been at what it does now; zero when it waits.
    pub busy: Duration,
    /// Messages that its mailbox takes …
    pub mailbox: usize,
    /// … and that wait in it now.
    pub waiting: usize,
}

impl KeptStatus {
    /// At one message for longer than this, it hangs: handlers work for milliseconds.
    const HANGS_AFTER: Duration = Duration::from_secs(5);

    /// Whether it does not come back from a message.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.busy > Self::HANGS_AFTER
    }
}

/// Since when an actor has been at work without a pause; written by its thread, read by any.
#[derive(Debug)]
struct Pulse {
    epoch: Instant,
    /// Microseconds after the epoch, and one more; 0 while it waits.
    working_since: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self { epoch: Instant::now(), working_since: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn begin(&self) {
        self.working_since.store(self.now() + 1, Ordering::Relaxed);
    }

    fn pause(&self) {
        self.working_since.store(0, Ordering::Relaxed);
    }

    fn busy(&self) -> Duration {
        let since = self.working_since.load(Ordering::Relaxed);
        let micros = (since > 0).then(|| (self.now() + 1).saturating_sub(since));
        Duration::from_micros(micros.unwrap_or_default())
    }
}

/// What the registry knows of an actor. Another one of the same name takes its place; what the
/// former one still says is not of it.
struct Entry {
    number: u64,
    status: KeptStatus,
    pulse: Arc<Pulse>,
    depth: Depth,
}

/// Which entry is an actor's own.
struct Own {
    name: String,
    number: u64,
    pulse: Arc<Pulse>,
}

#[derive(Default)]
struct Registry {
    entries: BTreeMap<String, Entry>,
    last_number: u64,
}

/// Keeps actors alive and knows how they are. A cheap clone of one shared registry.
#[derive(Clone)]
pub struct Keeper {
    kept: Arc<Mutex<Registry>>,
    restarts: IntCounterVec,
    policy: RestartPolicy,
}

impl Keeper {
    /// `restarts` is `actor_restarts_total{actor}`; the label is an actor's kind, never its id.
    #[must_use]
    pub fn new(restarts: IntCounterVec) -> Self {
        Self { kept: Arc::default(), restarts, policy: RestartPolicy::default() }
    }

    /// With this policy for all actors that have none of their own.
    #[must_use]
    pub fn with_policy(self, policy: RestartPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Starts an actor and keeps it alive. `name` is `kind` or `kind:which`.
    ///
    /// `make` builds the actor; it is given a [`Life`] to end itself on purpose. The state is
    /// rebuilt by the actor's own `restarting`.
    pub(crate) fn keep<A, F>(
        &self,
        name: impl Into<String>,
        placement: Placement<'_>,
        make: F,
    ) -> Mailbox<A>
    where
        A: Supervised + Actor<Context = Context<A>>,
        F: FnOnce(Life) -> A + Send + 'static,
    {
        let Placement { arbiter, mailbox, policy, one_of_many } = placement;
        let mut policy = policy.unwrap_or(self.policy);
        policy.escalates &= !one_of_many;
        let (sender, receiver) = channel::channel(mailbox);
        let name = name.into();
        let life = Life::default();
        let own = self.enter(name.clone(), mailbox, life.depth.clone());
        let depth = life.depth.clone();
        // There from the start, so that the first restart is an increase.
        self.restarts.with_label_values(&[kind_of(&name)]);
        let keeper = self.clone();
        let started = arbiter.spawn_fn(move || {
            let context = Context::with_receiver(receiver);
            let actor = make(life.clone());
            actix::spawn(Kept {
                context: Box::pin(context.into_future(actor)),
                life,
                policy,
                failures: VecDeque::new(),
                waiting: None,
                keeper,
                own,
            });
        });
        if !started {
            error!("an arbiter is gone: its actors cannot be started");
        }
        Mailbox::new(Addr::new(sender), depth)
    }

    /// All kept actors by name; those that ended on purpose are not in it.
    #[must_use]
    pub fn observe(&self) -> BTreeMap<String, KeptStatus> {
        let kept = self.kept.lock();
        let status = |entry: &Entry| KeptStatus {
            busy: entry.pulse.busy(),
            waiting: entry.depth.get(),
            ..entry.status.clone()
        };
        kept.entries.iter().map(|(name, entry)| (name.clone(), status(entry))).collect()
    }

    /// How often the actor of this name was restarted.
    #[must_use]
    pub fn restarts(&self, name: &str) -> u64 {
        self.kept.lock().entries.get(name).map_or(0, |entry| entry.status.restarts)
    }

    fn enter(&self, name: String, mailbox: usize, depth: Depth) -> Own {
        let mut kept = self.kept.lock();
        kept.last_number += 1;
        let number = kept.last_number;
        let pulse = Arc::new(Pulse::new());
        let status = KeptStatus {
            state: KeptState::Running,
            restarts: 0,
            last_failure: None,
            since: Timestamp::now(),
            busy: Duration::ZERO,
            mailbox,
            waiting: 0,
        };
        let entry = Entry { number, status, pulse: Arc::clone(&pulse), depth };
        kept.entries.insert(name.clone(), entry);
        Own { name, number, pulse }
    }

    fn set(&self, own: &Own, change: impl FnOnce(&mut KeptStatus)) {
        let mut kept = self.kept.lock();
        let entry = kept.entries.get_mut(&own.name).filter(|entry| entry.number == own.number);
        if let Some(entry) = entry {
            change(&mut entry.status);
        }
    }

    fn forget(&self, own: &Own) {
        let mut kept = self.kept.lock();
        if kept.entries.get(&own.name).is_some_and(|entry| entry.number == own.number) {
            kept.entries.remove(&own.name);
        }
    }
}

/// The future that lives where the actor's own would: it polls the actor and restarts it.
struct Kept<A: Supervised + Actor<Context = Context<A>>> {
    context: Pin<Box<ContextFut<A, Context<A>>>>,
    life: Life,
    policy: RestartPolicy,
    /// The failures inside the window, oldest first; at most `max_restarts`.
    failures: VecDeque<Instant>,
    waiting: Option<Pin<Box<Sleep>>>,
    keeper: Keeper,
    own: Own,
}

/// Whether the actor lives on.
enum Next {
    Poll,
    Ended,
}

impl<A: Supervised + Actor<Context = Context<A>>> Kept<A> {
    /// The wait before the next restart; `None` gives the actor up.
    fn backoff(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while self.failures.front().is_some_and(|at| now - *at > self.policy.within) {
            self.failures.pop_front();
        }
        let before = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if before >= self.policy.max_restarts {
            return None;
        }
        self.failures.push_back(now);
        let factor = 2u32.saturating_pow(before);
        let longest = self.policy.backoff_min.saturating_mul(factor).min(self.policy.backoff_max);
        // Of many that failed together not all come back in the same instant.
        Some(longest.mul_f64(rand::random_range(0.5..=1.0)))
    }

    fn failed(&mut self, failure: String) -> Next {
        match self.backoff() {
            Some(wait) => {
                let name = self.own.name.as_str();
                self.keeper.restarts.with_label_values(&[kind_of(name)]).inc();
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                warn!(actor = name, failure, wait_ms, "actor failed and will be restarted");
                self.keeper.set(&self.own, |status| {
                    status.state = KeptState::Restarting;
                    status.restarts += 1;
                    status.last_failure = Some(failure);
                });
                self.waiting = Some(Box::pin(sleep(wait)));
                Next::Poll
            }
            None => {
                let name = self.own.name.as_str();
                error!(actor = name, failure, "actor fails too often and is given up");
                if !self.policy.escalates {
                    self.keeper.forget(&self.own);
                    return Next::Ended;
                }
                self.keeper.set(&self.own, |status| {
                    status.state = KeptState::GivenUp;
                    status.last_failure = Some(failure);
                });
                Next::Ended
            }
        }
    }

    fn finished(&self) -> Next {
        info!(actor = self.own.name, "actor ended");
        self.keeper.forget(&self.own);
        Next::Ended
    }

    /// Runs `restarting` on the actor, which may panic as well.
    fn restart(&mut self) -> Next {
        match catch_unwind(AssertUnwindSafe(|| self.context.restart())) {
            Ok(true) => {
                self.keeper.set(&self.own, |status| status.state = KeptState::Running);
                Next::Poll
            }
            // Nobody holds its address any more.
            Ok(false) => self.finished(),
            Err(panic) => self.failed(format!("in restarting: {}", panic_text(&*panic))),
        }
    }
}

impl<A: Supervised + Actor<Context = Context<A>>> Future for Kept<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let next = if let Some(sleep) = this.waiting.as_mut() {
                ready!(sleep.as_mut().poll(cx));
                this.waiting = None;
                this.restart()
            } else {
                this.own.pulse.begin();
                let polled = catch_unwind(AssertUnwindSafe(|| this.context.as_mut().poll(cx)));
                this.own.pulse.pause();
                match polled {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(())) if this.life.is_finished() => this.finished(),
                    // Nobody holds its address any more.
                    Ok(Poll::Ready(())) if !this.context.ctx().connected() => this.finished(),
                    Ok(Poll::Ready(())) => this.failed("it stopped by itself".into()),
                    Err(panic) => this.failed(panic_text(&*panic)),
                }
            };
            if matches!(next, Next::Ended) {
                return Poll::Ready(());
            }
        }
    }
}

/// The kind of an actor: its name up to the colon.
fn kind_of(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// What a panic said, for the log.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}

#[cfg(test)]
mod tests;
