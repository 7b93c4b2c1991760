//! Lets go of the oldest lines: by the day on which they came in, and by the room that they take; of each
//! source by its own rule, where it has one, and of none that is held.
//!
//! By when they came in, not by what they say: an old log that was indexed yesterday is to be read, and
//! lines that name no time are kept as long as others. The lines of a source leave the index in the order
//! of their numbers; the texts leave the disk file by file, once no line of a file is kept, and what the
//! index kept of a line when the segment that it stood in is merged, or holds no other. What lies between
//! lines that are kept goes when the index is made anew ([`LogStore::is_sparse`]).

use callboard_protocol::{TimeRange, Timestamp};
use serde::Deserialize;
use tantivy::{
    SegmentReader,
    collector::TopDocs,
    query::{BooleanQuery, Query},
};

use crate::{
    IngestError, LogStore, SourceNames,
    catalogue::SourceEntry,
    chunks::Chunks,
    query::Clause,
    schema::Columns,
    search::number_range,
    store::Snapshot,
    survey::{Counts, Survey},
};

/// How long lines are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Lines that came in before so many days go; today is the first. 0 is for ever.
    pub days: u32,
    /// The oldest lines go when those that are not held take more, in bytes. 0 is no bound.
    pub bytes: u64,
    /// Sources for which other days count, and which have bounds of their own; the first that includes
    /// one is its own.
    pub rules: Vec<KeepRule>,
    /// Sources of which no line goes.
    pub held: Vec<SourceNames>,
}

/// `[[logs.keep]]`: how long the lines of some sources are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepRule {
    /// Of which sources.
    pub sources: SourceNames,
    /// So many days; 0 is for ever.
    #[serde(default)]
    pub days: u32,
    /// As long as each of them takes no more, in MiB; 0 is no bound.
    #[serde(default)]
    pub mb: u64,
}

/// More goes than is over a bound, so that it is not over it again at once: one in so many.
const MORE: u64 = 20;

/// An index of less is not made anew to make room.
const LEAST_SPARSE_BYTES: u64 = 256 << 10;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

impl LogStore {
    /// Lets go of what is older; how many lines went.
    ///
    /// # Errors
    /// When the index cannot be read or written, or is being made anew.
    pub fn retain(&self, keep: &Retention, now: Timestamp) -> Result<u64, IngestError> {
        let Some(mut left) = self.inner.remaking.try_lock() else {
            return Err(IngestError::Remaking);
        };
        self.with_writer(|writer, inner| {
            writer.commit_changes(inner)?;
            let snapshot = self.snapshot();
            let cuts = snapshot.cuts(keep, now)?;
            let mut gone = 0;
            for (number, first) in cuts {
                let source = Some(number as u64);
                let going = snapshot.counts(0, first - 1, source)?;
                if going.matched == 0 {
                    writer.catalogue.sources[number].first_line = first;
                    continue;
                }
                if gone == 0 {
                    // It may hold copies of what goes.
                    self.discard(&mut left)?;
                }
                let stays = snapshot.counts(first, u64::MAX, source)?;
                writer.delete(snapshot.numbered(0, first - 1, source))?;
                writer.catalogue.let_go(number, first, &going, &stays);
                gone += going.matched;
            }
            if gone > 0 {
                writer.forget_before(writer.catalogue.first_kept());
                writer.commit_changes(inner)?;
            }
            Ok(gone)
        })
    }

    /// Whether most of the texts on the disk are of lines that are gone, between others that are kept: a
    /// re-index makes room then.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        let snapshot = self.snapshot();
        let Some(chunks) = &snapshot.chunks else { return false };
        chunks.bytes() >= LEAST_SPARSE_BYTES
            && snapshot.catalogue.lines() < snapshot.texts_held() / 2
    }
}

