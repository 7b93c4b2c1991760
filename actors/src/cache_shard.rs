//! One shard of the answer cache: single-flight over a byte-bounded map in memory.
//!
//! A look-up is answered `Hit`, `Fill` (the asker makes the answer and holds the permit) or
//! `Joined` (another makes it: read along in its log). The permit stores the answer, or frees the
//! key when it is dropped without one, and then whoever joined asks again. Messages are handled
//! in microseconds; the mailbox takes [`MAILBOX`], and an asker that meets a full one goes on
//! without the cache. A panic costs the entries of this shard, never an answer: permits that are
//! out stay valid.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, Supervised};
use callboard_protocol::ShardStats;
use lru::LruCache;
use tokio::time::Instant;

use crate::{cache::CachedAnswer, metrics::Metrics, turn_log::TurnLog};

/// Messages in the mailbox.
pub(crate) const MAILBOX: usize = 256;

/// What an entry costs beside its key and its answer.
const ENTRY_OVERHEAD: u64 = 256;

/// Asks for an answer.
#[derive(Message)]
#[rtype(result = "Found")]
pub(crate) struct Lookup {
    pub(crate) key: Arc<str>,
    /// The log of the asking turn: others read along in it if it becomes the one that answers.
    pub(crate) asker: Arc<TurnLog>,
}

/// What a look-up found.
pub(crate) enum Found {
    /// The answer, made `age` ago.
    Hit { answer: Arc<CachedAnswer>, age: Duration },
    /// Nobody has it: make it, and fill the permit.
    Fill(FillPermit),
    /// Another turn makes it: read along.
    Joined(Arc<TurnLog>),
}

/// The duty to make an answer.
pub(crate) struct FillPermit {
    /// Has a place in the mailbox of its own, so that a dropped permit is never lost.
    shard: Addr<CacheShard>,
    key: Arc<str>,
    flight: u64,
    filled: bool,
}

impl FillPermit {
    /// Stores the answer for `lifetime`. `remote` says that it came from the second level.
    /// Answers whether it was kept: not when it was invalidated while it was made.
    pub(crate) async fn fill(
        mut self,
        answer: Arc<CachedAnswer>,
        lifetime: Duration,
        remote: bool,
    ) -> bool {
        self.filled = true;
        let (key, flight) = (Arc::clone(&self.key), self.flight);
        let filled = Filled { key, flight, answer: Some((answer, lifetime, remote)) };
        self.shard.send(filled).await.unwrap_or(false)
    }
}

impl Drop for FillPermit {
    fn drop(&mut self) {
        if !self.filled {
            let filled = Filled { key: Arc::clone(&self.key), flight: self.flight, answer: None };
            drop(self.shard.try_send(filled));
        }
    }
}

#[derive(Message)]
#[rtype(result = "bool")]
struct Filled {
    key: Arc<str>,
    flight: u64,
    answer: Option<(Arc<CachedAnswer>, Duration, bool)>,
}

/// Asks for the shard's figures.
#[derive(Message)]
#[rtype(result = "ShardStats")]
pub(crate) struct Observe;

/// Drops the entries whose key fits the pattern; answers how many.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Invalidate(pub(crate) Arc<str>);

struct Entry {
    answer: Arc<CachedAnswer>,
    stored: Instant,
    expires: Instant,
    bytes: u64,
}

struct Flight {
    number: u64,
    log: Arc<TurnLog>,
}

/// What outlives a restart of the actor.
#[derive(Clone)]
pub(crate) struct ShardSeed {
    pub(crate) number: usize,
    pub(crate) max_bytes: u64,
    pub(crate) metrics: Metrics,
}

/// See the module.
pub(crate) struct CacheShard {
    seed: ShardSeed,
    entries: LruCache<Arc<str>, Entry>,
    flights: HashMap<Arc<str>, Flight>,
    next_flight: u64,
    stats: ShardStats,
}

impl CacheShard {
    pub(crate) fn new(seed: ShardSeed) -> Self {
        let stats = ShardStats {
            shard: seed.number,
            capacity_bytes: seed.max_bytes,
            ..ShardStats::default()
        };
        Self {
            seed,
            entries: LruCache::unbounded(),
            flights: HashMap::new(),
            next_flight: 0,
            stats,
        }
    }

