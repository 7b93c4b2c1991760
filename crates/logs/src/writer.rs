//! The one writer of the index.
//!
//! Called by `ingest`, which takes turns batch by batch behind the mutex of the store. Lines and
//! the offset that they reach enter in one call, and any commit holds every call before it: so an
//! offset and its lines become durable together, whoever commits. After any error the writer is
//! dropped, and with it all that was not committed; the next one starts from the last commit.

use std::sync::Arc;

use callboard_protocol::{LineId, SourceId, Timestamp};
use tantivy::{
    IndexWriter, TantivyError,
    indexer::{LogMergePolicy, UserOperation},
    query::Query,
};
use tracing::{debug, warn};

use crate::{
    IngestError, IngestOptions, LogStore, LogsConfig, Miner, ReadAs,
    catalogue::Catalogue,
    checkpoint::{FileId, Head},
    chunks::ChunkWriter,
    format::message,
    mining::PatternId,
    patterns::{self, Patterns},
    record::Record,
    schema::{Line, Place},
    store::{Inner, Opened, Snapshot, SnapshotError, read_catalogue},
};

/// tantivy refuses to work with less per thread.
const LEAST_BYTES_PER_THREAD: usize = 16 << 20;

/// A segment is written anew when more of its lines than this are gone.
const MOST_GONE: f32 = 0.3;

/// Documents that tantivy's threads are given at once: each time one of them wakes up.
const DOCUMENTS: usize = 100;

/// Holds tantivy's lock on the folder.
pub(crate) struct Writer {
    opened: Arc<Opened>,
    index_writer: IndexWriter,
    /// What is not handed over to it yet.
    documents: Vec<UserOperation>,
    /// None when the texts are in the index.
    chunks: Option<ChunkWriter>,
    miner: Miner,
    /// The patterns of the last commit.
    patterns: Arc<Patterns>,
    /// With what is not committed yet.
    pub(crate) catalogue: Catalogue,
    lines: u64,
    bytes: u64,
    /// Whether an offset moved since the last commit.
    changed: bool,
}

/// The file that a batch comes from.
pub(crate) struct Origin<'a> {
    source: SourceId,
    name: &'a str,
    read_as: &'a ReadAs,
    head: &'a Head,
    file: Option<FileId>,
}

impl<'a> Origin<'a> {
    pub(crate) fn of(options: &'a IngestOptions, head: &'a Head, file: Option<FileId>) -> Self {
        let IngestOptions { source_id: source, source: name, read_as, .. } = options;
        Self { source: *source, name, read_as, head, file }
    }
}

/// A stretch of a file, and the records in it.
pub(crate) struct Batch {
    /// About when it came in.
    pub(crate) at: Timestamp,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) records: Vec<Record>,
}

impl LogStore {
    /// How far the file was read, with what is not committed yet.
    pub(crate) fn offset(&self, origin: &Origin<'_>) -> Result<u64, IngestError> {
        self.with_writer(|writer, _| Ok(writer.offset(origin)))
    }

    /// Notes how far the file was read: to nothing, when it was truncated.
    pub(crate) fn set_offset(&self, origin: &Origin<'_>, offset: u64) -> Result<(), IngestError> {
        self.with_writer(|writer, _| {
            writer.set_offset(origin, offset);
            Ok(())
        })
    }

    /// Adds a batch, and commits when enough came together.
    pub(crate) fn append(&self, origin: &Origin<'_>, batch: Batch) -> Result<(), IngestError> {
        self.with_writer(|writer, inner| {
            // The file is read by another ingest at the same time, or the writer was dropped after
            // an error and took with it what was read before this batch.
            if writer.offset(origin) != batch.from {
                return Err(IngestError::Overtaken);
            }
            writer.bytes += batch.to - batch.from;
            writer.add(origin, batch)?;
            let config = &inner.config;
            let enough = writer.lines >= config.commit_every_lines
                || writer.bytes >= config.commit_every_mb << 20;
            if enough { writer.commit(inner) } else { Ok(()) }
        })
    }

    /// Makes everything durable and searchable.
    pub(crate) fn commit(&self) -> Result<(), IngestError> {
        self.with_writer(Writer::commit_changes)
    }

    pub(crate) fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Writer, &Inner) -> Result<T, IngestError>,
    ) -> Result<T, IngestError> {
        let mut slot = self.inner.writer.lock();
        if slot.is_none() {
            let writer = Writer::open(Arc::clone(&self.snapshot().opened), &self.inner.config)?;
            writer.publish(&self.inner)?;
            *slot = Some(writer);
        }
        let Some(writer) = slot.as_mut() else { return Err(IngestError::Busy) };
        let result = work(writer, &self.inner);
        if matches!(result, Err(IngestError::Index(_) | IngestError::Catalogue(_))) {
            *slot = None;
        }
        result
    }
}

impl Writer {
    pub(crate) fn open(opened: Arc<Opened>, config: &LogsConfig) -> Result<Self, IngestError> {
        let memory = config.writer_memory_mb << 20;
        let threads = config.writer_threads.min(memory / LEAST_BYTES_PER_THREAD).max(1);
        let index = &opened.index;
        let index_writer = index.writer_with_num_threads(threads, memory).map_err(|error| {
            if matches!(error, TantivyError::LockFailure(..)) {
                return IngestError::Busy;
            }
            IngestError::Index(error)
        })?;
        let mut merging = LogMergePolicy::default();
        merging.set_del_docs_ratio_before_merge(MOST_GONE);
        index_writer.set_merge_policy(Box::new(merging));
        // Read behind the lock: another process may have written since the store was opened.
        let catalogue = read_catalogue(index).map_err(|error| match error {
            SnapshotError::Index(error) => IngestError::Index(error),
            SnapshotError::Catalogue(error) => IngestError::Catalogue(error),
        })?;
        let miner = patterns::read(&opened.folder, catalogue.patterns);
        let patterns = Arc::new(Patterns::of(&miner));
        let chunks = (!opened.fields.stores_text)
            .then(|| ChunkWriter::open(&opened.folder, catalogue.texts))
            .transpose()
            .map_err(TantivyError::from)?;
        let (lines, bytes, changed) = (0, 0, false);
        let documents = Vec::with_capacity(DOCUMENTS);
        Ok(Self {
            opened,
            index_writer,
            documents,
            chunks,
            miner,
            patterns,
            catalogue,
            lines,
            bytes,
            changed,
        })
    }

