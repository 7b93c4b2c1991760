//! The log index of a folder.
//!
//! Readers work on a [`Snapshot`]: a searcher and the catalogue of the same commit, swapped as one
//! after each commit, so that counts, lines and generation always fit together. Writing, and
//! merging in the background, never blocks them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use callboard_protocol::{Level, LevelCount, LogStats};
use parking_lot::{Mutex, RwLock};
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher, directory::MmapDirectory};
use tracing::warn;

use crate::{
    Embedder, Follower, JournalConfig, ListenConfig, LogsConfig, OpenError, PatternError,
    Retention, SourceAccess, SourceNames, SshConfig,
    catalogue::{Catalogue, SourceEntry},
    chunks::Chunks,
    embed::Vectors,
    folders::Folders,
    format::custom::Formats,
    patterns::{self, Patterns},
    reindex::Remake,
    schema::{self, Fields},
    survey::Rollups,
    writer::Writer,
};

/// A log index, as one reader sees it. Clones share it; use it from any thread. All of its work is
/// blocking.
#[derive(Clone)]
pub struct LogStore {
    pub(crate) inner: Arc<Inner>,
    /// The sources whose lines are found, shown and counted.
    access: SourceAccess,
}

pub(crate) struct Inner {
    pub(crate) config: LogsConfig,
    pub(crate) reading: Reading,
    pub(crate) folders: Folders,
    snapshot: RwLock<Arc<Snapshot>>,
    /// None until the first line is written, so that a second process may read.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// The model on this machine.
    pub(crate) embedder: Option<Box<dyn Embedder>>,
    pub(crate) vectors: Vectors,
    /// Held by whoever makes the index anew; what was broken off waits in it for the next one.
    pub(crate) remaking: Mutex<Option<Remake>>,
}

/// How lines are read that a query asks for.
#[derive(Clone)]
pub(crate) struct Reading {
    /// How many of them, at most.
    pub(crate) scan_limit: u64,
    /// The formats that their fields may have.
    pub(crate) formats: Formats,
}

/// The index in one folder.
pub(crate) struct Opened {
    pub(crate) folder: PathBuf,
    pub(crate) index: Index,
    pub(crate) fields: Fields,
    pub(crate) rollups: Rollups,
    reader: IndexReader,
}

/// The index as one commit left it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) searcher: Searcher,
    pub(crate) fields: Fields,
    pub(crate) catalogue: Catalogue,
    pub(crate) patterns: Arc<Patterns>,
    /// None when the texts are in the index.
    pub(crate) chunks: Option<Chunks>,
    pub(crate) opened: Arc<Opened>,
    /// The numbers of the only sources whose lines exist for whoever reads; none: all of them.
    pub(crate) visible: Option<Arc<[u64]>>,
}

impl LogStore {
    /// Opens the index in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the configuration is out of its bounds, or the folder cannot be used.
    pub fn open(folder: &Path, config: &LogsConfig) -> Result<Self, OpenError> {
        let reading = Reading { scan_limit: config.scan_limit, formats: config.formats()? };
        let in_folder = |source| OpenError::Folder { path: folder.to_owned(), source };
        let folders = Folders::open(folder).map_err(in_folder)?;
        let current = folders.current().map_err(in_folder)?;
        if let Err(error) = folders.sweep() {
            warn!(%error, "a former log index cannot be deleted");
        }
        let in_index = |source| OpenError::Index { path: current.clone(), source };
        let opened = Arc::new(Opened::open(&current).map_err(in_index)?);
        let snapshot = opened.snapshot().map_err(|error| match error {
            SnapshotError::Index(source) => in_index(source),
            SnapshotError::Catalogue(source) => OpenError::Catalogue(source),
        })?;
        Ok(Self {
            access: SourceAccess::Every,
            inner: Arc::new(Inner {
                config: config.clone(),
                reading,
                folders,
                snapshot: RwLock::new(Arc::new(snapshot)),
                writer: Mutex::new(None),
                embedder: config.embeddings.open()?,
                vectors: Vectors::default(),
                remaking: Mutex::new(None),
            }),
        })
    }

    /// The same index for a reader who may see some sources only: of the others no line is found,
    /// counted or told.
    #[must_use]
    pub fn visible_to(&self, access: &SourceAccess) -> Self {
        Self { inner: Arc::clone(&self.inner), access: access.clone() }
    }

    /// What follows files by a pattern of their paths, below the folders that may be followed.
    ///
    /// # Errors
    /// When it is no pattern, or leads elsewhere.
    pub fn follower(&self, pattern: &str) -> Result<Follower, PatternError> {
        Follower::new(pattern, &self.inner.config.follow_below)
    }

    /// How long lines are kept; of the sources that are held, none goes.
    #[must_use]
    pub fn retention(&self, held: Vec<SourceNames>) -> Retention {
        let LogsConfig { keep_days: days, keep_gb, keep: rules, .. } = &self.inner.config;
        let bytes = keep_gb.saturating_mul(1 << 30);
        Retention { days: *days, bytes, rules: rules.clone(), held }
    }

