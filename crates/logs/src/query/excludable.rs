//! A search whose hits can be excluded.
//!
//! tantivy 0.27 asks an excluded search by `seek_danger` for documents that it has passed already,
//! which phrases and intersections do not allow (tantivy issues 2811 and 3086 are of that family):
//! debug builds panic, and others may answer wrongly. This wrapper answers by `seek` alone, as the
//! provided method does.

use tantivy::{
    DocId, DocSet, Score, SegmentReader,
    query::{EnableScoring, Explanation, Query, Scorer, Weight},
};

/// A search whose hits can be excluded.
#[derive(Debug)]
pub(super) struct Excludable(pub(super) Box<dyn Query>);

impl Clone for Excludable {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for Excludable {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(ExcludableWeight(self.0.weight(scoring)?)))
    }
}

struct ExcludableWeight(Box<dyn Weight>);

impl Weight for ExcludableWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(ExcludableScorer(self.0.scorer(reader, boost)?)))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

/// Leaves `seek_danger` as it is provided.
struct ExcludableScorer(Box<dyn Scorer>);

impl DocSet for ExcludableScorer {
    fn advance(&mut self) -> DocId {
        self.0.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.0.seek(target)
    }

    fn doc(&self) -> DocId {
        self.0.doc()
    }

    fn size_hint(&self) -> u32 {
        self.0.size_hint()
    }

    fn cost(&self) -> u64 {
        self.0.cost()
    }
}

impl Scorer for ExcludableScorer {
    fn score(&mut self) -> Score {
        self.0.score()
    }
}
