//! Ranking by meaning, where an embedder is configured: what words find is put into an order by words
//! and by meaning, half and half; and when no line has the words, the patterns nearest in meaning have
//! a say, too.
//!
//! Half BM25 and half likeness, each stretched over the candidates, was the best of what was tried on
//! LogQA's 793 questions (R@1 .773; BM25 alone .637, vectors alone .462; `docs/performance.md` has ours).

use tantivy::DocAddress;
use tracing::warn;

use super::{Inquiry, question::Question};
use crate::{
    Embedder, SearchError, embed::words_of, mining::PatternId, query::Clause, survey::Survey,
};

/// Lines that words find and meaning ranks.
const CANDIDATES: usize = 50;

/// Patterns that are looked at when no line has the words: those of the least ids.
const MOST_PATTERNS: usize = 4_000;

/// New texts that are embedded in one look, of which a question has two at most; a small model takes a
/// second for them. What is left is embedded for the next question.
const MOST_NEW: usize = 100;

/// Patterns that are taken for their meaning.
const NEAREST_PATTERNS: usize = 10;

/// A line, and how well its words fit (BM25).
pub(super) type Candidate = (f32, DocAddress);

impl Inquiry<'_> {
    /// The candidates in the order of words and meaning; in that of words without an embedder.
    pub(super) fn by_meaning(
        &mut self,
        text: &str,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<DocAddress>, SearchError> {
        let in_order =
            |candidates: Vec<Candidate>| candidates.into_iter().map(|(_, at)| at).collect();
        if candidates.len() < 2 || self.embedder().is_none() {
            return Ok(in_order(candidates));
        }
        let addresses: Vec<DocAddress> = candidates.iter().map(|(_, at)| *at).collect();
        let texts = self.texts_of(&addresses)?;
        let Some(alike) = self.likeness(text, &texts) else { return Ok(in_order(candidates)) };
        let words =
            stretched(&candidates.iter().map(|(score, _)| Some(*score)).collect::<Vec<_>>());
        let meanings = stretched(&alike);
        let mut ranked: Vec<(f32, DocAddress)> = words
            .iter()
            .zip(&meanings)
            .map(|(word, meaning)| word + meaning)
            .zip(addresses)
            .collect();
        // Of equals those whose words fit better stay before.
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        self.note("ranked by words and by meaning");
        Ok(in_order(ranked))
    }

    /// The newest line of each of the patterns that mean what the question says.
    pub(super) fn of_like_patterns(
        &self,
        text: &str,
        question: &Question,
    ) -> Result<Vec<Candidate>, SearchError> {
        if self.embedder().is_none() {
            return Ok(Vec::new());
        }
        let templates = self.snapshot.patterns.templates().take(MOST_PATTERNS);
        let (ids, texts): (Vec<PatternId>, Vec<String>) =
            templates.map(|(id, template)| (id, words_of(template))).unzip();
        let Some(alike) = self.likeness(text, &texts) else { return Ok(Vec::new()) };
        let mut ranked: Vec<(f32, PatternId)> =
            alike.iter().zip(ids).filter_map(|(alike, id)| Some(((*alike)?, id))).collect();
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut lines = Vec::new();
        for (_, id) in ranked.into_iter().take(NEAREST_PATTERNS) {
            let clause = self.without_own(Clause::Pattern(id), question);
            let query = self.snapshot.query(&clause, self.range);
            let newest = self.snapshot.survey(&*query, Survey { most: 1, ..Survey::default() })?;
            lines.extend(newest.lines.first().map(|(_, address)| (0.0, *address)));
        }
        Ok(lines)
    }

    /// What stands for each line: the words of its pattern, or its own.
    fn texts_of(&self, addresses: &[DocAddress]) -> Result<Vec<String>, SearchError> {
        let text = |address: &DocAddress| {
            let pattern = self.snapshot.columns(*address)?.pattern(address.doc_id);
            match pattern.and_then(|id| self.snapshot.patterns.template(id)) {
                Some(template) => Ok(words_of(template)),
                None => Ok(self.snapshot.line(*address)?.text),
            }
        };
        addresses.iter().map(text).collect()
    }

    /// Lines that are looked at for so many that are shown.
    pub(super) fn candidates(&self, shown: usize) -> usize {
        if self.embedder().is_some() { shown.max(CANDIDATES) } else { shown }
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        self.options.embedder.or(self.store.inner.embedder.as_deref())
    }

    fn likeness(&self, text: &str, texts: &[String]) -> Option<Vec<Option<f32>>> {
        let vectors = &self.store.inner.vectors;
        let alike = vectors.likeness(self.embedder()?, text, texts, MOST_NEW);
        alike.inspect_err(|error| warn!(%error, "meaning has no part in a search")).ok()
    }
}

/// From 0 for the least to 1 for the most; what is not known is the least.
fn stretched(scores: &[Option<f32>]) -> Vec<f32> {
    let known = || scores.iter().flatten().copied();
    let (least, most) = (known().fold(f32::MAX, f32::min), known().fold(f32::MIN, f32::max));
    let width = most - least;
    let stretch = |score: &Option<f32>| match score {
        Some(score) if width > 0.0 => (score - least) / width,
        _ => 0.0,
    };
    scores.iter().map(stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_stretched_over_what_is_known() {
        assert_eq!(stretched(&[Some(2.0), Some(4.0), None, Some(3.0)]), [0.0, 1.0, 0.0, 0.5]);
        assert_eq!(stretched(&[Some(2.0), Some(2.0)]), [0.0, 0.0]);
        assert_eq!(stretched(&[]), [0.0; 0]);
    }
}
