//! One pass over all lines that match: how many, which levels, when, and the newest of them.
//!
//! Used by `search` and `investigate`; all of it comes from one snapshot, so that the count, the
//! histogram and the lines agree. Segments are visited from the newest to the oldest: once enough
//! newer lines are found, older segments are counted alone. Of a segment whose lines all match the
//! counts are known: they are kept as long as the segment is there.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use callboard_protocol::Level;
use parking_lot::Mutex;
use tantivy::{
    COLLECT_BLOCK_BUFFER_LEN, DocAddress, DocId, SegmentReader,
    index::SegmentId,
    query::{AllScorer, EnableScoring, Query, Scorer},
};

use crate::{schema::Columns, store::Snapshot, timeline::Timeline};

/// As many documents as tantivy gives out at once.
const BLOCK: usize = COLLECT_BLOCK_BUFFER_LEN;

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

/// What to look for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey {
    /// How many of the newest lines.
    pub(crate) most: usize,
    /// Only lines older than this are among the newest; all are counted.
    pub(crate) before: Option<Recency>,
    /// The oldest lines instead.
    pub(crate) oldest: bool,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Surveyed {
    pub(crate) counts: Counts,
    /// The newest first, or the oldest.
    pub(crate) lines: Vec<(Recency, DocAddress)>,
}

/// How many lines, and what they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) matched: u64,
    /// In the order of [`Level::ALL`].
    pub(crate) levels: [u64; Level::ALL.len()],
    pub(crate) timeline: Timeline,
    /// The first and the last instant.
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// Lines by the number of their source.
    pub(crate) sources: Vec<u64>,
}

/// The counts of whole segments, which never change.
#[derive(Default)]
pub(crate) struct Rollups(Mutex<HashMap<SegmentId, Arc<Counts>>>);

impl Snapshot {
    /// Looks at every line that matches.
    pub(crate) fn survey(&self, query: &dyn Query, survey: Survey) -> tantivy::Result<Surveyed> {
        let scoring = EnableScoring::disabled_from_searcher(&self.searcher);
        let weight = query.weight(scoring)?;
        let mut segments = (0..)
            .zip(self.searcher.segment_readers())
            .map(|(ordinal, reader)| Segment::open(ordinal, reader, survey.oldest))
            .collect::<tantivy::Result<Vec<_>>>()?;
        segments.sort_by_key(|segment| Reverse(segment.best));
        let mut newest = Newest { survey, heap: BinaryHeap::new() };
        let mut counts = Counts::default();
        for segment in &segments {
            let mut scorer = weight.scorer(segment.reader, 1.0)?;
            if scorer.is::<AllScorer>() && !segment.reader.has_deletes() {
                counts.merge(&*self.rollup(segment)?);
                if newest.may_take(segment.best) {
                    newest.offer_whole(segment);
                }
            } else {
                let mut found = Counts::over(segment);
                segment.each_block(&mut *scorer, |block| {
                    found.add(block);
                    newest.offer(segment, block);
                });
                counts.merge(&found);
            }
        }
        let mut lines: Vec<_> = newest.heap.into_iter().map(|Reverse(line)| line).collect();
        lines.sort_unstable_by_key(|(recency, _)| Reverse(*recency));
        Ok(Surveyed { counts, lines })
    }

    /// Counts the segments that were not there before, so that nobody waits for it, and forgets those
    /// that are gone. Those of a former process are counted when somebody asks for them.
    pub(crate) fn roll_up(&self, before: &Self) -> tantivy::Result<()> {
        let mut known = self.opened.rollups.0.lock();
        let readers = self.searcher.segment_readers();
        known.retain(|id, _| readers.iter().any(|reader| reader.segment_id() == *id));
        drop(known);
        let former = before.searcher.segment_readers();
        for (ordinal, reader) in (0..).zip(readers) {
            if !former.iter().any(|known| known.segment_id() == reader.segment_id()) {
                self.rollup(&Segment::open(ordinal, reader, false)?)?;
            }
        }
        Ok(())
    }

    fn rollup(&self, segment: &Segment<'_>) -> tantivy::Result<Arc<Counts>> {
        let rollups = &self.opened.rollups.0;
        let id = segment.reader.segment_id();
        if let Some(known) = rollups.lock().get(&id) {
            return Ok(Arc::clone(known));
        }
        let mut counts = Counts::over(segment);
        let docs: Vec<DocId> = (0..segment.reader.max_doc()).collect();
        docs.chunks(BLOCK).for_each(|docs| counts.add(&Block::read(&segment.columns, docs)));
        let counts = Arc::new(counts);
        rollups.lock().insert(id, Arc::clone(&counts));
        Ok(counts)
    }
}

impl Counts {
    fn over(segment: &Segment<'_>) -> Self {
        let timeline = segment.columns.span().map(|(first, last)| Timeline::over(first, last));
        Self { timeline: timeline.unwrap_or_default(), ..Self::default() }
    }

