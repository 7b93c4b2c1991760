//! Follows files by a pattern of their paths: every line once, over rotation, truncation and restarts.
//!
//! A file is what the file system calls it by (device and inode) while it is open, and its first bytes
//! over a restart. It is read through a descriptor that stays open: one that was renamed is read to
//! its end, for as long as a program may go on writing to it, and one that was deleted as well. How far
//! it was read is committed with its lines, so that nothing is lost or doubled whatever dies when.
//!
//! Each path is a source of its own. A file that was renamed stays of the source under whose path it
//! was first read. When another file stands at a path its siblings (`app.log.1`, `app.log-20261126`) are
//! looked through for what was renamed meanwhile and not read to its end.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use callboard_protocol::{IngestProgress, SourceId, Timestamp};
use glob::{MatchOptions, Pattern, glob_with};

use crate::{
    IngestError, IngestMode, IngestOptions, LogStore, OnProgress, ReadAs,
    catalogue::MAX_CHECKPOINTS,
    checkpoint::{Checkpoint, FileId},
    ingest::KnownFile,
    spool,
};

/// Files that one pattern may follow; more is likely the wrong pattern.
const MOST_FILES: usize = 1_000;

/// A file that was renamed or deleted is read on for this long after it last grew: programs write to
/// it until they are told to open another one.
const LINGERS: Duration = Duration::from_secs(60);

/// Siblings of a path that are looked through, the youngest. Fewer than the files that the index
/// remembers of a source: one that it has forgotten must not pass for one that it never saw.
const MOST_SIBLINGS: usize = 24;

const _: () = assert!(MOST_SIBLINGS < MAX_CHECKPOINTS);

/// How packed files end.
const PACKED: [&str; 4] = [".gz", ".bz2", ".xz", ".zst"];

/// What a pattern matches: no `*` crosses a folder but `**`.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Why a pattern cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no pattern.
    #[error("{0}")]
    Syntax(#[from] glob::PatternError),
    /// It does not begin at the root.
    #[error("the path must be absolute")]
    Relative,
    /// It leads out of the folders that may be followed.
    #[error("only files below {0} may be followed")]
    Outside(String),
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files that match.
    pub files: usize,
    /// Records that were indexed.
    pub lines: u64,
    /// What went wrong with some file, last.
    pub problem: Option<String>,
}

/// Names the source of a path.
pub type SourceOf<'a> = &'a mut dyn FnMut(&Path) -> Option<(SourceId, String)>;

/// Follows the files of one pattern.
pub struct Follower {
    pattern: String,
    /// Folders that may be followed; links are resolved before they are held against it.
    roots: Vec<PathBuf>,
    open: HashMap<FileId, Followed>,
    /// The files that stood at the paths at the last look.
    known: HashMap<PathBuf, FileId>,
    /// Whether they are those of a spool, which are deleted when they were read.
    spool: Option<PathBuf>,
    read_as: ReadAs,
}

/// A file that is open.
struct Followed {
    path: PathBuf,
    file: File,
    source: SourceId,
    name: String,
    /// Its length and its time when it was last read to its end.
    read: Option<(u64, i64, i64)>,
    /// Whether that was with its last record, which was not held back for more of it.
    settled: bool,
    /// How far it was read.
    mark: Option<Checkpoint>,
    /// When it last grew.
    grew: Instant,
    /// Whether its path still leads to it.
    listed: bool,
}

impl Follower {
    /// Follows `pattern`, as far as it stays below the `roots`.
    ///
    /// # Errors
    /// When it is no pattern, or leads elsewhere.
    pub fn new(pattern: &str, roots: &[PathBuf]) -> Result<Self, PatternError> {
        Pattern::new(pattern)?;
        let path = Path::new(pattern);
        if !path.is_absolute() {
            return Err(PatternError::Relative);
        }
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        if climbs || !roots.iter().any(|root| path.starts_with(root)) {
            let shown: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            return Err(PatternError::Outside(shown.join(", ")));
        }
        Ok(Self {
            pattern: pattern.to_owned(),
            roots: roots
                .iter()
                .map(|root| fs::canonicalize(root).unwrap_or(root.clone()))
                .collect(),
            open: HashMap::new(),
            known: HashMap::new(),
            spool: None,
            read_as: ReadAs::default(),
        })
    }

    /// Follows the files of a [`Spool`](crate::Spool), and deletes those that were read, but for the
    /// last, which may grow.
    ///
    /// # Errors
    /// When the path of the folder cannot be made absolute.
    pub fn of_spool(folder: &Path) -> Result<Self, PatternError> {
        let folder = std::path::absolute(folder).map_err(|_| PatternError::Relative)?;
        let pattern = Path::new(&Pattern::escape(&folder.to_string_lossy())).join("*.log");
        let follower = Self::new(&pattern.to_string_lossy(), std::slice::from_ref(&folder))?;
        Ok(Self { spool: Some(folder), ..follower })
    }

