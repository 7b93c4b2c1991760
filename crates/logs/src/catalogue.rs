//! What the index knows of its sources. It is the payload of every commit, so that lines and the
//! offsets up to which they were read become durable in the same instant.
//!
//! Invariants: `next_line` never falls, so no line id is used twice; a source's number is its
//! place in `sources` and never changes; `generation` grows with every commit.

use callboard_protocol::{Level, LineId, SourceId, SourceStats, TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    ReadAs,
    checkpoint::{Checkpoint, FileId, Head},
    chunks::Committed,
    record::Record,
    retention::part,
    schema::Place,
    survey::Counts,
};

const VERSION: u32 = 1;

const DAY_MS: i64 = 86_400_000;

/// Files that one source remembers: enough for its rotations. The oldest is forgotten.
pub(crate) const MAX_CHECKPOINTS: usize = 32;

/// The sources, and the next numbers to give out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Catalogue {
    version: Version,
    pub(crate) next_line: u64,
    pub(crate) generation: u64,
    /// Ids of patterns that were given: which of the pattern files belongs to the commit.
    #[serde(default)]
    pub(crate) patterns: u32,
    /// Lines before this one are gone.
    #[serde(default)]
    pub(crate) first_line: u64,
    /// When lines came in: the latest day last.
    #[serde(default)]
    pub(crate) days: Vec<Day>,
    /// The levels of lines that went before each source counted its own, in the order of
    /// [`Level::ALL`].
    #[serde(default)]
    pub(crate) gone_levels: [u64; Level::ALL.len()],
    /// How much of the chunks belongs to the commit.
    #[serde(default)]
    pub(crate) texts: Committed,
    /// What the index held when it was last made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
    /// The version that makes the index anew, as long as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made_by: Option<String>,
    pub(crate) sources: Vec<SourceEntry>,
}

/// A day on which lines came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Day {
    /// Days since 1970.
    day: i64,
    /// The first line that came then, or the next if none did.
    first: u64,
}

/// An index that was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// From this line …
    first: u64,
    /// … to before this one …
    end: u64,
    /// … it held so many.
    lines: u64,
}

/// Days that are remembered: as long as anybody keeps logs by the day.
const MAX_DAYS: usize = 4_000;

/// Fails to read from any other number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        let known = version == VERSION;
        known.then_some(Self).ok_or_else(|| format!("version {version}, not {VERSION}"))
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceEntry {
    pub(crate) id: SourceId,
    pub(crate) name: String,
    /// Lines indexed, and the place of the next one.
    pub(crate) lines: u64,
    /// Of these so many are gone.
    #[serde(default)]
    gone: u64,
    /// Those before this one.
    #[serde(default)]
    pub(crate) first_line: u64,
    /// About as long are the texts of those that are there, in bytes.
    #[serde(default)]
    bytes: u64,
    first: Option<i64>,
    last: Option<i64>,
    levels: [u64; Level::ALL.len()],
    /// What is fixed of how its lines are read.
    #[serde(default)]
    pub(crate) read_as: ReadAs,
    /// The latest used last.
    checkpoints: Vec<Checkpoint>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            version: Version,
            next_line: 1,
            generation: 0,
            patterns: 0,
            first_line: 0,
            days: Vec::new(),
            gone_levels: [0; Level::ALL.len()],
            texts: Committed::default(),
            made: None,
            made_by: None,
            sources: Vec::new(),
        }
    }
}

impl Catalogue {
    /// The number of a source; a new one is added, a renamed one renamed.
    pub(crate) fn number(&mut self, id: SourceId, name: &str) -> usize {
        if let Some(number) = self.sources.iter().position(|source| source.id == id) {
            name.clone_into(&mut self.sources[number].name);
            return number;
        }
        self.sources.push(SourceEntry::new(id, name));
        self.sources.len() - 1
    }

    /// The number of a source that is known.
    pub(crate) fn find(&self, id: SourceId) -> Option<usize> {
        self.sources.iter().position(|source| source.id == id)
    }

    /// Gives the record its place.
    pub(crate) fn place(&mut self, number: usize, record: &Record) -> Place {
        let source = &mut self.sources[number];
        let place = Place {
            id: LineId(self.next_line),
            source: u32::try_from(number).unwrap_or(u32::MAX),
            position: source.lines,
        };
        self.next_line += 1;
        source.lines += 1;
        source.bytes += record.text.len() as u64;
        source.levels[record.level as usize] += 1;
        if let Some(at) = record.timestamp.map(Timestamp::as_millis) {
            source.first = Some(source.first.map_or(at, |first| first.min(at)));
            source.last = Some(source.last.map_or(at, |last| last.max(at)));
        }
        place
    }

