//! Fills chunks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use callboard_protocol::LineId;

use super::{
    CHUNK_BYTES, Chunk, ChunkFile, Chunks, Committed, FILE_BYTES, frame::Frame, sealed, tail,
};

/// See the module.
pub(crate) struct ChunkWriter {
    folder: PathBuf,
    /// Files that are full.
    full: Vec<Arc<ChunkFile>>,
    chunks: Appended,
    tail: Appended,
    /// The numbers of the files.
    committed: Committed,
    /// What fills no chunk yet.
    pending: Chunk,
    /// How many of its lines are in the tail.
    in_tail: usize,
    cache: Arc<super::Cache>,
}

/// A file that grows.
struct Appended {
    path: PathBuf,
    /// None before the first frame.
    file: Option<File>,
    frames: Vec<Frame>,
    changed: bool,
}

impl ChunkWriter {
    /// Goes on behind what was committed, and cuts off what was not.
    pub(crate) fn open(folder: &Path, committed: Committed) -> io::Result<Self> {
        let Chunks { files, cache } = Chunks::open(folder, committed)?;
        let mut files = files.into_iter();
        let full = files.by_ref().take((committed.file - committed.first_file) as usize).collect();
        let last = if committed.len > 0 { files.next() } else { None };
        let mut pending = Chunk::default();
        let tail_file = files.next();
        if let Some(file) = &tail_file {
            for frame in &file.frames {
                pending.append(&file.read(frame)?);
            }
        }
        let chunks = Appended::open(sealed(folder, committed.file), last)?;
        let tail = Appended::open(tail(folder, committed.tail), tail_file)?;
        let in_tail = pending.len();
        let folder = folder.to_owned();
        let writer = Self { folder, full, chunks, tail, committed, pending, in_tail, cache };
        writer.sweep();
        Ok(writer)
    }

    /// Takes a line whose number is greater than all before.
    pub(crate) fn push(&mut self, id: LineId, text: &str) -> io::Result<()> {
        self.pending.push(id, text);
        if self.pending.bytes() >= CHUNK_BYTES { self.seal() } else { Ok(()) }
    }

    /// Packs what came together as one chunk; the tail is of no use any more.
    fn seal(&mut self) -> io::Result<()> {
        if self.chunks.len() >= FILE_BYTES {
            self.committed.file += 1;
            let next = Appended::new(sealed(&self.folder, self.committed.file));
            let mut former = std::mem::replace(&mut self.chunks, next);
            former.sync()?;
            self.full.extend(former.finish()?);
        }
        self.chunks.append(&self.pending, 0)?;
        self.pending.clear();
        self.in_tail = 0;
        if self.tail.len() > 0 {
            self.committed.tail += 1;
            self.tail = Appended::new(tail(&self.folder, self.committed.tail));
        }
        Ok(())
    }

    /// Lets go of the files that are full and hold no line but such before this one, with the next
    /// commit.
    pub(crate) fn drop_before(&mut self, first: LineId) {
        let is_gone = |file: &Arc<ChunkFile>| file.frames.last().is_none_or(|f| f.last < first.0);
        while self.full.first().is_some_and(is_gone) {
            self.full.remove(0);
            self.committed.first_file += 1;
        }
    }

    /// Makes all lines durable; what the index's commit has to say.
    pub(crate) fn flush(&mut self) -> io::Result<Committed> {
        self.tail.append(&self.pending, self.in_tail)?;
        self.in_tail = self.pending.len();
        self.chunks.sync()?;
        self.tail.sync()?;
        (self.committed.len, self.committed.tail_len) = (self.chunks.len(), self.tail.len());
        Ok(self.committed)
    }

    /// What was flushed last, for readers.
    pub(crate) fn chunks(&self) -> io::Result<Chunks> {
        let mut files = self.full.clone();
        for appended in [&self.chunks, &self.tail] {
            files.extend(appended.shown()?);
        }
        Ok(Chunks { files, cache: Arc::clone(&self.cache) })
    }

    /// Deletes files that the last commit does not name.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix("text-").and_then(|name| name.strip_suffix(".chunks"));
            let number = number.and_then(|number| number.parse::<u32>().ok());
            let is_gone = number.is_some_and(|number| number < self.committed.first_file);
            if is_gone || (name.starts_with("tail-") && path != self.tail.path) {
                drop(fs::remove_file(path));
            }
        }
    }
}

impl Appended {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, frames: Vec::new(), changed: false }
    }

    fn open(path: PathBuf, known: Option<Arc<ChunkFile>>) -> io::Result<Self> {
        let mut appended = Self::new(path);
        if let Some(known) = known {
            appended.frames.clone_from(&known.frames);
            let file = OpenOptions::new().append(true).open(&appended.path)?;
            file.set_len(appended.len())?;
            appended.file = Some(file);
        }
        Ok(appended)
    }

    fn len(&self) -> u64 {
        self.frames.last().map_or(0, Frame::end)
    }

    fn append(&mut self, chunk: &Chunk, from: usize) -> io::Result<()> {
        let Some((frame, bytes)) = chunk.pack(from, self.len())? else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            // What a commit that never was has left there is of no use.
            slot @ None => slot.insert(File::create(&self.path)?),
        };
        file.write_all(&bytes)?;
        self.frames.push(frame);
        self.changed = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.changed) {
            file.sync_data()?;
            self.changed = false;
        }
        Ok(())
    }

    /// The file as it is now.
    fn shown(&self) -> io::Result<Option<Arc<ChunkFile>>> {
        if self.frames.is_empty() {
            return Ok(None);
        }
        let (path, frames) = (self.path.clone(), self.frames.clone());
        Ok(Some(Arc::new(ChunkFile { file: File::open(&path)?, path, frames })))
    }

    fn finish(self) -> io::Result<Option<Arc<ChunkFile>>> {
        self.shown()
    }
}
