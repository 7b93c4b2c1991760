//! Reads files and streams into the index.
//!
//! Called by the ingest job, by the follower of a file, and by the CLI. Ingesting the same content
//! into the same source again goes on where the last commit ended: after a crash nothing is lost
//! and nothing is indexed twice.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::ControlFlow,
    path::Path,
};

use callboard_protocol::{IngestProgress, SourceId, Timestamp};

use crate::{
    IngestError, LogStore, ReadAs,
    checkpoint::{Checkpoint, FileId, Head},
    format::{self, stamp::Clock},
    lines::LineReader,
    packed,
    record::{Assembler, Record},
    spool, text,
    writer::{Batch, Origin},
};

/// The beginning that tells format, fingerprint, and whether it is text.
const HEAD_BYTES: usize = 64 * 1024;
/// What tells binary from text.
const BINARY_HEAD_BYTES: usize = 8 * 1024;
/// Records that enter the index in one go: few enough that cancelling and other writers wait little.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: u64 = 1 << 20;

/// Some editors put it in front of UTF-8; it is no part of the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What to make of the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestMode {
    /// The file is complete: its last line counts, with or without a line feed.
    Whole,
    /// The file is being written: a last line without a line feed is left for the next call.
    Follow,
    /// The same for a file of a spool, whose first line is its name.
    Spool,
}

/// Where lines come from, and how to read them.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The source that the lines belong to.
    pub source_id: SourceId,
    /// Its name, as people know it.
    pub source: String,
    /// What to make of the end.
    pub mode: IngestMode,
    /// About when the lines were written at the latest: it gives lines without a year theirs.
    pub reference: Timestamp,
    /// What is fixed of how they are read.
    pub read_as: ReadAs,
    /// Whether a last record that may go on, such as a stack trace, is left for a later call.
    pub holds_last: bool,
}

impl IngestOptions {
    /// A whole file, of which everything is found out; times that name no zone are in UTC.
    #[must_use]
    pub fn whole(source_id: SourceId, source: impl Into<String>, reference: Timestamp) -> Self {
        let (source, mode) = (source.into(), IngestMode::Whole);
        let read_as = ReadAs::default();
        Self { source_id, source, mode, reference, read_as, holds_last: false }
    }

    /// The same of a file that is being written.
    #[must_use]
    pub fn follow(source_id: SourceId, source: impl Into<String>, reference: Timestamp) -> Self {
        Self { mode: IngestMode::Follow, ..Self::whole(source_id, source, reference) }
    }
}

/// Told after every batch; `Break` ends the ingest, and what was read stays.
pub type OnProgress<'a> = &'a mut dyn FnMut(&IngestProgress) -> ControlFlow<()>;

