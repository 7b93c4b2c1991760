//! Makes the index anew from its own lines, beside the one that is read, and puts it in its place:
//! for lines that were indexed before their words were cut, or their patterns found, as they are now.
//!
//! Lines keep their ids, their places and their times, and lines that come in meanwhile come along.
//! Readers see the old index until the new one is complete; writers wait for the last few lines
//! alone. Every commit of the new one says how far it has come, so that it goes on there after a
//! crash, unless another version of Callboard began it.

use std::{borrow::Cow, fs, io, mem, ops::ControlFlow, path::Path, sync::Arc};

use callboard_protocol::{IngestProgress, LineId};
use tantivy::{DocAddress, collector::DocSetCollector};
use tracing::{info, warn};

use crate::{
    IngestError, LogStore, OnProgress, Reread,
    mining::PatternId,
    reread::{Reader, SAMPLE_TEXTS},
    schema::{Columns, Line},
    search::number_range,
    store::{Inner, Opened, Snapshot},
    writer::Writer,
};

/// Writers wait while this part of a commit's lines is copied.
const LAST_PART: u64 = 10;

impl LogStore {
    /// Makes the index anew, and tells what was copied; the lines of `reread` are read anew as well.
    /// None when `on_progress` breaks it off: then what is made stays, and the next call for the same
    /// goes on there.
    ///
    /// # Errors
    /// When it is being made anew already, or cannot be read or written.
    pub fn reindex(
        &self,
        reread: Option<&Reread>,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<IngestProgress>, IngestError> {
        let Some(mut left) = self.inner.remaking.try_lock() else {
            return Err(IngestError::Remaking);
        };
        let mut remake = match left.take().filter(|left| left.reread.as_ref() == reread) {
            Some(remake) => remake,
            None => Remake::begin(self, reread)?,
        };
        if self.copy_most(&mut remake, on_progress)?.is_break() {
            *left = Some(remake);
            return Ok(None);
        }
        let (former, progress) = self.switch_to(remake)?;
        info!(
            lines = progress.lines,
            patterns = self.snapshot().patterns.len(),
            "the index is made anew"
        );
        former.close();
        if let Err(error) = self.inner.folders.sweep() {
            warn!(%error, "the former log index cannot be deleted");
        }
        // There is nothing left to break off.
        let _ = on_progress(&progress);
        Ok(Some(progress))
    }

    /// Copies while lines come in, until few are left.
    fn copy_most(
        &self,
        remake: &mut Remake,
        on_progress: OnProgress<'_>,
    ) -> Result<ControlFlow<()>, IngestError> {
        let chunk = self.inner.config.commit_every_lines.clamp(1, MOST_AT_ONCE);
        loop {
            let snapshot = self.snapshot();
            let (at, end) = (remake.at(), snapshot.catalogue.next_line);
            remake.progress.lines_total = Some(snapshot.catalogue.lines());
            if end.saturating_sub(at) <= chunk / LAST_PART {
                return Ok(ControlFlow::Continue(()));
            }
            remake.copy(self, &snapshot, end.min(at + chunk))?;
            remake.writer.make_durable()?;
            if on_progress(&remake.progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Copies what is left while writers wait, and puts the new index in the place of the old one,
    /// whose writer is returned.
    fn switch_to(&self, mut remake: Remake) -> Result<(Writer, IngestProgress), IngestError> {
        self.with_writer(|writer, inner| {
            writer.commit_changes(inner)?;
            let snapshot = self.snapshot();
            remake.copy(self, &snapshot, snapshot.catalogue.next_line)?;
            remake.finish(&snapshot)?;
            inner.folders.switch().map_err(in_folder)?;
            let Remake { writer: new, progress, .. } = remake;
            new.publish(inner)?;
            Ok((mem::replace(writer, new), progress))
        })
    }

    /// Forgets what an index that was to be made anew has come to.
    ///
    /// # Errors
    /// When it is being made, or cannot be deleted.
    pub fn discard_reindex(&self) -> Result<(), IngestError> {
        let Some(mut left) = self.inner.remaking.try_lock() else {
            return Err(IngestError::Remaking);
        };
        self.discard(&mut left)
    }

    /// The same, for whoever sees to it that none is made.
    pub(crate) fn discard(&self, left: &mut Option<Remake>) -> Result<(), IngestError> {
        if let Some(remake) = left.take() {
            remake.writer.close();
        }
        let next = self.inner.folders.next().map_err(in_folder)?;
        remove(&next).map_err(in_folder)
    }

    /// Whether the index was made by a version that knew less of its lines.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let snapshot = self.snapshot();
        let fields = snapshot.fields;
        (fields.pattern.is_none() || fields.stores_text) && snapshot.catalogue.lines() > 0
    }
}

/// Lines behind one that are looked through for others of its source.
const NEAR: usize = 10_000;

/// Lines that are copied before they are committed, at most.
const MOST_AT_ONCE: u64 = 200_000;

/// The index that is being made.
pub(crate) struct Remake {
    writer: Writer,
    progress: IngestProgress,
    reread: Option<Reread>,
}

impl Remake {
    /// Goes on with what is there, or begins.
    fn begin(store: &LogStore, reread: Option<&Reread>) -> Result<Self, IngestError> {
        let next = store.inner.folders.next().map_err(in_folder)?;
        let made_by = made_by(reread)?;
        if !is_made_by(&next, &made_by) {
            remove(&next).map_err(in_folder)?;
        }
        fs::create_dir_all(&next).map_err(in_folder)?;
        let opened = Arc::new(Opened::open(&next)?);
        let mut writer = Writer::open(opened, &store.inner.config)?;
        writer.catalogue.made_by = Some(made_by);
        let lines = writer.catalogue.next_line - 1;
        let progress = IngestProgress { lines, ..IngestProgress::default() };
        Ok(Self { writer, progress, reread: reread.cloned() })
    }

    /// The first line that is not copied yet.
    fn at(&self) -> u64 {
        self.writer.catalogue.next_line
    }

    /// Copies the lines up to `end`, in the order of their ids: so that the same lines have the same
    /// patterns whenever they are made anew.
    fn copy(&mut self, store: &LogStore, snapshot: &Snapshot, end: u64) -> Result<(), IngestError> {
        let at = self.at();
        if at >= end {
            return Ok(());
        }
        let segments = snapshot.searcher.segment_readers().iter();
        let all_columns = segments.map(Columns::open).collect::<tantivy::Result<Vec<_>>>()?;
        let query = number_range(snapshot.fields.id, at, end - 1);
        let found = snapshot.searcher.search(&*query, &DocSetCollector)?;
        let id =
            |address: &DocAddress| all_columns[address.segment_ord as usize].id(address.doc_id);
        let mut lines: Vec<(LineId, DocAddress)> =
            found.iter().map(|address| (id(address), *address)).collect();
        lines.sort_unstable();
        let Inner { config, reading, .. } = &*store.inner;
        let with = (config, &reading.formats);
        let reread = self.reread.as_ref();
        let mut reader = reread.map(|which| Reader::new(which, with, &snapshot.catalogue));
        let (mut texts, mut samples) = (snapshot.texts(), snapshot.texts());
        for (index, (id, address)) in lines.iter().enumerate() {
            let (columns, doc) = (&all_columns[address.segment_ord as usize], address.doc_id);
            let (place, text) = (columns.place(doc), texts.of(*id, *address)?);
            let mut line = Line {
                text: &text,
                timestamp: columns.timestamp(doc),
                level: columns.level(doc),
                truncated: columns.truncated(doc),
                pattern: PatternId::default(),
            };
            if let Some(reader) = &mut reader
                && reader.wants(place.source, line.timestamp)
            {
                if reader.is_new(place.source) {
                    let of_source = |(_, at): &&(LineId, DocAddress)| {
                        all_columns[at.segment_ord as usize].source(at.doc_id) == place.source
                    };
                    let near = lines[index..].iter().take(NEAR).filter(of_source);
                    let text =
                        |(id, at): &(LineId, DocAddress)| samples.of(*id, *at).map(Cow::into_owned);
                    let sample =
                        near.take(SAMPLE_TEXTS).map(text).collect::<Result<Vec<_>, _>>()?;
                    reader.learn(place.source, id.0, &sample);
                }
                reader.read(place.source, id.0, &mut line);
            }
            self.writer.add_line(place, &mut line)?;
        }
        self.progress.lines += lines.len() as u64;
        self.writer.catalogue.next_line = end;
        Ok(())
    }

    /// Gives it the catalogue of the old one.
    fn finish(&mut self, snapshot: &Snapshot) -> Result<(), IngestError> {
        let patterns = self.writer.catalogue.patterns;
        let texts = self.writer.catalogue.texts;
        self.writer.catalogue = snapshot.catalogue.clone();
        self.writer.catalogue.generation += 1;
        self.writer.catalogue.note_made();
        self.writer.catalogue.patterns = patterns;
        self.writer.catalogue.texts = texts;
        self.writer.make_durable()?;
        if self.reread.is_none() {
            return Ok(());
        }
        let made = self.writer.committed()?;
        for number in 0..made.catalogue.sources.len() {
            let found = made.counts(0, u64::MAX, Some(number as u64))?;
            self.writer.catalogue.sources[number].recount(&found);
        }
        self.writer.catalogue.gone_levels = Default::default();
        self.writer.make_durable()
    }
}

/// Names the rules by which lines are cut and mined, and read.
fn made_by(reread: Option<&Reread>) -> Result<String, IngestError> {
    let version = env!("CARGO_PKG_VERSION");
    let Some(reread) = reread else { return Ok(version.to_owned()) };
    let which = serde_json::to_string(reread).map_err(IngestError::Catalogue)?;
    Ok(format!("{version} {which}"))
}

/// Whether what is there was begun like this.
fn is_made_by(folder: &Path, made_by: &str) -> bool {
    let known = Opened::open(folder).ok().map(Arc::new).and_then(|opened| {
        let snapshot = opened.snapshot().ok()?;
        snapshot.catalogue.made_by
    });
    known.as_deref() == Some(made_by)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn in_folder(error: io::Error) -> IngestError {
    IngestError::Index(error.into())
}

#[cfg(test)]
mod tests {
    use callboard_protocol::{LogSearch, PatternSearch, SourceId, Timestamp};
    use tantivy::{
        Index, doc,
        schema::{FAST, INDEXED, STORED, Schema, TEXT},
    };

    use super::*;
    use crate::{LogsConfig, catalogue::Catalogue, record::Record};

    /// An index as Callboard 0.1 made it before there were patterns.
    fn former(folder: &Path) {
        let mut builder = Schema::builder();
        let id = builder.add_u64_field("id", FAST);
        let source = builder.add_u64_field("source", FAST | INDEXED);
        let position = builder.add_u64_field("position", FAST);
        builder.add_i64_field("timestamp", FAST);
        let level = builder.add_u64_field("level", FAST | INDEXED);
        let truncated = builder.add_bool_field("truncated", FAST);
        let text = builder.add_text_field("text", TEXT | STORED);
        fs::create_dir_all(folder).unwrap();
        let index = Index::create_in_dir(folder, builder.build()).unwrap();
        let mut writer: tantivy::IndexWriter = index.writer_with_num_threads(1, 16 << 20).unwrap();
        let mut catalogue = Catalogue::default();
        let number = catalogue.number(SourceId::new(), "a.log");
        for said in ["disk sda1 is full", "disk sdb2 is full"] {
            let record = Record {
                text: said.to_owned(),
                timestamp: Some(Timestamp::from_millis(0)),
                level: callboard_protocol::Level::Error,
                truncated: false,
                invalid_utf8: false,
                end: 0,
            };
            let place = catalogue.place(number, &record);
            let line = doc!(id => place.id.0, source => 0u64, position => place.position,
                level => 6u64, truncated => false, text => said);
            writer.add_document(line).unwrap();
        }
        let mut json = serde_json::to_value(&catalogue).unwrap();
        json.as_object_mut().unwrap().remove("patterns");
        let mut commit = writer.prepare_commit().unwrap();
        commit.set_payload(&json.to_string());
        commit.commit().unwrap();
    }

    #[test]
    fn an_index_of_before_is_read_written_and_made_anew() {
        let root = tempfile::tempdir().unwrap();
        former(root.path());
        let store = LogStore::open(root.path(), &LogsConfig::default()).unwrap();
        let search = LogSearch { q: "disk".to_owned(), ..LogSearch::default() };
        let found = |store: &LogStore| store.search(&search).unwrap().lines;
        let options = crate::IngestOptions::whole(SourceId::new(), "b.log", Timestamp::now());
        let mut go_on = |_: &IngestProgress| std::ops::ControlFlow::Continue(());
        store.ingest_reader(&b"disk sdc3 is full"[..], &options, &mut go_on).unwrap();
        assert!(store.is_outdated() && found(&store).iter().all(|line| line.pattern.is_none()));
        assert_eq!(store.patterns(&PatternSearch::default()).unwrap().matched, 3);

        store.reindex(None, &mut go_on).unwrap();
        for store in [store, LogStore::open(root.path(), &LogsConfig::default()).unwrap()] {
            let lines = found(&store);
            assert!(!store.is_outdated() && lines.iter().all(|line| line.pattern.is_some()));
            assert_eq!(lines.len(), 3);
            let page = store.patterns(&PatternSearch::default()).unwrap();
            assert_eq!((page.patterns[0].template.as_str(), page.found), ("disk <*> is full", 1));
        }
        assert!(!root.path().join("meta.json").exists(), "the former one is gone");
    }
}
