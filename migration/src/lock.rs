//! The lock that lets one migrator in at a time, across processes.
//!
//! PostgreSQL: an advisory lock that belongs to the migrating transaction, so that it cannot
//! outlive it, and works through a connection pooler. SQLite: a lock on a file beside the
//! database, which the operating system frees when the process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use tokio::time::{Instant, sleep};

use crate::MigrateError;

/// How long a migrator waits for another one to finish.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks whether the file is free.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Any number will do, as long as it stays the same in all versions: "callboard" in a sense.
const ADVISORY_KEY: i64 = 0x0063_616c_6c62_6f61;

/// Holds the lock file; dropping it lets the next one in.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits until the lock beside `database` is ours.
    pub(crate) async fn acquire(database: &Path) -> Result<Self, MigrateError> {
        let path = lock_path(database);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| MigrateError::Folder(path.clone(), error))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    sleep(LOOK_EVERY).await;
                }
                Err(TryLockError::WouldBlock) => return Err(MigrateError::Locked(PATIENCE)),
                Err(TryLockError::Error(error)) => return Err(MigrateError::Folder(path, error)),
            }
        }
    }
}

/// The lock file beside `database`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".migrate.lock");
    database.with_file_name(name)
}

/// Makes the database file, readable by its owner alone: it holds password hashes and secrets.
/// SQLite gives its companions (`-wal`, `-shm`) the same rights.
pub(crate) fn create_private(database: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(database).map(drop)
}

/// Waits until the transaction holds the advisory lock.
pub(crate) async fn advisory(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let patience = PATIENCE.as_millis();
    transaction.execute_unprepared(&format!("SET LOCAL lock_timeout = {patience}")).await?;
    transaction
        .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({ADVISORY_KEY})"))
        .await?;
    Ok(())
}
