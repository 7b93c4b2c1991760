//! A histogram over time whose width of slices need not be known beforehand.
//!
//! Filled by `survey`, document by document. It starts with slices of a millisecond, or of the width
//! that fits a span that is known; when there are too many, they are joined to the next width. Every
//! width is a multiple of the one before, so the counts stay exact.

use std::collections::VecDeque;

use callboard_protocol::{Bucket, Level, Timestamp};

/// Slices of a finished histogram, at most.
pub(crate) const MAX_BUCKETS: usize = 60;
/// Slices while it is filled, at most: bounds the memory of a query.
const MAX_OPEN: usize = 2048;

/// From a millisecond over hours, days, weeks, about a year, to about 9 000 years.
const WIDTHS: [i64; 23] = [
    1,
    10,
    100,
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_419_200_000,
    29_030_400_000,
    290_304_000_000,
    2_903_040_000_000,
    29_030_400_000_000,
    290_304_000_000_000,
];

/// The lines of a slice by level, in the order of [`Level::ALL`].
type Slot = [u64; Level::ALL.len()];

/// Counts by slice of time and level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// The place of the width in [`WIDTHS`].
    scale: usize,
    /// The slot of the first count.
    first: i64,
    /// At most [`MAX_OPEN`]; empty, or the first is of a slot that something was counted in.
    counts: VecDeque<Slot>,
}

impl Timeline {
    /// For instants from the first to the last: none of them makes it coarser.
    pub(crate) fn over(first: i64, last: i64) -> Self {
        let fits = |width: &i64| {
            let slots = last.div_euclid(*width).saturating_sub(first.div_euclid(*width));
            usize::try_from(slots).is_ok_and(|slots| slots < MAX_OPEN)
        };
        let scale = WIDTHS.iter().position(fits).unwrap_or(WIDTHS.len() - 1);
        Self { scale, ..Self::default() }
    }

    /// Counts a line of an instant and of a level, by its place in [`Level::ALL`].
    pub(crate) fn add(&mut self, millis: i64, level: usize) {
        let slot = millis.div_euclid(WIDTHS[self.scale]);
        let index = usize::try_from(slot.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        match self.counts.get_mut(index) {
            Some(slot) => slot[level] += 1,
            None => {
                let mut count = Slot::default();
                count[level] = 1;
                self.add_many(slot, &count);
            }
        }
    }

    /// Counts in a slot of the present scale, which becomes coarser when it lies too far away.
    fn add_many(&mut self, mut slot: i64, more: &Slot) {
        if self.counts.is_empty() {
            self.first = slot;
        }
        loop {
            let end = self.first.saturating_add_unsigned(self.counts.len() as u64);
            let (first, end) = (self.first.min(slot), end.max(slot.saturating_add(1)));
            let slots = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX);
            if slots <= MAX_OPEN || self.scale + 1 == WIDTHS.len() {
                for _ in first..self.first {
                    self.counts.push_front(Slot::default());
                }
                self.first = first;
                self.counts.resize(slots, Slot::default());
                add(&mut self.counts[usize::try_from(slot - first).unwrap_or_default()], more);
                return;
            }
            slot = slot.div_euclid(self.coarsen());
        }
    }

    /// Adds the counts of another one.
    pub(crate) fn merge(&mut self, mut other: Self) {
        while self.scale < other.scale {
            self.coarsen();
        }
        while other.scale < self.scale {
            other.coarsen();
        }
        let scale = self.scale;
        for (slot, count) in (other.first..).zip(&other.counts).filter(|(_, count)| sum(count) > 0)
        {
            self.add_many(slot.div_euclid(WIDTHS[self.scale] / WIDTHS[scale]), count);
        }
    }

    /// The slices from the first to the last with a count, and their width in milliseconds; at most
    /// [`MAX_BUCKETS`]. Empty when nothing was counted.
    pub(crate) fn finish(self) -> (Vec<Bucket>, u64) {
        self.finish_in(None)
    }

    /// The same, in slices of this width unless there were too many.
    pub(crate) fn finish_in(self, width_ms: Option<u64>) -> (Vec<Bucket>, u64) {
        let (slices, width) = self.finish_by_level(width_ms, MAX_BUCKETS);
        let bucket = |(start, counts): (Timestamp, Slot)| Bucket { start, count: sum(&counts) };
        (slices.into_iter().map(bucket).collect(), width)
    }

