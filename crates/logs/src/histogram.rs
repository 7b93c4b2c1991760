//! How many lines there are over time, by level.

use callboard_protocol::{HistogramSearch, LogHistogram, LogSlice};

use crate::{
    LogStore, SearchError,
    catalogue::covered,
    search::{micros, started},
    store::level_counts,
    survey::Survey,
    timeline::MAX_BUCKETS,
};

/// Slices of one answer.
const MOST_SLICES: u32 = 500;

impl LogStore {
    /// Counts the lines that match, slice by slice.
    ///
    /// # Errors
    /// When the query or the number of slices cannot be used, or the index fails.
    pub fn histogram(&self, search: &HistogramSearch) -> Result<LogHistogram, SearchError> {
        let started = started();
        let most = search.slices.map_or(MAX_BUCKETS, |slices| slices as usize);
        if !(1..=MOST_SLICES as usize).contains(&most) {
            return Err(SearchError::InvalidParameter("The slices must be between 1 and 500."));
        }
        let snapshot = self.snapshot();
        let asked = snapshot.ask(&search.lines(), &self.inner.reading)?;
        let counts = snapshot.survey(&*asked.query, Survey::default())?.counts;
        let partial = asked.is_partial(search.partial)?;
        let (slices, slice_ms) = counts.timeline.finish_by_level(search.slice_ms, most);
        let slices = slices.into_iter().map(|(start, levels)| LogSlice {
            start,
            count: levels.iter().sum(),
            levels: level_counts(&levels),
        });
        Ok(LogHistogram {
            matched: counts.matched,
            covered: covered(counts.first, counts.last),
            slices: slices.collect(),
            slice_ms,
            partial,
            took_us: micros(started),
        })
    }
}