impl LogStore {
    /// Indexes what is new in a file, or in what is packed in it.
    ///
    /// # Errors
    /// When the file cannot be read, or the index cannot be written. What was read before an error
    /// of reading is indexed.
    pub fn ingest_file(
        &self,
        path: &Path,
        options: &IngestOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let in_open = |source| IngestError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(in_open)?;
        let metadata = file.metadata().map_err(in_open)?;
        if metadata.is_dir() {
            return Err(in_open(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return self.ingest_reader(file, options, on_progress);
        }
        let head = read_head(&mut &file).map_err(in_open)?;
        (&file).seek(SeekFrom::Start(0)).map_err(in_open)?;
        if packed::is_packed(&head) {
            return self.ingest_packed(&file, options, on_progress);
        }
        self.ingest_open(&file, options, on_progress)
    }

    /// Indexes what is new in a file that is open, whatever it is called by now.
    ///
    /// # Errors
    /// As [`LogStore::ingest_file`].
    pub fn ingest_open(
        &self,
        file: &File,
        options: &IngestOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        self.ingest_marked(file, options, &mut None, on_progress)
    }

    /// The same for a file that stays open: `mark` says how far it was read, when the index remembers
    /// too many other files of its source to know.
    pub(crate) fn ingest_marked(
        &self,
        mut file: &File,
        options: &IngestOptions,
        mark: &mut Option<Checkpoint>,
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let in_read = |source| IngestError::Read { offset: 0, source };
        let metadata = file.metadata().map_err(in_read)?;
        file.seek(SeekFrom::Start(0)).map_err(in_read)?;
        let start = read_head(&mut file).map_err(in_read)?;
        let (head, id) = (Head::new(&start), FileId::of(&metadata));
        let origin = Origin::of(options, &head, id);
        let mut ingest = Ingest::new(self, origin, options, metadata.len());
        if !ingest.accepts(&start) {
            return Ok(ingest.progress);
        }
        let mut offset = self.offset(&ingest.origin)?;
        if offset == 0
            && let Some(marked) = mark.as_ref().filter(|mark| mark.is_of(&head, id))
        {
            offset = marked.offset;
            self.set_offset(&ingest.origin, offset)?;
        }
        if metadata.len() < offset {
            offset = 0;
            self.set_offset(&ingest.origin, offset)?;
        }
        file.seek(SeekFrom::Start(offset)).map_err(in_read)?;
        let progress = ingest.run(file, offset, &start, on_progress)?;
        let (offset, fingerprint) = (progress.bytes_done, head.fingerprint());
        *mark = Some(Checkpoint { offset, fingerprint, file: id });
        Ok(progress)
    }

    /// Indexes what is new in a stream: an upload, the standard input. The stream starts at the
    /// beginning; what an earlier call committed is read and skipped.
    ///
    /// # Errors
    /// When the stream cannot be read, or the index cannot be written. What was read before an
    /// error of reading is indexed.
    pub fn ingest_reader(
        &self,
        mut reader: impl Read,
        options: &IngestOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let in_read = |source| IngestError::Read { offset: 0, source };
        let start = read_head(&mut reader).map_err(in_read)?;
        let head = Head::new(&start);
        let origin = Origin::of(options, &head, None);
        let mut ingest = Ingest::new(self, origin, options, 0);
        if !ingest.accepts(&start) {
            return Ok(ingest.progress);
        }
        let offset = self.offset(&ingest.origin)?;
        let mut stream = start.chain(reader);
        let skipped =
            io::copy(&mut (&mut stream).take(offset), &mut io::sink()).map_err(in_read)?;
        if skipped < offset {
            ingest.progress.bytes_done = skipped;
            return Ok(ingest.progress);
        }
        ingest.run(stream, offset, &start, on_progress)
    }
}

impl LogStore {
    /// Whether a file begins as one that was read before, of whatever source.
    pub(crate) fn resembles_known(&self, mut file: &File) -> bool {
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| read_head(&mut file));
        let Ok(head) = read.map(|start| Head::new(&start)) else { return true };
        self.snapshot().catalogue.sources.iter().any(|source| source.resembles(&head))
    }

    /// What is known of a file that was read before; it is known by its first bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn known(&self, mut file: &File) -> io::Result<Option<KnownFile>> {
        file.seek(SeekFrom::Start(0))?;
        let head = Head::new(&read_head(&mut file)?);
        let id = FileId::of(&file.metadata()?);
        let snapshot = self.snapshot();
        let known = snapshot.catalogue.sources.iter().find_map(|source| {
            let mark = source.mark(&head, id)?.clone();
            Some(KnownFile { source: source.id, name: source.name.clone(), mark })
        });
        Ok(known)
    }
}

/// A file that was read before.
pub(crate) struct KnownFile {
    pub(crate) source: SourceId,
    /// The name of the source.
    pub(crate) name: String,
    /// How far it was read.
    pub(crate) mark: Checkpoint,
}

/// Reads as many bytes as the head has, or all there are.
fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(HEAD_BYTES);
    reader.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// One run over one file.