    /// Follows this file alone, whatever its name looks like.
    ///
    /// # Errors
    /// When its path cannot be made absolute.
    pub fn of_file(path: &Path) -> Result<Self, PatternError> {
        let path = std::path::absolute(path).map_err(|_| PatternError::Relative)?;
        let folder = path.parent().unwrap_or(&path).to_owned();
        Self::new(&Pattern::escape(&path.to_string_lossy()), &[folder])
    }

    /// The same, for lines that are read like this.
    #[must_use]
    pub fn reading(self, read_as: ReadAs) -> Self {
        Self { read_as, ..self }
    }

    /// Looks for files, and indexes what is new in them. `source_of` names the source of a path;
    /// `at` is the time, for lines that name no year.
    ///
    /// # Errors
    /// When the index cannot be written; what is wrong with a file is a problem of the look.
    pub fn look(
        &mut self,
        (store, at): (&LogStore, Timestamp),
        source_of: SourceOf<'_>,
        on_progress: OnProgress<'_>,
    ) -> Result<Looked, IngestError> {
        let mode = if self.spool.is_some() { IngestMode::Spool } else { IngestMode::Follow };
        let mut looked = Looked::default();
        self.open.values_mut().for_each(|followed| followed.listed = false);
        for path in self.paths(&mut looked) {
            if let Err(error) = self.meet(store, &path, source_of) {
                looked.problem = Some(format!("{}: {error}", path.display()));
            }
        }
        // What was renamed holds the older lines.
        let mut order: Vec<_> =
            self.open.iter().map(|(id, followed)| (followed.age(), *id)).collect();
        order.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (_, id) in order {
            let Some(followed) = self.open.get_mut(&id) else { continue };
            match followed.read_on((store, at), (mode, &self.read_as), on_progress) {
                Ok(progress) if progress.skipped_files > 0 => {
                    looked.problem = Some(format!("{} is not text", followed.path.display()));
                }
                Ok(progress) => looked.lines += progress.lines,
                Err(error @ (IngestError::Open { .. } | IngestError::Read { .. })) => {
                    looked.problem = Some(format!("{}: {error}", followed.path.display()));
                }
                Err(IngestError::Overtaken | IngestError::Remaking) => {}
                Err(error) => return Err(error),
            }
        }
        self.open.retain(|_, followed| followed.listed || followed.grew.elapsed() < LINGERS);
        if let Some(folder) = &self.spool
            && let Err(error) = delete_read(store, folder)
        {
            looked.problem = Some(format!("{}: {error}", folder.display()));
        }
        Ok(looked)
    }

    /// The files that match now.
    fn paths(&self, looked: &mut Looked) -> Vec<PathBuf> {
        // The pattern was read before.
        let Ok(found) = glob_with(&self.pattern, MATCHING) else { return Vec::new() };
        let mut paths = Vec::new();
        for path in found {
            match path {
                Ok(path) if paths.len() >= MOST_FILES => {
                    let problem = "more files match than are followed";
                    looked.problem = Some(format!("{}: {problem}", path.display()));
                    break;
                }
                Ok(path) => paths.push(path),
                Err(error) => looked.problem = Some(error.to_string()),
            }
        }
        looked.files = paths.len();
        paths
    }

