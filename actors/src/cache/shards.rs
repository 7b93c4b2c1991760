//! All shards of one kind.

use std::{sync::Arc, time::Duration};

use actix::ArbiterHandle;
use callboard_protocol::{ErrorCode, ShardStats};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    Kind, Shelf,
    shard::{self, CacheShard, Found, Invalidate, Lookup, Observe, ShardSeed},
};
use crate::{
    keeper::{Keeper, Placement},
    mailbox::Mailbox,
    metrics::Metrics,
};

/// A shard answers in microseconds; one that takes longer is being restarted, and the asker goes on
/// without the cache.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// See the module. A cheap clone.
pub(crate) struct Shards<K: Kind> {
    shards: Arc<[Shard<K>]>,
}

struct Shard<K: Kind> {
    shelf: Arc<Shelf<K::Value>>,
    actor: Mailbox<CacheShard<K>>,
}

impl<K: Kind> Clone for Shards<K> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards) }
    }
}

/// How many shards, and what they may hold together.
pub(crate) struct Room {
    pub(crate) shards: usize,
    pub(crate) max_bytes: u64,
}

impl<K: Kind> Shards<K> {
    /// Starts them, spread over the arbiters.
    pub(crate) fn start(
        room: &Room,
        keeper: &Keeper,
        metrics: &Metrics,
        arbiters: &[ArbiterHandle],
    ) -> Self {
        let count = room.shards.max(1);
        let max_bytes = room.max_bytes / count as u64;
        let start = |(number, arbiter): (usize, &ArbiterHandle)| {
            let shelf = Arc::new(Shelf::new(max_bytes, metrics));
            let (kept, metrics) = (Arc::clone(&shelf), metrics.clone());
            let name = format!("{}:{number}", K::NAME);
            let placement = Placement::on(arbiter, shard::MAILBOX);
            let actor = keeper.keep(name, placement, move |life| {
                CacheShard::new(ShardSeed { number, shelf: kept, metrics }, life)
            });
            Shard { shelf, actor }
        };
        Self { shards: (0..count).zip(arbiters.iter().cycle()).map(start).collect() }
    }

    fn shard(&self, key: &str) -> &Shard<K> {
        let hash = key
            .bytes()
            .rev()
            .take(8)
            .fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.shards[hash % self.shards.len()]
    }

    /// The value of a key, and its age; without a message.
    pub(crate) fn get(&self, key: &str) -> Option<(Arc<K::Value>, Duration)> {
        self.shard(key).shelf.get(key)
    }

    /// Looks a value up; `None` when the shard cannot say, and the asker goes on without it.
    pub(crate) async fn lookup(&self, lookup: Lookup<K>) -> Option<Found<K>> {
        let asked = self.shard(&lookup.key).actor.send(lookup);
        timeout(ASK_TIMEOUT, asked).await.ok()?.ok()
    }

    /// The figures of every shard.
    pub(crate) async fn stats(&self) -> Result<Vec<ShardStats>, ErrorCode> {
        let asked = self.shards.iter().map(|shard| timeout(ASK_TIMEOUT, shard.actor.send(Observe)));
        let stats = join_all(asked).await.into_iter();
        let stats = stats.map(|stats| stats.ok().and_then(Result::ok));
        stats.collect::<Option<_>>().ok_or(ErrorCode::Overloaded)
    }

    /// Drops the entries whose key fits `pattern`; answers how many.
    pub(crate) async fn invalidate(&self, pattern: &Arc<str>) -> Result<u64, ErrorCode> {
        let asked = self
            .shards
            .iter()
            .map(|shard| timeout(ASK_TIMEOUT, shard.actor.send(Invalidate(Arc::clone(pattern)))));
        let mut entries = 0;
        for dropped in join_all(asked).await {
            entries += dropped.ok().and_then(Result::ok).ok_or(ErrorCode::Overloaded)?;
        }
        Ok(entries)
    }
}
