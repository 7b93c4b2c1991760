//! Admission to one LLM provider: how many calls at once, how many a minute, with which key, who is
//! next, and whether at all.
//!
//! [`Entrance::acquire`] gives a [`Lease`] or says why not; the call itself is made by the holder of
//! the lease, outside the actor. Dropping the lease reports its outcome, on every path. While nobody
//! waits the [`gate`] decides without a message. Those who must wait are the actor's: its mailbox
//! ([`MAILBOX`] messages; a full one refuses) and an ordered list of at most `max_queue`, each with a
//! deadline. Interactive calls go before batch work, and among equals the user who holds the fewest
//! leases goes first; batch work that has waited half of its time counts as interactive, so that it is
//! never starved.
//!
//! A panic costs the wait list (its askers are refused and go to the next provider); the gate, with
//! breaker, keys and the leases that are out, is as it was.

mod gate;
mod keys;
mod lease;
mod probe;
mod rates;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, AsyncContext, Context, Handler, MailboxError, Message, ResponseFuture, SpawnHandle,
    Supervised,
};
use callboard_protocol::UserId;
use callboard_providers::{Client, ProviderConfig};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use self::{gate::Admission, probe::Looks};
pub(crate) use self::{
    gate::{Gate, GateReadings, LaneReadings, Want},
    lease::{Lease, Outcome},
};
use crate::{
    keeper::Life,
    mailbox::{Mailbox, Posted},
    metrics::Metrics,
};
pub use gate::Priority;

/// Messages in the mailbox: an `Acquire` is handled in microseconds, so a full mailbox means a
/// stuck actor, and the asker goes to the next provider.
pub(crate) const MAILBOX: usize = 256;

/// How long a caller that found everything taken should wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Longer than the queue may take: an actor that is stuck must not hold its askers.
const STUCK: Duration = Duration::from_secs(1);

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many wait already, or none came free in time.
    Saturated { retry_after: Duration },
    /// The limits of requests or tokens do not allow it in time, or all keys rest.
    RateLimited { retry_after: Duration },
    /// The provider takes none of the keys.
    NoKey { retry_after: Duration },
    /// The breaker is open.
    CircuitOpen { retry_after: Duration },
}

impl Refused {
    /// What [`Refused::as_str`] may say.
    const REASONS: [&'static str; 4] = ["saturated", "rate_limited", "no_key", "circuit_open"];

    /// When to ask again.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            Self::Saturated { retry_after }
            | Self::RateLimited { retry_after }
            | Self::NoKey { retry_after }
            | Self::CircuitOpen { retry_after } => retry_after,
        }
    }

    /// The name, as a metric label and in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Saturated { .. } => "saturated",
            Self::RateLimited { .. } => "rate_limited",
            Self::NoKey { .. } => "no_key",
            Self::CircuitOpen { .. } => "circuit_open",
        }
    }
}

/// Why there is no lease, or no word of the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoLease {
    Refused(Refused),
    /// The actor did not answer.
    Silent,
}

/// Asks for a lease, and for a place among those who wait.
#[derive(Message)]
#[rtype(result = "Result<Lease, Refused>")]
struct Acquire(Wish);

/// Somebody who waits may be served: a lease came back, or time has passed.
#[derive(Message)]
#[rtype(result = "()")]
struct Serve;

/// The way to a provider's leases.
#[derive(Clone)]
pub(crate) struct Entrance {
    gate: Arc<Gate>,
    config: Arc<ProviderConfig>,
    client: Arc<Client>,
    metrics: Metrics,
    /// Stored once: every clone would have a place of its own in the mailbox.
    address: Mailbox<Provider>,
}

impl Entrance {
    pub(crate) fn new(seed: &ProviderSeed, address: Mailbox<Provider>) -> Self {
        Self {
            gate: Arc::clone(&seed.gate),
            config: Arc::clone(&seed.config),
            client: Arc::clone(&seed.client),
            metrics: seed.metrics.clone(),
            address,
        }
    }

