//! What is unusual: conditions held against the lines of a window, now or at every moment of the past.
//!
//! [`LogStore::evaluate`] answers for one moment, [`LogStore::outlook`] for a span of them (`outlook`),
//! [`LogStore::anomalies`] without a rule. All go by the lines' own times, so that a line that comes
//! late counts where it belongs; a line without a time belongs to no window. Who is told, and what is
//! kept of it, is not for here to know.

mod outlook;
mod tally;

use std::{ops::ControlFlow, time::Duration};

use callboard_protocol::{
    AlertCondition, AnomalySearch, Finding, LogAnomalies, SpikeBy, TimeRange, Timestamp,
};

use self::tally::{By, Key, Tallies};
use crate::{
    LogStore, SearchError, mining,
    store::{Reading, Snapshot},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Days before that a spike is held against, and for so long a source is known.
const DAYS: u32 = 7;

/// Findings of one evaluation: those of the most lines.
const MOST: usize = 50;

/// Bytes of a template in a summary.
const LONGEST_TEMPLATE: usize = 300;

/// What is unusual without a rule: so many times as many as expected, and so many in all.
const UNUSUAL: (f64, u64) = (3.0, 10);

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluated {
    /// The condition fires for each of these; for none of them all is well.
    Found(Vec<Finding>),
    /// There is not enough to go by, and why.
    Waiting(&'static str),
}

impl LogStore {
    /// Whether a condition can be evaluated at all.
    ///
    /// # Errors
    /// When its numbers or its query cannot be used.
    pub fn check_condition(&self, condition: &AlertCondition) -> Result<(), SearchError> {
        condition.check().map_err(SearchError::InvalidParameter)?;
        crate::query::parse(condition.query()).map(drop)
    }

    /// Holds a condition against the lines of its window, which ends at `now`.
    ///
    /// # Errors
    /// When the condition cannot be used, or the index fails.
    pub fn evaluate(
        &self,
        condition: &AlertCondition,
        now: Timestamp,
    ) -> Result<Evaluated, SearchError> {
        self.check_condition(condition)?;
        let snapshot = self.snapshot();
        let moment = Moment {
            snapshot: &snapshot,
            reading: &self.inner.reading,
            q: condition.query(),
            window: condition.window(),
            now,
        };
        match *condition {
            AlertCondition::Threshold { at_least, .. } => moment.threshold(at_least),
            AlertCondition::Absence { by_source: false, .. } => moment.absence(),
            AlertCondition::Absence { by_source: true, .. } => moment.silence(),
            AlertCondition::Spike { factor, at_least, by, .. } => {
                moment.spike((factor, at_least), by.into())
            }
            AlertCondition::NewPattern { .. } => moment.new_patterns(),
        }
    }

    /// What is unusual in a window: spikes, new patterns, and sources that fell silent.
    ///
    /// # Errors
    /// When the window or the query cannot be used, or the index fails.
    pub fn anomalies(
        &self,
        search: &AnomalySearch,
        now: Timestamp,
    ) -> Result<LogAnomalies, SearchError> {
        let (now, window_s) = (search.to.unwrap_or(now), search.window_s.unwrap_or(3_600));
        let q = search.q.clone();
        self.check_condition(&AlertCondition::NewPattern { q, window_s })?;
        let snapshot = self.snapshot();
        let window = Duration::from_secs(u64::from(window_s));
        let moment =
            Moment { snapshot: &snapshot, reading: &self.inner.reading, q: &search.q, window, now };
        Ok(LogAnomalies {
            from: now.minus(window),
            to: now,
            levels: moment.spike(UNUSUAL, By::Level)?.found(),
            patterns: moment.spike(UNUSUAL, By::Pattern)?.found(),
            new_patterns: moment.new_patterns()?.found(),
            silent_sources: moment.silence()?.found(),
            days: moment.days().count() as u32,
        })
    }
}

impl Evaluated {
    fn found(self) -> Vec<Finding> {
        match self {
            Self::Found(findings) => findings,
            Self::Waiting(_) => Vec::new(),
        }
    }
}

impl From<SpikeBy> for By {
    fn from(by: SpikeBy) -> Self {
        match by {
            SpikeBy::All => Self::All,
            SpikeBy::Level => Self::Level,
            SpikeBy::Pattern => Self::Pattern,
        }
    }
}

/// A window that ends now.
#[derive(Clone, Copy)]
struct Moment<'a> {
    snapshot: &'a Snapshot,
    reading: &'a Reading,
    q: &'a str,
    window: Duration,
    now: Timestamp,
}

impl Moment<'_> {
    fn threshold(self, at_least: u64) -> Result<Evaluated, SearchError> {
        let counted = self.tally(By::All, Duration::ZERO)?;
        self.findings(counted, |moment, key, count| {
            (count >= at_least).then(|| (moment.threshold_text(key, count, at_least), None))
        })
    }

    fn absence(self) -> Result<Evaluated, SearchError> {
        if self.snapshot.catalogue.covered().from.is_none() {
            return Ok(Evaluated::Waiting("There are no lines yet."));
        }
        if !self.tally(By::All, Duration::ZERO)?.is_empty() {
            return Ok(Evaluated::Found(Vec::new()));
        }
        let summary = self.absence_text(Key::All);
        let all = Finding { key: String::new(), summary, count: 0, expected: None, example: None };
        Ok(Evaluated::Found(vec![all]))
    }

    fn silence(self) -> Result<Evaluated, SearchError> {
        let heard = self.tally(By::Source, Duration::ZERO)?;
        let week = self.within(self.now.minus(self.window + DAY * DAYS), DAY * DAYS);
        let known = self.snapshot.tally((self.q, week), By::Source, self.reading)?;
        let silent = known.into_iter().filter(|(source, _)| !heard.contains_key(source));
        let silent = silent.map(|(source, tally)| Finding {
            key: self.name(source),
            summary: self.absence_text(source),
            count: 0,
            expected: None,
            example: tally.newest_line(),
        });
        let mut silent: Vec<Finding> = silent.collect();
        silent.sort_by(|a, b| a.key.cmp(&b.key));
        silent.truncate(MOST);
        Ok(Evaluated::Found(silent))
    }

    fn spike(self, (factor, at_least): (f64, u64), by: By) -> Result<Evaluated, SearchError> {
        let days: Vec<Tallies> =
            self.days().map(|day| self.tally(by, DAY * day)).collect::<Result<_, _>>()?;
        if days.is_empty() {
            return Ok(Evaluated::Waiting("There is no day before to compare with."));
        }
        let counted = self.tally(by, Duration::ZERO)?;
        self.findings(counted, |moment, key, count| {
            let of_day = |day: &Tallies| day.get(&key).map_or(0, |tally| tally.count);
            let expected = median(days.iter().map(of_day).collect());
            is_spike(count, expected, (factor, at_least))
                .then(|| (moment.spike_text(key, count, expected), Some(expected)))
        })
    }

    fn new_patterns(self) -> Result<Evaluated, SearchError> {
        let begin = self.now.minus(self.window);
        if self.snapshot.catalogue.covered().from.is_none_or(|from| from >= begin) {
            return Ok(Evaluated::Waiting("There are no lines before the window."));
        }
        let counted = self.tally(By::Pattern, Duration::ZERO)?;
        let mut new = Tallies::new();
        for (key, tally) in counted {
            if let Key::Pattern(id) = key
                && !self.seen_before(id, begin)?
            {
                new.insert(key, tally);
            }
        }
        self.findings(new, |moment, key, count| Some((moment.new_text(key, count), None)))
    }

    /// Whether a line of this pattern matches whose time is before.
    fn seen_before(self, id: mining::PatternId, begin: Timestamp) -> Result<bool, SearchError> {
        let q = format!("pattern:P{} ({})", id.0, self.q);
        let q = if self.q.trim().is_empty() { format!("pattern:P{}", id.0) } else { q };
        let before = TimeRange { from: None, to: Some(begin) };
        let mut seen = false;
        self.snapshot.each_asked((&q, before), self.reading, |_, _| {
            seen = true;
            ControlFlow::Break(())
        })?;
        Ok(seen)
    }

    /// The days before, counted from today, of which the index knows the window.
    fn days(self) -> impl Iterator<Item = u32> {
        let first = self.snapshot.catalogue.covered().from;
        (1..=DAYS).filter(move |day| {
            let begin = self.now.minus(self.window + DAY * *day);
            first.is_some_and(|first| first <= begin)
        })
    }

    /// What is counted in the window as it was so long ago.
    fn tally(self, by: By, ago: Duration) -> Result<Tallies, SearchError> {
        let window = self.within(self.now.minus(self.window + ago), self.window);
        self.snapshot.tally((self.q, window), by, self.reading)
    }

    fn within(self, from: Timestamp, long: Duration) -> TimeRange {
        TimeRange { from: Some(from), to: Some(from.plus(long)) }
    }

    /// Those of which there is something to say, the most lines first.
    fn findings(
        self,
        counted: Tallies,
        says: impl Fn(Self, Key, u64) -> Option<(String, Option<f64>)>,
    ) -> Result<Evaluated, SearchError> {
        let found = counted.into_iter().filter_map(|(key, tally)| {
            let (summary, expected) = says(self, key, tally.count)?;
            let (key, example) = (self.name(key), tally.newest_line());
            Some(Finding { key, summary, count: tally.count, expected, example })
        });
        let mut found: Vec<Finding> = found.collect();
        found.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        found.truncate(MOST);
        Ok(Evaluated::Found(found))
    }
}

