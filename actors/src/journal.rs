//! Follows systemd's journal: every entry once, over restarts.
//!
//! `journalctl` is asked for what came behind the last entry that is on the disk ([`Batches`]), and what
//! it says is indexed from there as what is pushed is. It gets fixed arguments, the checked name of a
//! unit, and a cursor that it gave out itself.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use callboard_logs::{
    Batches, Follower, IngestError, JournalConfig, LogStore, Looked, OnProgress, SourceOf,
    push::{PushError, journal},
};
use callboard_protocol::Timestamp;
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    time::timeout,
};

use crate::log_source::elsewhere::{Fetching, folder_of};

/// What the path of a source begins with that follows the journal.
const SCHEME: &str = "journal:";

/// The longest name of a unit, as systemd has it.
const LONGEST_UNIT: usize = 255;

/// So much of the journal is read at once, in bytes: more than the largest entry.
const AT_ONCE: u64 = 32 << 20;

/// It takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// So much of what it says when it fails is shown, in bytes.
const SHOWN: u64 = 300;

/// The entries of one unit, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entries {
    unit: Option<String>,
}

impl Entries {
    /// Reads `journal:` or `journal:nginx.service`; none for another path.
    ///
    /// # Errors
    /// When what it names is no unit.
    pub(crate) fn parse(path: &str) -> Option<Result<Self, &'static str>> {
        let unit = path.strip_prefix(SCHEME)?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        if unit.is_empty() {
            return Some(Ok(Self { unit: None }));
        }
        let is_unit =
            unit.len() <= LONGEST_UNIT && !unit.starts_with('-') && unit.bytes().all(is_part);
        let unit = is_unit.then(|| Self { unit: Some(unit.to_owned()) });
        Some(unit.ok_or("after `journal:` stands nothing, or the name of a unit"))
    }

    /// What its source is called.
    fn source(&self) -> String {
        format!("{SCHEME}{}", self.unit.as_deref().unwrap_or_default())
    }
}

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
enum JournalError {
    #[error("logs.journal.journalctl is not set")]
    NotConfigured,
    #[error("{0}")]
    Folder(io::Error),
    #[error("more than {0} bytes wait to be indexed")]
    Full(u64),
    #[error("journalctl cannot be run: {0}")]
    Run(io::Error),
    #[error("journalctl says: {0}")]
    Failed(String),
    #[error("journalctl takes longer than {} seconds", PATIENCE.as_secs())]
    Slow,
    #[error("an entry has more than {AT_ONCE} bytes")]
    Large,
    #[error("what journalctl says cannot be read: {0}")]
    Entries(#[from] PushError),
}

/// See the module.
pub(crate) struct Journal {
    entries: Entries,
    folder: PathBuf,
    /// As much as may wait to be indexed, in bytes.
    most_waiting: u64,
    open: Option<Open>,
}

/// What is on the disk, and who indexes it.
struct Open {
    batches: Batches,
    follower: Follower,
}

impl Journal {
    /// Follows entries; what is on its way lies below `mirrors`.
    pub(crate) fn new(entries: Entries, mirrors: &Path, most_waiting: u64) -> Self {
        let folder = folder_of(mirrors, &entries.source());
        Self { entries, folder, most_waiting, open: None }
    }

    /// Asks for what is new and indexes it; see [`Follower::look`]. Blocks.
    ///
    /// # Errors
    /// When the index cannot be written; what is wrong with the journal is a problem of the look.
    pub(crate) fn look(
        &mut self,
        (store, at): (&LogStore, Timestamp),
        fetching: Fetching<'_>,
        source_of: SourceOf<'_>,
        on_progress: OnProgress<'_>,
    ) -> Result<Looked, IngestError> {
        let asked = fetching.run(self.ask(store.journal()));
        let source = self.entries.source();
        let mut looked = Looked { files: 1, ..Looked::default() };
        if let Some(open) = &mut self.open {
            let mut source_of = |_: &Path| source_of(Path::new(&source));
            let indexed = open.follower.look((store, at), &mut source_of, on_progress)?;
            looked = Looked { files: 1, ..indexed };
        }
        if let Err(error) = asked {
            looked.problem = Some(format!("{source}: {error}"));
        }
        Ok(looked)
    }

    /// Puts on the disk what is new.
    async fn ask(&mut self, config: &JournalConfig) -> Result<(), JournalError> {
        let journalctl = config.journalctl.as_ref().ok_or(JournalError::NotConfigured)?;
        let open = match self.open.take() {
            Some(open) => self.open.insert(open),
            None => {
                let batches = Batches::open(&self.folder).map_err(JournalError::Folder)?;
                let follower = Follower::of_spool(&self.folder);
                let follower =
                    follower.map_err(|error| JournalError::Folder(io::Error::other(error)))?;
                self.open.insert(Open { batches, follower })
            }
        };
        if open.batches.held().map_err(JournalError::Folder)? >= self.most_waiting {
            return Err(JournalError::Full(self.most_waiting));
        }
        let mut command = Command::new(journalctl);
        command.args(["--output=export", "--no-pager", "--quiet"]);
        command.args(config.directory.iter().map(|path| format!("--directory={}", path.display())));
        command.args(self.entries.unit.iter().map(|unit| format!("--unit={unit}")));
        command.args(open.batches.mark().map(|mark| format!("--after-cursor={mark}")));
        let (said, is_cut) =
            timeout(PATIENCE, run(command)).await.map_err(|_| JournalError::Slow)??;
        let exported = journal::exported(&said, is_cut)?;
        let Some(cursor) = exported.cursor else {
            return if is_cut { Err(JournalError::Large) } else { Ok(()) };
        };
        let texts = exported.records.iter().map(|record| record.text.as_str());
        open.batches.append(texts, &cursor).map_err(JournalError::Folder)
    }
}

/// What a program says, and whether that is not all of it.
async fn run(mut command: Command) -> Result<(Vec<u8>, bool), JournalError> {
    command.env_clear().env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(JournalError::Run)?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(AT_ONCE).read_to_end(&mut said).await.map_err(JournalError::Run)?;
    }
    if said.len() as u64 == AT_ONCE {
        child.kill().await.map_err(JournalError::Run)?;
        return Ok((said, true));
    }
    let status = child.wait().await.map_err(JournalError::Run)?;
    if status.success() { Ok((said, false)) } else { Err(JournalError::Failed(why(child).await)) }
}

/// The first line of what a program complains of.
async fn why(mut child: Child) -> String {
    let mut complaint = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read is not told.
        drop(stderr.take(SHOWN).read_to_end(&mut complaint).await);
    }
    String::from_utf8_lossy(&complaint).lines().next().unwrap_or("nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_a_name_and_no_argument() {
        let source = |path| Entries::parse(path).map(|entries| entries.map(|one| one.source()));
        assert_eq!(source("journal:"), Some(Ok("journal:".to_owned())));
        let unit = r"journal:getty@tty1.service";
        assert_eq!(source(unit), Some(Ok(unit.to_owned())));
        assert_eq!(source("/var/log/journal"), None);
        let long = format!("journal:{}", "x".repeat(256));
        for bad in ["journal:--file=/etc/shadow", "journal:a b", "journal:*", "journal:a/b", &long]
        {
            assert!(source(bad).unwrap().is_err(), "{bad}");
        }
    }
}
