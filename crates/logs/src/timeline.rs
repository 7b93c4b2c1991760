//! A histogram over time whose width of slices need not be known beforehand.
//!
//! Filled by `survey`, document by document. It starts with slices of a millisecond; when there
//! are too many, they are joined to the next width. Every width is a multiple of the one before,
//! so the counts stay exact.

use std::collections::HashMap;

use callboard_protocol::{Bucket, Timestamp};

/// Slices of a finished histogram, at most.
pub(crate) const MAX_BUCKETS: usize = 60;
/// Slices while it is filled, at most: bounds the memory of a query.
const MAX_OPEN: usize = 4096;

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

/// Counts by slice of time.
#[derive(Default)]
pub(crate) struct Timeline {
    /// The place of the width in [`WIDTHS`].
    scale: usize,
    slots: HashMap<i64, u64>,
    /// Neighbours mostly fall into the same slice: the latest is counted outside of the map.
    latest: (i64, u64),
}

impl Timeline {
    /// Counts an instant.
    pub(crate) fn add(&mut self, millis: i64) {
        let slot = millis.div_euclid(WIDTHS[self.scale]);
        if slot == self.latest.0 {
            self.latest.1 += 1;
            return;
        }
        self.settle();
        self.latest = (slot, 1);
        while self.slots.len() > MAX_OPEN && self.scale + 1 < WIDTHS.len() {
            self.settle();
            self.coarsen();
            self.latest = (millis.div_euclid(WIDTHS[self.scale]), 0);
        }
    }

    /// Adds the counts of another one.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.settle();
        other.settle();
        while self.scale < other.scale {
            self.coarsen();
        }
        while other.scale < self.scale {
            other.coarsen();
        }
        for (slot, count) in other.slots {
            *self.slots.entry(slot).or_default() += count;
        }
    }

    /// The slices from the first to the last with a count, and their width in milliseconds; at most
    /// [`MAX_BUCKETS`]. Empty when nothing was counted.
    pub(crate) fn finish(self) -> (Vec<Bucket>, u64) {
        self.finish_in(None)
    }

    /// The same, in slices of this width unless there were too many.
    pub(crate) fn finish_in(mut self, width_ms: Option<u64>) -> (Vec<Bucket>, u64) {
        self.settle();
        let asked = width_ms.unwrap_or_default();
        while WIDTHS[self.scale].unsigned_abs() < asked && self.scale + 1 < WIDTHS.len() {
            self.coarsen();
        }
        loop {
            let (Some(first), Some(last)) =
                (self.slots.keys().min().copied(), self.slots.keys().max().copied())
            else {
                return (Vec::new(), 0);
            };
            if usize::try_from(last - first).is_ok_and(|span| span < MAX_BUCKETS)
                || self.scale + 1 == WIDTHS.len()
            {
                let width = WIDTHS[self.scale];
                let bucket = |slot: i64| Bucket {
                    start: Timestamp::from_millis(slot.saturating_mul(width)),
                    count: self.slots.get(&slot).copied().unwrap_or_default(),
                };
                return ((first..=last).map(bucket).collect(), width.unsigned_abs());
            }
            self.coarsen();
        }
    }

    fn settle(&mut self) {
        let (slot, count) = std::mem::take(&mut self.latest);
        if count > 0 {
            *self.slots.entry(slot).or_default() += count;
        }
    }

    fn coarsen(&mut self) {
        let factor = WIDTHS[self.scale + 1] / WIDTHS[self.scale];
        self.scale += 1;
        for (slot, count) in std::mem::take(&mut self.slots) {
            *self.slots.entry(slot.div_euclid(factor)).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(millis: &[i64]) -> (Vec<Bucket>, u64) {
        let mut timeline = Timeline::default();
        millis.iter().for_each(|at| timeline.add(*at));
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
        fn counts_are_exact_and_bounded(
            millis in prop::collection::vec(-62_167_219_200_000_i64..253_402_300_799_999, 0..9000),
            split in 0_usize..9000,
        ) {
            let split = split.min(millis.len());
            let mut left = Timeline::default();
            let mut right = Timeline::default();
            millis[..split].iter().for_each(|at| left.add(*at));
            millis[split..].iter().for_each(|at| right.add(*at));
            left.merge(right);
            let (buckets, width) = left.finish();
            prop_assert!(buckets.len() <= MAX_BUCKETS);
            prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), millis.len() as u64);
            let (first, other_width) = histogram(&millis);
            prop_assert_eq!((first, other_width), (buckets, width));
        }
    }
}
