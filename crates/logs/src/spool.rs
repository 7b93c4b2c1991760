//! Lines that programs pushed, on their way into the index: files of text that are written at the one
//! end, by a [`Spool`], and followed at the other, as any file is, by a
//! [`Follower`](crate::Follower).
//!
//! Lines are durable when [`Spool::append`] returns; from there on they are in the index once, whatever
//! dies when, as the follower's lines are. A file begins with a line that names it, so that no two begin
//! alike, and is never written again after a failure or a restart: what a torn write left at its end is
//! no whole line, and the program that pushed it was not told that it was taken.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use callboard_protocol::RequestId;

/// A file that has grown to this is followed by another one.
const FILE_BYTES: u64 = 4 << 20;

/// How a file begins.
const NAMED: &str = "#callboard spool ";

/// Writes the spool of one source.
pub struct Spool {
    folder: PathBuf,
    open: Option<Open>,
    /// As much as may wait, in bytes.
    most: u64,
    /// Bytes in the folder, as far as is known: those that were indexed and deleted count until it is
    /// looked at again.
    held: u64,
}

struct Open {
    file: File,
    len: u64,
}

/// Why lines were not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// As much waits to be indexed as may wait.
    #[error("more than {0} bytes wait to be indexed")]
    Full(u64),
    /// The disk refused.
    #[error("the spool cannot be written")]
    Write(#[from] io::Error),
}

impl Spool {
    /// The spool in a folder, which is made if it is not there; it holds `most` bytes.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(folder: &Path, most: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), open: None, most, held: measure(folder)? })
    }

    /// Takes texts, each of them a record. They are on the disk when it returns; those of a call are
    /// taken together or not at all.
    ///
    /// # Errors
    /// When too much waits already, or the disk refuses.
    pub fn append<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), SpoolError> {
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
        self.check_room(bytes.len() as u64)?;
        let written = self.write(&bytes);
        if written.is_err() {
            // What it has come to is not known.
            self.open = None;
        }
        Ok(written?)
    }

    /// Fails when there is no room for so many bytes.
    ///
    /// # Errors
    /// [`SpoolError::Full`], and when the folder cannot be read.
    pub fn check_room(&mut self, bytes: u64) -> Result<(), SpoolError> {
        if self.held.saturating_add(bytes) > self.most {
            self.held = measure(&self.folder)?;
        }
        if self.held.saturating_add(bytes) > self.most {
            return Err(SpoolError::Full(self.most));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let open = match self.open.take().filter(|open| open.len < FILE_BYTES) {
            Some(open) => self.open.insert(open),
            None => {
                let next = self.begin()?;
                self.open.insert(next)
            }
        };
        open.file.write_all(bytes)?;
        open.file.sync_data()?;
        open.len += bytes.len() as u64;
        self.held += bytes.len() as u64;
        Ok(())
    }

    /// A new file, behind all that are there.
    fn begin(&mut self) -> io::Result<Open> {
        let path = create(&self.folder, 1, ("0", ""))?;
        let file = File::options().append(true).open(path)?;
        let len = file.metadata()?.len();
        self.held += len;
        Ok(Open { file, len })
    }
}

