//! The patterns of an index: learned as lines come in, kept beside the index, and read with it.
//!
//! What the miner knows is written to `patterns-N.json` in the index's folder, N being the ids that
//! were given, before the commit that names N: so a commit and its patterns are durable together,
//! and a commit that taught nothing writes nothing. Readers have [`Patterns`], of the same commit as
//! everything else in their snapshot.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tracing::error;

use crate::mining::{Miner, PatternId};

/// The patterns as one commit left them.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    /// What has become of each id that was given.
    became: Vec<PatternId>,
    templates: HashMap<PatternId, Box<str>>,
}

impl Patterns {
    pub(crate) fn of(miner: &Miner) -> Self {
        let became = (0..miner.given()).map(|id| miner.resolve(PatternId(id))).collect();
        let templates = miner.patterns().map(|(id, text)| (id, text.into_boxed_str())).collect();
        Self { became, templates }
    }

    /// The pattern that an id belongs to now.
    pub(crate) fn resolve(&self, id: PatternId) -> PatternId {
        self.became.get(id.0 as usize).copied().unwrap_or(id)
    }

    /// The template of a pattern.
    pub(crate) fn template(&self, id: PatternId) -> Option<&str> {
        self.templates.get(&self.resolve(id)).map(AsRef::as_ref)
    }

    /// All of them that are no part of another.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (PatternId, &str)> {
        let mut ids: Vec<PatternId> = self.templates.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| Some((id, self.template(id)?)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.templates.len()
    }

    /// All ids that lines of this pattern may have been given.
    pub(crate) fn ids_of(&self, id: PatternId) -> impl Iterator<Item = PatternId> {
        let pattern = self.resolve(id);
        let ids = (0..).map(PatternId).zip(&self.became);
        ids.filter(move |(_, became)| **became == pattern).map(|(id, _)| id)
    }
}

/// Keeps what the miner knows, for the commit that comes next.
pub(crate) fn write(folder: &Path, miner: &Miner) -> io::Result<()> {
    let path = path(folder, miner.given());
    let next = path.with_extension("tmp");
    let mut file = File::create(&next)?;
    file.write_all(&miner.to_json()?)?;
    file.sync_all()?;
    fs::rename(&next, &path)?;
    File::open(folder)?.sync_all()
}

/// What was kept for a commit after which so many ids were given. When that is lost, lines of before
/// have patterns without a template, and new ones get other ids.
pub(crate) fn read(folder: &Path, given: u32) -> Miner {
    if given == 0 {
        return Miner::default();
    }
    let path = path(folder, given);
    let read = fs::read(&path).and_then(|json| Ok(Miner::from_json(&json)?));
    read.unwrap_or_else(|error| {
        error!(path = %path.display(), %error, "the patterns of the log index are lost; re-index it");
        Miner::after(given)
    })
}

/// Deletes what belongs to earlier commits.
pub(crate) fn sweep(folder: &Path, given: u32) {
    let kept = path(folder, given);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("patterns-") && path != kept {
            drop(fs::remove_file(path));
        }
    }
}

fn path(folder: &Path, given: u32) -> PathBuf {
    folder.join(format!("patterns-{given}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught() -> Miner {
        let mut miner = Miner::default();
        for user in ["ada", "bob", "eve", "joe", "kim", "lee", "max", "tom", "una", "zoe"] {
            miner.observe(&format!("session opened for user {user} by root"));
        }
        miner.observe("connection closed");
        miner
    }

    #[test]
    fn what_is_kept_is_read_again_and_the_former_goes() {
        let folder = tempfile::tempdir().unwrap();
        let miner = taught();
        write(folder.path(), &Miner::default()).unwrap();
        write(folder.path(), &miner).unwrap();
        sweep(folder.path(), miner.given());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let again = read(folder.path(), miner.given());
        assert!(again.patterns().eq(miner.patterns()));
        let patterns = Patterns::of(&again);
        assert_eq!(patterns.len(), 2);
        let last = PatternId(miner.given() - 1);
        assert_eq!(patterns.template(last), Some("connection closed"));
        let session = "session opened for user <*> by root";
        let ids: Vec<_> = patterns.ids_of(PatternId(0)).collect();
        assert_eq!(ids.len() + 1, miner.given() as usize);
        assert!(ids.iter().all(|id| patterns.template(*id) == Some(session)), "{ids:?}");
    }

    #[test]
    fn lost_patterns_give_no_id_twice() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path(), 7), "{").unwrap();
        for given in [7, 8] {
            let mut miner = read(folder.path(), given);
            assert_eq!(miner.observe("connection closed"), PatternId(given));
            assert_eq!(miner.resolve(PatternId(3)), PatternId(3));
        }
    }
}
