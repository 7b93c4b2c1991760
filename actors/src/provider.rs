//! Admission to one LLM provider: how many calls at once, who is next, and whether at all.
//!
//! `run_turn` asks with [`Acquire`] and gets a [`Lease`] or [`Refused`]; the call itself is made by
//! the holder of the lease, outside the actor. Dropping the lease reports its outcome, on every
//! path. The request queue is the actor's mailbox ([`MAILBOX`] messages; a full one refuses) and
//! an ordered wait list of at most `max_queue`, each with a deadline; the next lease goes to the
//! waiter whose user holds the fewest.
//!
//! A panic costs the wait list (its askers are refused and go to the next provider) and resets
//! the breaker; leases that are out stay counted, since their count lives outside the actor.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture, Supervised,
};
use callboard_protocol::{CircuitState, UserId};
use callboard_providers::{Client, ProviderConfig};
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    breaker::{Breaker, BreakerPolicy, Spell},
    metrics::Metrics,
};

/// Messages in the mailbox: an `Acquire` is handled in microseconds, so a full mailbox means a
/// stuck actor, and the asker goes to the next provider.
pub(crate) const MAILBOX: usize = 256;

/// How long a caller that found everything taken should wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Asks for the right to make one call.
#[derive(Message)]
#[rtype(result = "Result<Lease, Refused>")]
pub(crate) struct Acquire {
    /// Who asks: leases are shared out fairly between users.
    pub(crate) user: UserId,
    /// When the asker stops waiting.
    pub(crate) deadline: Instant,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many wait already, or none came free in time.
    Saturated { retry_after: Duration },
    /// The breaker is open.
    CircuitOpen { retry_after: Duration },
}

impl Refused {
    /// When to ask again.
    pub(crate) fn retry_after(self) -> Duration {
        match self {
            Self::Saturated { retry_after } | Self::CircuitOpen { retry_after } => retry_after,
        }
    }
}

/// What a call says about its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered.
    Answered,
    /// It failed, by its own fault.
    Failed,
    /// Nothing: the reader cancelled, or the request itself was bad.
    Unknown,
}

/// The right to make one call, until it is dropped.
pub(crate) struct Lease {
    /// A clone of its own, which has one place in the mailbox of its own: reporting never fails
    /// for want of room.
    provider: Addr<Provider>,
    user: UserId,
    outcome: Outcome,
    spell: Spell,
    in_flight: Arc<AtomicUsize>,
    /// Makes the call.
    pub(crate) client: Arc<Client>,
    /// The number of the key to make it with.
    pub(crate) key: usize,
}

impl Lease {
    /// Says how the call went; without it the outcome is [`Outcome::Unknown`].
    pub(crate) fn report(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        let released = Released { user: self.user, spell: self.spell, outcome: self.outcome };
        if self.provider.try_send(released).is_err() {
            tracing::warn!("a lease came back to a provider that is gone");
        }
    }
}

/// Sent by a lease that was dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Released {
    user: UserId,
    spell: Spell,
    outcome: Outcome,
}

/// Asks how the provider is.
#[derive(Message)]
#[rtype(result = "ProviderReadings")]
pub(crate) struct Observe;

/// How the provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProviderReadings {
    pub(crate) circuit: CircuitState,
    pub(crate) in_flight: usize,
    pub(crate) queued: usize,
}

struct Waiter {
    user: UserId,
    deadline: Instant,
    reply: oneshot::Sender<Result<Lease, Refused>>,
}

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct ProviderSeed {
    pub(crate) config: Arc<ProviderConfig>,
    pub(crate) client: Arc<Client>,
    pub(crate) metrics: Metrics,
    in_flight: Arc<AtomicUsize>,
    /// Keys take turns.
    next_key: Arc<AtomicUsize>,
    /// Leases held, by user; a user without leases is not in it.
    held: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl ProviderSeed {
    pub(crate) fn new(config: Arc<ProviderConfig>, client: Arc<Client>, metrics: Metrics) -> Self {
        Self {
            config,
            client,
            metrics,
            in_flight: Arc::default(),
            next_key: Arc::default(),
            held: Arc::default(),
        }
    }

    /// Leases that are out, for others to read.
    pub(crate) fn in_flight(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.in_flight)
    }
}

/// See the module.
pub(crate) struct Provider {
    seed: ProviderSeed,
    breaker: Breaker,
    waiting: Vec<Waiter>,
}

impl Provider {
    pub(crate) fn new(seed: ProviderSeed) -> Self {
        let breaker = &seed.config.breaker;
        let policy = BreakerPolicy {
            window: breaker.window as usize,
            min_calls: breaker.min_calls as usize,
            failure_rate: breaker.failure_rate,
            open_for: Duration::from_millis(breaker.open_ms),
        };
        Self { breaker: Breaker::new(policy), waiting: Vec::new(), seed }
    }

    fn has_room(&self) -> bool {
        self.seed.in_flight.load(Ordering::Acquire) < self.seed.config.max_concurrency as usize
    }

