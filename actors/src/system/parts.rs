//! What a system is made of, and why it could not be started.

use std::path::PathBuf;

use actix::ArbiterHandle;
use callboard_entities::{Store, StoreError, queries::messages};
use callboard_logs::LogStore;
use callboard_protocol::Timestamp;
use callboard_providers::{ConfigError, ProviderConfig};
use tokio::runtime::Handle;
use tracing::warn;

use crate::{
    budget::BudgetConfig,
    cache::RemoteCache,
    config::{AuditConfig, CacheConfig, ChatConfig, JobsConfig, SessionConfig},
    gateway::{GatewayConfig, ModelConfig},
    job,
    keeper::RestartPolicy,
    ledger::LedgerConfig,
    metrics::Metrics,
    notify::AlertsConfig,
};

/// What a [`System`](crate::System) is made of.
pub struct Parts {
    /// The database, migrated.
    pub store: Store,
    /// The log index.
    pub logs: LogStore,
    /// The second level of the cache.
    pub remote: Option<RemoteCache>,
    /// The registry of metrics.
    pub metrics: Metrics,
    /// `[chat]`
    pub chat: ChatConfig,
    /// `[session]`
    pub session: SessionConfig,
    /// `[cache]`
    pub cache: CacheConfig,
    /// `[jobs]`
    pub jobs: JobsConfig,
    /// `[[providers]]`, in the order of the fallback chain. The configuration ends it with the
    /// extractive provider, so that a question is answered when no model can be reached.
    pub providers: Vec<ProviderConfig>,
    /// `[[models]]`
    pub models: Vec<ModelConfig>,
    /// `[gateway]`
    pub gateway: GatewayConfig,
    /// `[ledger]`
    pub ledger: LedgerConfig,
    /// `[budgets]`
    pub budgets: BudgetConfig,
    /// `[alerts]`
    pub alerts: AlertsConfig,
    /// `[audit]`
    pub audit: AuditConfig,
    /// Where the ledger keeps its journal.
    pub usage: PathBuf,
    /// Where uploads wait for their jobs.
    pub uploads: PathBuf,
    /// Where what programs push waits to be indexed.
    pub pushed: PathBuf,
    /// Holds the copies of files of other machines, until they are indexed.
    pub mirrors: PathBuf,
    /// The server's own log, to be indexed like any other.
    pub own_log: Option<PathBuf>,
    /// How often an actor may fail before it is given up.
    pub restarts: RestartPolicy,
    /// Where turns run: a runtime of several threads.
    pub runtime: Handle,
    /// Where actors run.
    pub arbiters: Vec<ArbiterHandle>,
}

impl Parts {
    /// Ends what a former run left unfinished.
    pub(super) async fn clear_up(&self) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let unfinished = messages::interrupt_unfinished(&self.store, now).await?;
        if unfinished > 0 {
            warn!(unfinished, "answers were cut by the end of the former run");
        }
        job::sweep_spool(&self.store, &self.uploads).await
    }
}

/// Why the actors could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A provider's configuration.
    #[error(transparent)]
    Provider(#[from] ConfigError),
    /// The folder of the usage ledger.
    #[error("the usage journal cannot be opened: {0}")]
    Ledger(#[from] std::io::Error),
    /// A socket for logs.
    #[error("{0}")]
    Listen(std::io::Error),
    /// A channel for alerts.
    #[error("alerts: {0}")]
    Alerts(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
