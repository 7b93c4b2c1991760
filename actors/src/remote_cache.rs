//! The second level of the cache, in Redis. It may be slow, full or gone: every call has a short
//! timeout, a failure is a miss, and nothing waits for a write.

use std::{sync::Arc, time::Duration};

use redis::{AsyncCommands, aio::ConnectionManager, aio::ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tracing::warn;

use crate::{cache::CachedAnswer, metrics::Metrics};

/// Keys asked for in one step of a scan.
const SCAN_COUNT: usize = 500;

/// The longest that an invalidation may scan.
const SCAN_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is written or read, in bytes of JSON.
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
        Ok(Self { connection, timeout, prefix: format!("{prefix}:cache:").into(), metrics })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn count(&self, op: &str, result: &str) {
        self.metrics.cache_operations.with_label_values(&[op, result]).inc();
    }

    /// Looks an answer up. Whatever goes wrong is a miss.
    pub(crate) async fn get(&self, key: &str) -> Option<CachedAnswer> {
        let mut connection = self.connection.clone();
        let asked = connection.get::<_, Option<Vec<u8>>>(self.key(key));
        let bytes = match timeout(self.timeout, asked).await {
            Ok(Ok(Some(bytes))) if bytes.len() <= MAX_VALUE_BYTES => bytes,
            Ok(Ok(_)) => {
                self.count("remote_get", "miss");
                return None;
            }
            Ok(Err(_)) | Err(_) => {
                self.count("remote_get", "error");
                return None;
            }
        };
        let answer = serde_json::from_slice(&bytes).ok();
        self.count("remote_get", if answer.is_some() { "hit" } else { "error" });
        answer
    }

    /// Writes an answer. Whatever goes wrong is counted and forgotten.
    pub(crate) async fn set(&self, key: &str, answer: &CachedAnswer, lifetime: Duration) {
        let Ok(bytes) = serde_json::to_vec(answer) else { return };
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if bytes.len() > MAX_VALUE_BYTES || millis == 0 {
            return;
        }
        let mut connection = self.connection.clone();
        let asked = connection.pset_ex::<_, _, ()>(self.key(key), bytes, millis);
        let ok = matches!(timeout(self.timeout, asked).await, Ok(Ok(())));
        self.count("remote_set", if ok { "ok" } else { "error" });
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