    fn lease(&mut self, user: UserId, spell: Spell, provider: Addr<Self>) -> Lease {
        self.seed.in_flight.fetch_add(1, Ordering::AcqRel);
        *self.seed.held.lock().entry(user).or_default() += 1;
        Lease {
            provider,
            user,
            outcome: Outcome::Unknown,
            spell,
            in_flight: Arc::clone(&self.seed.in_flight),
            client: Arc::clone(&self.seed.client),
            key: self.seed.next_key.fetch_add(1, Ordering::Relaxed) % self.seed.client.key_count(),
        }
    }

    /// The waiter whose user holds the fewest leases; among those the one who came first.
    fn next_waiter(&mut self) -> Option<Waiter> {
        let held = self.seed.held.lock();
        let fewest = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(place, waiter)| (held.get(&waiter.user).copied().unwrap_or(0), *place))
            .map(|(place, _)| place)?;
        drop(held);
        Some(self.waiting.remove(fewest))
    }

    /// Hands free leases to those who wait; drops those who no longer do.
    fn serve(&mut self, address: &Addr<Self>) {
        let now = Instant::now();
        self.waiting.retain(|waiter| !waiter.reply.is_closed() && waiter.deadline > now);
        while self.has_room() {
            let Some(waiter) = self.next_waiter() else { break };
            let reply = match self.breaker.admit(now) {
                Ok(spell) => Ok(self.lease(waiter.user, spell, address.clone())),
                Err(retry_after) => Err(Refused::CircuitOpen { retry_after }),
            };
            // An asker that just left drops the lease, which comes back as `Released`.
            drop(waiter.reply.send(reply));
        }
        self.publish();
    }

    fn publish(&self) {
        let name = &self.seed.config.name;
        self.seed.metrics.set_breaker(name, self.breaker.state(Instant::now()));
        let depth = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        let actor = format!("provider:{name}");
        self.seed.metrics.actor_mailbox_depth.with_label_values(&[&actor]).set(depth);
    }
}

impl Actor for Provider {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.publish();
    }
}

impl Supervised for Provider {
    fn restarting(&mut self, _: &mut Self::Context) {
        *self = Self::new(self.seed.clone());
        self.publish();
    }
}

impl Handler<Acquire> for Provider {
    type Result = ResponseFuture<Result<Lease, Refused>>;

    fn handle(&mut self, asked: Acquire, ctx: &mut Self::Context) -> Self::Result {
        let address = ctx.address();
        self.serve(&address);
        // While it is open nobody need wait for a place: the next provider is asked.
        if let Some(retry_after) = self.breaker.refuses(Instant::now()) {
            return Box::pin(std::future::ready(Err(Refused::CircuitOpen { retry_after })));
        }
        if self.waiting.is_empty() && self.has_room() {
            let reply = match self.breaker.admit(Instant::now()) {
                Ok(spell) => Ok(self.lease(asked.user, spell, address)),
                Err(retry_after) => Err(Refused::CircuitOpen { retry_after }),
            };
            self.publish();
            return Box::pin(std::future::ready(reply));
        }
        let saturated = Refused::Saturated { retry_after: RETRY_AFTER };
        if self.waiting.len() >= self.seed.config.max_queue as usize {
            return Box::pin(std::future::ready(Err(saturated)));
        }
        let (reply, answer) = oneshot::channel();
        let longest = Instant::now() + self.seed.config.queue_timeout();
        let deadline = asked.deadline.min(longest);
        self.waiting.push(Waiter { user: asked.user, deadline, reply });
        self.publish();
        Box::pin(async move {
            match timeout_at(deadline, answer).await {
                Ok(Ok(reply)) => reply,
                // Nothing came free in time, or the actor was restarted.
                Ok(Err(_)) | Err(_) => Err(saturated),
            }
        })
    }
}

impl Handler<Released> for Provider {
    type Result = ();

    fn handle(&mut self, released: Released, ctx: &mut Self::Context) {
        {
            let mut held = self.seed.held.lock();
            if let Some(leases) = held.get_mut(&released.user) {
                *leases = leases.saturating_sub(1);
                if *leases == 0 {
                    held.remove(&released.user);
                }
            }
        }
        let outcome = match released.outcome {
            Outcome::Answered => Some(true),
            Outcome::Failed => Some(false),
            Outcome::Unknown => None,
        };
        self.breaker.record(Instant::now(), released.spell, outcome);
        let address = ctx.address();
        self.serve(&address);
    }
}

impl Handler<Observe> for Provider {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, ctx: &mut Self::Context) -> Self::Result {
        let address = ctx.address();
        self.serve(&address);
        MessageResult(ProviderReadings {
            circuit: self.breaker.state(Instant::now()),
            in_flight: self.seed.in_flight.load(Ordering::Acquire),
            queued: self.waiting.len(),
        })
    }
}

#[cfg(test)]
mod tests;
