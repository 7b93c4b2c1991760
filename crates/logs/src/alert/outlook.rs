//! When a condition would have fired: what `evaluate` says, for every moment of a span of time.
//!
//! The lines are read once and counted in slots of a twelfth of the window, or of a minute where that
//! is longer; then the window slides over the slots. So a time is right to a slot.

use std::{collections::HashMap, time::Duration};

use callboard_protocol::{
    AlertCondition, AlertOutlook, AlertPreview, Finding, TimeRange, Timestamp, WouldFire,
};

use super::{
    DAY, DAYS, Moment,
    tally::{By, Key},
};
use crate::{LogStore, SearchError};

/// The longest span.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Slots of a window, at most …
const PARTS: u64 = 12;

/// … and the narrowest.
const NARROWEST: Duration = Duration::from_secs(60);

/// Times that are told, the last.
const MOST_TIMES: usize = 100;

impl LogStore {
    /// When a condition would have fired.
    ///
    /// # Errors
    /// When the condition or the span cannot be used, or the index fails.
    pub fn outlook(
        &self,
        preview: &AlertPreview,
        now: Timestamp,
    ) -> Result<AlertOutlook, SearchError> {
        let condition = &preview.condition;
        self.check_condition(condition)?;
        let to = preview.to.unwrap_or(now).min(now);
        let from = preview.from.unwrap_or(to.minus(DAY * DAYS));
        if from >= to || to.since(from) > LONGEST {
            return Err(SearchError::InvalidParameter(
                "The span has 31 days at most, and a begin.",
            ));
        }
        let snapshot = self.snapshot();
        let (q, window) = (condition.query(), condition.window());
        let moment = Moment { snapshot: &snapshot, reading: &self.inner.reading, q, window, now };
        let slots = Slots::of(condition, (from, to));
        let mut times = match condition {
            AlertCondition::NewPattern { .. } => moment.firsts((from, to))?,
            AlertCondition::Threshold { .. }
            | AlertCondition::Absence { .. }
            | AlertCondition::Spike { .. } => moment.slide(condition, slots)?,
        };
        times.sort_by(|a, b| b.from.cmp(&a.from).then_with(|| a.finding.key.cmp(&b.finding.key)));
        let fired = times.len() as u64;
        times.truncate(MOST_TIMES);
        Ok(AlertOutlook { from, to, fired, times, step_s: slots.step.as_secs() })
    }
}

/// Time in slots of one width. Slot `n` begins `n` steps after `begin`; at "the end of slot n" the
/// window holds the slots up to it.
#[derive(Clone, Copy)]
struct Slots {
    begin: Timestamp,
    end: Timestamp,
    step: Duration,
    /// Slots of a window.
    parts: usize,
    /// Slots before the span that is asked for.
    before: usize,
    count: usize,
}

impl Slots {
    fn of(condition: &AlertCondition, (from, to): (Timestamp, Timestamp)) -> Self {
        let window = condition.window();
        let parts = (window.as_secs() / NARROWEST.as_secs()).clamp(1, PARTS);
        let step = window / u32::try_from(parts).unwrap_or(1);
        let history = match condition {
            AlertCondition::Spike { .. } | AlertCondition::Absence { by_source: true, .. } => {
                DAY * DAYS
            }
            AlertCondition::Threshold { .. }
            | AlertCondition::Absence { by_source: false, .. }
            | AlertCondition::NewPattern { .. } => Duration::ZERO,
        };
        let slots = |of: Duration| of.as_millis().div_ceil(step.as_millis()) as usize;
        let before = slots(history + window);
        let count = before + slots(to.since(from));
        let begin = from.minus(step * u32::try_from(before).unwrap_or(u32::MAX));
        Self { begin, end: to, step, parts: parts as usize, before, count }
    }

