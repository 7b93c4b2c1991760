//! The copy of one file of another machine: what was fetched of it, and what is fetched next.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use callboard_logs::{Follower, MIRROR_HEAD_BYTES, Mirror, ReadAs};
use russh_sftp::client::fs::File;
use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom},
    time::Instant,
};

use super::{
    Address,
    session::{Listed, Session, SshError},
};
use crate::log_source::elsewhere::folder_of;

/// So much is written to the disk at once, in bytes.
const PIECE: usize = 4 << 20;

/// Siblings of a path that are looked through, the youngest.
const MOST_SIBLINGS: usize = 24;

/// A file that was renamed may grow for this long after it last did: programs write to it until they are
/// told to open another one.
const LINGERS: Duration = Duration::from_secs(5);

/// How packed files end: what they hold was fetched before they were packed, or never will be.
const PACKED: [&str; 4] = [".gz", ".bz2", ".xz", ".zst"];

/// What may still be fetched, in bytes: in this look, and to wait of one file.
pub(super) struct Room {
    pub(super) left: u64,
    pub(super) most_waiting: u64,
}

/// A file that is followed.
pub(super) struct Copy {
    mirror: Mirror,
    pub(super) follower: Follower,
    /// Its length and time when it was last fetched to its end; of its siblings, while it is gone.
    pub(super) seen: Option<(u64, u32)>,
    /// When the renamed file last grew, while the one at its path waits.
    lingers: Option<Instant>,
    /// Whether it was not found beside the path at the last look.
    missed: bool,
}

/// What is beside a file that is followed.
pub(super) struct Beside<'a> {
    pub(super) session: &'a Session,
    pub(super) address: &'a Address,
    /// The copies of other files.
    pub(super) others: &'a BTreeMap<String, Copy>,
}

impl Beside<'_> {
    /// Whether what begins like this was fetched under another path.
    pub(super) fn is_of_another(&self, head: &[u8]) -> bool {
        self.others.values().any(|copy| copy.mirror.knows(head))
    }
}

/// What became of a file that stands elsewhere now.
enum Drained {
    /// It is not read to its end, or may still grow.
    Waits,
    /// Another one is fetched that was renamed as well.
    GoesOn,
    /// The one at the path may begin.
    Ended,
}

impl Copy {
    /// What is on this disk of the file that is called like this; its folder lies below `mirrors`.
    pub(super) fn open(mirrors: &Path, source: &str, read_as: &ReadAs) -> Result<Self, SshError> {
        let folder = folder_of(mirrors, source);
        let mirror = Mirror::open(&folder).map_err(SshError::Copy)?;
        let follower = Follower::of_spool(&folder);
        let follower = follower.map_err(|error| SshError::Copy(io::Error::other(error)))?;
        let follower = follower.reading(read_as.clone());
        Ok(Self { mirror, follower, seen: None, lingers: None, missed: false })
    }

    /// Fetches what is new in the file at the path, once all that stood there before is fetched.
    pub(super) async fn go_on(
        &mut self,
        beside: &Beside<'_>,
        (listed, all): (&Listed, &[Listed]),
        (file, head, len): (File, Vec<u8>, u64),
        room: &mut Room,
    ) -> Result<(), SshError> {
        loop {
            if let Some(place) = self.mirror.place(&head, len).map_err(SshError::Copy)? {
                let ended = self.fetch(file, (place, len), room).await?;
                self.seen = ended.then_some((listed.len, listed.changed));
                (self.lingers, self.missed) = (None, false);
                return Ok(());
            }
            match self.drain(beside, &siblings(&listed.name, all), room).await? {
                Drained::Waits => return Ok(()),
                Drained::GoesOn => {}
                Drained::Ended => self.begin()?,
            }
        }
    }

    /// The same while nothing stands at the path.
    pub(super) async fn go_on_without(
        &mut self,
        beside: &Beside<'_>,
        (name, all): (&str, &[Listed]),
        room: &mut Room,
    ) -> Result<(), SshError> {
        let siblings = siblings(name, all);
        let latest = siblings.iter().map(|one| one.changed).max().unwrap_or_default();
        let state = Some((siblings.iter().map(|one| one.len).sum(), latest));
        while self.seen != state {
            match self.drain(beside, &siblings, room).await? {
                Drained::GoesOn => {}
                Drained::Waits => return Ok(()),
                Drained::Ended => self.seen = state,
            }
        }
        Ok(())
    }

    /// Fetches a file from a place on, which is behind what was fetched of it; whether to its end.
    async fn fetch(
        &mut self,
        mut file: File,
        (place, len): (u64, u64),
        room: &mut Room,
    ) -> Result<bool, SshError> {
        let held = self.mirror.held().map_err(SshError::Copy)?;
        let wanted = len.saturating_sub(place);
        if wanted > 0 && held >= room.most_waiting {
            return Err(SshError::Full(room.most_waiting));
        }
        let mut left = wanted.min(room.left).min(room.most_waiting.saturating_sub(held));
        let ended = left == wanted;
        if left > 0 {
            file.seek(SeekFrom::Start(place)).await.map_err(SshError::Read)?;
        }
        while left > 0 {
            let piece = left.min(PIECE as u64);
            let mut bytes = Vec::new();
            (&mut file).take(piece).read_to_end(&mut bytes).await.map_err(SshError::Read)?;
            if bytes.is_empty() {
                // It was truncated meanwhile.
                return Ok(false);
            }
            self.mirror.append(&bytes).map_err(SshError::Copy)?;
            left = left.saturating_sub(bytes.len() as u64);
            room.left = room.left.saturating_sub(bytes.len() as u64);
        }
        Ok(ended)
    }

