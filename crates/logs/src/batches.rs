//! Lines of a log that is asked for what is new, on their way into the index: a spool of files that are
//! written as a whole, each with the mark behind which the log goes on.
//!
//! Lines and mark are one file, which is there or not: so what was asked for is in the index once,
//! whatever dies when.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::spool;

/// The longest mark, in bytes.
const LONGEST_MARK: usize = 400;

/// See the module.
pub struct Batches {
    folder: PathBuf,
    /// Locked, so that a log is asked by one alone.
    _lock: File,
    mark: Option<String>,
}

impl Batches {
    /// Those in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be used, or is used already.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = spool::lock(folder)?;
        let mark = match spool::files(folder)?.pop() {
            Some((_, path)) => Some(mark_of(&path)?),
            None => None,
        };
        Ok(Self { folder: folder.to_owned(), _lock: lock, mark })
    }

    /// Behind which the log goes on; none at its beginning.
    #[must_use]
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Adds texts, each of them a record, and the mark behind them; they are on the disk when this
    /// returns.
    ///
    /// # Errors
    /// When the disk refuses, or the mark is none: then nothing was added.
    pub fn append<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str>,
        mark: &str,
    ) -> io::Result<()> {
        let is_plain = mark.bytes().all(|byte| byte.is_ascii_graphic());
        if mark.is_empty() || mark.len() > LONGEST_MARK || !is_plain {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no mark of a log"));
        }
        let mut lines = String::new();
        for text in texts {
            lines.push_str(text);
            lines.push('\n');
        }
        spool::create(&self.folder, 1, (mark, &lines))?;
        self.mark = Some(mark.to_owned());
        Ok(())
    }

    /// Bytes that wait to be indexed, and those of the last file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn held(&self) -> io::Result<u64> {
        spool::measure(&self.folder)
    }
}

fn mark_of(path: &Path) -> io::Result<String> {
    let mut start = Vec::new();
    File::open(path)?.take(spool::LONGEST_NAME).read_to_end(&mut start)?;
    let name = spool::read_name(&start).map(|(mark, _)| mark.to_owned());
    name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a batch names no mark"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_the_mark_behind_them_are_one() {
        let root = tempfile::tempdir().unwrap();
        let mut batches = Batches::open(root.path()).unwrap();
        assert_eq!(batches.mark(), None);
        assert!(Batches::open(root.path()).is_err(), "by one alone");
        batches.append(["one", "two"], "s=1;i=2").unwrap();
        batches.append(["three"], "s=1;i=3").unwrap();
        assert_eq!(batches.mark(), Some("s=1;i=3"));
        drop(batches);
        // As after a crash in the midst of writing.
        fs::write(root.path().join("0000000003.tmp"), "#callboard spool x s=9").unwrap();
        let mut batches = Batches::open(root.path()).unwrap();
        assert_eq!(batches.mark(), Some("s=1;i=3"));
        for bad in ["", "a b", "a\nb", &"x".repeat(401)] {
            assert!(batches.append(["four"], bad).is_err(), "{bad:?}");
        }
        assert_eq!(spool::files(root.path()).unwrap().len(), 2);
        assert!(batches.held().unwrap() > 0);
    }
}
