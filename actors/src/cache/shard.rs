//! One shard of a cache: single-flight over a [`Shelf`].
//!
//! A look-up is answered `Hit`, `Fill` (the asker makes the value and holds the permit) or
//! `Joined` (another makes it: follow it). The permit stores the value, or frees the key when it is
//! dropped without one, and then whoever joined asks again. Messages are handled in microseconds;
//! the mailbox takes [`MAILBOX`], and an asker that meets a full one goes on without the cache. A
//! panic costs the flights of this shard, never a value: permits that are out stay valid, and what
//! they bring is not kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message, MessageResult, Supervised};
use callboard_protocol::ShardStats;

use super::{Kind, Shelf};
use crate::{
    keeper::Life,
    mailbox::{Mailbox, Posted},
    metrics::Metrics,
};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 256;

/// Asks for a value.
pub(crate) struct Lookup<K: Kind> {
    pub(crate) key: Arc<str>,
    /// What others follow if the asker becomes the one that makes the value.
    pub(crate) flight: Arc<K::Flight>,
    /// Whether one that is there already will not do.
    pub(crate) anew: bool,
}

impl<K: Kind> Message for Lookup<K> {
    type Result = Found<K>;
}

/// What a look-up found.
pub(crate) enum Found<K: Kind> {
    /// The value, stored `age` ago.
    Hit { value: Arc<K::Value>, age: Duration },
    /// Nobody has it: make it, and fill the permit.
    Fill(FillPermit<K>),
    /// Another one makes it: follow.
    Joined(Arc<K::Flight>),
}

/// The duty to make a value.
pub(crate) struct FillPermit<K: Kind> {
    /// Has a place in the mailbox of its own, so that a dropped permit is never lost.
    shard: Mailbox<CacheShard<K>>,
    key: Arc<str>,
    flight: u64,
    filled: bool,
}

impl<K: Kind> FillPermit<K> {
    /// Stores the value for `lifetime`. `remote` says that it came from the second level.
    /// Answers whether it was kept: not when it was invalidated while it was made.
    pub(crate) async fn fill(
        mut self,
        value: Arc<K::Value>,
        lifetime: Duration,
        remote: bool,
    ) -> bool {
        self.filled = true;
        let (key, flight) = (Arc::clone(&self.key), self.flight);
        let filled = Filled::<K> { key, flight, value: Some((value, lifetime, remote)) };
        self.shard.send(filled).await.unwrap_or(false)
    }
}

impl<K: Kind> Drop for FillPermit<K> {
    fn drop(&mut self) {
        if !self.filled {
            let key = Arc::clone(&self.key);
            let filled = Filled::<K> { key, flight: self.flight, value: None };
            drop(self.shard.try_send(filled));
        }
    }
}

struct Filled<K: Kind> {
    key: Arc<str>,
    flight: u64,
    value: Option<(Arc<K::Value>, Duration, bool)>,
}

impl<K: Kind> Message for Filled<K> {
    type Result = bool;
}

/// Asks for the shard's figures.
#[derive(Message)]
#[rtype(result = "ShardStats")]
pub(crate) struct Observe;

/// Drops the entries whose key fits the pattern; answers how many.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Invalidate(pub(crate) Arc<str>);

struct Flight<K: Kind> {
    number: u64,
    followed: Arc<K::Flight>,
}

/// What outlives a restart of the actor.
pub(crate) struct ShardSeed<K: Kind> {
    pub(crate) number: usize,
    pub(crate) shelf: Arc<Shelf<K::Value>>,
    pub(crate) metrics: Metrics,
}

/// See the module.
pub(crate) struct CacheShard<K: Kind> {
    seed: ShardSeed<K>,
    life: Life,
    flights: HashMap<Arc<str>, Flight<K>>,
    next_flight: u64,
    /// Those that the shelf does not count.
    stats: ShardStats,
}

impl<K: Kind> CacheShard<K> {
    pub(crate) fn new(seed: ShardSeed<K>, life: Life) -> Self {
        let stats = ShardStats {
            shard: seed.number,
            kind: K::KIND,
            capacity_bytes: seed.shelf.max_bytes(),
            ..ShardStats::default()
        };
        Self { seed, life, flights: HashMap::new(), next_flight: 0, stats }
    }

    fn count(&self, op: &str, result: &str) {
        self.seed.metrics.cache_operations.with_label_values(&[op, result]).inc();
    }
}

impl<K: Kind> Actor for CacheShard<K> {
    type Context = Context<Self>;
}

impl<K: Kind> Supervised for CacheShard<K> {
    fn restarting(&mut self, _: &mut Self::Context) {
        // Numbers go on, so that a permit of before cannot pass for one of now.
        self.flights.clear();
    }
}

impl<K: Kind> Handler<Posted<Lookup<K>>> for CacheShard<K> {
    type Result = MessageResult<Posted<Lookup<K>>>;

    fn handle(&mut self, posted: Posted<Lookup<K>>, ctx: &mut Self::Context) -> Self::Result {
        let Lookup { key, flight, anew } = posted.open();
        // It may have been stored since the asker looked.
        if !anew && let Some((value, age)) = self.seed.shelf.get(&key) {
            return MessageResult(Found::Hit { value, age });
        }
        if let Some(other) = self.flights.get(&key)
            && !Arc::ptr_eq(&other.followed, &flight)
        {
            self.stats.joined += 1;
            self.count("lookup", "joined");
            return MessageResult(Found::Joined(Arc::clone(&other.followed)));
        }
        self.stats.misses += 1;
        self.count("lookup", "miss");
        self.next_flight += 1;
        let number = self.next_flight;
        self.flights.insert(Arc::clone(&key), Flight { number, followed: flight });
        let shard = self.life.mailbox(ctx);
        MessageResult(Found::Fill(FillPermit { shard, key, flight: number, filled: false }))
    }
}

impl<K: Kind> Handler<Posted<Filled<K>>> for CacheShard<K> {
    type Result = bool;

    fn handle(&mut self, posted: Posted<Filled<K>>, _: &mut Self::Context) -> bool {
        let filled = posted.open();
        // A flight that was invalidated, or lost in a restart, leaves nothing behind.
        if self.flights.get(&filled.key).is_none_or(|flight| flight.number != filled.flight) {
            return false;
        }
        self.flights.remove(&filled.key);
        let Some((value, lifetime, remote)) = filled.value else { return false };
        self.stats.remote_hits += u64::from(remote);
        self.seed.shelf.put(filled.key, value, lifetime);
        true
    }
}

impl<K: Kind> Handler<Posted<Observe>> for CacheShard<K> {
    type Result = MessageResult<Posted<Observe>>;

    fn handle(&mut self, _: Posted<Observe>, _: &mut Self::Context) -> Self::Result {
        let held = self.seed.shelf.figures();
        MessageResult(ShardStats {
            entries: held.entries,
            bytes: held.bytes,
            hits: held.hits,
            evictions: held.evictions,
            filling: self.flights.len() as u64,
            ..self.stats.clone()
        })
    }
}

impl<K: Kind> Handler<Posted<Invalidate>> for CacheShard<K> {
    type Result = u64;

    fn handle(&mut self, posted: Posted<Invalidate>, _: &mut Self::Context) -> u64 {
        let Invalidate(pattern) = posted.open();
        let dropped = self.seed.shelf.drop_fitting(&pattern);
        // What is being made now rests on what is being dropped: it will not be kept.
        self.flights.retain(|key, _| !super::fits(&pattern, key));
        self.count("invalidate", "ok");
        dropped
    }
}

#[cfg(test)]
mod tests;