impl Snapshot {
    /// The sources that lose lines, by their numbers, and the first line of each that is kept.
    fn cuts(&self, keep: &Retention, now: Timestamp) -> tantivy::Result<Vec<(usize, u64)>> {
        let catalogue = &self.catalogue;
        let since = |days: u32| {
            let before = days.checked_sub(1);
            before.map_or(0, |before| catalogue.first_since(now.minus(DAY * before)))
        };
        let is_held =
            |source: &SourceEntry| keep.held.iter().any(|held| held.include(&source.name));
        let free = || {
            let sources = catalogue.sources.iter().enumerate();
            sources.filter(|(_, source)| source.kept() > 0 && !is_held(source))
        };
        let bytes = self.needed();
        let all = catalogue.sources.iter().map(SourceEntry::bytes).sum();
        let of_free = part(bytes, free().map(|(_, source)| source.bytes()).sum(), all);
        let of_all = self.over(of_free, keep.bytes);
        let mut cuts = Vec::new();
        for (number, source) in free() {
            let rule = keep.rules.iter().find(|rule| rule.sources.include(&source.name));
            let days = since(rule.map_or(keep.days, |rule| rule.days));
            let bound = rule.map_or(0, |rule| rule.mb << 20);
            let taken = part(bytes, source.bytes(), all);
            let of_room = self.over_of(number, source, taken, bound)?;
            let first = days.max(of_all).max(of_room);
            if first > source.first_line.max(1) {
                cuts.push((number, first));
            }
        }
        Ok(cuts)
    }

    /// The first line that is kept when all take `bytes`, and may take `bound`.
    fn over(&self, bytes: u64, bound: u64) -> u64 {
        let (first, next) = (self.catalogue.first_line.max(1), self.catalogue.next_line);
        if bound == 0 || bytes <= bound {
            return first;
        }
        let lines = next.saturating_sub(first);
        first.saturating_add(part(lines, bytes - bound, bytes) + lines / MORE).min(next)
    }

    /// The same of one source.
    fn over_of(
        &self,
        number: usize,
        source: &SourceEntry,
        bytes: u64,
        bound: u64,
    ) -> tantivy::Result<u64> {
        if bound == 0 || bytes <= bound {
            return Ok(0);
        }
        let lines = source.kept();
        let going = part(lines, bytes - bound, bytes) + lines / MORE;
        let place = source.lines.saturating_sub(lines).saturating_add(going);
        let of_source = self.numbered(0, u64::MAX, Some(number as u64));
        let at = number_range(self.fields.position, place, place);
        let query = BooleanQuery::intersection(vec![of_source, at]);
        let found = self.searcher.search(&query, &TopDocs::with_limit(1).order_by_score())?;
        let Some((_, address)) = found.first() else { return Ok(self.catalogue.next_line) };
        let columns = Columns::open(self.searcher.segment_reader(address.segment_ord))?;
        Ok(columns.id(address.doc_id).0)
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
        index + part(chunks.bytes(), alive, self.texts_held())
    }

    /// About how many texts are on the disk.
    fn texts_held(&self) -> u64 {
        let first = self.chunks.as_ref().and_then(Chunks::first_line);
        first.map_or(0, |first| self.catalogue.texts_since(first.0))
    }

    /// The lines from the first number to the last, of one source or of all.
    fn numbered(&self, first: u64, last: u64, source: Option<u64>) -> Box<dyn Query> {
        let everything = Clause::All(Vec::new());
        let of_source = self.query_of(&everything, TimeRange::default(), source);
        let numbers = number_range(self.fields.id, first, last);
        Box::new(BooleanQuery::intersection(vec![of_source, numbers]))
    }

    /// Counts them.
    pub(crate) fn counts(
        &self,
        first: u64,
        last: u64,
        source: Option<u64>,
    ) -> tantivy::Result<Counts> {
        Ok(self.survey(&*self.numbered(first, last, source), Survey::default())?.counts)
    }
}

/// The part of `all` that `some` of the others is of theirs, without going over 64 bits.
pub(crate) fn part(all: u64, some: u64, others: u64) -> u64 {
    let part = u128::from(all) * u128::from(some.min(others)) / u128::from(others.max(1));
    u64::try_from(part).unwrap_or(all)
}