/// What is said of a finding.
impl Moment<'_> {
    fn name(self, key: Key) -> String {
        match key {
            Key::All => String::new(),
            Key::Level(level) => level.as_str().to_owned(),
            Key::Pattern(id) => format!("P{}", id.0),
            Key::Source(number) => self.snapshot.source(number).1,
        }
    }

    /// `23 error lines`, `1 line like "…"`.
    fn lines(self, key: Key, count: u64) -> String {
        let lines = if count == 1 { "line" } else { "lines" };
        match key {
            Key::All => format!("{count} {lines}"),
            Key::Level(level) => format!("{count} {} {lines}", level.as_str()),
            Key::Pattern(id) => {
                let template = self.snapshot.patterns.template(id).unwrap_or(mining::VALUE);
                let end = template.floor_char_boundary(LONGEST_TEMPLATE);
                let cut = if end < template.len() { "…" } else { "" };
                format!("{count} {lines} like \"{}{cut}\"", &template[..end])
            }
            Key::Source(_) => format!("{count} {lines} from {}", self.name(key)),
        }
    }

    fn threshold_text(self, key: Key, count: u64, at_least: u64) -> String {
        let (lines, window) = (self.lines(key, count), span(self.window));
        format!("{lines} in {window}; {at_least} are too many")
    }

    fn spike_text(self, key: Key, count: u64, expected: f64) -> String {
        let (lines, window) = (self.lines(key, count), span(self.window));
        format!("{lines} in {window}; on other days {expected} at this time")
    }

    fn new_text(self, key: Key, count: u64) -> String {
        format!("{} in {}; none before", self.lines(key, count), span(self.window))
    }

    fn absence_text(self, key: Key) -> String {
        let window = span(self.window);
        match key {
            Key::Source(_) => format!("no line from {} in {window}", self.name(key)),
            Key::All | Key::Level(_) | Key::Pattern(_) => format!("no line in {window}"),
        }
    }
}

