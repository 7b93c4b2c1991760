//! A file of another machine on its way into the index: a copy that is written at the one end, as the
//! file is fetched, and followed at the other, as a [`Spool`](crate::Spool) is.
//!
//! How far the file was fetched is no number that is stored beside the copy, which a crash could part
//! from it: it follows from the copy itself. Each of its files names in its first line the place of the
//! file from which it goes on, and what it holds was fetched from there. So every byte is fetched once,
//! whatever dies when, and indexed once, as the follower's lines are.
//!
//! The file is known by its first bytes, as many as there were at first sight, at most 1024. What begins
//! otherwise, or is shorter than what was fetched, is another file, and begins anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::MAX_CHECKPOINTS,
    checkpoint::{FINGERPRINT_BYTES, Fingerprint, Head},
    spool,
};

/// So many first bytes of a file are asked for.
pub const MIRROR_HEAD_BYTES: usize = FINGERPRINT_BYTES;

/// A file of the copy that has grown to this is followed by another one, at the end of a line.
const FILE_BYTES: u64 = 4 << 20;

const STATE: &str = "state.json";

/// The copy of one file.
pub struct Mirror {
    folder: PathBuf,
    /// Locked, so that a file is fetched by one alone.
    _lock: File,
    state: State,
    /// What of the copy is written; none before the first byte of the file.
    open: Option<Open>,
}

/// Which file it is that is fetched.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The files of the copy from this number on are of it.
    first: u64,
    /// None when nothing was seen of it yet.
    head: Option<Fingerprint>,
    /// Those that were fetched before it, the last ones last.
    #[serde(default)]
    former: Vec<Fingerprint>,
}

/// Former files that are remembered: as many as of a source that is followed here.
const MOST_FORMER: usize = MAX_CHECKPOINTS;

struct Open {
    file: File,
    /// The place of the fetched file at which it begins.
    base: u64,
    /// The length of its first line.
    named: u64,
    ends_line: bool,
}

impl Open {
    fn read(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        let mut start = Vec::new();
        (&file).take(spool::LONGEST_NAME).read_to_end(&mut start)?;
        let name = spool::read_name(&start);
        let (base, named) = name
            .and_then(|(place, named)| Some((place.parse().ok()?, named)))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a copy names no place"))?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(Self { file, base, named, ends_line: last == *b"\n" })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(self.named))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(last) = bytes.last() else { return Ok(()) };
        self.file.write_all(bytes)?;
        self.ends_line = *last == b'\n';
        self.file.sync_data()
    }
}

impl Mirror {
    /// The copy in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be used, or is used by another mirror.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = spool::lock(folder)?;
        let state = match fs::read(folder.join(STATE)) {
            Ok(stored) => serde_json::from_slice(&stored)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let mut mirror = Self { folder: folder.to_owned(), _lock: lock, state, open: None };
        mirror.reopen()?;
        Ok(mirror)
    }

    /// Where the file that begins like this, and has so many bytes, is read on. None when it is another
    /// one than was fetched, or not what it was.
    ///
    /// # Errors
    /// When the copy cannot be read or written.
    pub fn place(&mut self, head: &[u8], len: u64) -> io::Result<Option<u64>> {
        let at = self.position()?;
        if len < at || !(self.state.head.is_none() && at == 0 || self.is_of(head)) {
            return Ok(None);
        }
        let known = self.state.head.as_ref().map_or(0, Fingerprint::len);
        let head = Head::new(head);
        if head.len() > known {
            self.state.head = Some(head.fingerprint());
            self.store()?;
        }
        Ok(Some(at))
    }

    /// Whether what begins like this is the file that was fetched, under whatever name.
    #[must_use]
    pub fn is_of(&self, head: &[u8]) -> bool {
        self.state.head.as_ref().is_some_and(|known| known.begins(&Head::new(head)))
    }

    /// Whether what begins like this was fetched before, under whatever name.
    #[must_use]
    pub fn knows(&self, head: &[u8]) -> bool {
        let head = Head::new(head);
        self.state.head.iter().chain(&self.state.former).any(|known| known.tells(&head))
    }

