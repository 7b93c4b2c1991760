//! One pass over all lines that match: how many, which levels, when, and the newest of them.
//!
//! A tantivy collector, used by `search` and `investigate`. One pass over one searcher, so that
//! the count, the histogram and the lines agree.

use std::{cmp::Reverse, collections::BinaryHeap};

use callboard_protocol::Level;
use tantivy::{
    DocAddress, DocId, Score, SegmentOrdinal, SegmentReader,
    collector::{Collector, SegmentCollector},
};

use crate::{schema::Columns, timeline::Timeline};

/// The order "newest first": lines without a timestamp come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Recency {
    /// Milliseconds; the least there is without a timestamp.
    pub(crate) millis: i64,
    pub(crate) id: u64,
}

impl Recency {
    /// Greater for older lines; those without a timestamp stay the least.
    fn turned(self) -> Self {
        let millis = if self.millis == i64::MIN { i64::MIN } else { !self.millis };
        Self { millis, id: !self.id }
    }
}

/// What to collect.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey {
    /// How many of the newest lines.
    pub(crate) most: usize,
    /// Only lines older than this are among the newest; all are counted.
    pub(crate) before: Option<Recency>,
    /// The oldest lines instead.
    pub(crate) oldest: bool,
}

/// What was collected.
#[derive(Default)]
pub(crate) struct Surveyed {
    pub(crate) matched: u64,
    /// In the order of [`Level::ALL`].
    pub(crate) levels: [u64; Level::ALL.len()],
    pub(crate) timeline: Timeline,
    /// The first and the last instant.
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// Lines by the number of their source.
    pub(crate) sources: Vec<u64>,
    /// The newest first, or the oldest.
    pub(crate) lines: Vec<(Recency, DocAddress)>,
}

impl Collector for Survey {
    type Fruit = Surveyed;
    type Child = SegmentSurvey;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentSurvey> {
        Ok(SegmentSurvey {
            survey: *self,
            segment,
            columns: Columns::open(reader)?,
            found: Surveyed::default(),
            heap: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Surveyed>) -> tantivy::Result<Surveyed> {
        let mut all = fruits.into_iter().fold(Surveyed::default(), Surveyed::merge);
        all.lines.sort_unstable_by_key(|(recency, _)| Reverse(*recency));
        all.lines.truncate(self.most);
        Ok(all)
    }
}

impl Surveyed {
    fn merge(mut self, other: Self) -> Self {
        self.matched += other.matched;
        self.levels.iter_mut().zip(other.levels).for_each(|(sum, count)| *sum += count);
        self.timeline.merge(other.timeline);
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        if self.sources.len() < other.sources.len() {
            self.sources.resize(other.sources.len(), 0);
        }
        self.sources.iter_mut().zip(other.sources).for_each(|(sum, count)| *sum += count);
        self.lines.extend(other.lines);
        self
    }
}

/// The part of one segment.
pub(crate) struct SegmentSurvey {
    survey: Survey,
    segment: SegmentOrdinal,
    columns: Columns,
    found: Surveyed,
    /// The newest so far, the oldest of them on top.
    heap: BinaryHeap<Reverse<(Recency, DocId)>>,
}

impl SegmentSurvey {
    fn offer(&mut self, recency: Recency, doc: DocId) {
        if self.survey.most == 0 || self.survey.before.is_some_and(|before| recency >= before) {
            return;
        }
        if self.heap.len() < self.survey.most {
            self.heap.push(Reverse((recency, doc)));
            return;
        }
        if let Some(mut oldest) = self.heap.peek_mut()
            && oldest.0.0 < recency
        {
            *oldest = Reverse((recency, doc));
        }
    }
}

impl SegmentCollector for SegmentSurvey {
    type Fruit = Surveyed;

    fn collect(&mut self, doc: DocId, _: Score) {
        self.found.matched += 1;
        self.found.levels[self.columns.level_index(doc)] += 1;
        let source = self.columns.source(doc) as usize;
        if self.found.sources.len() <= source {
            self.found.sources.resize(source + 1, 0);
        }
        self.found.sources[source] += 1;
        let millis = self.columns.timestamp(doc).map(|at| at.as_millis());
        if let Some(millis) = millis {
            self.found.timeline.add(millis);
            self.found.first = Some(self.found.first.map_or(millis, |first| first.min(millis)));
            self.found.last = self.found.last.max(Some(millis));
        }
        let recency = Recency { millis: millis.unwrap_or(i64::MIN), id: self.columns.id(doc).0 };
        self.offer(if self.survey.oldest { recency.turned() } else { recency }, doc);
    }

    fn harvest(mut self) -> Surveyed {
        let segment = self.segment;
        let address = |doc| DocAddress::new(segment, doc);
        self.found.lines =
            self.heap.into_iter().map(|Reverse((recency, doc))| (recency, address(doc))).collect();
        self.found
    }
}
