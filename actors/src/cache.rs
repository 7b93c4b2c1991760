//! The answer cache as the rest of the system sees it: keys, shards, and the second level.

use std::{sync::Arc, time::Duration};

use actix::{Addr, ArbiterHandle};
use callboard_protocol::{
    CacheHealth, CacheLifetime, CacheStats, ClientError, Dependency, ErrorCode, Evidence,
    FinishReason, Health, Invalidated, LineId, TaskType, Timestamp,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::{
    cache_shard::{self, CacheShard, Found, Invalidate, Lookup, Observe, ShardSeed},
    config::CacheConfig,
    keeper::{Keeper, Placement},
    metrics::Metrics,
    remote_cache::RemoteCache,
    turn_log::TurnLog,
};

/// A shard answers in microseconds; one that takes longer is being restarted, and the turn goes on
/// without the cache.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// The longest pattern for `invalidate`.
const MAX_PATTERN: usize = 256;

/// An answer as the cache keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedAnswer {
    /// Markdown. Its citations are found again in the evidence, which is the same.
    pub response: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Who made it.
    pub provider: String,
    /// Who made it.
    pub model: String,
}

impl CachedAnswer {
    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        let names = self.provider.len() + self.model.len();
        (size_of::<Self>() + self.response.len() + names) as u64
    }
}

/// Everything that shapes an answer; two questions with the same key have the same answer.
#[derive(Serialize)]
pub(crate) struct KeyParts<'a> {
    pub(crate) question: &'a str,
    pub(crate) context: Option<&'a str>,
    pub(crate) system: &'a str,
    pub(crate) model: Option<&'a str>,
    /// The conversation so far, as the model would see it.
    pub(crate) history: &'a [String],
    /// What the engine found, so that an answer never outlives its evidence.
    #[serde(serialize_with = "fingerprint")]
    pub(crate) evidence: Option<&'a Evidence>,
    /// The configured chain, so that a new configuration asks anew.
    pub(crate) chain: &'a [String],
}

/// What an answer can be told from: all but the figures that change with lines that do not match
/// (the generation of the index, and how many lines were searched), so that the server's own log
/// does not void every answer each second. The searched span counts to the minute.
fn fingerprint<S: Serializer>(evidence: &Option<&Evidence>, to: S) -> Result<S::Ok, S::Error> {
    let minute = |at: Option<Timestamp>| at.map(|at| at.as_millis().div_euclid(60_000));
    evidence
        .map(|evidence| {
            let searched = &evidence.searched;
            let lines: Vec<LineId> = evidence.lines.iter().map(|line| line.id).collect();
            (
                (&searched.query, minute(searched.range.from), minute(searched.range.to)),
                (searched.matched, searched.counted, searched.covered),
                (&evidence.rankings, &evidence.levels, lines),
            )
        })
        .serialize(to)
}