    fn add(&mut self, block: &Block<'_>) {
        self.matched += block.docs.len() as u64;
        let mut numbers = [None; BLOCK];
        let numbers = &mut numbers[..block.docs.len()];
        block.columns.levels(block.docs, numbers);
        for (at, level) in block.times().iter().zip(numbers.iter()) {
            let level = Columns::to_level_index(*level);
            self.levels[level] += 1;
            let Some(at) = at else { continue };
            self.timeline.add(*at, level);
            self.first = Some(self.first.map_or(*at, |first| first.min(*at)));
            self.last = self.last.max(Some(*at));
        }
        block.columns.sources(block.docs, numbers);
        for source in numbers.iter() {
            let source = Columns::to_source(*source) as usize;
            if self.sources.len() <= source {
                self.sources.resize(source + 1, 0);
            }
            self.sources[source] += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.matched += other.matched;
        self.levels.iter_mut().zip(other.levels).for_each(|(sum, count)| *sum += count);
        self.timeline.merge(other.timeline.clone());
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        if self.sources.len() < other.sources.len() {
            self.sources.resize(other.sources.len(), 0);
        }
        self.sources.iter_mut().zip(&other.sources).for_each(|(sum, count)| *sum += count);
    }
}

/// A segment that is being looked at.
struct Segment<'a> {
    ordinal: u32,
    reader: &'a SegmentReader,
    columns: Columns,
    /// Its newest instant, or its oldest, in the order in which they are looked for.
    best: i64,
}

impl<'a> Segment<'a> {
    fn open(ordinal: u32, reader: &'a SegmentReader, oldest: bool) -> tantivy::Result<Self> {
        let columns = Columns::open(reader)?;
        let best = columns.span().map(|(first, last)| if oldest { !first } else { last });
        Ok(Self { ordinal, reader, columns, best: best.unwrap_or(i64::MIN) })
    }

    fn each_block(&self, scorer: &mut dyn Scorer, mut work: impl FnMut(&Block<'_>)) {
        let (mut found, mut alive) = ([0; BLOCK], [0; BLOCK]);
        loop {
            let count = scorer.fill_buffer(&mut found);
            let docs = self.alive(&found[..count], &mut alive);
            if !docs.is_empty() {
                work(&Block::read(&self.columns, docs));
            }
            if count < BLOCK {
                return;
            }
        }
    }

    /// Those of a block that are not deleted.
    fn alive<'d>(&self, docs: &'d [DocId], kept: &'d mut [DocId; BLOCK]) -> &'d [DocId] {
        if !self.reader.has_deletes() {
            return docs;
        }
        let mut count = 0;
        for doc in docs.iter().filter(|doc| !self.reader.is_deleted(**doc)).take(BLOCK) {
            kept[count] = *doc;
            count += 1;
        }
        &kept[..count]
    }
}

/// Documents that are looked at together.
struct Block<'a> {
    docs: &'a [DocId],
    columns: &'a Columns,
    times: [Option<i64>; BLOCK],
}

impl<'a> Block<'a> {
    fn read(columns: &'a Columns, docs: &'a [DocId]) -> Self {
        let mut times = [None; BLOCK];
        columns.timestamps(docs, &mut times[..docs.len()]);
        Self { docs, columns, times }
    }

    fn times(&self) -> &[Option<i64>] {
        &self.times[..self.docs.len()]
    }
}

/// The newest lines so far.
struct Newest {
    survey: Survey,
    /// The oldest of them on top.
    heap: BinaryHeap<Reverse<(Recency, DocAddress)>>,
}

/// Lines of a segment's end that are looked at first: they are the newest as a rule.
const NEAR_END: DocId = 4_096;

impl Newest {
    /// Offers all lines of a segment. Those at its newer end come first; once enough are found, only
    /// lines within the instants that may still be among them are looked at.
    fn offer_whole(&mut self, segment: &Segment<'_>) {
        let end = segment.reader.max_doc();
        let (near, far) = if self.survey.oldest {
            let near = NEAR_END.min(end);
            (0..near, near..end)
        } else {
            let near = end.saturating_sub(NEAR_END);
            (near..end, 0..near)
        };
        self.offer_docs(segment, &near.collect::<Vec<DocId>>());
        if self.heap.len() < self.survey.most {
            self.offer_docs(segment, &far.collect::<Vec<DocId>>());
            return;
        }
        let least = self.heap.peek().map_or(i64::MIN, |Reverse((least, _))| least.millis);
        let instants = if self.survey.oldest { i64::MIN..=!least } else { least..=i64::MAX };
        self.offer_docs(segment, &segment.columns.within(instants, far));
    }

    fn offer_docs(&mut self, segment: &Segment<'_>, docs: &[DocId]) {
        for docs in docs.chunks(BLOCK) {
            self.offer(segment, &Block::read(&segment.columns, docs));
        }
    }

    /// Whether a line of this instant may be among them.
    fn may_take(&self, millis: i64) -> bool {
        let full = self.heap.len() >= self.survey.most;
        let least = self.heap.peek().map_or(i64::MIN, |Reverse((oldest, _))| oldest.millis);
        self.survey.most > 0 && (!full || millis >= least)
    }

    fn offer(&mut self, segment: &Segment<'_>, block: &Block<'_>) {
        if !self.may_take(segment.best) {
            return;
        }
        for (doc, at) in block.docs.iter().zip(block.times()) {
            let millis = match at {
                Some(at) if self.survey.oldest => !*at,
                Some(at) => *at,
                None => i64::MIN,
            };
            if !self.may_take(millis) {
                continue;
            }
            let at = Recency { millis: at.unwrap_or(i64::MIN), id: block.columns.id(*doc).0 };
            let recency = if self.survey.oldest { at.turned() } else { at };
            if self.survey.before.is_some_and(|before| recency >= before) {
                continue;
            }
            self.heap.push(Reverse((recency, DocAddress::new(segment.ordinal, *doc))));
            if self.heap.len() > self.survey.most {
                self.heap.pop();
            }
        }
    }
}