/// Makes a file behind all that are there, with this number at least, and returns its path. Its first
/// line names it, and a mark without blanks that means something to whoever writes the spool. It is
/// there with all that it holds, or not at all.
pub(crate) fn create(folder: &Path, least: u64, (mark, text): (&str, &str)) -> io::Result<PathBuf> {
    let last = files(folder)?.last().map_or(0, |(number, _)| *number);
    let path = folder.join(format!("{:010}.log", least.max(last + 1)));
    let next = path.with_extension("tmp");
    let mut file = File::create(&next)?;
    writeln!(file, "{NAMED}{} {mark}", RequestId::new())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(next, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// The longest first line.
pub(crate) const LONGEST_NAME: u64 = 512;

/// The mark in the first line of a file, and how long that is. None when there is none.
pub(crate) fn read_name(start: &[u8]) -> Option<(&str, u64)> {
    let end = start.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&start[..end]).ok()?;
    let (_, mark) = line.strip_prefix(NAMED)?.split_once(' ')?;
    Some((mark, end as u64 + 1))
}

/// Sees to it that a spool is written by one alone, as long as the file is open.
pub(crate) fn lock(folder: &Path) -> io::Result<File> {
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock().map_err(|_| io::Error::other("another source follows it already"))?;
    Ok(lock)
}

/// Bytes in the files of a spool.
pub(crate) fn measure(folder: &Path) -> io::Result<u64> {
    let lengths = files(folder)?.into_iter().map(|(_, path)| path.metadata());
    // One that is gone was indexed.
    lengths.map(|metadata| Ok(metadata.map_or(0, |metadata| metadata.len()))).sum()
}

/// Whether the line is the one that names a file.
pub(crate) fn names_file(line: &[u8]) -> bool {
    line.starts_with(NAMED.as_bytes())
}

/// The files of a spool and their numbers, in the order in which they were written.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_suffix(".log").and_then(|number| number.parse().ok());
        files.extend(number.map(|number| (number, path.clone())));
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use callboard_protocol::{LogSearch, SourceId, Timestamp};

    use super::*;
    use crate::{Follower, LogStore, LogsConfig};

    struct Ends {
        root: tempfile::TempDir,
        store: LogStore,
        follower: Follower,
        source: SourceId,
    }

    impl Ends {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = LogStore::open(&root.path().join("index"), &LogsConfig::default()).unwrap();
            fs::create_dir(root.path().join("spool")).unwrap();
            let follower = Follower::of_spool(&root.path().join("spool")).unwrap();
            Self { root, store, follower, source: SourceId::new() }
        }

        fn folder(&self) -> PathBuf {
            self.root.path().join("spool")
        }

        fn spool(&self, most: u64) -> Spool {
            Spool::open(&self.folder(), most).unwrap()
        }

        fn look(&mut self) {
            let source = self.source;
            let mut source_of = |_: &Path| Some((source, "pushed".to_owned()));
            let mut go_on = |_: &_| ControlFlow::Continue(());
            let at = Timestamp::from_millis(1_795_240_000_000);
            self.follower.look((&self.store, at), &mut source_of, &mut go_on).unwrap();
        }

        fn found(&self) -> Vec<String> {
            let search = LogSearch { limit: Some(500), ..LogSearch::default() };
            let mut lines = self.store.search(&search).unwrap().lines;
            lines.sort_by_key(|line| line.id);
            lines.into_iter().map(|line| line.text).collect()
        }
    }

    #[test]
    fn what_is_taken_is_indexed_once_and_then_leaves_the_disk() {
        let mut ends = Ends::new();
        let line = |n: usize| format!("2026-11-21 03:14:15 line {n} {}", "x".repeat(100_000));
        let mut expected = Vec::new();
        for round in 0..4 {
            // A spool that is opened anew, as after a restart.
            let mut spool = ends.spool(1 << 30);
            for n in 0..30 {
                let text = line(round * 100 + n);
                spool.append([text.as_str()]).unwrap();
                expected.push(text[..64 * 1024].to_owned());
            }
            ends.look();
            ends.look();
        }
        assert_eq!(ends.found(), expected);
        assert_eq!(files(&ends.folder()).unwrap().len(), 1, "but the last");
    }

    #[test]
    fn what_a_torn_write_left_is_no_line_and_does_not_stay() {
        let mut ends = Ends::new();
        ends.spool(1 << 20).append(["whole"]).unwrap();
        let (_, path) = files(&ends.folder()).unwrap().remove(0);
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"half of a li").unwrap();
        ends.look();
        ends.spool(1 << 20).append(["next"]).unwrap();
        ends.look();
        ends.look();
        assert_eq!(ends.found(), ["whole", "next"]);
        assert_eq!(files(&ends.folder()).unwrap().len(), 1);
    }

    #[test]
    fn a_full_spool_takes_nothing_until_it_was_read() {
        let mut ends = Ends::new();
        let mut spool = ends.spool(9 << 20);
        let text = "y".repeat(1 << 20);
        let mut taken = 0;
        while spool.append([text.as_str()]).is_ok() {
            taken += 1;
        }
        assert!((6..9).contains(&taken), "{taken}");
        assert!(matches!(spool.append([text.as_str(); 3]), Err(SpoolError::Full(_))));
        ends.look();
        ends.look();
        assert!(spool.append([text.as_str()]).is_ok());
    }
}
