//! Follows files of other machines over SSH: every line once, over rotation, truncation and restarts of
//! either side.
//!
//! What is new in a file is fetched into a [`Mirror`](callboard_logs::Mirror) on this disk, which says how far that was, and is
//! indexed from there as what is pushed is. The connection stays open from one look to the next; when it
//! is lost a new one is made, ever less often. Rotated files are looked for among the siblings of a path
//! (`app.log.1`, `app.log-20261126`), as the followed ones of this machine are: a file that was renamed
//! is fetched to its end, and for as long as a program may go on writing to it, before the next one is.

mod address;
mod copy;
mod session;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use callboard_logs::{IngestError, LogStore, Looked, OnProgress, ReadAs, SourceOf};
use callboard_protocol::Timestamp;
use tokio::time::Instant;

pub(crate) use self::address::Address;
use self::{
    copy::{Beside, Copy, Room, read_head},
    session::{Listed, Session, SshError},
};
use crate::log_source::elsewhere::Fetching;

/// Files that one source may follow.
const MOST_FILES: usize = 1_000;

/// So much is fetched before it is indexed, in bytes.
const AT_ONCE: u64 = 64 << 20;

/// A machine that cannot be reached is tried again after this, then after twice as long …
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// … and at last every so often.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Remote {
    address: Address,
    /// Holds a folder for each file that is followed.
    mirrors: PathBuf,
    /// As much of a file as may wait to be indexed, in bytes.
    most_waiting: u64,
    read_as: ReadAs,
    session: Option<Session>,
    retry: Option<Retry>,
    copies: BTreeMap<String, Copy>,
}

/// When a machine is tried again that could not be reached.
struct Retry {
    at: Instant,
    /// After the last time.
    waits: Duration,
    problem: String,
}

impl Remote {
    /// Follows the files of an address; their copies lie below `mirrors`.
    pub(crate) fn new(address: Address, mirrors: &Path, most_waiting: u64) -> Self {
        let (read_as, session, retry, copies) = Default::default();
        let mirrors = mirrors.to_owned();
        Self { address, mirrors, most_waiting, read_as, session, retry, copies }
    }

    /// The same, for lines that are read like this.
    pub(crate) fn reading(self, read_as: ReadAs) -> Self {
        Self { read_as, ..self }
    }

    /// Fetches what is new and indexes it; see [`Follower::look`](callboard_logs::Follower::look). Blocks.
    ///
    /// # Errors
    /// When the index cannot be written; what is wrong with the machine or a file is a problem of the
    /// look.
    pub(crate) fn look(
        &mut self,
        (store, at): (&LogStore, Timestamp),
        fetching: Fetching<'_>,
        source_of: SourceOf<'_>,
        on_progress: OnProgress<'_>,
    ) -> Result<Looked, IngestError> {
        let mut looked = Looked::default();
        let fetched = fetching.run(self.fetch(store, &mut looked));
        if let Err(error) = fetched {
            looked.problem = Some(format!("{}: {error}", self.address));
        }
        for (name, copy) in &mut self.copies {
            let called = self.address.source_of(name);
            let mut source_of = |_: &Path| source_of(Path::new(&called));
            let indexed = copy.follower.look((store, at), &mut source_of, on_progress)?;
            looked.lines += indexed.lines;
            looked.problem = looked.problem.or(indexed.problem);
        }
        Ok(looked)
    }

    /// Fetches what is new in all files.
    async fn fetch(&mut self, store: &LogStore, looked: &mut Looked) -> Result<(), SshError> {
        let Some(session) = self.connected(store).await? else {
            looked.problem = self.retry.as_ref().map(|retry| retry.problem.clone());
            return Ok(());
        };
        let fetched = self.fetch_over(&session, looked).await;
        if fetched.is_ok() {
            self.session = Some(session);
        }
        fetched
    }

