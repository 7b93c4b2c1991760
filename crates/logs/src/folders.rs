//! Where an index lies: the one that is read, and the one that is being made to take its place.
//!
//! In the folder of the logs each index has a folder of its own, `1`, `2`, …; the file `CURRENT`
//! names the one that is read. A switch is the rename of that file: after a crash at any moment one
//! of the two is named. Callboard 0.1 had its only index in the folder itself: that counts as `0`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

const CURRENT: &str = "CURRENT";

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: PathBuf,
}

impl Folders {
    /// Makes the folder of the logs if need be.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of the index that is read; a new one, the first time.
    pub(crate) fn current(&self) -> io::Result<PathBuf> {
        let number = self.number()?;
        let folder = self.folder(number);
        if number > 0 {
            fs::create_dir_all(&folder)?;
        }
        Ok(folder)
    }

    /// The folder of the index that takes the place of the current one; it may be there in part.
    pub(crate) fn next(&self) -> io::Result<PathBuf> {
        Ok(self.folder(self.number()? + 1))
    }

    /// From now on the next one is the current one.
    pub(crate) fn switch(&self) -> io::Result<()> {
        self.name(self.number()? + 1)
    }

    /// Deletes all but the current one and the next.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let number = self.number()?;
        let kept = [number, number + 1].map(|number| number.to_string());
        for entry in fs::read_dir(&self.root)? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            if number == 0 || name == CURRENT || kept.iter().any(|kept| name == kept.as_str()) {
                continue;
            }
            // Whoever still reads a deleted file has it open.
            if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
        Ok(())
    }

    fn folder(&self, number: u64) -> PathBuf {
        if number == 0 { self.root.clone() } else { self.root.join(number.to_string()) }
    }

    fn number(&self) -> io::Result<u64> {
        match fs::read_to_string(self.root.join(CURRENT)) {
            Ok(named) => named.trim().parse().map_err(|_| {
                let problem = format!("{CURRENT} holds {named:?}, and no number of an index");
                io::Error::new(io::ErrorKind::InvalidData, problem)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.root.join("meta.json").exists() {
                    return Ok(0);
                }
                self.name(1)?;
                Ok(1)
            }
            Err(error) => Err(error),
        }
    }

    fn name(&self, number: u64) -> io::Result<()> {
        let next = self.root.join("CURRENT.tmp");
        let mut file = File::create(&next)?;
        writeln!(file, "{number}")?;
        file.sync_all()?;
        fs::rename(&next, self.root.join(CURRENT))?;
        File::open(&self.root)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_takes_the_place_of_the_current_one_and_the_former_goes() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::open(root.path()).unwrap();
        let first = folders.current().unwrap();
        assert!(first.is_dir() && first != root.path());
        let next = folders.next().unwrap();
        fs::create_dir(&next).unwrap();
        folders.sweep().unwrap();
        assert!(first.exists() && next.exists(), "one that is being made stays");
        folders.switch().unwrap();
        assert_eq!(Folders::open(root.path()).unwrap().current().unwrap(), next);
        folders.sweep().unwrap();
        assert!(!first.exists() && next.exists());
    }

    #[test]
    fn an_index_of_the_first_version_lies_in_the_folder_itself() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("meta.json"), "{}").unwrap();
        let folders = Folders::open(root.path()).unwrap();
        assert_eq!(folders.current().unwrap(), root.path());
        let next = folders.next().unwrap();
        fs::create_dir(&next).unwrap();
        folders.sweep().unwrap();
        assert!(root.path().join("meta.json").exists());
        folders.switch().unwrap();
        folders.sweep().unwrap();
        assert_eq!(folders.current().unwrap(), next);
        assert!(!root.path().join("meta.json").exists());
    }

    #[test]
    fn a_damaged_name_is_told_and_nothing_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(CURRENT), "?").unwrap();
        fs::create_dir(root.path().join("3")).unwrap();
        let folders = Folders::open(root.path()).unwrap();
        assert!(folders.current().unwrap_err().to_string().contains("no number"));
        assert!(folders.sweep().is_err() && root.path().join("3").exists());
    }
}