    /// The right to make one call; waits for it no longer than the queue and `want` allow.
    pub(crate) async fn acquire(&self, want: Want<'_>) -> Result<Lease, NoLease> {
        let provider = self.config.name.as_str();
        let refused = match self.gate.enter(&want) {
            Admission::Granted(grant) => {
                let (gate, client) = (Arc::clone(&self.gate), Arc::clone(&self.client));
                return Ok(Lease::new(gate, self.address.clone(), client, (&want, grant)));
            }
            Admission::Refused(refused) => refused,
            Admission::Later(_) => {
                let before = Instant::now();
                let longest = self.config.queue_timeout() + STUCK;
                let asked = timeout(longest, self.address.send(Acquire(Wish::of(&want)))).await;
                let waited = &self.metrics.provider_wait;
                waited.with_label_values(&[provider]).observe(before.elapsed().as_secs_f64());
                match asked.unwrap_or(Err(MailboxError::Timeout)) {
                    Ok(Ok(lease)) => return Ok(lease),
                    Ok(Err(refused)) => refused,
                    Err(error) => {
                        tracing::warn!(provider, %error, "provider's actor did not answer");
                        self.metrics.provider_refused(provider, "silent");
                        return Err(NoLease::Silent);
                    }
                }
            }
        };
        let reason = refused.as_str();
        tracing::info!(provider, reason, "provider refused admission");
        self.metrics.provider_refused(provider, reason);
        Err(NoLease::Refused(refused))
    }

    /// How many keys there are; at least 1, also when there is none to show.
    pub(crate) fn key_count(&self) -> usize {
        self.client.key_count()
    }

    /// The actor, for a test to kill.
    #[cfg(test)]
    pub(crate) fn kill(&self) -> &Mailbox<Provider> {
        &self.address
    }

    /// What decides about admission.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Closes the breaker, wakes all keys, and serves those who wait.
    pub(crate) fn reset(&self) {
        self.gate.reset();
        // A full mailbox serves them anyway.
        drop(self.address.try_send(Serve));
    }
}

/// A [`Want`] that travels.
struct Wish {
    model: Box<str>,
    user: UserId,
    tokens: u64,
    deadline: Instant,
    priority: Priority,
}

impl Wish {
    fn of(want: &Want<'_>) -> Self {
        let Want { model, user, tokens, deadline, priority } = *want;
        Self { model: model.into(), user, tokens, deadline, priority }
    }

    fn want(&self) -> Want<'_> {
        let Self { model, user, tokens, deadline, priority } = self;
        Want { model, user: *user, tokens: *tokens, deadline: *deadline, priority: *priority }
    }
}

struct Waiter {
    wish: Wish,
    since: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Lease, Refused>>,
}

impl Waiter {
    /// Whether it goes before those that are not.
    fn is_urgent(&self, now: Instant) -> bool {
        let half = (self.deadline - self.since) / 2;
        self.wish.priority == Priority::Interactive || now >= self.since + half
    }
}

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct ProviderSeed {
    pub(crate) config: Arc<ProviderConfig>,
    client: Arc<Client>,
    metrics: Metrics,
    gate: Arc<Gate>,
}

impl ProviderSeed {
    pub(crate) fn new(config: Arc<ProviderConfig>, client: Arc<Client>, metrics: Metrics) -> Self {
        let gate = Gate::new(Arc::clone(&config), client.key_count(), metrics.clone());
        Self { config, client, metrics, gate: Arc::new(gate) }
    }
}

/// See the module.
pub(crate) struct Provider {
    seed: ProviderSeed,
    life: Life,
    waiting: Vec<Waiter>,
    /// Set for the time when a limit lets the next one through.
    alarm: Option<SpawnHandle>,
    looks: Looks,
}

impl Provider {
    pub(crate) fn new(seed: ProviderSeed, life: Life) -> Self {
        Self { seed, life, waiting: Vec::new(), alarm: None, looks: Looks::default() }
    }

