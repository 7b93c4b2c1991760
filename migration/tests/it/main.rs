//! Migrating, on SQLite and on PostgreSQL: from nothing, again, by several at once, and refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, io::Write as _, path::Path, pin::pin, time::Duration};

use callboard_migration::{MigrateError, status, up};
use callboard_testkit::Postgres;
use sea_orm_migration::sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};

const MIGRATIONS: usize = 16;

/// What keeps the database there.
enum Home {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Home {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    async fn postgres(test: &str) -> Option<Self> {
        let postgres = Postgres::create().await.map(Self::Postgres);
        if postgres.is_none() {
            // Not by `eprintln!`, which the test runner hides when a test passes.
            let notice = format!("SKIPPED, no CALLBOARD_TEST_POSTGRES_URL: {test}\n");
            std::io::stderr().write_all(notice.as_bytes()).unwrap();
        }
        postgres
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => sqlite_url(&folder.path().join("callboard.db")),
            Self::Postgres(postgres) => postgres.url().to_owned(),
        }
    }

    async fn connect(&self) -> DatabaseConnection {
        Database::connect(self.url()).await.unwrap()
    }
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

macro_rules! on_both {
    ($($name:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Home::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    if let Some(home) = super::Home::postgres(name).await {
                        super::$name(home).await;
                    }
                }
            )+
        }
    };
}

on_both! {
    up_applies_all_and_then_nothing
    of_many_migrators_at_once_one_does_the_work
    a_newer_database_is_refused
    a_failed_run_changes_nothing
}

async fn up_applies_all_and_then_nothing(home: Home) {
    let url = home.url();
    let before = status(&url).await.unwrap();
    assert!(before.len() == MIGRATIONS && before.iter().all(|migration| !migration.applied));
    let applied = up(&url).await.unwrap();
    let names: Vec<_> = before.into_iter().map(|migration| migration.name).collect();
    assert_eq!(applied, names);
    assert!(status(&url).await.unwrap().iter().all(|migration| migration.applied));
    assert_eq!(up(&url).await.unwrap(), [""; 0]);
}

async fn of_many_migrators_at_once_one_does_the_work(home: Home) {
    let mut migrators = JoinSet::new();
    for _ in 0..8 {
        let url = home.url();
        migrators.spawn(async move { up(&url).await.unwrap().len() });
    }
    let mut counts = migrators.join_all().await;
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, MIGRATIONS]);
}

async fn a_newer_database_is_refused(home: Home) {
    let url = home.url();
    up(&url).await.unwrap();
    let db = home.connect().await;
    let future = "INSERT INTO seaql_migrations VALUES ('m20990101_000001_create_future', 0)";
    db.execute_unprepared(future).await.unwrap();
    for error in [up(&url).await.unwrap_err(), status(&url).await.unwrap_err()] {
        assert!(matches!(error, MigrateError::Newer(_)), "{error}");
        assert!(error.to_string().contains("m20990101_000001_create_future"), "{error}");
    }
}

async fn a_failed_run_changes_nothing(home: Home) {
    // Somebody else's table stands in the way of a later migration.
    let url = match &home {
        Home::Sqlite(_) => format!("{}?mode=rwc", home.url()),
        Home::Postgres(_) => home.url(),
    };
    let db = Database::connect(&url).await.unwrap();
    db.execute_unprepared("CREATE TABLE settings (theirs int)").await.unwrap();
    let error = up(&url).await.unwrap_err();
    assert!(matches!(error, MigrateError::Failed(_)), "{error}");
    assert!(status(&url).await.unwrap().iter().all(|migration| !migration.applied));
    db.execute_unprepared("SELECT * FROM users").await.unwrap_err();
    db.execute_unprepared("DROP TABLE settings").await.unwrap();
    assert_eq!(up(&url).await.unwrap().len(), MIGRATIONS);
}

#[tokio::test]
async fn looking_does_not_make_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callboard.db");
    assert_eq!(status(&sqlite_url(&path)).await.unwrap().len(), MIGRATIONS);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_migrator_waits_until_the_lock_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder.path().join("callboard.db"));
    let file = File::create(folder.path().join("callboard.db.migrate.lock")).unwrap();
    file.lock().unwrap();
    let mut migrator = pin!(up(&url));
    let early = timeout(Duration::from_millis(200), &mut migrator).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    file.unlock().unwrap();
    assert_eq!(migrator.await.unwrap().len(), MIGRATIONS);
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callboard.db");
    up(&sqlite_url(&path)).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_cannot_be_migrated_is_said_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let missing = sqlite_url(&folder.path().join("none/callboard.db"));
    let errors = [
        up("mysql://me:hunter2@localhost/x").await.unwrap_err(),
        up("postgres://me:hunter2@[").await.unwrap_err(),
        up(&missing).await.unwrap_err(),
        // Port 1 of this machine: nobody listens.
        up("postgres://me:hunter2@127.0.0.1:1/callboard").await.unwrap_err(),
    ];
    assert!(matches!(
        errors,
        [
            MigrateError::Url(_),
            MigrateError::Url(_),
            MigrateError::Folder(..),
            MigrateError::Unreachable(_)
        ]
    ));
    assert!(errors.iter().all(|error| !error.to_string().contains("hunter2")));
}