struct Ingest<'a> {
    store: &'a LogStore,
    origin: Origin<'a>,
    options: &'a IngestOptions,
    progress: IngestProgress,
    records: Vec<Record>,
    /// Where the batch in `records` starts.
    from: u64,
}

impl<'a> Ingest<'a> {
    fn new(
        store: &'a LogStore,
        origin: Origin<'a>,
        options: &'a IngestOptions,
        bytes_total: u64,
    ) -> Self {
        let progress = IngestProgress { bytes_total, ..IngestProgress::default() };
        Self { store, origin, options, progress, records: Vec::new(), from: 0 }
    }

    /// Whether it is text; a file that is not is counted, and left out.
    fn accepts(&mut self, start: &[u8]) -> bool {
        if text::is_binary(&start[..start.len().min(BINARY_HEAD_BYTES)]) {
            self.progress.skipped_files = 1;
            return false;
        }
        !start.is_empty()
    }

    fn run(
        mut self,
        reader: impl Read,
        offset: u64,
        start: &[u8],
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let config = &self.store.inner.config;
        let clock = Clock { reference: self.options.reference, zone: self.options.read_as.zone() };
        let sample = format::sample(start);
        let is_name =
            |line: &&[u8]| self.options.mode == IngestMode::Spool && spool::names_file(line);
        let sample = sample.filter(|line| !is_name(line));
        let formats = &self.store.inner.reading.formats;
        let (layout, custom) = self.options.read_as.way(formats, sample, &clock);
        let name = custom.as_ref().map_or(layout.name(), |format| &format.name);
        self.progress.format = Some(name.to_owned());
        self.progress.bytes_done = offset;
        self.from = offset;
        let mut assembler = Assembler::new(layout, clock, config).with(custom).from(offset);
        let mut lines = LineReader::new(reader, offset, config.max_line_bytes);
        let mut reached = offset;
        let ended = loop {
            let mut line = match lines.next_line() {
                Ok(Some(line)) if line.terminated || self.options.mode == IngestMode::Whole => line,
                Ok(_) => break Ok(()),
                Err(source) => break Err(IngestError::Read { offset: reached, source }),
            };
            if reached == 0 {
                line.bytes = line.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line.bytes);
            }
            let is_name = reached == 0
                && self.options.mode == IngestMode::Spool
                && spool::names_file(line.bytes);
            reached = line.end;
            if is_name {
                continue;
            }
            let Some(record) = assembler.push(&line) else { continue };
            let end = record.end;
            self.take(record);
            if self.is_full(end) && self.flush(end, on_progress)?.is_break() {
                self.store.commit()?;
                return Ok(self.progress);
            }
        };
        if self.options.holds_last
            && let Some(start) = assembler.may_go_on()
        {
            reached = start;
        } else if let Some(record) = assembler.finish() {
            self.take(record);
        }
        if reached > self.from {
            // Nothing is left to be cancelled.
            let _ = self.flush(reached, on_progress)?;
        }
        self.store.commit()?;
        ended.map(|()| self.progress)
    }

    fn take(&mut self, record: Record) {
        self.progress.lines += 1;
        self.progress.truncated += u64::from(record.truncated);
        self.progress.invalid_utf8 += u64::from(record.invalid_utf8);
        self.records.push(record);
    }

    fn is_full(&self, end: u64) -> bool {
        self.records.len() >= BATCH_RECORDS || end - self.from >= BATCH_BYTES
    }

    fn flush(
        &mut self,
        to: u64,
        on_progress: OnProgress<'_>,
    ) -> Result<ControlFlow<()>, IngestError> {
        let at = self.options.reference;
        let batch = Batch { at, from: self.from, to, records: std::mem::take(&mut self.records) };
        self.store.append(&self.origin, batch)?;
        self.from = to;
        self.progress.bytes_done = to;
        self.progress.bytes_total = self.progress.bytes_total.max(to);
        Ok(on_progress(&self.progress))
    }
}