    /// Opens a path's file, unless it is open.
    fn meet(&mut self, store: &LogStore, path: &Path, source_of: SourceOf<'_>) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok(());
        }
        let id = file_id(&metadata)?;
        let is_another = self.known.insert(path.to_owned(), id) != Some(id);
        if let Some(followed) = self.open.get_mut(&id) {
            followed.listed = true;
            path.clone_into(&mut followed.path);
            return Ok(());
        }
        let real = fs::canonicalize(path)?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(io::Error::other("its link leads out of the folders that may be followed"));
        }
        let file = File::open(path)?;
        // It may have been renamed in between.
        let id = file_id(&file.metadata()?)?;
        let (named, mark) = match store.known(&file)? {
            Some(KnownFile { source, name, mark }) => (Some((source, name)), Some(mark)),
            None => (source_of(path), None),
        };
        let Some((source, name)) = named else {
            return Err(io::Error::other("its source cannot be named"));
        };
        if is_another {
            self.meet_siblings(store, path, (source, &name));
        }
        let followed = Followed::new(path, file, (source, name), mark);
        self.open.insert(id, Followed { listed: true, ..followed });
        Ok(())
    }

    /// Opens what stood at a path before, and was renamed while nobody looked: files that were not
    /// read to their ends or may still grow, and those that came and went between two looks. Of the
    /// latter nothing was ever read; they are younger than all of which something was.
    fn meet_siblings(&mut self, store: &LogStore, path: &Path, (source, name): (SourceId, &str)) {
        let mut unknown = Vec::new();
        let mut youngest = None;
        for (changed, sibling) in siblings(path) {
            let Ok((file, metadata)) = open(&sibling) else { continue };
            let Ok(id) = file_id(&metadata) else { continue };
            if self.open.contains_key(&id) {
                youngest = youngest.max(Some(changed));
                continue;
            }
            match store.known(&file) {
                Ok(Some(known)) if known.source == source => {
                    youngest = youngest.max(Some(changed));
                    let may_grow = changed.elapsed().is_ok_and(|age| age < LINGERS);
                    if may_grow || known.mark.offset < metadata.len() {
                        let named = (source, name.to_owned());
                        let followed = Followed::new(&sibling, file, named, Some(known.mark));
                        self.open.insert(id, followed);
                    }
                }
                Ok(None) if !store.resembles_known(&file) => {
                    unknown.push((changed, id, sibling, file));
                }
                Ok(_) | Err(_) => {}
            }
        }
        let Some(youngest) = youngest else { return };
        for (_, id, sibling, file) in unknown.into_iter().filter(|(at, ..)| *at >= youngest) {
            let followed = Followed::new(&sibling, file, (source, name.to_owned()), None);
            self.open.insert(id, followed);
        }
    }
}

/// Deletes the files of a spool of which all whole lines are committed, but for the last.
fn delete_read(store: &LogStore, folder: &Path) -> io::Result<()> {
    let mut files = spool::files(folder)?;
    files.pop();
    for (_, path) in files {
        let mut file = File::open(&path)?;
        let Some(known) = store.known(&file)? else { continue };
        file.seek(SeekFrom::Start(known.mark.offset))?;
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        if !rest.contains(&b'\n') {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

impl Followed {
    fn new(
        path: &Path,
        file: File,
        (source, name): (SourceId, String),
        mark: Option<Checkpoint>,
    ) -> Self {
        let path = path.to_owned();
        let (read, settled, listed) = (None, false, false);
        Self { path, file, source, name, read, settled, mark, grew: now(), listed }
    }

    /// Orders files: those that were renamed first, and of those the one that changed first.
    fn age(&self) -> (bool, Option<SystemTime>, PathBuf) {
        let changed = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
        (self.listed, changed, self.path.clone())
    }

    fn read_on(
        &mut self,
        (store, at): (&LogStore, Timestamp),
        (mode, read_as): (IngestMode, &ReadAs),
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let in_read = |source| IngestError::Read { offset: 0, source };
        let metadata = self.file.metadata().map_err(in_read)?;
        let state = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let is_read = self.read == Some(state);
        if is_read && self.settled {
            return Ok(IngestProgress::default());
        }
        // One look later a record that may go on has ended.
        let holds_last = !is_read;
        let follow = IngestOptions::follow(self.source, self.name.clone(), at);
        let options = IngestOptions { mode, holds_last, read_as: read_as.clone(), ..follow };
        let mut broken = false;
        let progress =
            store.ingest_marked(&self.file, &options, &mut self.mark, &mut |progress| {
                let told = on_progress(progress);
                broken = told.is_break();
                told
            })?;
        if !is_read {
            self.grew = now();
        }
        if !broken {
            self.read = Some(state);
            let all = progress.bytes_done >= metadata.len() || progress.skipped_files > 0;
            self.settled = is_read || all;
        }
        Ok(progress)
    }
}

/// Files beside a path whose names begin with its own, the youngest first, and when each was changed
/// last. Packed ones hold nothing that was not read before they were packed, or never will be.
fn siblings(path: &Path) -> Vec<(SystemTime, PathBuf)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let name = name.to_string_lossy();
    let is_sibling = |other: &str| {
        let rest = other.strip_prefix(&*name);
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
            && !PACKED.iter().any(|packed| other.ends_with(packed))
    };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let beside = entries.flatten().filter(|entry| is_sibling(&entry.file_name().to_string_lossy()));
    let dated = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut siblings: Vec<_> = beside.filter_map(dated).collect();
    siblings.sort_unstable_by(|a, b| b.cmp(a));
    siblings.truncate(MOST_SIBLINGS);
    siblings
}

fn file_id(metadata: &Metadata) -> io::Result<FileId> {
    FileId::of(metadata).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

#[expect(clippy::disallowed_methods, reason = "how long a file is quiet; no meaning rests on it")]
fn now() -> Instant {
    Instant::now()
}
