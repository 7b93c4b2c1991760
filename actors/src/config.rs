//! The parts of the configuration that the actors own. `src/config.default.toml` documents every
//! key; the defaults there and here are the same, and a test compares them.

use std::{collections::BTreeMap, time::Duration};

use callboard_protocol::TaskType;
use callboard_providers::Mode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::turns::TurnsKept;

/// A key with a bad value, and what is wrong with it.
pub type BadValue = (String, String);

/// Names the keys whose value is out of its bounds.
pub(crate) fn out_of_bounds(
    values: &[(&str, u64, std::ops::RangeInclusive<u64>)],
) -> Vec<BadValue> {
    let bad = values.iter().filter(|(_, value, bounds)| !bounds.contains(value));
    bad.map(|(key, value, bounds)| {
        let problem = format!("is {value}, and must be {} to {}", bounds.start(), bounds.end());
        ((*key).to_owned(), problem)
    })
    .collect()
}

const DAY_S: u64 = 24 * 3_600;

/// `[chat]`: turns and conversations.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatConfig {
    /// The longest question, in bytes.
    pub max_message_bytes: usize,
    /// The longest answer, in bytes; a longer one ends with the finish reason `length`.
    pub max_answer_bytes: usize,
    /// The longest turn, from its question to its answer, in seconds.
    pub turn_timeout_s: u64,
    /// Questions that may wait in one conversation while another is being answered.
    pub max_waiting_turns: usize,
    /// How long the events of an ended turn are kept for `resume`, in seconds.
    pub keep_turns_s: u64,
    /// The most ended turns kept for `resume`.
    pub keep_turns: usize,
    /// What the ended turns kept for `resume` may take in memory, in bytes.
    pub keep_turns_bytes: u64,
    /// A conversation without watchers and turns leaves memory after this long, in seconds.
    pub idle_conversation_s: u64,
    /// Earlier messages of a conversation that a model is shown.
    pub history_messages: u32,
    /// How often a model may call tools of the log engine in one turn, reply by reply; 0 is never.
    pub max_steps: u32,
    /// What a turn may use before a model must answer with what it has, in tokens read and written.
    pub max_turn_tokens: u64,
    /// The mode of questions that name none.
    pub default_mode: String,
    /// The presets of the assistant's manner: name and system prompt.
    pub modes: BTreeMap<String, String>,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: 32 * 1024,
            max_answer_bytes: 512 * 1024,
            turn_timeout_s: 300,
            max_waiting_turns: 4,
            keep_turns_s: 300,
            keep_turns: 1_000,
            keep_turns_bytes: 64 * 1024 * 1024,
            idle_conversation_s: 300,
            history_messages: 40,
            max_steps: 8,
            max_turn_tokens: 100_000,
            default_mode: "investigator".into(),
            modes: Mode::presets().into_iter().map(|mode| (mode.name, mode.instructions)).collect(),
        }
    }
}

impl ChatConfig {
    /// How much is kept of the turns that ended.
    pub(crate) fn turns_kept(&self) -> TurnsKept {
        TurnsKept {
            time: Duration::from_secs(self.keep_turns_s),
            count: self.keep_turns,
            bytes: self.keep_turns_bytes,
        }
    }

    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        out_of_bounds(&[
            ("max_message_bytes", self.max_message_bytes as u64, 1..=16 << 20),
            ("max_answer_bytes", self.max_answer_bytes as u64, 1..=64 << 20),
            ("turn_timeout_s", self.turn_timeout_s, 1..=DAY_S),
            ("max_waiting_turns", self.max_waiting_turns as u64, 0..=1_000),
            ("keep_turns_s", self.keep_turns_s, 0..=DAY_S),
            ("keep_turns", self.keep_turns as u64, 0..=1_000_000),
            ("keep_turns_bytes", self.keep_turns_bytes, 0..=1 << 40),
            ("idle_conversation_s", self.idle_conversation_s, 1..=DAY_S),
            ("max_steps", u64::from(self.max_steps), 0..=100),
            ("max_turn_tokens", self.max_turn_tokens, 0..=1 << 40),
            ("history_messages", u64::from(self.history_messages), 0..=1_000),
        ])
    }
}

