//! Finding lines: searches, single lines, and their neighbours.

use std::{
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use callboard_protocol::{
    LineContext, LineFilter, LineId, LogLine, LogPage, LogSearch, PatternId, SearchOrder, SourceId,
    TimeRange,
};
use tantivy::{
    DocAddress, Term,
    collector::{DocSetCollector, TopDocs},
    query::{BooleanQuery, EnableScoring, Query, RangeQuery, TermQuery},
    schema::{Field, IndexRecordOption},
};

use crate::{
    LogStore, SearchError,
    format::custom::Formats,
    query::{Allowance, Clause, Compiler, parse},
    schema::Columns,
    store::{Reading, Snapshot},
    survey::{Recency, Survey, Surveyed},
    texts::Texts,
};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;
/// Every page counts all that match, so that fewer are better.
const MAX_EXPORT_PAGE: u32 = 5_000;
/// Neighbours of a line, in each direction.
const MAX_CONTEXT: u64 = 500;

impl LogStore {
    /// Finds lines: a page of them, how many match in all, and when.
    ///
    /// # Errors
    /// When the query, the limit or the cursor cannot be read, or the index fails.
    pub fn search(&self, search: &LogSearch) -> Result<LogPage, SearchError> {
        self.page(search, limit_of(search.limit, DEFAULT_LIMIT)?)
    }

    /// The same for whoever goes through all that match: in pages of up to 5,000.
    ///
    /// # Errors
    /// As [`LogStore::search`].
    pub fn search_all(&self, search: &LogSearch) -> Result<LogPage, SearchError> {
        let limit = search.limit.unwrap_or(MAX_EXPORT_PAGE);
        self.page(search, limit.clamp(1, MAX_EXPORT_PAGE) as usize)
    }

    fn page(&self, search: &LogSearch, limit: usize) -> Result<LogPage, SearchError> {
        let started = started();
        let snapshot = self.snapshot();
        let asked = snapshot.ask(&search.lines(), &self.inner.reading)?;
        let query = &asked.query;
        let (found, addresses) = match search.order {
            SearchOrder::Newest => {
                let before = search.cursor.as_deref().map(read_cursor).transpose()?;
                let survey = Survey { most: limit + 1, before, oldest: false };
                let found = snapshot.survey(&**query, survey)?;
                let addresses = found.lines.iter().map(|(_, address)| *address).collect();
                (found, addresses)
            }
            SearchOrder::Best if search.cursor.is_some() => {
                return Err(SearchError::InvalidParameter("There are no pages in this order."));
            }
            SearchOrder::Best => snapshot.best(&**query, limit)?,
        };
        let partial = asked.is_partial(search.partial)?;
        let more = found.lines.len() > limit && !partial;
        let next_cursor = more.then(|| write_cursor(found.lines[limit - 1].0));
        let page: Vec<DocAddress> = addresses.into_iter().take(limit).collect();
        let lines = snapshot.lines(&page)?;
        let matched = found.counts.matched;
        let (histogram, bucket_ms) = found.counts.timeline.finish();
        let took_us = micros(started);
        Ok(LogPage { lines, matched, histogram, bucket_ms, next_cursor, partial, took_us })
    }

    /// One line.
    ///
    /// # Errors
    /// When there is no such line, or the index fails.
    pub fn line(&self, id: LineId) -> Result<LogLine, SearchError> {
        self.line_of(&self.snapshot(), id)
    }

    pub(crate) fn line_of(&self, snapshot: &Snapshot, id: LineId) -> Result<LogLine, SearchError> {
        snapshot.line(self.address(snapshot, id)?)
    }

    /// A line between its neighbours in the same source, at most 500 on each side.
    ///
    /// # Errors
    /// When there is no such line, or the index fails.
    pub fn context(
        &self,
        id: LineId,
        before: usize,
        after: usize,
    ) -> Result<LineContext, SearchError> {
        let snapshot = self.snapshot();
        let fields = snapshot.fields;
        let address = self.address(&snapshot, id)?;
        let place = snapshot.columns(address)?.place(address.doc_id);
        let first = place.position.saturating_sub((before as u64).min(MAX_CONTEXT));
        let last = place.position.saturating_add((after as u64).min(MAX_CONTEXT));
        let query = BooleanQuery::intersection(vec![
            term_query(fields.source, u64::from(place.source)),
            number_range(fields.position, first, last),
        ]);
        let mut places = Vec::new();
        for address in snapshot.searcher.search(&query, &DocSetCollector)? {
            places.push((snapshot.columns(address)?.position(address.doc_id), address));
        }
        places.sort_unstable();
        let addresses: Vec<DocAddress> = places.iter().map(|(_, address)| *address).collect();
        let middle = addresses.iter().position(|at| *at == address).unwrap_or(0);
        let mut before = snapshot.lines(&addresses)?;
        let after = before.split_off((middle + 1).min(before.len()));
        let line = before.pop().ok_or(SearchError::LineNotFound(id))?;
        Ok(LineContext { before, line, after })
    }

    fn address(&self, snapshot: &Snapshot, id: LineId) -> Result<DocAddress, SearchError> {
        let query = number_range(snapshot.fields.id, id.0, id.0);
        let found = snapshot.searcher.search(&*query, &DocSetCollector)?;
        let address = found.into_iter().next().ok_or(SearchError::LineNotFound(id))?;
        let source = snapshot.columns(address)?.source(address.doc_id);
        // Whoever may not see it is told what everybody is told of a line that is not there.
        if snapshot.is_visible(source) { Ok(address) } else { Err(SearchError::LineNotFound(id)) }
    }
}

/// A search, and how many lines it may read.
pub(crate) struct Asked {
    pub(crate) query: Box<dyn Query>,
    allowance: Arc<Allowance>,
}

impl Asked {
    /// To be called when it was answered.
    ///
    /// # Errors
    /// When the answer is not whole.
    pub(crate) fn done(&self) -> Result<(), SearchError> {
        self.allowance.check()
    }

    /// The same for who may take an answer that is not whole, and is told whether it is one.
    ///
    /// # Errors
    /// When the answer is not whole, and must be.
    pub(crate) fn is_partial(&self, may_be: bool) -> Result<bool, SearchError> {
        match self.done() {
            Err(SearchError::TooExpensive) if may_be => Ok(true),
            done => done.map(|()| false),
        }
    }
}

impl Snapshot {
    /// The search for these lines.
    pub(crate) fn ask(&self, lines: &LineFilter, reading: &Reading) -> Result<Asked, SearchError> {
        let level = lines.level.map(Clause::at_least);
        let clause = Clause::all([parse(&lines.q)?].into_iter().chain(level));
        let range = TimeRange { from: lines.from, to: lines.to };
        let number = |source| self.catalogue.find(source).map_or(u64::MAX, |number| number as u64);
        let source = lines.source_id.map(number);
        let allowance = Allowance::new(reading.scan_limit);
        let formats = Arc::clone(&reading.formats);
        let query = self.compiler(Arc::clone(&allowance), formats).search(&clause, range, source);
        Ok(Asked { query, allowance })
    }

    /// The search for a clause that the index can tell by itself, within a span of time.
    pub(crate) fn query(&self, clause: &Clause, range: TimeRange) -> Box<dyn Query> {
        self.query_of(clause, range, None)
    }

    /// The same, in one source alone when it is named by its number.
    pub(crate) fn query_of(
        &self,
        clause: &Clause,
        range: TimeRange,
        source: Option<u64>,
    ) -> Box<dyn Query> {
        self.compiler(Allowance::new(0), Arc::default()).search(clause, range, source)
    }

    fn compiler(&self, allowance: Arc<Allowance>, formats: Formats) -> Compiler<'_> {
        Compiler {
            fields: self.fields,
            catalogue: &self.catalogue,
            patterns: &self.patterns,
            chunks: self.chunks.as_ref(),
            visible: self.visible.as_deref(),
            allowance,
            formats,
        }
    }

    /// All that match, and where the best of them are; of equals the newest.
    pub(crate) fn best(
        &self,
        query: &dyn Query,
        limit: usize,
    ) -> Result<(Surveyed, Vec<DocAddress>), SearchError> {
        let best = self.top(query, limit)?;
        let found = self.survey(query, Survey::default())?;
        Ok((found, best.into_iter().map(|(_, address)| address).collect()))
    }

    /// Where the best are, each with how well it fits.
    pub(crate) fn top(
        &self,
        query: &dyn Query,
        limit: usize,
    ) -> Result<Vec<(f32, DocAddress)>, SearchError> {
        let top = TopDocs::with_limit(limit).order_by_score();
        Ok(self.searcher.search(query, &top)?)
    }

    /// Goes through the lines that match, segment by segment in the order of the index, so that each
    /// chunk of text is unpacked once. `work` may break it off.
    pub(crate) fn each_line(
        &self,
        query: &dyn Query,
        mut work: impl FnMut(&Columns, DocAddress) -> tantivy::Result<ControlFlow<()>>,
    ) -> tantivy::Result<()> {
        let weight = query.weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
        for (ordinal, segment) in (0..).zip(self.searcher.segment_readers()) {
            let columns = Columns::open(segment)?;
            let mut result = Ok(ControlFlow::Continue(()));
            weight.for_each_no_score(segment, &mut |docs| {
                for doc in docs {
                    if matches!(result, Ok(ControlFlow::Continue(()))) && !segment.is_deleted(*doc)
                    {
                        result = work(&columns, DocAddress::new(ordinal, *doc));
                    }
                }
            })?;
            if result?.is_break() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn columns(&self, address: DocAddress) -> Result<Columns, SearchError> {
        Ok(Columns::open(self.searcher.segment_reader(address.segment_ord))?)
    }

    pub(crate) fn lines(&self, addresses: &[DocAddress]) -> Result<Vec<LogLine>, SearchError> {
        let mut texts = self.texts();
        addresses.iter().map(|address| self.line_with(*address, &mut texts)).collect()
    }

    pub(crate) fn line(&self, address: DocAddress) -> Result<LogLine, SearchError> {
        self.line_with(address, &mut self.texts())
    }

    fn line_with(
        &self,
        address: DocAddress,
        texts: &mut Texts<'_>,
    ) -> Result<LogLine, SearchError> {
        let columns = self.columns(address)?;
        let id = columns.id(address.doc_id);
        let text = texts.of(id, address)?.into_owned();
        let (source_id, source) = self.source(columns.source(address.doc_id));
        Ok(LogLine {
            id,
            source_id,
            source,
            timestamp: columns.timestamp(address.doc_id),
            level: columns.level(address.doc_id),
            text,
            truncated: columns.truncated(address.doc_id),
            pattern: columns
                .pattern(address.doc_id)
                .map(|id| PatternId(self.patterns.resolve(id).0)),
        })
    }

    /// The source of a number. Lines of a source that the catalogue does not know yet were
    /// committed by another process since this one opened the index.
    pub(crate) fn source(&self, number: u32) -> (SourceId, String) {
        match self.catalogue.sources.get(number as usize) {
            Some(source) => (source.id, source.name.clone()),
            None => (SourceId(uuid::Uuid::nil()), String::new()),
        }
    }
}

fn term_query(field: Field, number: u64) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_u64(field, number), IndexRecordOption::Basic))
}