    fn slot(self, at: Timestamp) -> u32 {
        let slot = at.since(self.begin).as_millis() / self.step.as_millis();
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// The instant at which a slot ends.
    fn end_of(self, slot: usize) -> Timestamp {
        let steps = u32::try_from(slot + 1).unwrap_or(u32::MAX);
        self.begin.plus(self.step.saturating_mul(steps)).min(self.end)
    }

    /// Slots of a day.
    fn day(self) -> usize {
        let (day, step) = (DAY.as_millis(), self.step.as_millis());
        ((day + step / 2) / step) as usize
    }
}

/// The lines of one key by slot: each with how many there are up to its end. In order, without the
/// empty ones.
struct Series(Vec<(u32, u64)>);

impl Series {
    fn of(mut counts: Vec<(u32, u64)>) -> Self {
        counts.sort_unstable();
        let mut sums: Vec<(u32, u64)> = Vec::new();
        for (slot, count) in counts {
            match sums.last_mut() {
                Some((last, sum)) if *last == slot => *sum += count,
                last => {
                    let so_far = last.map_or(0, |(_, sum)| *sum);
                    sums.push((slot, so_far + count));
                }
            }
        }
        Self(sums)
    }

    /// Lines in slots before this.
    fn before(&self, slot: usize) -> u64 {
        let place = self.0.partition_point(|(at, _)| (*at as usize) < slot);
        place.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    /// Lines in the window at the end of a slot.
    fn window(&self, slot: usize, slots: Slots) -> u64 {
        self.before(slot + 1) - self.before((slot + 1).saturating_sub(slots.parts))
    }

    /// The slots at whose ends the window holds a line, of those that are asked for.
    fn occupied(&self, slots: Slots) -> impl Iterator<Item = usize> {
        let mut next = slots.before;
        self.0.iter().flat_map(move |(slot, _)| {
            let first = next.max(*slot as usize);
            next = next.max((*slot as usize + slots.parts).min(slots.count));
            first..next
        })
    }
}

/// Slots in a row in which a condition holds.
struct Episode {
    first: usize,
    last: usize,
    count: u64,
    expected: Option<f64>,
}

/// Joins slots in a row, each with what was counted and expected.
fn episodes(fires: impl Iterator<Item = (usize, u64, Option<f64>)>) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    for (slot, count, expected) in fires {
        match episodes.last_mut() {
            Some(running) if running.last + 1 == slot => {
                running.last = slot;
                if count > running.count {
                    (running.count, running.expected) = (count, expected);
                }
            }
            _ => episodes.push(Episode { first: slot, last: slot, count, expected }),
        }
    }
    episodes
}

impl Moment<'_> {
    /// Slides the window over the span.
    fn slide(
        self,
        condition: &AlertCondition,
        slots: Slots,
    ) -> Result<Vec<WouldFire>, SearchError> {
        let by = match *condition {
            AlertCondition::Spike { by, .. } => by.into(),
            AlertCondition::Absence { by_source: true, .. } => By::Source,
            AlertCondition::Absence { .. }
            | AlertCondition::Threshold { .. }
            | AlertCondition::NewPattern { .. } => By::All,
        };
        let mut all = self.series(by, slots)?;
        if by == By::All {
            all.entry(Key::All).or_insert_with(|| Series(Vec::new()));
        }
        let mut times = Vec::new();
        for (key, series) in all {
            let episodes = self.episodes_of(condition, &series, slots);
            times.extend(episodes.into_iter().map(|episode| {
                let Episode { first, last, count, expected } = episode;
                let summary = self.text(condition, key, (count, expected));
                let key = self.name(key);
                WouldFire {
                    from: slots.end_of(first),
                    to: slots.end_of(last),
                    finding: Finding { key, summary, count, expected, example: None },
                }
            }));
        }
        Ok(times)
    }

    fn series(self, by: By, slots: Slots) -> Result<HashMap<Key, Series>, SearchError> {
        let mut counts: HashMap<Key, Vec<(u32, u64)>> = HashMap::new();
        let range = TimeRange { from: Some(slots.begin), to: Some(slots.end) };
        self.snapshot.each_keyed((self.q, range), by, self.reading, |key, at, _| {
            let (slot, of_key) = (slots.slot(at), counts.entry(key).or_default());
            // Lines come nearly in the order of their times.
            match of_key.last_mut() {
                Some((last, count)) if *last == slot => *count += 1,
                _ => of_key.push((slot, 1)),
            }
        })?;
        Ok(counts.into_iter().map(|(key, counts)| (key, Series::of(counts))).collect())
    }

