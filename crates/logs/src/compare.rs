//! What is different in one span of time than in another: which patterns came, went, grew and shrank.

use std::collections::{HashMap, HashSet};

use callboard_protocol::{
    Change, CompareSearch, LogComparison, PatternChange, PatternId, PatternOrder, PatternSearch,
    TimeRange, Timestamp,
};

use crate::{
    LogStore, SearchError, mining,
    pattern_counts::{Counted, Stat},
    search::{limit_of, micros, started},
    store::Snapshot,
};

const DEFAULT_LIMIT: u32 = 50;

/// A pattern that comes less than so many times more or less often has not changed.
const NOTABLE: f64 = 2.0;

impl LogStore {
    /// Holds a span of time against an earlier one. Without its ends the later span begins where the
    /// lines do, or ends where they do.
    ///
    /// # Errors
    /// When the query or the limit cannot be read, there is no earlier span, or the index fails.
    pub fn compare(&self, search: &CompareSearch) -> Result<LogComparison, SearchError> {
        let started = started();
        let limit = limit_of(search.limit, DEFAULT_LIMIT)?;
        let snapshot = self.snapshot();
        let (before, after) = spans(search, snapshot.catalogue.covered())?;
        let counted = |span: TimeRange| {
            let lines = search.lines();
            let of_span = PatternSearch {
                q: lines.q,
                from: span.from,
                to: span.to,
                level: lines.level,
                source_id: lines.source_id,
                order: PatternOrder::Count,
                limit: None,
            };
            snapshot.count_patterns(&of_span, &self.inner.reading)
        };
        let (earlier, later) = (counted(before)?, counted(after)?);
        let scale = length(after) / length(before).max(1.0);
        let mut changes = changes(&earlier, &later, scale);
        changes.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.id.cmp(&b.id)));
        let found = changes.len() as u64;
        changes.truncate(limit);
        let told = changes.into_iter().map(|changed| snapshot.tell(changed));
        Ok(LogComparison {
            before,
            after,
            matched_before: earlier.matched,
            matched_after: later.matched,
            changes: told.collect::<Result<_, _>>()?,
            found,
            took_us: micros(started),
        })
    }
}

/// The two spans, both with their ends.
fn spans(
    search: &CompareSearch,
    covered: TimeRange,
) -> Result<(TimeRange, TimeRange), SearchError> {
    const NONE: SearchError =
        SearchError::InvalidParameter("The spans need a beginning before their ends.");
    let (Some(from), Some(to)) = (search.from.or(covered.from), search.to.or(covered.to)) else {
        return Err(SearchError::InvalidParameter("There is no line with a time yet."));
    };
    let length = to.as_millis().checked_sub(from.as_millis()).filter(|length| *length > 0);
    let length = length.ok_or(NONE)?;
    let before_to = search.before_to.unwrap_or(from);
    let before_from = search
        .before_from
        .unwrap_or_else(|| Timestamp::from_millis(before_to.as_millis().saturating_sub(length)));
    if before_from >= before_to {
        return Err(NONE);
    }
    let before = TimeRange { from: Some(before_from), to: Some(before_to) };
    Ok((before, TimeRange { from: Some(from), to: Some(to) }))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for an order")]
fn length(span: TimeRange) -> f64 {
    let millis = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_millis);
    millis(span.to).saturating_sub(millis(span.from)) as f64
}

/// A pattern that changed.
struct Changed<'a> {
    id: mining::PatternId,
    change: Change,
    before: u64,
    after: u64,
    ratio: f64,
    /// What it is ordered by: how much it changed, in lines and in times alike.
    weight: f64,
    stat: &'a Stat,
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for an order")]
fn changes<'a>(earlier: &'a Counted, later: &'a Counted, scale: f64) -> Vec<Changed<'a>> {
    let count = |counted: &Counted, id| counted.by_pattern.get(&id).map_or(0, |stat| stat.count);
    let ids: HashSet<mining::PatternId> =
        earlier.by_pattern.keys().chain(later.by_pattern.keys()).copied().collect();
    let stats: HashMap<_, _> = earlier.by_pattern.iter().chain(&later.by_pattern).collect();
    let changed = ids.into_iter().filter_map(|id| {
        let (before, after) = (count(earlier, id), count(later, id));
        let expected = before as f64 * scale;
        let ratio = (after as f64 + 1.0) / (expected + 1.0);
        let change = match (before, after) {
            (0, _) => Change::Appeared,
            (_, 0) => Change::Vanished,
            _ if ratio >= NOTABLE => Change::Grew,
            _ if ratio <= 1.0 / NOTABLE => Change::Shrank,
            _ => return None,
        };
        let weight = ratio.ln().abs() * (1.0 + (after as f64 - expected).abs()).ln();
        Some(Changed { id, change, before, after, ratio, weight, stat: *stats.get(&id)? })
    });
    changed.collect()
}

impl Snapshot {
    fn tell(&self, changed: Changed<'_>) -> Result<PatternChange, SearchError> {
        let Changed { id, change, before, after, ratio, stat, .. } = changed;
        Ok(PatternChange {
            id: PatternId(id.0),
            template: self.patterns.template(id).unwrap_or(mining::VALUE).to_owned(),
            change,
            before,
            after,
            ratio,
            example: self.line(stat.newest_address())?,
        })
    }
}
