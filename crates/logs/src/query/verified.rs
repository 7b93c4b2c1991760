//! A search of which every hit is read: for what the index cannot tell by its words, such as whether a
//! field is greater than a number. The index finds the lines that may match; how many of them are read
//! is bounded, so that no query takes all of the machine.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tantivy::{
    DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyDocument,
    query::{EnableScoring, Explanation, Query, Scorer, Weight},
    schema::{Field, Value},
    store::StoreReader,
};

use crate::{
    SearchError,
    chunks::{ChunkCursor, Chunks},
    schema::Columns,
};

/// How many lines a query may still read.
#[derive(Debug)]
pub(crate) struct Allowance {
    lines: AtomicU64,
    failed: AtomicBool,
}

impl Allowance {
    pub(crate) fn new(lines: u64) -> Arc<Self> {
        Arc::new(Self { lines: AtomicU64::new(lines), failed: AtomicBool::new(false) })
    }

    fn take(&self) -> bool {
        let taken = self
            .lines
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        taken.is_ok()
    }

    /// Fails when the search is not complete.
    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if self.failed.load(Ordering::Relaxed) {
            let lost = tantivy::TantivyError::InternalError("a line has no text".to_owned());
            return Err(lost.into());
        }
        match self.lines.load(Ordering::Relaxed) {
            0 => Err(SearchError::TooExpensive),
            _ => Ok(()),
        }
    }
}

/// Whether a line matches.
pub(super) type Check = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) candidates: Arc<dyn Query>,
    pub(super) check: Check,
    /// None when the texts are in the index.
    pub(super) chunks: Option<Chunks>,
    pub(super) text: Field,
    pub(super) allowance: Arc<Allowance>,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Verified").field(&self.candidates).finish()
    }
}

impl Query for Verified {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let candidates = self.candidates.weight(scoring)?;
        Ok(Box::new(VerifiedWeight { candidates, of: self.clone() }))
    }
}

struct VerifiedWeight {
    candidates: Box<dyn Weight>,
    of: Verified,
}

impl Weight for VerifiedWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let store = match self.of.chunks {
            Some(_) => None,
            None => Some(reader.get_store_reader(1)?),
        };
        let mut scorer = VerifiedScorer {
            candidates: self.candidates.scorer(reader, boost)?,
            columns: Columns::open(reader)?,
            store,
            cursor: self.of.chunks.clone().map(ChunkCursor::new),
            of: self.of.clone(),
        };
        scorer.settle();
        Ok(Box::new(scorer))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.candidates.explain(reader, doc)
    }
}

struct VerifiedScorer {
    candidates: Box<dyn Scorer>,
    columns: Columns,
    store: Option<StoreReader>,
    /// None when the texts are in the index.
    cursor: Option<ChunkCursor>,
    of: Verified,
}

impl VerifiedScorer {
    /// Goes on to the first candidate that matches, if the present one does not.
    fn settle(&mut self) -> DocId {
        let mut doc = self.candidates.doc();
        while doc != TERMINATED && !self.matches(doc) {
            doc = self.candidates.advance();
        }
        doc
    }

    /// Past the allowance everything matches: the search is refused as a whole, and soon over.
    fn matches(&mut self, doc: DocId) -> bool {
        if !self.of.allowance.take() {
            return true;
        }
        let matches = self.read(doc);
        if matches.is_none() {
            self.of.allowance.failed.store(true, Ordering::Relaxed);
        }
        matches.unwrap_or(true)
    }

    fn read(&mut self, doc: DocId) -> Option<bool> {
        if let Some(store) = &self.store {
            let document: TantivyDocument = store.get(doc).ok()?;
            return Some((self.of.check)(document.get_first(self.of.text)?.as_str()?));
        }
        let text = self.cursor.as_mut()?.text(self.columns.id(doc)).ok()??;
        Some((self.of.check)(text))
    }
}

impl DocSet for VerifiedScorer {
    fn advance(&mut self) -> DocId {
        self.candidates.advance();
        self.settle()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.candidates.doc() >= target {
            return self.candidates.doc();
        }
        self.candidates.seek(target);
        self.settle()
    }

    fn doc(&self) -> DocId {
        self.candidates.doc()
    }

    fn size_hint(&self) -> u32 {
        self.candidates.size_hint()
    }

    fn cost(&self) -> u64 {
        // Reading is dear: others of an intersection go first.
        self.candidates.cost().saturating_mul(100)
    }
}

impl Scorer for VerifiedScorer {
    fn score(&mut self) -> Score {
        self.candidates.score()
    }
}
