//! Applying migrations, and telling which are applied.

use std::{io, path::PathBuf, time::Duration};

use sea_orm_migration::{
    MigrationStatus, MigrationTrait, MigratorTrait,
    sea_orm::{
        DatabaseConnection, DbErr, RuntimeErr, SqliteTransactionMode, SqlxPostgresConnector,
        SqlxSqliteConnector, TransactionOptions, TransactionTrait,
        sqlx::{
            self, ConnectOptions,
            postgres::{PgConnectOptions, PgPoolOptions},
            sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
        },
    },
};

use crate::lock::{self, FileLock};

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name: the name of its file.
    pub name: String,
    /// Whether it has been applied.
    pub applied: bool,
}

/// Why the schema could not be brought up to date. None of the texts holds the database's URL,
/// which may contain a password.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The URL is not one of SQLite or PostgreSQL.
    #[error(
        "database.url: {0}; it is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`"
    )]
    Url(String),
    /// The folder of the SQLite database cannot be written to.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Folder(PathBuf, #[source] io::Error),
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// Another migrator holds the lock for too long.
    #[error("another process has been migrating this database for more than {0:?}")]
    Locked(Duration),
    /// The database has migrations that this version does not know.
    #[error("the database belongs to a newer version of Callboard: {0}")]
    Newer(String),
    /// A migration failed; nothing was changed.
    #[error("a migration failed, and nothing was changed: {0}")]
    Failed(#[source] DbErr),
}

impl From<DbErr> for MigrateError {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// The migrations, the earliest first.
struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(crate::m20261121_000001_create_users::Migration),
            Box::new(crate::m20261121_000002_create_api_keys::Migration),
            Box::new(crate::m20261121_000003_create_refresh_tokens::Migration),
            Box::new(crate::m20261121_000004_create_conversations::Migration),
            Box::new(crate::m20261121_000005_create_messages::Migration),
            Box::new(crate::m20261121_000006_create_log_sources::Migration),
            Box::new(crate::m20261121_000007_create_jobs::Migration),
            Box::new(crate::m20261121_000008_create_audit_events::Migration),
            Box::new(crate::m20261121_000009_create_settings::Migration),
            Box::new(crate::m20261121_000010_extend_api_keys::Migration),
            Box::new(crate::m20261121_000011_create_usage_events::Migration),
            Box::new(crate::m20261127_000012_create_alerts::Migration),
            Box::new(crate::m20261127_000013_create_log_holds::Migration),
            Box::new(crate::m20261127_000014_create_roles_and_sign_ins::Migration),
            Box::new(crate::m20261127_000015_chain_audit_events::Migration),
            Box::new(crate::m20261127_000016_create_second_factors::Migration),
        ]
    }
}

/// Which database a URL means.
enum Target {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Target {
    fn parse(url: &str) -> Result<Self, MigrateError> {
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions =
                url.parse().map_err(|error: sqlx::Error| MigrateError::Url(error.to_string()))?;
            return Ok(Self::Sqlite(options.disable_statement_logging()));
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options: PgConnectOptions =
                url.parse().map_err(|error: sqlx::Error| MigrateError::Url(error.to_string()))?;
            return Ok(Self::Postgres(options.disable_statement_logging()));
        }
        Err(MigrateError::Url("not a known kind of database".to_owned()))
    }
}

/// Applies what is pending, and returns the names of what it applied.
///
/// Makes the SQLite file if it is missing (not its folder). When several processes call this at
/// once, one migrates and the others wait for it, for up to a minute.
pub async fn up(url: &str) -> Result<Vec<String>, MigrateError> {
    match Target::parse(url)? {
        Target::Sqlite(options) => {
            let path = options.get_filename().to_owned();
            let lock = FileLock::acquire(&path).await?;
            lock::create_private(&path).map_err(|error| MigrateError::Folder(path, error))?;
            let db = open_sqlite(options.journal_mode(SqliteJournalMode::Wal)).await?;
            let applied = apply(&db, false).await;
            db.close().await?;
            drop(lock);
            applied
        }
        Target::Postgres(options) => {
            let db = open_postgres(options).await?;
            let applied = apply(&db, true).await;
            db.close().await?;
            applied
        }
    }
}

/// Every migration, the earliest first, and whether it is applied. Changes nothing: an SQLite
/// file that is missing stays missing.
pub async fn status(url: &str) -> Result<Vec<MigrationState>, MigrateError> {
    let db = match Target::parse(url)? {
        Target::Sqlite(options) => {
            if !options.get_filename().exists() {
                let names = Migrator::migrations();
                return Ok(names
                    .iter()
                    .map(|m| state(m.name(), MigrationStatus::Pending))
                    .collect());
            }
            open_sqlite(options.read_only(true)).await?
        }
        Target::Postgres(options) => open_postgres(options).await?,
    };
    let states = Migrator::get_migration_with_status_read_only(&db).await;
    db.close().await?;
    let states = states.map_err(newer)?;
    Ok(states.iter().map(|m| state(m.name(), m.status())).collect())
}

fn state(name: &str, status: MigrationStatus) -> MigrationState {
    MigrationState { name: name.to_owned(), applied: status == MigrationStatus::Applied }
}

/// sea-orm tells of migrations that it does not know by `Custom`, and of nothing else here.
fn newer(error: DbErr) -> MigrateError {
    if let DbErr::Custom(text) = error { MigrateError::Newer(text) } else { error.into() }
}

async fn open_sqlite(options: SqliteConnectOptions) -> Result<DatabaseConnection, MigrateError> {
    let options = options.foreign_keys(true).busy_timeout(lock::PATIENCE);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(MigrateError::Unreachable)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

async fn open_postgres(options: PgConnectOptions) -> Result<DatabaseConnection, MigrateError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options.application_name("callboard-migrate"))
        .await
        .map_err(MigrateError::Unreachable)?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// Applies all pending migrations in one transaction; each is a savepoint in it.
async fn apply(db: &DatabaseConnection, advisory: bool) -> Result<Vec<String>, MigrateError> {
    let options = TransactionOptions {
        // A deferred transaction fails at once when another connection writes; this one waits.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    if advisory {
        lock::advisory(&transaction).await.map_err(locked)?;
    }
    let pending = Migrator::get_pending_migrations(&transaction).await.map_err(newer)?;
    let names = pending.iter().map(|migration| migration.name().to_owned()).collect();
    Migrator::up(&transaction, None).await?;
    transaction.commit().await?;
    Ok(names)
}

/// PostgreSQL says `55P03` when the lock did not come in time.
fn locked(error: DbErr) -> MigrateError {
    let timed_out = if let DbErr::Exec(RuntimeErr::SqlxError(cause)) = &error {
        cause.as_database_error().and_then(|cause| cause.code()).is_some_and(|code| code == "55P03")
    } else {
        false
    };
    if timed_out { MigrateError::Locked(lock::PATIENCE) } else { error.into() }
}