    /// Lines in all.
    pub(crate) fn lines(&self) -> u64 {
        self.sources.iter().map(SourceEntry::kept).sum()
    }

    /// Notes that lines come in at this time.
    pub(crate) fn note_day(&mut self, at: Timestamp) {
        let day = at.as_millis().div_euclid(DAY_MS);
        if self.days.last().is_none_or(|last| last.day < day) {
            self.days.push(Day { day, first: self.next_line });
            let more = self.days.len().saturating_sub(MAX_DAYS);
            self.days.drain(..more);
        }
    }

    /// The first line that came in on this day or later; the next line when none did.
    pub(crate) fn first_since(&self, at: Timestamp) -> u64 {
        let day = at.as_millis().div_euclid(DAY_MS);
        // Of lines before the first day nothing is known: they are as old as that day.
        let since = self.days.iter().enumerate().find(|(_, known)| known.day >= day);
        match since {
            Some((0, _)) => self.first_line,
            Some((_, known)) => known.first,
            None if self.days.is_empty() => self.first_line,
            None => self.next_line,
        }
    }

    /// Notes that the index was made anew of the lines that are there.
    pub(crate) fn note_made(&mut self) {
        let (first, end, lines) = (self.first_kept(), self.next_line, self.lines());
        self.made = Some(Made { first, end, lines });
    }

    /// About how many texts are on the disk when the first is of this line: of all lines since, but for
    /// those that were gone when the index was made anew.
    pub(crate) fn texts_since(&self, first: u64) -> u64 {
        let all = self.next_line.saturating_sub(first);
        let Some(made) = self.made else { return all };
        let since = made.end.saturating_sub(first.max(made.first));
        let left = part(made.lines, since, made.end - made.first.min(made.end));
        all.min(self.next_line.saturating_sub(first.max(made.end)) + left)
    }

    /// About when a line came in: at the end of that day, in UTC. None when no day is known.
    pub(crate) fn came_in(&self, line: u64) -> Option<Timestamp> {
        let day = self.days.iter().rfind(|day| day.first <= line).or(self.days.first())?;
        Some(Timestamp::from_millis((day.day + 1).saturating_mul(DAY_MS) - 1))
    }

    /// Lets go of a source's lines before `first`: of those that go, and keeps those that stay.
    pub(crate) fn let_go(&mut self, number: usize, first: u64, going: &Counts, stays: &Counts) {
        let Some(source) = self.sources.get_mut(number) else { return };
        source.first_line = first;
        source.bytes = part(source.bytes, stays.matched, going.matched + stays.matched);
        source.gone += going.matched;
        let levels = source.levels.iter_mut().zip(going.levels);
        levels.for_each(|(sum, gone)| *sum = sum.saturating_sub(gone));
        (source.first, source.last) = (stays.first, stays.last);
    }

    /// The first line of any source that is kept, or may be.
    pub(crate) fn first_kept(&self) -> u64 {
        let kept = self.sources.iter().filter(|source| source.kept() > 0);
        let first = kept.map(|source| source.first_line).min();
        first.unwrap_or(self.next_line).max(self.first_line)
    }

    /// Forgets what is known of lines before `first`, all of which are gone.
    pub(crate) fn forget_before(&mut self, first: u64) {
        self.first_line = first;
        let latest = self.days.iter().rposition(|known| known.first <= first).unwrap_or(0);
        self.days.drain(..latest);
    }

    /// Lines by level, in the order of [`Level::ALL`].
    pub(crate) fn levels(&self) -> [u64; Level::ALL.len()] {
        let mut sums = self.sources.iter().fold([0; Level::ALL.len()], |mut sums, source| {
            sums.iter_mut().zip(source.levels).for_each(|(sum, count)| *sum += count);
            sums
        });
        let gone = sums.iter_mut().zip(self.gone_levels);
        gone.for_each(|(sum, gone)| *sum = sum.saturating_sub(gone));
        sums
    }

