//! The text of the lines: packed in chunks beside the index, and found by the number of a line.
//!
//! A chunk holds lines in the order of their numbers, packed with Zstandard (RFC 8878) into one frame
//! of a file. Chunks are written once. Lines that do not fill one yet are kept in the tail, a file of
//! small frames, a frame for each commit; when there are enough of them, they are packed anew as one
//! chunk, and the tail is deleted with the next commit.
//!
//! How long both files are is a part of the index's commit ([`Committed`]): what lies behind that was
//! written by a commit that never was, and is cut off by the next writer.
//!
//! - `frame`: what a chunk looks like.
//! - `writer`: fills them.
//! - here: finding the chunk of a line, and the chunks that were unpacked lately.

mod frame;
mod writer;

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use callboard_protocol::LineId;
use lru::LruCache;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use self::frame::{Chunk, Frame, HEADER_BYTES};
pub(crate) use self::writer::ChunkWriter;

/// Text of a chunk: enough to pack well, and little to unpack for one line.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file that has grown to this is followed by another one.
const FILE_BYTES: u64 = 128 << 20;

/// Chunks that are kept unpacked.
const CACHED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// How much of the files belongs to a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    /// The number of the first file that is there.
    #[serde(default)]
    pub(crate) first_file: u32,
    /// The number of the last file …
    pub(crate) file: u32,
    /// … and its length.
    pub(crate) len: u64,
    /// The number of the tail …
    pub(crate) tail: u32,
    /// … and its length; there is no file when it is 0.
    pub(crate) tail_len: u64,
}

/// The chunks of a commit.
#[derive(Clone)]
pub(crate) struct Chunks {
    /// In the order of their lines; the tail comes last.
    files: Vec<Arc<ChunkFile>>,
    cache: Arc<Cache>,
}

/// Chunks by the file and the place that they stand at.
type Cache = Mutex<LruCache<(PathBuf, u64), Arc<Chunk>>>;

/// A file, and what is in it.
pub(crate) struct ChunkFile {
    path: PathBuf,
    file: File,
    frames: Vec<Frame>,
}

impl Chunks {
    /// What was committed.
    pub(crate) fn open(folder: &Path, committed: Committed) -> io::Result<Self> {
        let mut files = Vec::new();
        for number in committed.first_file..committed.file {
            let path = sealed(folder, number);
            let len = path.metadata()?.len();
            files.push(Arc::new(ChunkFile::open(path, len)?));
        }
        if committed.len > 0 {
            let last = ChunkFile::open(sealed(folder, committed.file), committed.len)?;
            files.push(Arc::new(last));
        }
        if committed.tail_len > 0 {
            let tail = ChunkFile::open(tail(folder, committed.tail), committed.tail_len)?;
            files.push(Arc::new(tail));
        }
        Ok(Self { files, cache: Arc::new(Mutex::new(LruCache::new(CACHED))) })
    }

    /// The chunk that holds a line; none when the line is gone.
    pub(crate) fn of(&self, id: LineId) -> io::Result<Option<Arc<Chunk>>> {
        let holds = |file: &&Arc<ChunkFile>| file.frames.last().is_some_and(|f| f.last >= id.0);
        let Some(file) = self.files.iter().find(holds) else { return Ok(None) };
        let at = file.frames.partition_point(|frame| frame.last < id.0);
        let Some(frame) = file.frames.get(at).filter(|frame| frame.first <= id.0) else {
            return Ok(None);
        };
        let key = (file.path.clone(), frame.offset);
        if let Some(chunk) = self.cache.lock().get(&key) {
            return Ok(Some(Arc::clone(chunk)));
        }
        let chunk = Arc::new(file.read(frame)?);
        self.cache.lock().put(key, Arc::clone(&chunk));
        Ok(Some(chunk))
    }

    /// The first line of the files.
    pub(crate) fn first_line(&self) -> Option<LineId> {
        let first = self.files.iter().find_map(|file| file.frames.first());
        first.map(|frame| LineId(frame.first))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.frames.last()).map(Frame::end).sum()
    }
}

/// Reads the texts of lines; quickly, when neighbours are asked for one after the other.
pub(crate) struct ChunkCursor {
    chunks: Chunks,
    /// The one that was read last: neighbours share it.
    held: Option<Arc<Chunk>>,
}

impl ChunkCursor {
    pub(crate) fn new(chunks: Chunks) -> Self {
        Self { chunks, held: None }
    }

    /// The text of a line; none when the line is gone.
    pub(crate) fn text(&mut self, id: LineId) -> io::Result<Option<&str>> {
        let find = |held: &Option<Arc<Chunk>>| held.as_ref().and_then(|chunk| chunk.find(id));
        let mut found = find(&self.held);
        if found.is_none() {
            self.held = self.chunks.of(id)?;
            found = find(&self.held);
        }
        Ok(self.held.as_ref().zip(found).map(|(chunk, at)| chunk.nth(at)))
    }
}

impl ChunkFile {
    /// Reads where the frames stand.
    fn open(path: PathBuf, len: u64) -> io::Result<Self> {
        let file = File::open(&path)?;
        let mut frames = Vec::new();
        let mut at = 0;
        while at < len {
            let mut header = [0; HEADER_BYTES];
            file.read_exact_at(&mut header, at)?;
            let frame = Frame::read(&header, at)?;
            at = frame.end();
            frames.push(frame);
        }
        if at > len {
            return Err(frame::damaged());
        }
        Ok(Self { path, file, frames })
    }

    fn read(&self, frame: &Frame) -> io::Result<Chunk> {
        let mut packed = vec![0; frame.len as usize];
        self.file.read_exact_at(&mut packed, frame.offset + HEADER_BYTES as u64)?;
        frame.unpack(&packed)
    }
}

fn sealed(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("text-{number:06}.chunks"))
}

fn tail(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("tail-{number:06}.chunks"))
}

#[cfg(test)]
mod tests;
