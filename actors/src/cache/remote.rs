//! The second level of the cache, in Redis. It may be slow, full or gone: every call has a short
//! timeout, a failure is a miss, and nothing waits for a write. After a row of failures a breaker
//! leaves it alone for a while, so that a Redis that is gone costs nobody the timeout.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{AsyncCommands, RedisResult, aio::ConnectionManager, aio::ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::{
    breaker::{Breaker, BreakerPolicy, Spell},
    metrics::Metrics,
};

/// Of the last calls, half may fail before it is left alone for this long.
const BREAKER: BreakerPolicy =
    BreakerPolicy { window: 10, min_calls: 5, failure_rate: 0.5, open_for: Duration::from_secs(1) };

/// Keys asked for in one step of a scan.
const SCAN_COUNT: usize = 500;

/// The longest that an invalidation may scan.
const SCAN_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest value that is written or read, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 4 * 1024 * 1024;

/// Why the second level did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It took longer than the timeout.
    #[error("redis did not answer in time")]
    Timeout,
    /// It answered with an error, or could not be reached.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
}

/// See the module. A cheap clone of one connection that mends itself.
#[derive(Clone)]
pub struct RemoteCache {
    connection: ConnectionManager,
    timeout: Duration,
    prefix: Arc<str>,
    metrics: Metrics,
    breaker: Arc<Mutex<Breaker>>,
}

impl RemoteCache {
    /// Prepares the connection without waiting for it: a Redis that is down at the start is
    /// treated like one that goes down later.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn open(
        url: &SecretString,
        timeout: Duration,
        prefix: &str,
        metrics: Metrics,
    ) -> Result<Self, RemoteError> {
        let client = redis::Client::open(url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(SCAN_TIMEOUT))
            .set_max_delay(Duration::from_secs(5));
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        let prefix = format!("{prefix}:cache:").into();
        let breaker = Arc::new(Mutex::new(Breaker::new(BREAKER)));
        Ok(Self { connection, timeout, prefix, metrics, breaker })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn count(&self, op: &str, result: &str) {
        self.metrics.cache_operations.with_label_values(&[op, result]).inc();
    }

    /// Looks a value up. Whatever goes wrong is a miss.
    pub(crate) async fn get<V: DeserializeOwned>(&self, key: &str) -> Option<V> {
        let mut connection = self.connection.clone();
        let key = self.key(key);
        let asked = self.bounded("remote_get", connection.get::<_, Option<Vec<u8>>>(key));
        let found = asked.await?;
        let Some(bytes) = found.filter(|bytes| bytes.len() <= MAX_VALUE_BYTES) else {
            self.count("remote_get", "miss");
            return None;
        };
        let value = serde_json::from_slice(&bytes).ok();
        self.count("remote_get", if value.is_some() { "hit" } else { "error" });
        value
    }

    /// Writes a value. Whatever goes wrong is counted and forgotten.
    pub(crate) async fn set<V: Serialize>(&self, key: &str, value: &V, lifetime: Duration) {
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if bytes.len() > MAX_VALUE_BYTES || millis == 0 {
            return;
        }
        let mut connection = self.connection.clone();
        let asked = connection.pset_ex::<_, _, ()>(self.key(key), bytes, millis);
        if self.bounded("remote_set", asked).await.is_some() {
            self.count("remote_set", "ok");
        }
    }

    /// Asks within the timeout, unless the breaker is open. A failure is counted, and is `None`.
    async fn bounded<T>(&self, op: &str, asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let Ok(spell) = self.breaker.lock().admit(Instant::now()) else {
            self.count(op, "skipped");
            return None;
        };
        let mut probe = Probe { breaker: &self.breaker, spell, outcome: None };
        let answer = timeout(self.timeout, asked).await.ok().and_then(Result::ok);
        probe.outcome = Some(answer.is_some());
        if answer.is_none() {
            self.count(op, "error");
        }
        answer
    }

    /// Drops the keys that fit a pattern in which `*` stands for anything; answers how many.
    pub(crate) async fn invalidate(&self, pattern: &str) -> Result<u64, RemoteError> {
        let result = timeout(SCAN_TIMEOUT, self.scan_and_drop(pattern)).await;
        let result = result.unwrap_or(Err(RemoteError::Timeout));
        if let Err(error) = &result {
            warn!(%error, "the second level of the cache was not invalidated");
        }
        result
    }

    async fn scan_and_drop(&self, pattern: &str) -> Result<u64, RemoteError> {
        let mut connection = self.connection.clone();
        let pattern = self.key(&escape_glob(pattern));
        let (mut cursor, mut dropped) = (0u64, 0u64);
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(&mut connection)
                .await?;
            if !keys.is_empty() {
                dropped += connection.unlink::<_, u64>(keys).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(dropped);
            }
        }
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> Result<(), RemoteError> {
        let mut connection = self.connection.clone();
        let asked = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        // The first command after a lost connection fails and mends it: one more try.
        if let Ok(Ok(())) = timeout(self.timeout, asked).await {
            return Ok(());
        }
        let mut connection = self.connection.clone();
        let again = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        timeout(self.timeout * 4, again).await.map_err(|_| RemoteError::Timeout)??;
        Ok(())
    }
}

/// A call that the breaker let through; it is told how it ended also when its asker has left.
struct Probe<'a> {
    breaker: &'a Mutex<Breaker>,
    spell: Spell,
    outcome: Option<bool>,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.breaker.lock().record(Instant::now(), self.spell, self.outcome);
    }
}

/// Redis gives `?`, `[` and `\` a meaning that our patterns do not have.
fn escape_glob(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        if matches!(c, '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