/// From the first number to the last, both inside.
pub(crate) fn number_range(field: Field, first: u64, last: u64) -> Box<dyn Query> {
    let bound = |number| Bound::Included(Term::from_field_u64(field, number));
    Box::new(RangeQuery::new(bound(first), bound(last)))
}

/// `1763694855926.1042`; a dash stands for no timestamp.
fn write_cursor(last: Recency) -> String {
    match last.millis {
        i64::MIN => format!("-.{}", last.id),
        millis => format!("{millis}.{}", last.id),
    }
}

fn read_cursor(cursor: &str) -> Result<Recency, SearchError> {
    let read = || {
        let (millis, id) = cursor.rsplit_once('.')?;
        let millis = if millis == "-" { i64::MIN } else { millis.parse().ok()? };
        Some(Recency { millis, id: id.parse().ok()? })
    };
    read().ok_or(SearchError::InvalidParameter("The cursor is not one that a page gave out."))
}

/// How many are asked for, at most 500.
pub(crate) fn limit_of(asked: Option<u32>, default: u32) -> Result<usize, SearchError> {
    let limit = asked.unwrap_or(default);
    let limit = Some(limit).filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.ok_or(SearchError::InvalidParameter("The limit must be between 1 and 500."))
}

/// How long ago it was started.
pub(crate) fn micros(started: std::time::Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "measures work; no test depends on it")]
pub(crate) fn started() -> std::time::Instant {
    std::time::Instant::now()
}