/// `task_type:hash`: invalidation by pattern can name a task type.
pub(crate) fn key(
    task_type: TaskType,
    parts: &KeyParts<'_>,
) -> Result<Arc<str>, serde_json::Error> {
    let digest = Sha256::digest(serde_json::to_vec(parts)?);
    let mut key = format!("{}:", task_type.as_str());
    for byte in digest {
        use std::fmt::Write as _;
        // Writing to a String does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key.into())
}

/// Whether `key` fits `pattern`, in which `*` stands for anything and nothing else is special.
pub(crate) fn fits(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// All shards and the second level; a cheap clone.
#[derive(Clone)]
pub struct Cache {
    shards: Arc<[Addr<CacheShard>]>,
    config: Arc<CacheConfig>,
    remote: Option<RemoteCache>,
}

impl Cache {
    /// Starts the shards, spread over the arbiters.
    pub(crate) fn start(
        config: CacheConfig,
        remote: Option<RemoteCache>,
        keeper: &Keeper,
        metrics: &Metrics,
        arbiters: &[ArbiterHandle],
    ) -> Self {
        let count = config.shards.max(1);
        let max_bytes = config.max_bytes / count as u64;
        let shards = (0..count)
            .zip(arbiters.iter().cycle())
            .map(|(number, arbiter)| {
                let seed = ShardSeed { number, max_bytes, metrics: metrics.clone() };
                let name = format!("cache_shard:{number}");
                let placement = Placement::on(arbiter, cache_shard::MAILBOX);
                keeper.keep(name, placement, move |_| CacheShard::new(seed))
            })
            .collect();
        Self { shards, config: Arc::new(config), remote }
    }

    /// How long answers of this type are kept; zero is not at all.
    pub(crate) fn lifetime(&self, task_type: TaskType) -> Duration {
        self.config.lifetime(task_type)
    }

    pub(crate) fn remote(&self) -> Option<&RemoteCache> {
        self.remote.as_ref()
    }

    fn shard(&self, key: &str) -> &Addr<CacheShard> {
        let hash = key
            .bytes()
            .rev()
            .take(8)
            .fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.shards[hash % self.shards.len()]
    }

    /// Looks an answer up; `None` when the shard cannot say, and the turn goes on without it.
    pub(crate) async fn lookup(&self, key: Arc<str>, asker: Arc<TurnLog>) -> Option<Found> {
        let asked = self.shard(&key).send(Lookup { key, asker });
        timeout(ASK_TIMEOUT, asked).await.ok()?.ok()
    }

    /// The figures of every shard.
    ///
    /// # Errors
    /// `overloaded` when a shard does not answer.
    pub async fn stats(&self) -> Result<CacheStats, ClientError> {
        let asked =
            join_all(self.shards.iter().map(|shard| timeout(ASK_TIMEOUT, shard.send(Observe))));
        let shards = asked
            .await
            .into_iter()
            .map(|stats| stats.ok().and_then(Result::ok))
            .collect::<Option<Vec<_>>>()
            .ok_or(ErrorCode::Overloaded)?;
        let lifetimes = TaskType::ALL
            .into_iter()
            .map(|task_type| CacheLifetime {
                task_type,
                seconds: self.lifetime(task_type).as_secs(),
            })
            .collect();
        Ok(CacheStats { shards, lifetimes, redis: self.remote.is_some() })
    }

    /// Whether both levels work.
    pub async fn health(&self) -> CacheHealth {
        let memory = match self.stats().await {
            Ok(_) => (Health::Up, None),
            Err(_) => (Health::Degraded, Some("a shard does not answer")),
        };
        let mut levels = vec![("memory", memory)];
        if let Some(remote) = &self.remote {
            let state = match remote.ping().await {
                Ok(()) => (Health::Up, None),
                Err(_) => (Health::Degraded, Some("cannot be reached; answers come from memory")),
            };
            levels.push(("redis", state));
        }
        let levels: Vec<Dependency> = levels
            .into_iter()
            .map(|(name, (health, message))| Dependency {
                name: name.to_owned(),
                health,
                message: message.map(str::to_owned),
            })
            .collect();
        let worst = levels.iter().map(|level| level.health).max_by_key(|health| *health as u8);
        CacheHealth { health: worst.unwrap_or(Health::Up), levels }
    }

    /// Drops the entries whose key fits `pattern`, in which `*` stands for anything.
    ///
    /// # Errors
    /// `invalid_parameter` for an empty or long pattern, `overloaded` when a shard does not answer.
    pub async fn invalidate(&self, pattern: &str) -> Result<Invalidated, ClientError> {
        if pattern.is_empty() || pattern.len() > MAX_PATTERN {
            let message =
                format!("the pattern has 1 to {MAX_PATTERN} bytes; * stands for anything");
            return Err(ClientError::new(ErrorCode::InvalidParameter, message));
        }
        // The second level first: otherwise a look-up in between could bring an entry back.
        let redis_entries = match &self.remote {
            Some(remote) => remote.invalidate(pattern).await.ok(),
            None => None,
        };
        let pattern: Arc<str> = pattern.into();
        let asked = self
            .shards
            .iter()
            .map(|shard| timeout(ASK_TIMEOUT, shard.send(Invalidate(Arc::clone(&pattern)))));
        let mut entries = 0;
        for dropped in join_all(asked).await {
            entries += dropped.ok().and_then(Result::ok).ok_or(ErrorCode::Overloaded)?;
        }
        Ok(Invalidated { entries, redis_entries })
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::{LineOrder, SearchedEvidence, TimeRange, Wanted};

    use super::*;

    #[test]
    fn a_pattern_fits_by_its_stars() {
        for (pattern, key) in [
            ("*", ""),
            ("*", "chat:1"),
            ("log_question:*", "log_question:ab"),
            ("*ab", "log_question:ab"),
            ("l*:*b", "log_question:ab"),
            ("a*b*a", "ababa"),
            ("exact", "exact"),
        ] {
            assert!(fits(pattern, key), "{pattern} should fit {key}");
        }
        for (pattern, key) in [
            ("", "a"),
            ("chat:*", "log_question:ab"),
            ("a*b", "abc"),
            ("exact", "exactly"),
            ("a*a", "a"),
        ] {
            assert!(!fits(pattern, key), "{pattern} should not fit {key}");
        }
    }

    fn evidence(matched: u64) -> Evidence {
        Evidence {
            searched: SearchedEvidence {
                query: "failed".into(),
                reading: "lines with failed".into(),
                left_out: Vec::new(),
                range: TimeRange::default(),
                covered: TimeRange::default(),
                matched,
                searched: 10,
                counted: matched,
            },
            rankings: Vec::new(),
            histogram: Vec::new(),
            bucket_ms: 0,
            levels: Vec::new(),
            lines: Vec::new(),
            order: LineOrder::Best,
            wanted: Wanted::default(),
            generation: 1,
        }
    }

    #[test]
    fn lines_that_do_not_match_leave_the_key_as_it_is() {
        let (old, mut new) = (evidence(3), evidence(3));
        new.generation = 2;
        new.searched.searched = 11;
        let key_of = |evidence: &Evidence| {
            let parts = KeyParts {
                question: "why",
                context: None,
                system: "",
                model: None,
                history: &[],
                evidence: Some(evidence),
                chain: &[],
            };
            key(TaskType::LogQuestion, &parts).unwrap()
        };
        assert_eq!(key_of(&old), key_of(&new));
        new.searched.matched = 4;
        assert_ne!(key_of(&old), key_of(&new));
    }

    #[test]
    fn every_part_shapes_the_key() {
        let chain = ["openai".to_owned()];
        let history = ["user: hi".to_owned()];
        let found = evidence(1);
        let more = evidence(2);
        let base = || KeyParts {
            question: "why",
            context: None,
            system: "s",
            model: None,
            history: &[],
            evidence: Some(&found),
            chain: &chain,
        };
        let variants = [
            base(),
            KeyParts { question: "how", ..base() },
            KeyParts { context: Some("c"), ..base() },
            KeyParts { system: "t", ..base() },
            KeyParts { model: Some("m"), ..base() },
            KeyParts { history: &history, ..base() },
            KeyParts { evidence: Some(&more), ..base() },
            KeyParts { evidence: None, ..base() },
            KeyParts { chain: &[], ..base() },
        ];
        let keys: std::collections::HashSet<Arc<str>> =
            variants.iter().map(|parts| key(TaskType::LogQuestion, parts).unwrap()).collect();
        assert_eq!(keys.len(), variants.len());
        assert!(keys.iter().all(|key| key.starts_with("log_question:")));
    }
}