    fn count(&self, op: &str, result: &str) {
        self.seed.metrics.cache_operations.with_label_values(&[op, result]).inc();
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.pop(key) {
            self.forget(&entry);
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.stats.bytes = self.stats.bytes.saturating_sub(entry.bytes);
        self.seed.metrics.cache_keys.dec();
        self.seed.metrics.cache_bytes.sub(i64::try_from(entry.bytes).unwrap_or(i64::MAX));
    }

    fn store(&mut self, key: Arc<str>, answer: Arc<CachedAnswer>, lifetime: Duration) {
        let bytes = ENTRY_OVERHEAD + key.len() as u64 + answer.bytes();
        if lifetime.is_zero() || bytes > self.seed.max_bytes {
            return;
        }
        self.remove(&key);
        while self.stats.bytes + bytes > self.seed.max_bytes {
            let Some((_, oldest)) = self.entries.pop_lru() else { break };
            self.forget(&oldest);
            self.stats.evictions += 1;
            self.count("evict", "ok");
        }
        let stored = Instant::now();
        self.entries.put(key, Entry { answer, stored, expires: stored + lifetime, bytes });
        self.stats.bytes += bytes;
        self.seed.metrics.cache_keys.inc();
        self.seed.metrics.cache_bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.count("fill", "ok");
    }

    fn forget_all(&mut self) {
        while let Some((_, entry)) = self.entries.pop_lru() {
            self.forget(&entry);
        }
    }
}

impl Actor for CacheShard {
    type Context = Context<Self>;
}

impl Supervised for CacheShard {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.forget_all();
        // Numbers go on, so that a permit of before cannot pass for one of now.
        let next_flight = self.next_flight;
        *self = Self { next_flight, ..Self::new(self.seed.clone()) };
    }
}

impl Handler<Lookup> for CacheShard {
    type Result = MessageResult<Lookup>;

    fn handle(&mut self, lookup: Lookup, ctx: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        let found = self.entries.get(&lookup.key).map(|entry| {
            (entry.expires > now)
                .then(|| Found::Hit { answer: Arc::clone(&entry.answer), age: now - entry.stored })
        });
        match found {
            Some(Some(hit)) => {
                self.stats.hits += 1;
                self.count("lookup", "hit");
                return MessageResult(hit);
            }
            Some(None) => self.remove(&lookup.key),
            None => {}
        }
        if let Some(flight) = self.flights.get(&lookup.key)
            && flight.log.turn_id() != lookup.asker.turn_id()
        {
            self.stats.joined += 1;
            self.count("lookup", "joined");
            return MessageResult(Found::Joined(Arc::clone(&flight.log)));
        }
        self.stats.misses += 1;
        self.count("lookup", "miss");
        self.next_flight += 1;
        let flight = Flight { number: self.next_flight, log: lookup.asker };
        self.flights.insert(Arc::clone(&lookup.key), flight);
        MessageResult(Found::Fill(FillPermit {
            shard: ctx.address(),
            key: lookup.key,
            flight: self.next_flight,
            filled: false,
        }))
    }
}

impl Handler<Filled> for CacheShard {
    type Result = bool;

    fn handle(&mut self, filled: Filled, _: &mut Self::Context) -> bool {
        // A flight that was invalidated, or lost in a restart, leaves nothing behind.
        if self.flights.get(&filled.key).is_none_or(|flight| flight.number != filled.flight) {
            return false;
        }
        self.flights.remove(&filled.key);
        let Some((answer, lifetime, remote)) = filled.answer else { return false };
        self.stats.remote_hits += u64::from(remote);
        self.store(filled.key, answer, lifetime);
        true
    }
}

impl Handler<Observe> for CacheShard {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        self.stats.entries = self.entries.len() as u64;
        self.stats.filling = self.flights.len() as u64;
        MessageResult(self.stats.clone())
    }
}

impl Handler<Invalidate> for CacheShard {
    type Result = u64;

    fn handle(&mut self, Invalidate(pattern): Invalidate, _: &mut Self::Context) -> u64 {
        let fits: Vec<Arc<str>> = self
            .entries
            .iter()
            .filter(|(key, _)| crate::cache::fits(&pattern, key))
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in &fits {
            self.remove(key);
        }
        // Answers being made now rest on what is being dropped: they will not be kept.
        self.flights.retain(|key, _| !crate::cache::fits(&pattern, key));
        self.count("invalidate", "ok");
        fits.len() as u64
    }
}

#[cfg(test)]
mod tests;