    /// What may wait in the spool of a source, in bytes.
    #[must_use]
    pub fn spool_bytes(&self) -> u64 {
        self.inner.config.spool_mb << 20
    }

    /// The name of the model that is to embed by the gateway, if it is one of those.
    #[must_use]
    pub fn embedding_model(&self) -> Option<&str> {
        let embeddings = &self.inner.config.embeddings;
        embeddings.model.as_deref().filter(|_| embeddings.model_dir.is_none())
    }

    /// Where logs are taken that come by other ways than HTTP.
    #[must_use]
    pub fn listen(&self) -> &ListenConfig {
        &self.inner.config.listen
    }

    /// How systemd's journal is read.
    #[must_use]
    pub fn journal(&self) -> &JournalConfig {
        &self.inner.config.journal
    }

    /// How other machines are asked for their files.
    #[must_use]
    pub fn ssh(&self) -> &SshConfig {
        &self.inner.config.ssh
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
            index_bytes: snapshot.bytes(),
            covered: catalogue.covered(),
            levels: level_counts(&catalogue.levels()),
            sources: snapshot.sources().map(|source| source.stats()).collect(),
            generation: catalogue.generation,
            patterns: snapshot.pattern_count(&self.inner.reading),
        }
    }

    /// What the reader sees of the last commit.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let shown = self.inner.shown();
        match &self.access {
            SourceAccess::Every => shown,
            SourceAccess::Only(_) => Arc::new(shown.visible_to(&self.access)),
        }
    }
}

impl Opened {
    /// Opens the index in a folder that is there, or makes it.
    pub(crate) fn open(folder: &Path) -> tantivy::Result<Self> {
        let directory = MmapDirectory::open(folder)?;
        let index = if Index::exists(&directory)? {
            Index::open(directory)?
        } else {
            Index::create(directory, schema::schema(), tantivy::IndexSettings::default())?
        };
        schema::register_tokenizer(&index);
        let fields = Fields::of(&index.schema())?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { folder: folder.to_owned(), index, fields, rollups: Rollups::default(), reader })
    }

    /// Another process may commit in between: its lines are then seen, and its catalogue is not,
    /// until the next commit.
    pub(crate) fn snapshot(self: &Arc<Self>) -> Result<Snapshot, SnapshotError> {
        let catalogue = read_catalogue(&self.index)?;
        let miner = patterns::read(&self.folder, catalogue.patterns);
        let patterns = Arc::new(Patterns::of(&miner));
        let chunks =
            (!self.fields.stores_text).then(|| Chunks::open(&self.folder, catalogue.texts));
        let chunks = chunks.transpose().map_err(|error| SnapshotError::Index(error.into()))?;
        self.read(catalogue, patterns, chunks).map_err(SnapshotError::Index)
    }

    /// What was committed last, with what belongs to it.
    pub(crate) fn read(
        self: &Arc<Self>,
        catalogue: Catalogue,
        patterns: Arc<Patterns>,
        chunks: Option<Chunks>,
    ) -> tantivy::Result<Snapshot> {
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        let opened = Arc::clone(self);
        let (fields, visible) = (self.fields, None);
        Ok(Snapshot { searcher, fields, catalogue, patterns, chunks, opened, visible })
    }
}

impl Snapshot {
    /// The same for a reader of some sources. The others keep their numbers, and nothing is known of
    /// them.
    fn visible_to(&self, access: &SourceAccess) -> Self {
        let mut view = self.clone();
        let mut visible = Vec::new();
        for (number, source) in (0..).zip(&mut view.catalogue.sources) {
            if access.includes(&source.name) {
                visible.push(number);
            } else {
                source.hide();
            }
        }
        view.catalogue.gone_levels = Default::default();
        view.visible = Some(visible.into());
        view
    }

    /// Whether a reader may see the lines of the source of this number.
    pub(crate) fn is_visible(&self, source: u32) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible.contains(&u64::from(source)))
    }

    /// The sources that a reader may see.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceEntry> {
        let sources = (0..).zip(&self.catalogue.sources);
        sources.filter(|(number, _)| self.is_visible(*number)).map(|(_, source)| source)
    }

    /// Bytes of the index, without the texts.
    pub(crate) fn index_bytes(&self) -> u64 {
        self.searcher.space_usage().map_or(0, |usage| usage.total().get_bytes())
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.index_bytes() + self.chunks.as_ref().map_or(0, Chunks::bytes)
    }
}

impl Inner {
    /// What readers see.
    pub(crate) fn shown(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read())
    }

    /// Shows readers what was committed.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.write() = Arc::new(snapshot);
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

/// The levels that occur, least first.
pub(crate) fn level_counts(levels: &[u64; Level::ALL.len()]) -> Vec<LevelCount> {
    let counts = Level::ALL.into_iter().zip(*levels);
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(level, count)| LevelCount { level, count })
        .collect()
}
