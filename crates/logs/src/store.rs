//! The log index of a folder.
//!
//! Readers work on a [`Snapshot`]: a searcher and the catalogue of the same commit, swapped as one
//! after each commit, so that counts, lines and generation always fit together. Writing, and
//! merging in the background, never blocks them.

use std::{path::Path, sync::Arc};

use callboard_protocol::{Level, LevelCount, LogStats};
use parking_lot::{Mutex, RwLock};
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher, directory::MmapDirectory};

use crate::{
    LogsConfig, OpenError,
    catalogue::Catalogue,
    schema::{self, Fields},
    writer::Writer,
};

/// A log index. Clones share it; use it from any thread. All of its work is blocking.
#[derive(Clone)]
pub struct LogStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: LogsConfig,
    pub(crate) index: Index,
    pub(crate) fields: Fields,
    reader: IndexReader,
    snapshot: RwLock<Arc<Snapshot>>,
    /// None until the first line is written, so that a second process may read.
    pub(crate) writer: Mutex<Option<Writer>>,
}

/// The index as one commit left it.
pub(crate) struct Snapshot {
    pub(crate) searcher: Searcher,
    pub(crate) catalogue: Catalogue,
}

impl LogStore {
    /// Opens the index in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the configuration is out of its bounds, or the folder cannot be used.
    pub fn open(folder: &Path, config: &LogsConfig) -> Result<Self, OpenError> {
        config.check()?;
        let in_folder = |source| OpenError::Folder { path: folder.to_owned(), source };
        let in_index = |source| OpenError::Index { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        let directory = MmapDirectory::open(folder).map_err(|error| in_index(error.into()))?;
        let (schema, fields) = schema::schema();
        let index = Index::open_or_create(directory, schema).map_err(in_index)?;
        schema::register_tokenizer(&index);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(in_index)?;
        let snapshot = read_snapshot(&index, &reader).map_err(|error| match error {
            SnapshotError::Index(source) => in_index(source),
            SnapshotError::Catalogue(source) => OpenError::Catalogue(source),
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                index,
                fields,
                reader,
                snapshot: RwLock::new(Arc::new(snapshot)),
                writer: Mutex::new(None),
            }),
        })
    }

    /// Grows with every commit; a part of every cache key.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.snapshot().catalogue.generation
    }

    /// What is indexed.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let snapshot = self.snapshot();
        let catalogue = &snapshot.catalogue;
        LogStats {
            lines: catalogue.lines(),
            index_bytes: snapshot
                .searcher
                .space_usage()
                .map_or(0, |usage| usage.total().get_bytes()),
            covered: catalogue.covered(),
            levels: level_counts(&catalogue.levels()),
            sources: catalogue.sources.iter().map(|source| source.stats()).collect(),
            generation: catalogue.generation,
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.snapshot.read())
    }
}

impl Inner {
    /// Shows readers what was committed.
    pub(crate) fn publish(&self, catalogue: Catalogue) -> tantivy::Result<()> {
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        *self.snapshot.write() = Arc::new(Snapshot { searcher, catalogue });
        Ok(())
    }
}

/// Why the state of the last commit cannot be read.
pub(crate) enum SnapshotError {
    Index(tantivy::TantivyError),
    Catalogue(serde_json::Error),
}

impl From<tantivy::TantivyError> for SnapshotError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(error)
    }
}

/// The catalogue of the last commit; an empty one before the first.
pub(crate) fn read_catalogue(index: &Index) -> Result<Catalogue, SnapshotError> {
    match index.load_metas()?.payload {
        Some(payload) => serde_json::from_str(&payload).map_err(SnapshotError::Catalogue),
        None => Ok(Catalogue::default()),
    }
}

/// Another process may commit in between: its lines are then seen, and its catalogue is not, until
/// the next commit.
fn read_snapshot(index: &Index, reader: &IndexReader) -> Result<Snapshot, SnapshotError> {
    let catalogue = read_catalogue(index)?;
    Ok(Snapshot { searcher: reader.searcher(), catalogue })
}

/// The levels that occur, least first.
pub(crate) fn level_counts(levels: &[u64; Level::ALL.len()]) -> Vec<LevelCount> {
    let counts = Level::ALL.into_iter().zip(*levels);
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(level, count)| LevelCount { level, count })
        .collect()
}