    /// How far the file was fetched, in bytes.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub fn position(&self) -> io::Result<u64> {
        self.open.as_ref().map_or(Ok(0), |open| Ok(open.base + open.len()?))
    }

    /// From here on another file is fetched, from its beginning. A last line of the former one that has
    /// no end is ended.
    ///
    /// # Errors
    /// When the copy cannot be written.
    pub fn begin(&mut self) -> io::Result<()> {
        let last = spool::files(&self.folder)?.last().map_or(0, |(number, _)| *number);
        self.state.first = last + 1;
        self.state.former.extend(self.state.head.take());
        let surplus = self.state.former.len().saturating_sub(MOST_FORMER);
        self.state.former.drain(..surplus);
        self.store()?;
        self.reopen()
    }

    /// Adds what was fetched from [`Mirror::position`] on; it is on the disk when this returns.
    ///
    /// # Errors
    /// When the copy cannot be written: then the position says how much of it was.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.write(bytes);
        if written.is_err() {
            self.reopen()?;
        }
        written
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            let mut here = bytes.len();
            if open.len()? >= FILE_BYTES {
                let line = bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
                here = if open.ends_line { 0 } else { line.unwrap_or(here) };
            }
            open.write(&bytes[..here])?;
            bytes = &bytes[here..];
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let place = self.position()?.to_string();
        let path = spool::create(&self.folder, self.state.first, (&place, ""))?;
        self.open.insert(Open::read(&path)?).write(bytes)
    }

    /// Bytes that wait to be indexed, and those of the last file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn held(&self) -> io::Result<u64> {
        spool::measure(&self.folder)
    }

    /// Goes on with what lies in the folder.
    fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        let Some((number, path)) = spool::files(&self.folder)?.pop() else { return Ok(()) };
        let mut last = Open::read(&path)?;
        if number >= self.state.first {
            self.open = Some(last);
        } else if !last.ends_line {
            last.write(b"\n")?;
        }
        Ok(())
    }

    fn store(&self) -> io::Result<()> {
        let (next, path) = (self.folder.join("state.tmp"), self.folder.join(STATE));
        let mut file = File::create(&next)?;
        serde_json::to_writer(&mut file, &self.state)?;
        file.sync_all()?;
        fs::rename(next, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(folder: &Path) -> String {
        let files = spool::files(folder).unwrap();
        let text = |(_, path): &(u64, PathBuf)| {
            let text = fs::read_to_string(path).unwrap();
            text.split_once('\n').unwrap().1.to_owned()
        };
        files.iter().map(text).collect()
    }

    #[test]
    fn it_goes_on_where_it_was_whatever_was_written_last() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(root.path()).unwrap();
        assert!(Mirror::open(root.path()).is_err(), "by one alone");
        assert_eq!(mirror.place(b"one\ntw", 6).unwrap(), Some(0));
        mirror.append(b"one\ntw").unwrap();
        drop(mirror);
        let mut mirror = Mirror::open(root.path()).unwrap();
        assert_eq!(mirror.place(b"one\ntwo\n", 8).unwrap(), Some(6));
        mirror.append(b"o\n").unwrap();
        // As after a crash in the midst of a write.
        let path = spool::files(root.path()).unwrap().remove(0).1;
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"thr").unwrap();
        drop(mirror);
        let mut mirror = Mirror::open(root.path()).unwrap();
        assert_eq!(mirror.place(b"one\ntwo\nthree\n", 14).unwrap(), Some(11));
        mirror.append(b"ee\n").unwrap();
        assert_eq!(copied(root.path()), "one\ntwo\nthree\n");
    }

    #[test]
    fn another_file_begins_anew_and_the_last_line_of_the_former_one_ends() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(root.path()).unwrap();
        mirror.place(b"old", 3).unwrap();
        mirror.append(b"old").unwrap();
        assert_eq!(mirror.place(b"new file\n", 9).unwrap(), None, "it begins otherwise");
        assert_eq!(mirror.place(b"ol", 2).unwrap(), None, "it is shorter");
        assert!(mirror.is_of(b"old, and more of it") && !mirror.is_of(b"new file\n"));
        mirror.begin().unwrap();
        drop(mirror);
        let mut mirror = Mirror::open(root.path()).unwrap();
        assert!(mirror.knows(b"old") && !mirror.is_of(b"old") && !mirror.knows(b"older"));
        assert_eq!(mirror.place(b"", 0).unwrap(), Some(0));
        assert_eq!(mirror.place(b"old", 3).unwrap(), Some(0), "it may begin as the former did");
        mirror.append(b"old\n").unwrap();
        assert_eq!(copied(root.path()), "old\nold\n");
    }

    #[test]
    fn its_files_end_with_lines_and_know_their_places_without_the_others() {
        let root = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(root.path()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        mirror.place(&piece, 1).unwrap();
        for _ in 0..5 {
            mirror.append(&piece).unwrap();
        }
        assert_eq!(spool::files(root.path()).unwrap().len(), 1, "in the midst of a line");
        mirror.append(b"\nnext\n").unwrap();
        let files = spool::files(root.path()).unwrap();
        assert_eq!(files.len(), 2);
        // As the follower does when all of it is indexed.
        fs::remove_file(&files[0].1).unwrap();
        drop(mirror);
        let mirror = Mirror::open(root.path()).unwrap();
        assert_eq!(mirror.position().unwrap(), (5 << 20) + 6);
    }
}