    fn episodes_of(
        self,
        condition: &AlertCondition,
        series: &Series,
        slots: Slots,
    ) -> Vec<Episode> {
        let first = self.snapshot.catalogue.covered().from;
        // Before the first line of all there was nothing to be said.
        let known = |slot: usize| first.is_some_and(|first| first <= slots.end_of(slot));
        match *condition {
            AlertCondition::Threshold { at_least, .. } => {
                let counted = series.occupied(slots).map(|slot| (slot, series.window(slot, slots)));
                let fires = counted.filter(|(_, count)| *count >= at_least);
                episodes(fires.map(|(slot, count)| (slot, count, None)))
            }
            AlertCondition::Absence { by_source, .. } => {
                let week = slots.day() * DAYS as usize + slots.parts;
                let fires = (slots.before..slots.count).filter(|slot| {
                    let heard_of =
                        || series.before(slot + 1) > series.before(slot.saturating_sub(week));
                    series.window(*slot, slots) == 0
                        && if by_source { heard_of() } else { known(*slot) }
                });
                episodes(fires.map(|slot| (slot, 0, None)))
            }
            AlertCondition::Spike { factor, at_least, .. } => {
                let fires = series.occupied(slots).filter_map(|slot| {
                    let count = series.window(slot, slots);
                    let days = (1..=DAYS as usize).filter_map(|day| {
                        let then = slot.checked_sub(day * slots.day())?;
                        // All of its window.
                        known(then.checked_sub(slots.parts)?).then(|| series.window(then, slots))
                    });
                    let days: Vec<u64> = days.collect();
                    let expected = (!days.is_empty()).then(|| super::median(days))?;
                    super::is_spike(count, expected, (factor, at_least)).then_some((
                        slot,
                        count,
                        Some(expected),
                    ))
                });
                episodes(fires)
            }
            AlertCondition::NewPattern { .. } => Vec::new(),
        }
    }

    fn text(
        self,
        condition: &AlertCondition,
        key: Key,
        (count, expected): (u64, Option<f64>),
    ) -> String {
        match *condition {
            AlertCondition::Threshold { at_least, .. } => self.threshold_text(key, count, at_least),
            AlertCondition::Absence { .. } => self.absence_text(key),
            AlertCondition::Spike { .. } => {
                self.spike_text(key, count, expected.unwrap_or_default())
            }
            AlertCondition::NewPattern { .. } => self.new_text(key, count),
        }
    }

    /// The patterns whose first line is in the span, which is not where all lines begin.
    fn firsts(self, (from, to): (Timestamp, Timestamp)) -> Result<Vec<WouldFire>, SearchError> {
        let mut firsts: HashMap<Key, (Timestamp, u64)> = HashMap::new();
        let range = TimeRange { from: None, to: Some(to) };
        self.snapshot.each_keyed((self.q, range), By::Pattern, self.reading, |key, at, _| {
            let (first, count) = firsts.entry(key).or_insert((at, 0));
            *first = (*first).min(at);
            *count += 1;
        })?;
        let begin = self.snapshot.catalogue.covered().from;
        let in_span = |first: Timestamp| {
            first >= from && begin.is_some_and(|begin| begin < first.minus(self.window))
        };
        let new = firsts.into_iter().filter(|(_, (first, _))| in_span(*first));
        Ok(new
            .map(|(key, (first, count))| WouldFire {
                from: first,
                to: first.plus(self.window).min(to),
                finding: Finding {
                    key: self.name(key),
                    summary: format!("{}; none before", self.lines(key, count)),
                    count,
                    expected: None,
                    example: None,
                },
            })
            .collect())
    }
}
