//! What a cache holds in memory: entries with a lifetime, the least recently used of them given up
//! for new ones. Read by whoever looks for an entry, without a message; changed by its shard alone.

use std::{sync::Arc, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use tokio::time::Instant;

use super::Value;
use crate::metrics::Metrics;

/// What an entry costs beside its key and its value.
const ENTRY_OVERHEAD: u64 = 256;

/// See the module.
pub(crate) struct Shelf<V> {
    max_bytes: u64,
    books: Books,
    held: Mutex<Held<V>>,
}

struct Held<V> {
    entries: LruCache<Arc<str>, Entry<V>>,
    figures: Figures,
}

struct Entry<V> {
    value: Arc<V>,
    stored: Instant,
    expires: Instant,
    bytes: u64,
}

/// What a shelf holds, and how it was used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) evictions: u64,
}

/// The metrics that change with every use.
struct Books {
    hits: IntCounter,
    fills: IntCounter,
    evictions: IntCounter,
    keys: IntGauge,
    bytes: IntGauge,
}

impl<V: Value> Shelf<V> {
    pub(crate) fn new(max_bytes: u64, metrics: &Metrics) -> Self {
        let of = |op: &str, result: &str| metrics.cache_operations.with_label_values(&[op, result]);
        let books = Books {
            hits: of("lookup", "hit"),
            fills: of("fill", "ok"),
            evictions: of("evict", "ok"),
            keys: metrics.cache_keys.clone(),
            bytes: metrics.cache_bytes.clone(),
        };
        let held = Held { entries: LruCache::unbounded(), figures: Figures::default() };
        Self { max_bytes, books, held: Mutex::new(held) }
    }

    /// What it may hold, in bytes.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The value of a key, and how long it has been here.
    pub(crate) fn get(&self, key: &str) -> Option<(Arc<V>, Duration)> {
        let now = Instant::now();
        let mut held = self.held.lock();
        let entry = held.entries.get(key)?;
        if entry.expires <= now {
            self.remove(&mut held, key);
            return None;
        }
        let found = (Arc::clone(&entry.value), now - entry.stored);
        held.figures.hits += 1;
        self.books.hits.inc();
        Some(found)
    }

    /// Keeps a value for `lifetime`; one that is too large for the whole shelf is not kept.
    pub(crate) fn put(&self, key: Arc<str>, value: Arc<V>, lifetime: Duration) {
        let bytes = ENTRY_OVERHEAD + key.len() as u64 + value.bytes();
        if lifetime.is_zero() || bytes > self.max_bytes {
            return;
        }
        let mut held = self.held.lock();
        self.remove(&mut held, &key);
        while held.figures.bytes + bytes > self.max_bytes {
            let Some((_, oldest)) = held.entries.pop_lru() else { break };
            self.forget(&mut held, &oldest);
            held.figures.evictions += 1;
            self.books.evictions.inc();
        }
        let stored = Instant::now();
        held.entries.put(key, Entry { value, stored, expires: stored + lifetime, bytes });
        held.figures.bytes += bytes;
        self.books.keys.inc();
        self.books.bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.books.fills.inc();
    }

    /// Drops the entries whose key fits the pattern; answers how many.
    pub(crate) fn drop_fitting(&self, pattern: &str) -> u64 {
        let mut held = self.held.lock();
        let keys = held.entries.iter().map(|(key, _)| key);
        let fits: Vec<Arc<str>> = keys.filter(|key| super::fits(pattern, key)).cloned().collect();
        for key in &fits {
            self.remove(&mut held, key);
        }
        fits.len() as u64
    }

    /// What it holds now.
    pub(crate) fn figures(&self) -> Figures {
        let held = self.held.lock();
        Figures { entries: held.entries.len() as u64, ..held.figures }
    }

    fn remove(&self, held: &mut Held<V>, key: &str) {
        if let Some(entry) = held.entries.pop(key) {
            self.forget(held, &entry);
        }
    }

    fn forget(&self, held: &mut Held<V>, entry: &Entry<V>) {
        held.figures.bytes = held.figures.bytes.saturating_sub(entry.bytes);
        self.books.keys.dec();
        self.books.bytes.sub(i64::try_from(entry.bytes).unwrap_or(i64::MAX));
    }
}