    /// The place of the waiter whose turn it is.
    fn next_place(&self, now: Instant) -> Option<usize> {
        let any_urgent = self.waiting.iter().any(|waiter| waiter.is_urgent(now));
        let counts = |waiter: &Waiter| !any_urgent || waiter.is_urgent(now);
        let places = (0..self.waiting.len()).filter(|at| counts(&self.waiting[*at]));
        let places: Vec<usize> = places.collect();
        let users = places.iter().map(|at| self.waiting[*at].wish.user);
        self.seed.gate.fewest_held(users).map(|nth| places[nth])
    }

    /// Hands leases to those who wait, as far as the gate lets them in; drops those who no longer do.
    fn serve(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.waiting.retain(|waiter| !waiter.reply.is_closed() && waiter.deadline > now);
        let mut later = None;
        while let Some(place) = self.next_place(now) {
            let want = self.waiting[place].wish.want();
            let reply = match self.seed.gate.enter_in_turn(&want, false) {
                Admission::Granted(grant) => Ok(self.lease(&want, grant, ctx)),
                Admission::Refused(refused) => Err(refused),
                Admission::Later(at) => {
                    later = at;
                    break;
                }
            };
            // An asker that just left drops the lease, and somebody else is served.
            drop(self.waiting.remove(place).reply.send(reply));
        }
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        self.alarm = later.map(|at| {
            ctx.run_later(at.saturating_duration_since(now), |provider, ctx| provider.serve(ctx))
        });
        self.publish();
    }

    fn lease(&self, want: &Want<'_>, grant: gate::Grant, ctx: &Context<Self>) -> Lease {
        let (gate, client) = (Arc::clone(&self.seed.gate), Arc::clone(&self.seed.client));
        Lease::new(gate, self.life.mailbox(ctx), client, (want, grant))
    }

    fn publish(&self) {
        self.seed.gate.set_waiting(self.waiting.len());
        let depth = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        let actor = format!("provider:{}", self.seed.config.name);
        self.seed.metrics.actor_mailbox_depth.with_label_values(&[&actor]).set(depth);
    }
}

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish();
        probe::arm(self, ctx);
    }
}

impl Supervised for Provider {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        *self = Self::new(self.seed.clone(), self.life.clone());
        self.publish();
        probe::arm(self, ctx);
    }
}

impl Handler<Posted<Acquire>> for Provider {
    type Result = ResponseFuture<Result<Lease, Refused>>;

    fn handle(&mut self, posted: Posted<Acquire>, ctx: &mut Self::Context) -> Self::Result {
        let Acquire(wish) = posted.open();
        let answer = |reply| Box::pin(std::future::ready(reply));
        self.serve(ctx);
        let saturated = Refused::Saturated { retry_after: RETRY_AFTER };
        if self.waiting.is_empty() {
            let want = wish.want();
            match self.seed.gate.enter_in_turn(&want, true) {
                Admission::Granted(grant) => return answer(Ok(self.lease(&want, grant, ctx))),
                Admission::Refused(refused) => return answer(Err(refused)),
                Admission::Later(_) => {}
            }
        }
        if self.waiting.len() >= self.seed.config.max_queue as usize {
            self.publish();
            return answer(Err(saturated));
        }
        let (reply, served) = oneshot::channel();
        let now = Instant::now();
        let deadline = wish.deadline.min(now + self.seed.config.queue_timeout());
        self.waiting.push(Waiter { wish, since: now, deadline, reply });
        // Arms the alarm, when it is a limit that it waits for.
        self.serve(ctx);
        Box::pin(async move {
            match timeout_at(deadline, served).await {
                Ok(Ok(reply)) => reply,
                // Nothing came free in time, or the actor was restarted.
                Ok(Err(_)) | Err(_) => Err(saturated),
            }
        })
    }
}

impl Handler<Posted<Serve>> for Provider {
    type Result = ();

    fn handle(&mut self, _: Posted<Serve>, ctx: &mut Self::Context) {
        self.serve(ctx);
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
