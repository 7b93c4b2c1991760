//! Counting the lines of a window, told apart by what a condition wants.

use std::{collections::HashMap, ops::ControlFlow};

use callboard_protocol::{Level, LineFilter, LineId, TimeRange, Timestamp};
use tantivy::DocId;

use crate::{
    SearchError, mining,
    schema::Columns,
    store::{Reading, Snapshot},
};

/// What lines are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    All,
    Level,
    Pattern,
    Source,
}

/// One of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    All,
    Level(Level),
    Pattern(mining::PatternId),
    /// By its number.
    Source(u32),
}

/// What was counted of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// Its instant, and it.
    newest: Option<(i64, LineId)>,
}

impl Tally {
    pub(super) fn newest_line(self) -> Option<LineId> {
        self.newest.map(|(_, id)| id)
    }
}

pub(super) type Tallies = HashMap<Key, Tally>;

impl Snapshot {
    /// Counts the lines of a query in a span of time.
    pub(super) fn tally(
        &self,
        lines: (&str, TimeRange),
        by: By,
        reading: &Reading,
    ) -> Result<Tallies, SearchError> {
        let mut tallies = Tallies::new();
        self.each_keyed(lines, by, reading, |key, at, id| {
            let tally = tallies.entry(key).or_default();
            tally.count += 1;
            tally.newest = tally.newest.max(Some((at.as_millis(), id)));
        })?;
        Ok(tallies)
    }

    /// Goes through the lines of a query in a span of time, each with what it counts as, and when.
    pub(super) fn each_keyed(
        &self,
        lines: (&str, TimeRange),
        by: By,
        reading: &Reading,
        mut work: impl FnMut(Key, Timestamp, LineId),
    ) -> Result<(), SearchError> {
        self.each_asked(lines, reading, |columns, doc| {
            if let Some(key) = self.key(by, columns, doc)
                && let Some(at) = columns.timestamp(doc)
            {
                work(key, at, columns.id(doc));
            }
            ControlFlow::Continue(())
        })
    }

    /// What a line counts as; none when its pattern is not known.
    fn key(&self, by: By, columns: &Columns, doc: DocId) -> Option<Key> {
        Some(match by {
            By::All => Key::All,
            By::Level => Key::Level(columns.level(doc)),
            By::Pattern => Key::Pattern(self.patterns.resolve(columns.pattern(doc)?)),
            By::Source => Key::Source(columns.source(doc)),
        })
    }

    /// Goes through the lines of a query in a span of time, until told to stop.
    pub(super) fn each_asked(
        &self,
        (q, range): (&str, TimeRange),
        reading: &Reading,
        mut work: impl FnMut(&Columns, DocId) -> ControlFlow<()>,
    ) -> Result<(), SearchError> {
        let TimeRange { from, to } = range;
        let lines = LineFilter { q: q.to_owned(), from, to, ..LineFilter::default() };
        let asked = self.ask(&lines, reading)?;
        self.each_line(&*asked.query, |columns, address| Ok(work(columns, address.doc_id)))?;
        asked.done()
    }
}
