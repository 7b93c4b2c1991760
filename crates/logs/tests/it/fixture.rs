//! A store in a folder of its own, and lines to put into it.

use std::{fs, ops::ControlFlow, path::PathBuf};

use callboard_logs::{IngestError, IngestOptions, LogStore, LogsConfig};
use callboard_protocol::{IngestProgress, LogPage, LogSearch, SourceId, Timestamp};
use tempfile::TempDir;

/// A store, and the folder that it lives in.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) store: LogStore,
    pub(crate) source: SourceId,
}

/// The present of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T03:00:00Z".parse().unwrap()
}

pub(crate) fn config() -> LogsConfig {
    LogsConfig { writer_memory_mb: 16, writer_threads: 1, ..LogsConfig::default() }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: LogsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(&folder.path().join("index"), &config).unwrap();
        Self { folder, store, source: SourceId::new() }
    }

    /// A store with these lines as the source `app.log`.
    pub(crate) fn of(text: &str) -> Self {
        let fixture = Self::new();
        fixture.ingest("app.log", text);
        fixture
    }

    /// Closes the store and opens it again, as after a restart.
    pub(crate) fn reopened(self) -> Self {
        let Self { folder, store, source } = self;
        drop(store);
        let store = LogStore::open(&folder.path().join("index"), &config()).unwrap();
        Self { folder, store, source }
    }

    pub(crate) fn ingest(&self, name: &str, text: &str) -> IngestProgress {
        let options = IngestOptions::whole(SourceId::new(), name, now());
        self.store.ingest_reader(text.as_bytes(), &options, &mut go_on).unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    pub(crate) fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path(), text).unwrap();
    }

    /// Ingests the file as it is now.
    pub(crate) fn whole(&self) -> Result<IngestProgress, IngestError> {
        let options = IngestOptions::whole(self.source, "app.log", now());
        self.store.ingest_file(&self.path(), &options, &mut go_on)
    }

    /// Ingests what is complete of the file.
    pub(crate) fn follow(&self) -> IngestProgress {
        let options = IngestOptions::follow(self.source, "app.log", now());
        self.store.ingest_file(&self.path(), &options, &mut go_on).unwrap()
    }

    pub(crate) fn search(&self, q: &str) -> LogPage {
        self.store.search(&query(q)).unwrap()
    }

    /// How many indexes there are: the one that is read, and what is left of others.
    pub(crate) fn indexes(&self) -> usize {
        let entries = fs::read_dir(self.folder.path().join("index")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    }

    /// The texts of all lines, in the order of their ids.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut lines =
            self.store.search(&LogSearch { limit: Some(500), ..query("") }).unwrap().lines;
        lines.sort_by_key(|line| line.id);
        lines.into_iter().map(|line| line.text).collect()
    }
}

pub(crate) fn go_on(_: &IngestProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn query(q: &str) -> LogSearch {
    LogSearch { q: q.to_owned(), ..LogSearch::default() }
}
