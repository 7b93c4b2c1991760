//! The store: how to reach the database, and the one place that times every query.
//!
//! SQLite has one writer connection, whose transactions begin with `BEGIN IMMEDIATE`, and a pool of
//! read-only connections to the same WAL file: with more than one writer, or with deferred
//! transactions, most concurrent changes fail. PostgreSQL has one pool for both. The bounds are
//! `max_connections`, and `acquire_timeout_ms` for those who wait: then it is
//! [`StoreError::Unavailable`].

use std::{sync::Arc, time::Duration};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxPostgresConnector,
    SqlxSqliteConnector, TransactionOptions, TransactionTrait,
    sqlx::{
        self, ConnectOptions,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::{DatabaseConfig, StoreError};

/// A query that takes longer is logged.
const SLOW: Duration = Duration::from_secs(1);

/// Told of every query: its name, how long it took, and whether the database did its work.
type Observer = dyn Fn(&'static str, Duration, bool) + Send + Sync;

/// The database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    observer: Option<Arc<Observer>>,
}

/// Why the database could not be opened. None of the texts holds the URL, which may contain a
/// password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No URL is configured.
    #[error("database.url is not set")]
    NoUrl,
    /// The URL is not one of SQLite or PostgreSQL.
    #[error(
        "database.url: {0}; it is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`"
    )]
    Url(String),
    /// The database cannot be reached.
    #[error("the database cannot be opened: {0}")]
    Unreachable(#[source] sqlx::Error),
}

impl Store {
    /// Opens the database. The schema must be there: `callboard_migration::up` makes it.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, OpenError> {
        let url = config.url.as_ref().ok_or(OpenError::NoUrl)?.expose_secret();
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url, config).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url, config).await
        } else {
            Err(OpenError::Url("not a known kind of database".to_owned()))
        }
    }

    /// The same store, which reports every query to `observer` from now on.
    #[must_use]
    pub fn observed(
        mut self,
        observer: impl Fn(&'static str, Duration, bool) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run("ping", async { Ok(self.reader.ping().await?) }).await
    }

    /// Closes all connections, after the queries that hold one.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.close().await?;
        Ok(self.writer.close().await?)
    }

    /// Runs the query `op`, times it and reports it. Every query of this crate goes through here.
    pub(crate) async fn run<T>(
        &self,
        op: &'static str,
        query: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let result = query.await;
        let elapsed = started.elapsed();
        let ok = result.as_ref().err().is_none_or(StoreError::is_answer);
        if elapsed > SLOW {
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(op, elapsed_ms, ok, "slow database operation");
        }
        if let Some(observer) = &self.observer {
            observer(op, elapsed, ok);
        }
        result
    }

    /// For queries that only read, outside of a transaction.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For a change of a single statement.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// For a change of several statements. Dropping the transaction undoes it. While it is open,
    /// use nothing but it: on SQLite the only writer is taken.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
    }

    async fn open_sqlite(url: &str, config: &DatabaseConfig) -> Result<Self, OpenError> {
        let options: SqliteConnectOptions =
            url.parse().map_err(|error: sqlx::Error| OpenError::Url(error.to_string()))?;
        if url.contains(":memory:") || url.contains("mode=memory") {
            // Each connection would have a database of its own.
            return Err(OpenError::Url("a database in memory cannot be shared".to_owned()));
        }
        let options = options
            .disable_statement_logging()
            .busy_timeout(Duration::from_millis(config.busy_timeout_ms))
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal);
        let acquire = Duration::from_millis(config.acquire_timeout_ms);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(acquire)
            .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(OpenError::Unreachable)?;
        let reader = SqlitePoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(acquire)
            .connect_with(options.read_only(true))
            .await
            .map_err(OpenError::Unreachable)?;
        Ok(Self {
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
            reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
            observer: None,
        })
    }

    async fn open_postgres(url: &str, config: &DatabaseConfig) -> Result<Self, OpenError> {
        let options: PgConnectOptions =
            url.parse().map_err(|error: sqlx::Error| OpenError::Url(error.to_string()))?;
        let statement = config.statement_timeout_ms.to_string();
        let options = options.disable_statement_logging().application_name("callboard").options([
            ("statement_timeout", statement.as_str()),
            ("lock_timeout", statement.as_str()),
            ("idle_in_transaction_session_timeout", statement.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
            .connect_with(options)
            .await
            .map_err(OpenError::Unreachable)?;
        let pool = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        Ok(Self { writer: pool.clone(), reader: pool, observer: None })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.writer.get_database_backend()).finish()
    }
}