    /// The span that all lines cover.
    pub(crate) fn covered(&self) -> TimeRange {
        let first = self.sources.iter().filter_map(|source| source.first).min();
        let last = self.sources.iter().filter_map(|source| source.last).max();
        covered(first, last)
    }
}

impl SourceEntry {
    fn new(id: SourceId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            lines: 0,
            gone: 0,
            first_line: 0,
            bytes: 0,
            first: None,
            last: None,
            levels: [0; Level::ALL.len()],
            read_as: ReadAs::default(),
            checkpoints: Vec::new(),
        }
    }

    /// Lines that are there.
    pub(crate) fn kept(&self) -> u64 {
        self.lines.saturating_sub(self.gone)
    }

    /// About how long the texts of the lines are that are there, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes what its lines are found to say.
    pub(crate) fn recount(&mut self, found: &Counts) {
        self.levels = found.levels;
        (self.first, self.last) = (found.first, found.last);
    }

    /// Leaves its place, and nothing that tells of it.
    pub(crate) fn hide(&mut self) {
        let nil = SourceId(uuid::Uuid::nil());
        *self = Self { first_line: self.first_line, ..Self::new(nil, "") };
    }

    pub(crate) fn stats(&self) -> SourceStats {
        SourceStats {
            id: self.id,
            name: self.name.clone(),
            lines: self.kept(),
            covered: covered(self.first, self.last),
        }
    }

    /// How far a file was read that starts with these bytes; 0 if it is new.
    pub(crate) fn offset(&self, head: &Head, file: Option<FileId>) -> u64 {
        self.mark(head, file).map_or(0, |mark| mark.offset)
    }

    /// The same, with how the file is known.
    pub(crate) fn mark(&self, head: &Head, file: Option<FileId>) -> Option<&Checkpoint> {
        self.checkpoint(head, file).map(|index| &self.checkpoints[index])
    }

    /// Whether a file that was read begins as this one, whatever the file system calls them.
    pub(crate) fn resembles(&self, head: &Head) -> bool {
        self.checkpoints.iter().any(|checkpoint| checkpoint.begins(head))
    }

    /// Notes how far the file was read.
    pub(crate) fn set_offset(&mut self, head: &Head, file: Option<FileId>, offset: u64) {
        if let Some(index) = self.checkpoint(head, file) {
            self.checkpoints.remove(index);
        }
        if self.checkpoints.len() >= MAX_CHECKPOINTS {
            self.checkpoints.remove(0);
        }
        self.checkpoints.push(Checkpoint { offset, fingerprint: head.fingerprint(), file });
    }

    /// The checkpoint of the file, the most telling one if there are several.
    fn checkpoint(&self, head: &Head, file: Option<FileId>) -> Option<usize> {
        (0..self.checkpoints.len())
            .filter(|index| self.checkpoints[*index].is_of(head, file))
            .max_by_key(|index| self.checkpoints[*index].fingerprint.len())
    }
}

/// The span from the first to the last line's instant; its end is the instant after.
pub(crate) fn covered(first: Option<i64>, last: Option<i64>) -> TimeRange {
    TimeRange {
        from: first.map(Timestamp::from_millis),
        to: last.map(|last| Timestamp::from_millis(last.saturating_add(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused() {
        let json = serde_json::to_string(&Catalogue::default()).unwrap();
        assert_eq!(serde_json::from_str::<Catalogue>(&json).unwrap(), Catalogue::default());
        let other = json.replace("\"version\":1", "\"version\":2");
        let error = serde_json::from_str::<Catalogue>(&other).unwrap_err().to_string();
        assert!(error.contains("version 2, not 1"), "{error}");
    }

    #[test]
    fn a_source_remembers_its_latest_files() {
        let mut catalogue = Catalogue::default();
        let number = catalogue.number(SourceId::new(), "app.log");
        let source = &mut catalogue.sources[number];
        let heads: Vec<Head> = (0..=MAX_CHECKPOINTS as u64)
            .map(|file| Head::new(format!("file {file}\n").as_bytes()))
            .collect();
        for (offset, head) in (1..).zip(&heads) {
            source.set_offset(head, None, offset);
        }
        assert_eq!(source.offset(&heads[0], None), 0);
        assert_eq!(source.offset(&heads[1], None), 2);
        source.set_offset(&heads[1], None, 99);
        assert_eq!(source.offset(&heads[1], None), 99);
        assert_eq!(source.checkpoints.len(), MAX_CHECKPOINTS);
    }
}