/// `[session]`: WebSocket sessions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// A socket that sends nothing for this long is closed with 4002, in seconds.
    pub heartbeat_s: u64,
    /// The largest frame, and the largest message joined from frames, in bytes.
    pub max_message_bytes: usize,
    /// Frames that one socket may send per second, on average.
    pub frames_per_second: u32,
    /// Frames that it may send at once.
    pub frame_burst: u32,
    /// Sockets that one user may have open.
    pub max_per_user: usize,
    /// Sockets that one address may have open.
    pub max_per_address: usize,
    /// Sockets in all.
    pub max_total: usize,
    /// Conversations that one socket may watch.
    pub max_subscriptions: usize,
    /// Turns that one socket may follow at once.
    pub max_followed_turns: usize,
    /// Pieces of an answer that come within this time travel in one frame, in milliseconds.
    pub coalesce_ms: u64,
    /// A draining server tells clients to come back after up to this long, in milliseconds.
    pub reconnect_spread_ms: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            heartbeat_s: 60,
            max_message_bytes: 64 * 1024,
            frames_per_second: 20,
            frame_burst: 60,
            max_per_user: 32,
            max_per_address: 512,
            max_total: 16_000,
            max_subscriptions: 32,
            max_followed_turns: 16,
            coalesce_ms: 25,
            reconnect_spread_ms: 5_000,
        }
    }
}

impl SessionConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        out_of_bounds(&[
            ("heartbeat_s", self.heartbeat_s, 1..=3_600),
            ("max_message_bytes", self.max_message_bytes as u64, 128..=16 << 20),
            ("frames_per_second", u64::from(self.frames_per_second), 1..=100_000),
            ("frame_burst", u64::from(self.frame_burst), 1..=1_000_000),
            ("max_per_user", self.max_per_user as u64, 1..=1_000_000),
            ("max_per_address", self.max_per_address as u64, 1..=1_000_000),
            ("max_total", self.max_total as u64, 1..=1_000_000),
            ("max_subscriptions", self.max_subscriptions as u64, 1..=10_000),
            ("max_followed_turns", self.max_followed_turns as u64, 1..=10_000),
            ("coalesce_ms", self.coalesce_ms, 0..=10_000),
            ("reconnect_spread_ms", self.reconnect_spread_ms, 0..=600_000),
        ])
    }
}

/// `[cache]`: answers that need not be asked again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Shards, each an actor of its own.
    pub shards: usize,
    /// What all shards together may hold in memory, in bytes.
    pub max_bytes: u64,
    /// How long an answer is kept, by task type, in seconds; 0 is not at all.
    pub lifetimes_s: BTreeMap<TaskType, u64>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            shards: 4,
            max_bytes: 64 * 1024 * 1024,
            lifetimes_s: TaskType::ALL.into_iter().map(|t| (t, default_lifetime_s(t))).collect(),
        }
    }
}

impl CacheConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        let mut bad = out_of_bounds(&[
            ("shards", self.shards as u64, 1..=256),
            ("max_bytes", self.max_bytes, 0..=1 << 40),
        ]);
        for (task_type, seconds) in &self.lifetimes_s {
            let key = format!("lifetimes_s.{}", task_type.as_str());
            bad.extend(out_of_bounds(&[(&key, *seconds, 0..=365 * DAY_S)]));
        }
        bad
    }

    /// How long an answer of this type is kept; zero is not at all.
    #[must_use]
    pub fn lifetime(&self, task_type: TaskType) -> Duration {
        let seconds = self.lifetimes_s.get(&task_type).copied();
        Duration::from_secs(seconds.unwrap_or_else(|| default_lifetime_s(task_type)))
    }
}

/// The owner's lifetimes.
fn default_lifetime_s(task_type: TaskType) -> u64 {
    const HOUR: u64 = 3_600;
    match task_type {
        TaskType::StrategyAudit => 24 * HOUR,
        TaskType::RealtimeTutoring => HOUR / 2,
        TaskType::Collaboration => HOUR,
        TaskType::FrameworkAlignment => 2 * HOUR,
        TaskType::EthicalAssessment => 12 * HOUR,
        TaskType::LogQuestion => 300,
        TaskType::Chat => 0,
    }
}

/// `[redis]`: the second level of the cache. Everything works without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`; none when absent. May hold a password.
    pub url: Option<SecretString>,
    /// A file that holds the URL, instead of `url`.
    pub url_file: Option<std::path::PathBuf>,
    /// A look-up that takes longer is a miss, in milliseconds.
    pub timeout_ms: u64,
    /// Before every key.
    pub prefix: String,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: None, url_file: None, timeout_ms: 20, prefix: "callboard".into() }
    }
}

impl RedisConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        out_of_bounds(&[("timeout_ms", self.timeout_ms, 1..=10_000)])
    }
}

/// The audit trail: `[audit]`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// How long events are kept, in days; 0 keeps them for ever.
    pub keep_days: u32,
}

impl AuditConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        out_of_bounds(&[("keep_days", u64::from(self.keep_days), 0..=36_500)])
    }
}

/// `[jobs]`: background jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Jobs that run at once.
    pub max_running: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { max_running: 2 }
    }
}

impl JobsConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        out_of_bounds(&[("max_running", self.max_running as u64, 1..=64)])
    }
}
