//! Lines as they come in: those behind a line that was seen.

use std::{cmp::Reverse, collections::BinaryHeap};

use callboard_protocol::{LineFilter, LineId, LogTail, TailSearch};
use tantivy::{
    DocAddress, DocId, Score, SegmentOrdinal, SegmentReader,
    collector::{Collector, SegmentCollector},
    query::BooleanQuery,
};

use crate::{LogStore, SearchError, schema::Columns, search::number_range};

/// Lines that are told at once, and before the first that comes in.
const MOST_LINES: u32 = 500;

/// Lines before the first that comes in, when nobody says how many.
const LINES: u32 = 20;

impl LogStore {
    /// The last line that is indexed; its lines may have left the index since.
    #[must_use]
    pub fn last_line(&self) -> LineId {
        LineId(self.snapshot().catalogue.next_line.saturating_sub(1))
    }

    /// How many lines are told before the first that comes in.
    ///
    /// # Errors
    /// When more are asked for than are told at once.
    pub fn lines_before(search: &TailSearch) -> Result<usize, SearchError> {
        let before = search.lines.unwrap_or(LINES);
        if before > MOST_LINES {
            return Err(SearchError::InvalidParameter("lines is at most 500"));
        }
        Ok(before as usize)
    }

    /// What a tail tells next: at first some lines that were there before, and behind the line that was
    /// `seen` those that came since. None when none did.
    ///
    /// # Errors
    /// When the query cannot be read, or the index fails.
    pub fn tail(
        &self,
        search: &TailSearch,
        seen: Option<LineId>,
    ) -> Result<Option<LogTail>, SearchError> {
        match seen {
            Some(seen) if self.last_line() <= seen => Ok(None),
            Some(seen) => self.newer(search, seen, MOST_LINES as usize).map(Some),
            None => {
                let first = self.newer(search, LineId(0), Self::lines_before(search)?)?;
                Ok(Some(LogTail { skipped: 0, ..first }))
            }
        }
    }

    /// The lines that match and came after a line, in the order in which they came: the last `most` of
    /// them, and how many were left out before.
    fn newer(
        &self,
        search: &TailSearch,
        after: LineId,
        most: usize,
    ) -> Result<LogTail, SearchError> {
        let snapshot = self.snapshot();
        let last = snapshot.catalogue.next_line.saturating_sub(1);
        let TailSearch { q, level, source_id, .. } = search.clone();
        let lines = LineFilter { q, level, source_id, ..LineFilter::default() };
        let asked = snapshot.ask(&lines, &self.inner.reading)?;
        let seen = LineId(last.max(after.0));
        if last <= after.0 {
            return Ok(LogTail { lines: Vec::new(), skipped: 0, seen });
        }
        let new = number_range(snapshot.fields.id, after.0.saturating_add(1), last);
        let query = BooleanQuery::intersection(vec![asked.query.box_clone(), new]);
        let (count, mut latest) = snapshot.searcher.search(&query, &Latest { most })?;
        asked.done()?;
        latest.sort_unstable();
        let addresses: Vec<DocAddress> = latest.into_iter().map(|(_, address)| address).collect();
        let lines = snapshot.lines(&addresses)?;
        let skipped = count.saturating_sub(lines.len() as u64);
        Ok(LogTail { lines, skipped, seen })
    }
}

/// Counts lines, and keeps those with the greatest ids.
struct Latest {
    most: usize,
}

impl Collector for Latest {
    type Fruit = (u64, Vec<(LineId, DocAddress)>);
    type Child = SegmentLatest;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentLatest> {
        let columns = Columns::open(reader)?;
        Ok(SegmentLatest { most: self.most, segment, columns, count: 0, kept: BinaryHeap::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        let count = fruits.iter().map(|(count, _)| count).sum();
        let mut all: Vec<_> = fruits.into_iter().flat_map(|(_, kept)| kept).collect();
        all.sort_unstable_by_key(|kept| Reverse(*kept));
        all.truncate(self.most);
        Ok((count, all))
    }
}

struct SegmentLatest {
    most: usize,
    segment: SegmentOrdinal,
    columns: Columns,
    count: u64,
    /// The least id on top.
    kept: BinaryHeap<Reverse<(LineId, DocAddress)>>,
}

impl SegmentCollector for SegmentLatest {
    type Fruit = (u64, Vec<(LineId, DocAddress)>);

    fn collect(&mut self, doc: DocId, _: Score) {
        self.count += 1;
        self.kept.push(Reverse((self.columns.id(doc), DocAddress::new(self.segment, doc))));
        if self.kept.len() > self.most {
            self.kept.pop();
        }
    }

    fn harvest(self) -> Self::Fruit {
        (self.count, self.kept.into_iter().map(|Reverse(kept)| kept).collect())
    }
}