/// Whether so many lines are a spike where so many were expected. One expected line is the least: of
/// what never came at this time a few are no spike.
#[expect(clippy::cast_precision_loss, reason = "lines are fewer than 2^52")]
fn is_spike(count: u64, expected: f64, (factor, at_least): (f64, u64)) -> bool {
    count >= at_least && count as f64 >= factor * expected.max(1.0)
}

/// The middle one of the counts, or the mean of the middle two.
#[expect(clippy::cast_precision_loss, reason = "lines are fewer than 2^52")]
fn median(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let middle = counts.len() / 2;
    let at = |place: usize| counts.get(place).copied().unwrap_or(0) as f64;
    if counts.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.max(1) - 1), at(middle))
    }
}

/// A span of time as people say it: `90 s`, `5 min`, `2 h`.
fn span(of: Duration) -> String {
    let seconds = of.as_secs();
    if seconds.is_multiple_of(3_600) {
        format!("{} h", seconds / 3_600)
    } else if seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![]) - 0.0).abs() < f64::EPSILON);
        assert!((median(vec![9]) - 9.0).abs() < f64::EPSILON);
        assert!((median(vec![9, 1]) - 5.0).abs() < f64::EPSILON);
        assert!((median(vec![100, 3, 1]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_spike_is_many_times_as_many_and_many_in_all() {
        assert!(is_spike(30, 10.0, (3.0, 10)));
        assert!(!is_spike(29, 10.0, (3.0, 10)));
        assert!(!is_spike(9, 0.0, (3.0, 10)));
        assert!(is_spike(10, 0.0, (3.0, 10)));
        assert!(!is_spike(4, 0.0, (5.0, 1)), "one is expected at least");
    }

    #[test]
    fn spans_are_said_in_round_numbers() {
        let said = [90, 300, 7_200].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(said, ["90 s", "5 min", "2 h"]);
    }
}
