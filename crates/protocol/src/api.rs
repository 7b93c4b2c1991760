//! The rest of the REST types: pages, health, cache, providers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Conversation, Job, Message, MessageHit, TaskType, Timestamp, TurnId};

/// A page of conversations, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConversationPage {
    /// The conversations.
    pub items: Vec<Conversation>,
    /// For the next page; absent on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A page of messages, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<Message>,
    /// For the page of older messages; absent when there are none.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The turn that is being answered right now.
    #[schema(required)]
    pub running_turn: Option<TurnId>,
}

/// Messages that a search found, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageHits {
    /// The messages.
    pub items: Vec<MessageHit>,
}

/// The body of `PATCH /conversations/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameConversation {
    /// 1 to 200 characters.
    pub title: String,
}

/// Background jobs, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// The jobs.
    pub items: Vec<Job>,
}

/// The state of one thing that the server depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Works.
    Up,
    /// Works less well; the server is ready all the same.
    Degraded,
    /// Does not work; the server is not ready.
    Down,
}

/// One thing that the server depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// `database`, `migrations`, `log_index`, `redis`, `provider:NAME`, `actors`.
    pub name: String,
    /// Its state.
    pub health: Health,
    /// Why, when it is not up; nothing internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

/// The reply of `/health/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// The worst of all dependencies.
    pub health: Health,
    /// The version of the server.
    pub version: String,
    /// One entry each.
    pub dependencies: Vec<Dependency>,
}

/// The reply of `/health/live`: the process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// The version of the server.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// What a shard of the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheKind {
    /// Answers of conversations.
    #[default]
    Answers,
    /// Replies to programs.
    Replies,
}

/// One shard of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardStats {
    /// What it holds.
    #[serde(default)]
    pub kind: CacheKind,
    /// Its number among those of its kind.
    pub shard: usize,
    /// Entries held in memory.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// The most bytes that they may take.
    pub capacity_bytes: u64,
    /// Look-ups answered from memory.
    pub hits: u64,
    /// Look-ups answered from Redis.
    pub remote_hits: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
    /// Look-ups that waited for another's answer.
    pub joined: u64,
    /// Entries dropped to make room.
    pub evictions: u64,
    /// Answers being waited for right now.
    pub filling: u64,
}

/// The reply of `GET /cache/stats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheStats {
    /// Each shard.
    pub shards: Vec<ShardStats>,
    /// How long an answer is kept, by task type, in seconds; zero is not at all.
    pub lifetimes: Vec<CacheLifetime>,
    /// Whether a second level is configured.
    pub redis: bool,
}

/// How long an answer of a task type is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheLifetime {
    /// The task type.
    pub task_type: TaskType,
    /// Seconds; zero is not at all.
    pub seconds: u64,
}

/// The reply of `GET /cache/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CacheHealth {
    /// The worst of both levels.
    pub health: Health,
    /// `memory`, and `redis` when it is configured.
    pub levels: Vec<Dependency>,
}

/// The reply of `POST /cache/invalidate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invalidated {
    /// Entries dropped from memory.
    pub entries: u64,
    /// Entries dropped from Redis; absent without Redis, or when it could not be reached.
    #[schema(required)]
    pub redis_entries: Option<u64>,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Calls go through.
    Closed,
    /// One call goes through as a probe.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// One provider, as the admin API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderState {
    /// Its name in the configuration.
    pub name: String,
    /// The wire it speaks: `openai`, `extractive`.
    pub kind: String,
    /// The model that it asks by default.
    pub model: String,
    /// Its place in the fallback chain, from 0.
    pub position: usize,
    /// The state of its circuit breakers: the worst of its models.
    pub circuit: CircuitState,
    /// Leases held.
    pub in_flight: usize,
    /// The most leases held at once.
    pub max_concurrency: usize,
    /// Requests that wait for a lease.
    pub queued: usize,
    /// The most that may wait.
    pub max_queue: usize,
    /// How often its actor was restarted.
    pub restarts: u64,
    /// Its models that were asked for; first its own.
    pub models: Vec<ProviderModelState>,
    /// The kind of the error that it failed with last, since its last reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How one model of a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderModelState {
    /// Its name at the provider.
    pub model: String,
    /// The state of its circuit breaker.
    pub circuit: CircuitState,
    /// The keys, in their order; never the keys themselves.
    pub keys: Vec<ProviderKeyState>,
}

/// How one key of a provider is, with a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderKeyState {
    /// How long it rests yet, in milliseconds; 0 when it can be used.
    pub rests_for_ms: u64,
    /// Whether the provider refused it.
    pub refused: bool,
}

/// A kept actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorState {
    /// Its name: its kind, and which of the kind behind a colon.
    pub name: String,
    /// `running`, `restarting` (it waits out its backoff) or `given_up` (it failed too often).
    pub state: String,
    /// How often it was restarted since the server started.
    pub restarts: u64,
    /// The text of its last failure, cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// When it was started.
    pub since: Timestamp,
    /// How long it has been at the message that it handles now, in milliseconds; 0 when it waits.
    pub busy_ms: u64,
    /// Whether it does not come back from that message, and holds up all others on its thread.
    pub hangs: bool,
    /// Messages that wait in its mailbox …
    pub waiting: usize,
    /// … which takes so many.
    pub mailbox: usize,
}

/// The reply of `GET /actors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorList {
    /// The actors that the server cannot do without, and those of many that live now, by name; at
    /// most 1,000 of them.
    pub items: Vec<ActorState>,
    /// How many there are in all.
    pub total: usize,
    /// Sockets that are open, each an actor of its own that ends with its connection.
    pub sessions: usize,
}

/// The reply of `POST /config/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Providers that are new, or other than before; the others go on as they were.
    pub providers: Vec<String>,
    /// Sections of the configuration that changed and are read at the start alone.
    pub needs_restart: Vec<String>,
}

/// The reply of `GET /providers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderList {
    /// In the order of the fallback chain.
    pub items: Vec<ProviderState>,
}
