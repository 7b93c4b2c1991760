//! A whole [`System`] in a temporary folder, and a way to make it fail at a named place.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use actix::Arbiter;
use callboard_entities::{
    DatabaseConfig, Store,
    queries::users::{self, NewUser},
};
use callboard_logs::{LogStore, LogsConfig};
use callboard_protocol::{Ask, ClientMessageId, Role, Timestamp, User};
use callboard_providers::ProviderConfig;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::{
    config::{CacheConfig, ChatConfig, JobsConfig, SessionConfig},
    conversation::Asker,
    gateway::GatewayConfig,
    ledger::LedgerConfig,
    metrics::Metrics,
    rights::Rights,
    system::{Parts, System},
};

/// Panics at the place that a test named: once for each time that it was set.
#[derive(Clone, Default)]
pub(crate) struct Trap(Arc<Mutex<Vec<&'static str>>>);

impl Trap {
    pub(crate) fn set(&self, place: &'static str) {
        self.0.lock().push(place);
    }

    pub(crate) fn spring(&self, place: &str) {
        let mut set = self.0.lock();
        let sprung = set.iter().position(|set| *set == place).map(|at| set.remove(at)).is_some();
        drop(set);
        assert!(!sprung, "trapped at {place}");
    }
}

/// A system with the extractive provider alone.
pub(crate) struct World {
    pub(crate) system: System,
    pub(crate) store: Store,
    pub(crate) logs: LogStore,
    pub(crate) user: User,
    pub(crate) folder: TempDir,
}

impl World {
    /// The own log that the system follows.
    pub(crate) fn own_log(&self) -> PathBuf {
        self.folder.path().join("own.jsonl")
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(bend: impl FnOnce(&mut Parts)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("callboard.db").display());
        callboard_migration::up(&url).await.unwrap();
        let store = Store::open(&DatabaseConfig::at(url)).await.unwrap();
        let new = NewUser {
            username: "ada".into(),
            display_name: None,
            role: Role::ANALYST,
            password_hash: "$argon2id$hash".to_owned().into(),
        };
        let user = users::create(&store, &new, Timestamp::now()).await.unwrap();
        let logs = LogStore::open(&folder.path().join("index"), &LogsConfig::default()).unwrap();
        let uploads = folder.path().join("uploads");
        std::fs::create_dir(&uploads).unwrap();
        let mut parts = Parts {
            store: store.clone(),
            logs: logs.clone(),
            remote: None,
            metrics: Metrics::new().unwrap(),
            chat: ChatConfig::default(),
            session: SessionConfig::default(),
            cache: CacheConfig::default(),
            jobs: JobsConfig::default(),
            providers: vec![ProviderConfig::extractive()],
            models: Vec::new(),
            gateway: GatewayConfig::default(),
            ledger: LedgerConfig::default(),
            budgets: crate::BudgetConfig::default(),
            alerts: crate::AlertsConfig::default(),
            audit: crate::AuditConfig::default(),
            restarts: crate::RestartPolicy::default(),
            usage: folder.path().join("usage"),
            uploads,
            pushed: folder.path().join("pushed"),
            mirrors: folder.path().join("mirrors"),
            own_log: Some(folder.path().join("own.jsonl")),
            runtime: tokio::runtime::Handle::current(),
            arbiters: vec![Arbiter::current()],
        };
        bend(&mut parts);
        let system = System::start(parts).await.unwrap();
        Self { system, store, logs, user, folder }
    }

    /// Somebody who asks, without a session.
    pub(crate) fn asker(&self) -> Asker {
        Asker::new(&self.user, Arc::new(Rights::of_built_in(self.user.role)), None)
    }
}

/// Runs a test inside an actix system whose clock is not held: it works on a real database.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    actix::System::new().block_on(limited).expect("a test that hangs");
}

/// A question with an id of its own.
pub(crate) fn question(content: &str) -> Ask {
    Ask { client_message_id: Some(ClientMessageId::random()), ..Ask::new(content) }
}

/// Waits until `found` finds something.
pub(crate) async fn eventually<T>(mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not happen in time");
}
