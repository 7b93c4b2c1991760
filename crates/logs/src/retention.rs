//! Lets go of the oldest lines: by the day on which they came in, and by the room that all take.
//!
//! By when they came in, not by what they say: an old log that was indexed yesterday is to be read, and
//! lines that name no time are kept as long as others. Lines leave the index in the order of their
//! numbers; the texts leave the disk file by file, and what the index kept of a line when the segment
//! that it stood in is merged, or holds no other.

use callboard_protocol::{LineId, TimeRange, Timestamp};
use tantivy::{SegmentReader, query::BooleanQuery};

use crate::{
    IngestError, LogStore,
    query::Clause,
    search::number_range,
    store::Snapshot,
    survey::{Counts, Survey},
};

/// How long lines are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Lines that came in before so many days go; today is the first. 0 is for ever.
    pub days: u32,
    /// The oldest lines go when the index and the texts take more, in bytes. 0 is no bound.
    pub bytes: u64,
}

/// More goes than is over the bound, so that it is not over it again at once: one in so many.
const MORE: u64 = 20;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

impl LogStore {
    /// Lets go of what is older; how many lines went.
    ///
    /// # Errors
    /// When the index cannot be read or written, or is being made anew.
    pub fn retain(&self, keep: Retention, now: Timestamp) -> Result<u64, IngestError> {
        let Some(_alone) = self.inner.remaking.try_lock() else {
            return Err(IngestError::Remaking);
        };
        self.with_writer(|writer, inner| {
            writer.commit_changes(inner)?;
            let snapshot = self.snapshot();
            let first = LineId(snapshot.first_kept(keep, now));
            if first.0 <= snapshot.catalogue.first_line {
                return Ok(0);
            }
            let gone = snapshot.counts(0, first.0 - 1, None)?;
            writer.catalogue.let_go(first.0, &gone.sources, &gone.levels);
            for number in 0..gone.sources.len() {
                if gone.sources[number] == 0 {
                    continue;
                }
                let left = snapshot.counts(first.0, u64::MAX, Some(number as u64))?;
                if let Some(source) = writer.catalogue.sources.get_mut(number) {
                    source.cover(left.first, left.last);
                }
            }
            writer.delete_before(first)?;
            writer.commit_changes(inner)?;
            Ok(gone.matched)
        })
    }
}

impl Snapshot {
    /// The first line that is kept.
    fn first_kept(&self, keep: Retention, now: Timestamp) -> u64 {
        let catalogue = &self.catalogue;
        let mut first = catalogue.first_line.max(1);
        if let Some(before) = keep.days.checked_sub(1) {
            first = first.max(catalogue.first_since(now.minus(DAY * before)));
        }
        if keep.bytes > 0 {
            let (bytes, lines) = (self.needed(), catalogue.next_line.saturating_sub(first));
            if bytes > keep.bytes {
                let over = part(lines, bytes - keep.bytes, bytes);
                first = first.saturating_add(over + lines / MORE).min(catalogue.next_line);
            }
        }
        first
    }

    /// The bytes that the lines need which are there: those that are gone leave the disk later.
    fn needed(&self) -> u64 {
        let segments = self.searcher.segment_readers();
        let sum = |count: fn(&SegmentReader) -> u32| -> u64 {
            segments.iter().map(|segment| u64::from(count(segment))).sum()
        };
        let (alive, all) = (sum(SegmentReader::num_docs), sum(SegmentReader::max_doc));
        let index = part(self.index_bytes(), alive, all);
        let Some(chunks) = &self.chunks else { return index };
        index + part(chunks.bytes(), alive, chunks.lines())
    }

    /// Counts the lines from the first number to the last, of one source or of all.
    fn counts(&self, first: u64, last: u64, source: Option<u64>) -> tantivy::Result<Counts> {
        let everything = Clause::All(Vec::new());
        let of_source = self.query_of(&everything, TimeRange::default(), source);
        let numbers = number_range(self.fields.id, first, last);
        let query = BooleanQuery::intersection(vec![of_source, numbers]);
        Ok(self.survey(&query, Survey::default())?.counts)
    }
}

/// The part of `all` that `some` of the others is of theirs, without going over 64 bits.
fn part(all: u64, some: u64, others: u64) -> u64 {
    let part = u128::from(all) * u128::from(some.min(others)) / u128::from(others.max(1));
    u64::try_from(part).unwrap_or(all)
}
