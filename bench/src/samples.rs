//! Durations, and what is said of many of them.

use std::time::Duration;

/// Durations that were measured.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// What `percent` of all do not exceed, in milliseconds.
    pub(crate) fn millis(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        self.at(percent).unwrap_or_default().as_secs_f64() * 1_000.0
    }

    /// `p50 / p95 / p99`, in milliseconds.
    pub(crate) fn percentiles(mut self) -> String {
        self.0.sort_unstable();
        let at = |percent| self.at(percent).map_or_else(|| "–".to_owned(), ms);
        format!("{} / {} / {} ms", at(50), at(95), at(99))
    }

    /// The smallest sample that `percent` of all do not exceed; they are sorted.
    fn at(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.checked_sub(1)?).copied()
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample_that_so_many_do_not_exceed() {
        let mut samples = Samples::default();
        for value in (1..=100).rev() {
            samples.add(Duration::from_millis(value));
        }
        assert_eq!(samples.percentiles(), "50.0 / 95.0 / 99.0 ms");
        let mut one = Samples::default();
        one.add(Duration::from_micros(1_500));
        assert_eq!(one.percentiles(), "1.5 / 1.5 / 1.5 ms");
        assert_eq!(Samples::default().percentiles(), "– / – / – ms");
    }
}