    /// Fetches the rest of the file that was fetched and stands elsewhere now; then those that came and
    /// went meanwhile may begin, the oldest first, and at last the one at the path.
    async fn drain(
        &mut self,
        beside: &Beside<'_>,
        siblings: &[&Listed],
        room: &mut Room,
    ) -> Result<Drained, SshError> {
        let at = self.mirror.position().map_err(SshError::Copy)?;
        let (mut former, mut unknown) = (None, Vec::new());
        for sibling in siblings {
            let opened = beside.session.file(beside.address.path_of(&sibling.name)).await;
            let (mut file, len) = match opened {
                Err(error) if error.is_of_file() => continue,
                opened => opened?,
            };
            let head = read_head(&mut file).await?;
            if self.mirror.is_of(&head) && len >= at {
                // By now more may be there by which it is known.
                self.mirror.place(&head, len).map_err(SshError::Copy)?;
                former.get_or_insert((file, len, sibling.changed));
            } else if !head.is_empty() && !self.mirror.knows(&head) && !beside.is_of_another(&head)
            {
                unknown.push((sibling.changed, (file, len, head)));
            }
        }
        let Some((file, len, changed)) = former else {
            // It may have been renamed since its siblings were listed.
            self.missed = !self.missed;
            return Ok(if self.missed { Drained::Waits } else { Drained::Ended });
        };
        self.missed = false;
        if !self.fetch(file, (at, len), room).await? {
            return Ok(Drained::Waits);
        }
        // A machine tells whole seconds: one of the same may be the younger one.
        unknown.retain(|(other, _)| *other >= changed);
        let Some((_, (file, len, head))) = unknown.pop() else {
            return Ok(if self.has_lingered(len > at) { Drained::Ended } else { Drained::Waits });
        };
        self.begin()?;
        let place = self.mirror.place(&head, len).map_err(SshError::Copy)?;
        let ended = self.fetch(file, (place.unwrap_or_default(), len), room).await?;
        Ok(if ended { Drained::GoesOn } else { Drained::Waits })
    }

    fn begin(&mut self) -> Result<(), SshError> {
        (self.seen, self.lingers) = (None, None);
        self.mirror.begin().map_err(SshError::Copy)
    }

    /// Whether a renamed file has not grown for long enough.
    fn has_lingered(&mut self, grew: bool) -> bool {
        let now = Instant::now();
        let since = if grew { self.lingers.insert(now) } else { self.lingers.get_or_insert(now) };
        now - *since >= LINGERS
    }
}

pub(super) async fn read_head(file: &mut File) -> Result<Vec<u8>, SshError> {
    let mut head = Vec::with_capacity(MIRROR_HEAD_BYTES);
    let limited = file.take(MIRROR_HEAD_BYTES as u64);
    { limited }.read_to_end(&mut head).await.map_err(SshError::Read)?;
    Ok(head)
}

/// Files whose names begin with this one and that are not packed, the youngest first.
fn siblings<'a>(name: &str, listed: &'a [Listed]) -> Vec<&'a Listed> {
    let suffix = |of: &'a Listed| of.name.strip_prefix(name).unwrap_or_default();
    let is_one = |other: &&'a Listed| {
        let suffix = suffix(other);
        suffix.starts_with(['.', '-']) && !PACKED.iter().any(|packed| suffix.ends_with(packed))
    };
    let mut siblings: Vec<_> = listed.iter().filter(is_one).collect();
    siblings.sort_by(|a, b| {
        b.changed.cmp(&a.changed).then_with(|| match (number(suffix(a)), number(suffix(b))) {
            // logrotate counts from the youngest on; dates count up.
            (Some(a), Some(b)) => a.cmp(&b),
            _ => b.name.cmp(&a.name),
        })
    });
    siblings.truncate(MOST_SIBLINGS);
    siblings
}

/// What logrotate counts with.
fn number(suffix: &str) -> Option<u16> {
    suffix.strip_prefix('.').filter(|digits| digits.len() <= 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_renamed_in_one_second_the_name_tells_the_age() {
        let listed = |names: &[(&str, u32)]| {
            let one = |(name, changed): &(&str, u32)| Listed {
                name: (*name).to_owned(),
                len: 1,
                changed: *changed,
            };
            names.iter().map(one).collect::<Vec<_>>()
        };
        let names = |listed: &[Listed]| {
            let found = siblings("app.log", listed);
            found.into_iter().map(|one| one.name.clone()).collect::<Vec<_>>()
        };
        let numbered = listed(&[
            ("app.log", 9),
            ("app.log.10", 5),
            ("app.log.2", 5),
            ("app.log.1", 7),
            ("app.log.3.gz", 4),
            ("app.logs", 9),
        ]);
        assert_eq!(names(&numbered), ["app.log.1", "app.log.2", "app.log.10"]);
        let dated = listed(&[("app.log-20261125", 5), ("app.log-20261126", 5)]);
        assert_eq!(names(&dated), ["app.log-20261126", "app.log-20261125"]);
    }
}
