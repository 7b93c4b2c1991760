//! The patterns of the lines that match: how often each, since when, and how that changes.
//!
//! One pass over one snapshot. Lines are counted under the id that they were given; what has joined
//! since is added up at the end.

use std::collections::HashMap;

use callboard_protocol::{
    Level, PatternCount, PatternId, PatternOrder, PatternPage, PatternSearch, TimeRange, Timestamp,
};
use tantivy::{
    DocAddress, DocId, Score, SegmentOrdinal, SegmentReader,
    collector::{Collector, SegmentCollector},
};

use crate::{
    LogStore, SearchError,
    catalogue::covered,
    mining,
    schema::Columns,
    search::{limit_of, micros, started},
    store::{Reading, Snapshot, level_counts},
    survey::Recency,
};

const DEFAULT_LIMIT: u32 = 50;

/// Slices of a trend.
const SLICES: usize = 30;

/// The last slices of a trend: what happens there is held against what happened before.
const RECENT: usize = SLICES / 5;

impl LogStore {
    /// The patterns of the lines that match.
    ///
    /// # Errors
    /// When the query or the limit cannot be read, or the index fails.
    pub fn patterns(&self, search: &PatternSearch) -> Result<PatternPage, SearchError> {
        let started = started();
        let limit = limit_of(search.limit, DEFAULT_LIMIT)?;
        let snapshot = self.snapshot();
        let counted = snapshot.count_patterns(search, &self.inner.reading)?;
        let Counted { by_pattern, matched, slices } = counted;
        let mut ranked: Vec<(mining::PatternId, Stat)> = by_pattern.into_iter().collect();
        let found = ranked.len() as u64;
        ranked.sort_unstable_by(|(a_id, a), (b_id, b)| {
            let by_count = b.count.cmp(&a.count).then(a_id.cmp(b_id));
            match search.order {
                PatternOrder::Count => by_count,
                PatternOrder::Rising => b.change().total_cmp(&a.change()).then(by_count),
                PatternOrder::Newest => b.first.cmp(&a.first).then(by_count),
            }
        });
        ranked.truncate(limit);
        let patterns = ranked.iter().filter_map(|(id, stat)| {
            let (_, newest) = stat.newest?;
            Some(snapshot.pattern(*id, stat, newest))
        });
        Ok(PatternPage {
            patterns: patterns.collect::<Result<_, _>>()?,
            found,
            matched,
            span: slices.map(Slices::span).unwrap_or_default(),
            slice_ms: slices.map_or(0, |slices| u64::try_from(slices.width).unwrap_or(0)),
            took_us: micros(started),
        })
    }
}

/// The lines of a search by their patterns.
pub(crate) struct Counted {
    pub(crate) by_pattern: HashMap<mining::PatternId, Stat>,
    /// Lines in all.
    pub(crate) matched: u64,
    slices: Option<Slices>,
}

impl Snapshot {
    /// Counts the lines that match by their patterns.
    pub(crate) fn count_patterns(
        &self,
        search: &PatternSearch,
        reading: &Reading,
    ) -> Result<Counted, SearchError> {
        let asked = self.ask(&search.lines(), reading)?;
        let range = TimeRange { from: search.from, to: search.to };
        let slices = Slices::of(range, self.catalogue.covered());
        let counted = self.searcher.search(&*asked.query, &Counter { slices })?;
        asked.done()?;
        let matched = counted.values().map(|stat| stat.count).sum();
        Ok(Counted { by_pattern: self.joined(counted), matched, slices })
    }

    /// How many patterns there are; for a reader of some sources, those of their lines.
    pub(crate) fn pattern_count(&self, reading: &Reading) -> u64 {
        if self.visible.is_none() {
            return self.patterns.len() as u64;
        }
        let counted = self.count_patterns(&PatternSearch::default(), reading);
        counted.map_or(0, |counted| counted.by_pattern.len() as u64)
    }

    /// Counts under the patterns that exist now. Lines of an index without patterns are left out.
    fn joined(&self, counted: HashMap<u32, Stat>) -> HashMap<mining::PatternId, Stat> {
        let mut joined: HashMap<mining::PatternId, Stat> = HashMap::new();
        for (id, stat) in counted {
            let Some(id) = id.checked_sub(1).map(mining::PatternId) else { continue };
            joined.entry(self.patterns.resolve(id)).or_default().merge(stat);
        }
        joined
    }

