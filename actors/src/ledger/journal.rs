//! The journal's files, and the thread that alone writes them.
//!
//! The journal is a row of segments, `usage-0000000007.journal`. The thread writes to the last one;
//! when that is full it begins another with all the calls that are open at that moment, so that no
//! older segment is needed for them. Whoever reads goes by [`Segments`]: it tells of bytes only
//! after they were handed to the kernel.
//!
//! When writing fails, the bytes are kept and written again, whole, after [`RETRY`]. A part of them
//! may then stand in the file twice: rows are inserted once by their id, and a torn line is skipped
//! by its checksum.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tracing::{error, warn};

use super::{
    Inner, Queue,
    record::{Record, encode},
};

/// How long to wait after a failed write.
const RETRY: Duration = Duration::from_millis(250);

/// Where a segment is full, at most and at least.
const SEGMENT: std::ops::RangeInclusive<u64> = 16 << 10..=4 << 20;

/// One file of the journal.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Up to where it may be read.
    pub(super) written: u64,
    /// Whether nothing will be added.
    pub(super) sealed: bool,
    /// Whether it is of a former run of the server.
    pub(super) old: bool,
}

/// The files of the journal, the oldest first.
pub(super) type Segments = VecDeque<Segment>;

/// The segments that a former run left in `folder`. Makes the folder, for its owner alone.
pub(super) fn found_in(folder: &Path) -> io::Result<Segments> {
    create_private(folder)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of);
        if let Some(number) = number {
            let written = fs::metadata(&path)?.len();
            found.push(Segment { number, path, written, sealed: true, old: true });
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found.into())
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn name_of(number: u64) -> String {
    format!("usage-{number:010}.journal")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("usage-")?.strip_suffix(".journal")?.parse().ok()
}

/// What the writing thread holds.
pub(super) struct Writer {
    inner: Arc<Inner>,
    folder: PathBuf,
    file: File,
    number: u64,
    length: u64,
    /// What the segment began with: the calls that were open then.
    carried: u64,
    /// Records that are encoded and not written yet, and how many they are.
    buffer: Vec<u8>,
    in_hand: usize,
    /// Whether the file may end within a line.
    torn: bool,
}

impl Writer {
    /// Begins the segment after those that `inner` knows.
    pub(super) fn begin(inner: Arc<Inner>, folder: &Path) -> io::Result<Self> {
        let number = inner.segments.lock().back().map_or(1, |last| last.number + 1);
        let (segment, file) = new_segment(folder, number)?;
        inner.segments.lock().push_back(segment);
        Ok(Self {
            inner,
            folder: folder.to_owned(),
            file,
            number,
            length: 0,
            carried: 0,
            buffer: Vec::new(),
            in_hand: 0,
            torn: false,
        })
    }

