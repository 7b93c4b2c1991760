//! A database for each test, of both kinds.

use std::io::Write as _;

use callboard_entities::{DatabaseConfig, Store};
use callboard_testkit::Postgres;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

/// What keeps a test's database there.
enum Home {
    Sqlite(TempDir),
    Postgres(Postgres),
}

/// A migrated database of a test's own, and a store on it that gives up soon.
pub(super) struct Db {
    pub(super) store: Store,
    url: String,
    home: Home,
}

impl Db {
    pub(super) async fn sqlite() -> Self {
        Self::open(Home::Sqlite(tempfile::tempdir().unwrap())).await
    }

    /// None, with a line that names the test, when no server is given.
    pub(super) async fn postgres(test: &str) -> Option<Self> {
        let Some(postgres) = Postgres::create().await else {
            // Not by `eprintln!`, which the test runner hides when a test passes.
            let notice = format!("SKIPPED, no CALLBOARD_TEST_POSTGRES_URL: {test}\n");
            std::io::stderr().write_all(notice.as_bytes()).unwrap();
            return None;
        };
        Some(Self::open(Home::Postgres(postgres)).await)
    }

    async fn open(home: Home) -> Self {
        let url = match &home {
            Home::Sqlite(folder) => format!("sqlite:{}/callboard.db", folder.path().display()),
            Home::Postgres(postgres) => postgres.url().to_owned(),
        };
        callboard_migration::up(&url).await.unwrap();
        let config = DatabaseConfig { max_connections: 4, ..DatabaseConfig::at(&url) };
        let config = DatabaseConfig { busy_timeout_ms: 50, statement_timeout_ms: 2_000, ..config };
        let store = Store::open(&config).await.unwrap();
        Self { store, url, home }
    }

    /// Keeps everybody else from writing usage until the connection is closed.
    pub(super) async fn block_writers(&self) -> DatabaseConnection {
        let one = ConnectOptions::new(&self.url).max_connections(1).to_owned();
        let blocker = Database::connect(one).await.unwrap();
        let statements = match self.home {
            Home::Sqlite(_) => "BEGIN IMMEDIATE",
            Home::Postgres(_) => "BEGIN; LOCK TABLE usage_events IN SHARE MODE",
        };
        blocker.execute_unprepared(statements).await.unwrap();
        blocker
    }

    /// Whether each round trip is slow, so that a test takes fewer.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.home, Home::Postgres(_))
    }
}

/// Defines each named test twice, for SQLite and for PostgreSQL.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::ledger::tests::db::Db::sqlite().await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    if let Some(db) = crate::ledger::tests::db::Db::postgres(name).await {
                        super::$name(db).await;
                    }
                }
            )+
        }
    };
}
pub(super) use on_both;
