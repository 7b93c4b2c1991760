//! What the lines that match are: how many of each level and source, and when.

use callboard_protocol::{FacetSearch, LogFacets, SourceCount};

use crate::{
    LogStore, SearchError,
    catalogue::covered,
    search::{micros, started},
    store::level_counts,
    survey::Survey,
};

impl LogStore {
    /// Counts the lines that match by level, by source and over time, in one pass over one snapshot.
    ///
    /// # Errors
    /// When the query cannot be read, or the index fails.
    pub fn facets(&self, search: &FacetSearch) -> Result<LogFacets, SearchError> {
        let started = started();
        let snapshot = self.snapshot();
        let asked = snapshot.ask(&search.lines(), &self.inner.reading)?;
        let found = snapshot.survey(&*asked.query, Survey::default())?.counts;
        let partial = asked.is_partial(search.partial)?;
        let counted = found.sources.iter().zip(0_u32..).filter(|(count, _)| **count > 0);
        let mut sources: Vec<SourceCount> = counted
            .map(|(count, number)| {
                let (id, name) = snapshot.source(number);
                SourceCount { id, name, count: *count }
            })
            .collect();
        sources.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        let (histogram, bucket_ms) = found.timeline.finish();
        Ok(LogFacets {
            matched: found.matched,
            covered: covered(found.first, found.last),
            levels: level_counts(&found.levels),
            sources,
            histogram,
            bucket_ms,
            partial,
            took_us: micros(started),
        })
    }
}