    /// Writes until the ledger is stopped and nothing is left to be written. A panic would be a
    /// fault of ours in encoding one batch; the journal goes on with the next.
    pub(super) fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.write_on())).is_err() {
            error!("writing the usage journal panicked");
            // It may have ended within a line.
            self.buffer.push(b'\n');
            self.give_back();
        }
    }

    fn write_on(&mut self) {
        while let Some(open) = self.take() {
            while let Err(error) = self.write() {
                if !self.inner.disk_failing.swap(true, Ordering::AcqRel) {
                    error!(%error, "the usage journal cannot be written");
                }
                if self.inner.queue.lock().stopping {
                    // Nobody would come back to it, and shutdown must not hang on a full disk.
                    error!(records = self.in_hand, "usage records were not written");
                    return;
                }
                std::thread::sleep(RETRY);
            }
            if self.inner.disk_failing.swap(false, Ordering::AcqRel) {
                warn!("the usage journal is written again");
            }
            if let Err(error) = self.rotate(open) {
                warn!(%error, "the usage journal could not begin another file");
            }
        }
    }

    /// Waits for records and encodes them; none when the ledger is stopped and all are written.
    /// Gives the calls that were open at that moment, if the segment will be full.
    fn take(&mut self) -> Option<Option<Vec<Record>>> {
        let inner = Arc::clone(&self.inner);
        let mut queue = inner.queue.lock();
        while queue.records.is_empty() && !queue.stopping {
            inner.wake.wait(&mut queue);
        }
        if !queue.stopping && inner.config.flush_ms > 0 {
            // Those that come meanwhile travel along: one wake-up and one write for all.
            let until = Duration::from_millis(inner.config.flush_ms);
            drop(queue);
            std::thread::sleep(until);
            queue = inner.queue.lock();
        }
        if queue.records.is_empty() {
            return None;
        }
        let records = std::mem::take(&mut queue.records);
        let open = self.is_full().then(|| open_calls(&queue));
        drop(queue);
        self.in_hand = records.len();
        for record in &records {
            if !encode(record, &mut self.buffer) {
                error!("a usage record could not be encoded");
            }
        }
        Some(open)
    }

    /// Full when it has grown by a segment's size and by a few times what it began with: with many
    /// open calls the files grow, instead of being mostly repetition.
    fn is_full(&self) -> bool {
        let size =
            (self.inner.config.max_journal_bytes / 16).clamp(*SEGMENT.start(), *SEGMENT.end());
        self.length - self.carried >= size.max(4 * self.carried)
    }

    fn write(&mut self) -> io::Result<()> {
        if self.torn {
            // An empty line is nothing; without it the next one would be part of a torn one.
            self.file.write_all(b"\n")?;
        }
        self.torn = true;
        let written = self.file.write_all(&self.buffer).and_then(|()| self.sync());
        self.length = self.file.metadata().map_or(self.length, |metadata| metadata.len());
        written?;
        self.torn = false;
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
        let closed_waiting = {
            let mut segments = self.inner.segments.lock();
            if let Some(last) = segments.back_mut() {
                last.written = self.length;
            }
            self.inner.measure(&segments)
        };
        self.give_back();
        if closed_waiting {
            self.inner.commit_wake.notify_one();
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.inner.config.fsync { self.file.sync_data() } else { Ok(()) }
    }

    /// The records in hand are no longer in memory's account.
    fn give_back(&mut self) {
        let mut queue = self.inner.queue.lock();
        queue.queued = queue.queued.saturating_sub(self.in_hand);
        self.in_hand = 0;
    }

    /// Begins the next segment, with the calls that are open. Until it is complete on the file
    /// system, the one before it is not sealed and so not deleted.
    fn rotate(&mut self, open: Option<Vec<Record>>) -> io::Result<()> {
        let Some(open) = open else { return Ok(()) };
        let mut carry = Vec::new();
        for record in &open {
            encode(record, &mut carry);
        }
        let (mut segment, mut file) = new_segment(&self.folder, self.number + 1)?;
        let written = file
            .write_all(&carry)
            .and_then(|()| if self.inner.config.fsync { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Should it stay: calls that it opens were closed before it, and are in the database
            // before it is read.
            drop(fs::remove_file(&segment.path));
            return Err(error);
        }
        segment.written = carry.len() as u64;
        (self.length, self.carried) = (segment.written, segment.written);
        self.number = segment.number;
        self.file = file;
        self.torn = false;
        let mut segments = self.inner.segments.lock();
        if let Some(last) = segments.back_mut() {
            last.sealed = true;
        }
        segments.push_back(segment);
        self.inner.measure(&segments);
        Ok(())
    }
}

fn open_calls(queue: &Queue) -> Vec<Record> {
    queue.open.values().map(|call| Record::Opened(Arc::clone(call))).collect()
}

fn new_segment(folder: &Path, number: u64) -> io::Result<(Segment, File)> {
    let path = folder.join(name_of(number));
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    // Left there by a rotation that failed: nothing in it is needed.
    file.set_len(0)?;
    Ok((Segment { number, path, written: 0, sealed: false, old: false }, file))
}

#[cfg(test)]
mod tests {
    use callboard_protocol::{CallId, RequestId, Timestamp, UsageEndpoint, UserId};

    use super::*;
    use crate::ledger::{
        Call, LedgerConfig, LedgerMetrics,
        reader::{self, Span},
        record::Entry,
    };

    fn call() -> Arc<Call> {
        Arc::new(Call {
            id: CallId::new(),
            request_id: RequestId::new(),
            started_at: Timestamp::now(),
            user_id: UserId::new(),
            api_key_id: None,
            turn_id: None,
            endpoint: UsageEndpoint::Embeddings,
            alias: "a".into(),
            provider: "p".into(),
            model: "m".into(),
            estimated_input_tokens: 1,
            estimated_cost_micro_usd: 1,
        })
    }

    #[test]
    fn a_write_that_fails_half_way_is_made_again_whole() {
        let folder = tempfile::tempdir().unwrap();
        let config = LedgerConfig { flush_ms: 0, ..LedgerConfig::default() };
        let metrics = LedgerMetrics::new().unwrap();
        let inner = Arc::new(Inner::new(config, Segments::new(), metrics));
        let mut writer = Writer::begin(Arc::clone(&inner), folder.path()).unwrap();
        let path = folder.path().join(name_of(1));
        let calls = [call(), call()];
        for call in &calls {
            inner.push(&mut inner.queue.lock(), Record::Opened(Arc::clone(call)));
        }
        assert!(writer.take().is_some());
        // A file that cannot be written stands for a full disk.
        let mut good = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
        assert!(writer.write().is_err());
        let first_and_a_half = writer.buffer.len() * 3 / 4;
        good.write_all(&writer.buffer[..first_and_a_half]).unwrap();
        assert_eq!((inner.queue.lock().queued, inner.segments.lock()[0].written), (2, 0));
        writer.file = good;
        writer.write().unwrap();
        assert_eq!(inner.queue.lock().queued, 0);
        let until = inner.segments.lock()[0].written;
        assert_eq!(until, fs::metadata(&path).unwrap().len());
        let span = Span { from: 0, until, most: 10, opened: true };
        let piece = reader::read(&path, span).unwrap();
        let read: Vec<_> = piece
            .entries
            .into_iter()
            .map(|entry| match entry {
                Entry::Opened(call) | Entry::Closed(call, _) => call.id,
            })
            .collect();
        assert_eq!(read, [calls[0].id, calls[0].id, calls[1].id]);
        assert_eq!(piece.damaged, 1);
    }

    #[test]
    fn only_files_of_the_journal_are_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["usage-0000000012.journal", "usage-0000000003.journal", "usage-.journal", "x"]
        {
            fs::write(folder.path().join(name), "a").unwrap();
        }
        let numbers: Vec<_> =
            found_in(folder.path()).unwrap().iter().map(|segment| segment.number).collect();
        assert_eq!(numbers, [3, 12]);
    }
}
