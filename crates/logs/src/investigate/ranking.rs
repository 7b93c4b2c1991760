//! Counts values over all matching lines. Called by `investigate`.
//!
//! Lines are read in the order of the index, segment by segment, so that each chunk of text is
//! unpacked once. Bounded by a number of lines and by a number of different values.

use std::{cmp::Reverse, collections::HashMap, ops::ControlFlow};

use callboard_protocol::{LineId, Ranking, Timestamp, ValueCount};
use tantivy::{DocId, query::Query};

use super::values::{Kind, Line};
use crate::{SearchError, schema::Columns, store::Snapshot, survey::Recency};

/// Different values that are counted of one kind; further ones are left out.
const MAX_VALUES: usize = 200_000;

/// The values of several kinds.
pub(crate) struct Counter {
    kinds: Vec<Kind>,
    tallies: Vec<HashMap<String, Tally>>,
    /// Lines that hold a value, by kind.
    holding: Vec<u64>,
    /// Lines read.
    pub(crate) counted: u64,
    /// Lines that stand for several (`message repeated 5 times`), and for how many in all.
    pub(crate) repeats: (u64, u64),
    limit: u64,
}

struct Tally {
    lines: u64,
    first: Recency,
    last: Recency,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
}

impl Counter {
    pub(crate) fn new(kinds: Vec<Kind>, limit: u64) -> Self {
        let tallies = kinds.iter().map(|_| HashMap::new()).collect();
        let holding = vec![0; kinds.len()];
        Self { kinds, tallies, holding, counted: 0, repeats: (0, 0), limit }
    }

    /// Reads every matching line, up to the limit.
    pub(crate) fn count(
        &mut self,
        snapshot: &Snapshot,
        query: &dyn Query,
    ) -> Result<(), SearchError> {
        let mut texts = snapshot.texts();
        snapshot.each_line(query, |columns, address| {
            if self.counted >= self.limit {
                return Ok(ControlFlow::Break(()));
            }
            let doc = address.doc_id;
            let text = texts.of(columns.id(doc), address)?;
            let source = snapshot.catalogue.sources.get(columns.source(doc) as usize);
            let source = source.map_or("", |source| source.name.as_str());
            let (level, at) = (columns.level(doc), columns.timestamp(doc));
            self.count_line(Line { text: &text, level, source, at }, columns, doc);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }

    fn count_line(&mut self, line: Line<'_>, columns: &Columns, doc: DocId) {
        let seen = columns.timestamp(doc);
        let millis = seen.map_or(i64::MIN, Timestamp::as_millis);
        let at = Recency { millis, id: columns.id(doc).0 };
        self.counted += 1;
        if let Some(times) = repeated(line.text) {
            self.repeats.0 += 1;
            self.repeats.1 += times;
        }
        for ((kind, tally), holding) in
            self.kinds.iter().zip(&mut self.tallies).zip(&mut self.holding)
        {
            let values = kind.values(line);
            *holding += u64::from(!values.is_empty());
            for value in values {
                if let Some(known) = tally.get_mut(&*value) {
                    known.add(at, seen);
                } else if tally.len() < MAX_VALUES {
                    tally.insert(value.into_owned(), Tally::new(at, seen));
                }
            }
        }
    }

    /// The values of the first kind that occur here, and later also there; the most frequent
    /// first.
    pub(crate) fn followed_by(&self, later: &Self) -> Vec<String> {
        let (Some(earlier), Some(later)) = (self.tallies.first(), later.tallies.first()) else {
            return Vec::new();
        };
        let both = earlier
            .iter()
            .filter(|(value, tally)| later.get(*value).is_some_and(|then| then.last > tally.first));
        let mut values: Vec<(&String, u64)> =
            both.map(|(value, tally)| (value, tally.lines)).collect();
        values.sort_unstable_by_key(|(value, lines)| (Reverse(*lines), *value));
        values.into_iter().map(|(value, _)| value.clone()).collect()
    }

    /// The most frequent values, or the least frequent, and how many lines held one, by kind; kinds without a value are
    /// left out.
    pub(crate) fn finish(self, fewest: bool, most: impl Fn(usize) -> usize) -> Vec<(Ranking, u64)> {
        let counted = self.kinds.into_iter().zip(self.tallies).zip(self.holding).enumerate();
        counted
            .filter(|(_, ((_, tally), _))| !tally.is_empty())
            .map(|(index, ((kind, tally), holding))| {
                let distinct = tally.len() as u64;
                let mut values: Vec<(String, Tally)> = tally.into_iter().collect();
                values.sort_unstable_by(|(a, x), (b, y)| {
                    let by_lines = x.lines.cmp(&y.lines);
                    (if fewest { by_lines } else { by_lines.reverse() }).then_with(|| a.cmp(b))
                });
                values.truncate(most(index));
                let top = values.into_iter().map(|(value, tally)| tally.named(value)).collect();
                (Ranking { kind: kind.name().to_owned(), distinct, top }, holding)
            })
            .collect()
    }
}

impl Tally {
    fn new(at: Recency, seen: Option<Timestamp>) -> Self {
        Self { lines: 1, first: at, last: at, first_seen: seen, last_seen: seen }
    }

    fn add(&mut self, at: Recency, seen: Option<Timestamp>) {
        self.lines += 1;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.first_seen = match (self.first_seen, seen) {
            (Some(first), Some(seen)) => Some(first.min(seen)),
            (first, seen) => first.or(seen),
        };
        self.last_seen = self.last_seen.max(seen);
    }

    fn named(self, value: String) -> ValueCount {
        ValueCount {
            value,
            lines: self.lines,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            first_line: LineId(self.first.id),
            last_line: LineId(self.last.id),
        }
    }
}

/// How many messages a line stands for, when it says that one was repeated.
fn repeated(text: &str) -> Option<u64> {
    let (_, after) = text.split_once("message repeated ")?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    after[digits..].starts_with(" times").then(|| after[..digits].parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_recognised() {
        assert_eq!(repeated("sshd[1]: message repeated 5 times: [ Failed password ]"), Some(5));
        assert_eq!(repeated("message repeated often"), None);
        assert_eq!(repeated("nothing"), None);
    }
}