    /// The same, in at most so many slices, and by level.
    pub(crate) fn finish_by_level(
        mut self,
        width_ms: Option<u64>,
        most: usize,
    ) -> (Vec<(Timestamp, Slot)>, u64) {
        if self.counts.is_empty() {
            return (Vec::new(), 0);
        }
        let asked = width_ms.unwrap_or_default();
        let last = WIDTHS.len() - 1;
        while self.scale < last
            && (WIDTHS[self.scale].unsigned_abs() < asked || self.counts.len() > most)
        {
            self.coarsen();
        }
        let width = WIDTHS[self.scale];
        let start = |slot: i64| Timestamp::from_millis(slot.saturating_mul(width));
        let slices = (self.first..).zip(self.counts).map(|(slot, counts)| (start(slot), counts));
        (slices.collect(), width.unsigned_abs())
    }

    /// Joins slots to the next width; how many become one.
    fn coarsen(&mut self) -> i64 {
        let factor = WIDTHS[self.scale + 1] / WIDTHS[self.scale];
        self.scale += 1;
        let fine = std::mem::take(&mut self.counts);
        let slots = self.first..;
        self.first = self.first.div_euclid(factor);
        for (slot, count) in slots.zip(fine) {
            let index = usize::try_from(slot.div_euclid(factor) - self.first).unwrap_or_default();
            if self.counts.len() <= index {
                self.counts.resize(index + 1, Slot::default());
            }
            add(&mut self.counts[index], &count);
        }
        factor
    }
}

fn add(sums: &mut Slot, more: &Slot) {
    sums.iter_mut().zip(more).for_each(|(sum, count)| *sum += count);
}

fn sum(counts: &Slot) -> u64 {
    counts.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(millis: &[i64]) -> (Vec<Bucket>, u64) {
        let mut timeline = Timeline::default();
        millis.iter().for_each(|at| timeline.add(*at, 3));
        timeline.finish()
    }

    #[test]
    fn widths_are_nice_and_gaps_are_filled() {
        let hour = 3_600_000;
        let (buckets, width) = histogram(&[hour / 2, 3 * hour, 3 * hour + 1, 50 * hour]);
        assert_eq!((buckets.len(), width), (51, 3_600_000));
        assert_eq!(buckets[0].count, 1);
        assert_eq!(buckets[1].count, 0);
        assert_eq!(buckets[3], Bucket { start: Timestamp::from_millis(3 * hour), count: 2 });
        assert_eq!(histogram(&[]), (vec![], 0));
        assert_eq!(histogram(&[0]).0, [Bucket { start: Timestamp::from_millis(0), count: 1 }]);
    }

    #[test]
    fn every_width_is_a_multiple_of_the_one_before() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1] % pair[0] == 0 && pair[1] > pair[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_known_span_changes_nothing(millis in prop::collection::vec(any::<i32>(), 1..2000)) {
            let millis: Vec<i64> = millis.into_iter().map(i64::from).collect();
            let (first, last) = (millis.iter().min().unwrap(), millis.iter().max().unwrap());
            let mut timeline = Timeline::over(*first, *last);
            let scale = timeline.scale;
            millis.iter().for_each(|at| timeline.add(*at, 3));
            prop_assert_eq!(timeline.scale, scale);
            prop_assert_eq!(timeline.finish(), histogram(&millis));
        }

        #[test]
        fn counts_are_exact_and_bounded(
            millis in prop::collection::vec(-62_167_219_200_000_i64..253_402_300_799_999, 0..9000),
            split in 0_usize..9000,
        ) {
            let split = split.min(millis.len());
            let mut left = Timeline::default();
            let mut right = Timeline::default();
            millis[..split].iter().for_each(|at| left.add(*at, 0));
            millis[split..].iter().for_each(|at| right.add(*at, 1));
            left.merge(right);
            let (buckets, width) = left.finish();
            prop_assert!(buckets.len() <= MAX_BUCKETS);
            prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), millis.len() as u64);
            let (first, other_width) = histogram(&millis);
            prop_assert_eq!((first, other_width), (buckets, width));
        }
    }
}
