//! What need not be asked again, as the rest of the system sees it: the answers of turns and the
//! replies to programs, each kind in shards of its own, and the second level behind both.

mod answers;
mod remote;
mod shard;
mod shards;
mod shelf;

use std::{sync::Arc, time::Duration};

use actix::ArbiterHandle;
use callboard_protocol::{
    CacheHealth, CacheKind, CacheLifetime, CacheStats, ClientError, Dependency, ErrorCode, Health,
    Invalidated, TaskType,
};

pub use self::remote::{RemoteCache, RemoteError};
pub(crate) use self::{
    answers::{Answers, CachedAnswer, KeyParts, key},
    shard::{FillPermit, Found, Lookup},
    shards::{Room, Shards},
    shelf::Shelf,
};
use crate::{config::CacheConfig, gateway::Replies, keeper::Keeper, metrics::Metrics};

/// The longest pattern for `invalidate`.
const MAX_PATTERN: usize = 256;

/// What is kept.
pub(crate) trait Value: Send + Sync + 'static {
    /// What it takes in memory, roughly.
    fn bytes(&self) -> u64;
}

/// A kind of values, with shards of its own.
pub(crate) trait Kind: 'static {
    /// The name of its shards among the actors.
    const NAME: &'static str;
    /// Its name in the figures.
    const KIND: CacheKind;
    /// What is kept.
    type Value: Value;
    /// What those follow who ask for a value that is being made.
    type Flight: Send + Sync + 'static;
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
    answers: Shards<Answers>,
    replies: Shards<Replies>,
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
        // Half for each kind.
        let room = Room { shards: config.shards, max_bytes: config.max_bytes / 2 };
        let answers = Shards::start(&room, keeper, metrics, arbiters);
        let replies = Shards::start(&room, keeper, metrics, arbiters);
        Self { answers, replies, config: Arc::new(config), remote }
    }

    /// How long answers of this type are kept; zero is not at all.
    pub(crate) fn lifetime(&self, task_type: TaskType) -> Duration {
        self.config.lifetime(task_type)
    }

    pub(crate) fn remote(&self) -> Option<&RemoteCache> {
        self.remote.as_ref()
    }

    /// The answers of turns.
    pub(crate) fn answers(&self) -> &Shards<Answers> {
        &self.answers
    }

    /// The replies to programs.
    pub(crate) fn replies(&self) -> &Shards<Replies> {
        &self.replies
    }

    /// The figures of every shard.
    ///
    /// # Errors
    /// `overloaded` when a shard does not answer.
    pub async fn stats(&self) -> Result<CacheStats, ClientError> {
        let mut shards = self.answers.stats().await?;
        shards.extend(self.replies.stats().await?);
        let lifetime =
            |task_type| CacheLifetime { task_type, seconds: self.lifetime(task_type).as_secs() };
        let lifetimes = TaskType::ALL.into_iter().map(lifetime).collect();
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
        let answers = self.answers.invalidate(&pattern).await?;
        let replies = self.replies.invalidate(&pattern).await?;
        Ok(Invalidated { entries: answers + replies, redis_entries })
    }
}

#[cfg(test)]
mod tests {
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
}