    fn pattern(
        &self,
        id: mining::PatternId,
        stat: &Stat,
        newest: DocAddress,
    ) -> Result<PatternCount, SearchError> {
        Ok(PatternCount {
            id: PatternId(id.0),
            template: self.patterns.template(id).unwrap_or(mining::VALUE).to_owned(),
            count: stat.count,
            seen: covered(stat.first, stat.last),
            levels: level_counts(&stat.levels),
            trend: stat.trend.to_vec(),
            change: stat.change(),
            example: self.line(newest)?,
        })
    }
}

/// The span of a trend, in slices of one width.
#[derive(Clone, Copy, Debug)]
struct Slices {
    from: i64,
    width: i64,
}

impl Slices {
    /// What is asked for of what there is; none when no line has a time.
    fn of(asked: TimeRange, there: TimeRange) -> Option<Self> {
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        let from = millis(there.from)?.max(millis(asked.from).unwrap_or(i64::MIN));
        let to = millis(there.to)?.min(millis(asked.to).unwrap_or(i64::MAX));
        let span = to.saturating_sub(from).max(1);
        let slices = i64::try_from(SLICES).unwrap_or(i64::MAX);
        Some(Self { from, width: span.saturating_add(slices - 1) / slices })
    }

    fn of_instant(self, millis: i64) -> usize {
        let slice = millis.saturating_sub(self.from) / self.width;
        usize::try_from(slice).unwrap_or(0).min(SLICES - 1)
    }

    fn span(self) -> TimeRange {
        let slices = i64::try_from(SLICES).unwrap_or(i64::MAX);
        let to = self.from.saturating_add(self.width.saturating_mul(slices));
        TimeRange {
            from: Some(Timestamp::from_millis(self.from)),
            to: Some(Timestamp::from_millis(to)),
        }
    }
}

/// What was counted of one pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stat {
    pub(crate) count: u64,
    /// In the order of [`Level::ALL`].
    levels: [u64; Level::ALL.len()],
    first: Option<i64>,
    last: Option<i64>,
    trend: [u64; SLICES],
    newest: Option<(Recency, DocAddress)>,
}

impl Stat {
    /// Where the newest line stands; there is one as soon as something was counted.
    pub(crate) fn newest_address(&self) -> DocAddress {
        self.newest.map_or(DocAddress::new(0, 0), |(_, address)| address)
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.levels.iter_mut().zip(other.levels).for_each(|(sum, count)| *sum += count);
        self.trend.iter_mut().zip(other.trend).for_each(|(sum, count)| *sum += count);
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        let newest = self.newest.into_iter().chain(other.newest);
        self.newest = newest.max_by_key(|(recency, _)| *recency);
    }

    /// How many times as often it comes lately as it did before; each counted one more, so that
    /// few lines say little.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for an order")]
    fn change(&self) -> f64 {
        let (before, recent) = self.trend.split_at(SLICES - RECENT);
        let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
        let expected = sum(before) * RECENT as f64 / before.len() as f64;
        (sum(recent) + 1.0) / (expected + 1.0)
    }
}

/// Counts lines by the id that they were given, and one more; 0 stands for none.
struct Counter {
    slices: Option<Slices>,
}

impl Collector for Counter {
    type Fruit = HashMap<u32, Stat>;
    type Child = SegmentCounter;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<SegmentCounter> {
        let columns = Columns::open(reader)?;
        Ok(SegmentCounter { slices: self.slices, segment, columns, counted: HashMap::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        let mut all: Self::Fruit = HashMap::new();
        for (id, stat) in fruits.into_iter().flatten() {
            all.entry(id).or_default().merge(stat);
        }
        Ok(all)
    }
}

struct SegmentCounter {
    slices: Option<Slices>,
    segment: SegmentOrdinal,
    columns: Columns,
    counted: HashMap<u32, Stat>,
}

impl SegmentCollector for SegmentCounter {
    type Fruit = HashMap<u32, Stat>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let id = self.columns.pattern(doc).map_or(0, |id| id.0.saturating_add(1));
        let stat = self.counted.entry(id).or_default();
        stat.count += 1;
        stat.levels[self.columns.level_index(doc)] += 1;
        let millis = self.columns.timestamp(doc).map(Timestamp::as_millis);
        if let Some(millis) = millis {
            if let Some(slices) = self.slices {
                stat.trend[slices.of_instant(millis)] += 1;
            }
            stat.first = Some(stat.first.map_or(millis, |first| first.min(millis)));
            stat.last = stat.last.max(Some(millis));
        }
        let recency = Recency { millis: millis.unwrap_or(i64::MIN), id: self.columns.id(doc).0 };
        if stat.newest.is_none_or(|(newest, _)| newest < recency) {
            stat.newest = Some((recency, DocAddress::new(self.segment, doc)));
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.counted
    }
}