    /// Where lines go whose numbers and places are known: for whoever makes an index anew.
    pub(crate) fn add_line(&mut self, place: Place, line: &mut Line<'_>) -> tantivy::Result<()> {
        if self.opened.fields.pattern.is_some() {
            line.pattern = self.miner.observe(message(line.text));
        }
        if let Some(chunks) = &mut self.chunks {
            chunks.push(place.id, line.text)?;
        }
        self.documents.push(UserOperation::Add(self.opened.fields.document(place, line)));
        if self.documents.len() >= DOCUMENTS { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> tantivy::Result<()> {
        self.index_writer.run(self.documents.drain(..))?;
        Ok(())
    }

    fn offset(&self, origin: &Origin<'_>) -> u64 {
        let number = self.catalogue.find(origin.source);
        number.map_or(0, |number| self.catalogue.sources[number].offset(origin.head, origin.file))
    }

    fn set_offset(&mut self, origin: &Origin<'_>, offset: u64) {
        let number = self.catalogue.number(origin.source, origin.name);
        let source = &mut self.catalogue.sources[number];
        source.set_offset(origin.head, origin.file, offset);
        source.read_as.clone_from(origin.read_as);
        self.changed = true;
    }

    fn add(&mut self, origin: &Origin<'_>, batch: Batch) -> Result<(), IngestError> {
        let number = self.catalogue.number(origin.source, origin.name);
        self.lines += batch.records.len() as u64;
        self.catalogue.note_day(batch.at);
        for record in batch.records {
            let place = self.catalogue.place(number, &record);
            let Record { text, timestamp, level, truncated, .. } = &record;
            self.add_line(
                place,
                &mut Line {
                    text,
                    timestamp: *timestamp,
                    level: *level,
                    truncated: *truncated,
                    pattern: PatternId::default(),
                },
            )?;
        }
        self.set_offset(origin, batch.to);
        Ok(())
    }

    /// Deletes the lines that match, with the next commit.
    pub(crate) fn delete(&mut self, lines: Box<dyn Query>) -> Result<(), IngestError> {
        self.index_writer.delete_query(lines)?;
        self.changed = true;
        Ok(())
    }

    /// Forgets what is kept of lines before this one, all of which are deleted.
    pub(crate) fn forget_before(&mut self, first: u64) {
        self.catalogue.forget_before(first);
        if let Some(chunks) = &mut self.chunks {
            chunks.drop_before(LineId(first));
        }
        self.changed = true;
    }

    /// Commits, if there is anything to commit.
    pub(crate) fn commit_changes(&mut self, inner: &Inner) -> Result<(), IngestError> {
        if self.changed { self.commit(inner) } else { Ok(()) }
    }

    fn commit(&mut self, inner: &Inner) -> Result<(), IngestError> {
        self.catalogue.generation += 1;
        self.make_durable()?;
        self.publish(inner)?;
        debug!(
            lines = self.lines,
            bytes = self.bytes,
            generation = self.catalogue.generation,
            "committed"
        );
        (self.lines, self.bytes, self.changed) = (0, 0, false);
        Ok(())
    }

    /// Commits, with the catalogue and the patterns.
    pub(crate) fn make_durable(&mut self) -> Result<(), IngestError> {
        let given = self.miner.given();
        let learned = given != self.catalogue.patterns;
        if learned {
            patterns::write(&self.opened.folder, &self.miner)
                .map_err(|error| IngestError::Index(error.into()))?;
            self.catalogue.patterns = given;
        }
        if let Some(chunks) = &mut self.chunks {
            self.catalogue.texts = chunks.flush().map_err(TantivyError::from)?;
        }
        let payload = serde_json::to_string(&self.catalogue).map_err(IngestError::Catalogue)?;
        self.hand_over()?;
        let mut commit = self.index_writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        if let Some(chunks) = &self.chunks {
            chunks.sweep();
        }
        if learned {
            patterns::sweep(&self.opened.folder, given);
            self.patterns = Arc::new(Patterns::of(&self.miner));
        }
        Ok(())
    }

    /// Ends it with the merges that run. One that is dropped leaves them to themselves, and they
    /// write into the folder of the index to their end.
    pub(crate) fn close(self) {
        if let Err(error) = self.index_writer.wait_merging_threads() {
            warn!(%error, "a merge of the log index failed");
        }
    }

    /// What was committed.
    pub(crate) fn committed(&self) -> Result<Snapshot, IngestError> {
        let patterns = Arc::clone(&self.patterns);
        let chunks = self.chunks.as_ref().map(ChunkWriter::chunks).transpose();
        let chunks = chunks.map_err(TantivyError::from)?;
        Ok(self.opened.read(self.catalogue.clone(), patterns, chunks)?)
    }

    /// Shows it to readers.
    pub(crate) fn publish(&self, inner: &Inner) -> Result<(), IngestError> {
        let snapshot = self.committed()?;
        snapshot.roll_up(&inner.shown())?;
        inner.publish(snapshot);
        Ok(())
    }
}