    async fn fetch_over(&mut self, session: &Session, looked: &mut Looked) -> Result<(), SshError> {
        let listed = session.list(&self.address).await?;
        let names = &self.address.names;
        let matching: Vec<&Listed> = listed.iter().filter(|one| names.matches(&one.name)).collect();
        looked.files = matching.len().min(MOST_FILES);
        let mut room = Room { left: AT_ONCE, most_waiting: self.most_waiting };
        for file in &matching[..looked.files] {
            let fetched = self.fetch_file(session, (file, &listed), &mut room).await;
            self.settle(&file.name, fetched, looked)?;
        }
        let at_paths = |name: &String| matching.iter().any(|file| file.name == *name);
        let gone: Vec<_> = self.copies.keys().filter(|name| !at_paths(name)).cloned().collect();
        for name in gone {
            let fetched = self.fetch_gone(session, (&name, &listed), &mut room).await;
            self.settle(&name, fetched, looked)?;
        }
        if matching.len() > MOST_FILES {
            looked.problem = Some(format!("{}: more files match than are followed", self.address));
        }
        Ok(())
    }

    /// What is wrong with one file is a problem, and the others go on.
    fn settle(
        &self,
        name: &str,
        fetched: Result<(), SshError>,
        looked: &mut Looked,
    ) -> Result<(), SshError> {
        match fetched {
            Err(error) if error.is_of_file() => {
                looked.problem = Some(format!("{}: {error}", self.address.source_of(name)));
                Ok(())
            }
            fetched => fetched,
        }
    }

    /// The connection; none while it is not yet time to try again.
    async fn connected(&mut self, store: &LogStore) -> Result<Option<Session>, SshError> {
        if let Some(session) = self.session.take() {
            return Ok(Some(session));
        }
        let waits = match &self.retry {
            Some(retry) if Instant::now() < retry.at => return Ok(None),
            Some(retry) => retry.waits.saturating_mul(2).min(LONGEST_WAIT),
            None => FIRST_WAIT,
        };
        let opened = Session::open(&self.address, store.ssh()).await;
        self.retry = opened.as_ref().err().map(|error| {
            let problem = format!("{}: {error}", self.address);
            Retry { at: Instant::now() + waits, waits, problem }
        });
        opened.map(Some)
    }

    /// Fetches what is new in the file of a path.
    async fn fetch_file(
        &mut self,
        session: &Session,
        (file, listed): (&Listed, &[Listed]),
        room: &mut Room,
    ) -> Result<(), SshError> {
        let now = (file.len, file.changed);
        if self.copies.get(&file.name).is_some_and(|copy| copy.seen == Some(now)) {
            return Ok(());
        }
        let (mut opened, len) = session.file(self.address.path_of(&file.name)).await?;
        let head = read_head(&mut opened).await?;
        let mut copy = match self.copies.remove(&file.name) {
            Some(known) => known,
            None => {
                let source = self.address.source_of(&file.name);
                Copy::open(&self.mirrors, &source, &self.read_as)?
            }
        };
        let beside = Beside { session, address: &self.address, others: &self.copies };
        // One that was renamed stays of the source under whose path it was first fetched.
        let fetched = if beside.is_of_another(&head) {
            Ok(())
        } else {
            copy.go_on(&beside, (file, listed), (opened, head, len), room).await
        };
        self.copies.insert(file.name.clone(), copy);
        fetched
    }

    /// Fetches the rest of a file that was renamed, while no other one stands at its path.
    async fn fetch_gone(
        &mut self,
        session: &Session,
        (name, listed): (&str, &[Listed]),
        room: &mut Room,
    ) -> Result<(), SshError> {
        let Some(mut copy) = self.copies.remove(name) else { return Ok(()) };
        let beside = Beside { session, address: &self.address, others: &self.copies };
        let fetched = copy.go_on_without(&beside, (name, listed), room).await;
        self.copies.insert(name.to_owned(), copy);
        fetched
    }
}
