//! A histogram of the server's `/metrics`, and what was added to it between two readings.

/// A histogram in Prometheus' text format.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// Upper bounds, ascending, and how many samples each bound holds.
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: f64,
}

impl Histogram {
    /// The histogram of this name, without labels.
    pub(crate) fn parse(text: &str, name: &str) -> Option<Self> {
        let mut histogram = Self::default();
        let (mut sum, mut count) = (None, None);
        for line in text.lines().filter_map(|line| line.strip_prefix(name)) {
            let (key, value) = line.rsplit_once(' ')?;
            let value: f64 = value.parse().ok()?;
            match key {
                "_sum" => sum = Some(value),
                "_count" => count = Some(value),
                key => {
                    let bound = key.strip_prefix("_bucket{le=\"")?.strip_suffix("\"}")?;
                    // Rust reads Prometheus' `+Inf` too.
                    histogram.buckets.push((bound.parse().ok()?, value));
                }
            }
        }
        Some(Self { sum: sum?, count: count?, ..histogram })
    }

    /// What came after `earlier`, a reading of the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        Self {
            buckets: pairs.map(|(now, then)| (now.0, now.1 - then.1)).collect(),
            sum: self.sum - earlier.sum,
            count: self.count - earlier.count,
        }
    }

    /// The mean, and the bounds that half and 95 % of the samples do not exceed; in milliseconds.
    pub(crate) fn summary(&self) -> String {
        let within = |share: f64| {
            let bucket = self.buckets.iter().find(|(_, held)| *held >= self.count * share);
            bucket.map_or(f64::INFINITY, |(bound, _)| bound * 1_000.0)
        };
        let mean = self.sum / self.count * 1_000.0;
        format!("{mean:.1} ms / ≤ {:.0} ms / ≤ {:.0} ms", within(0.5), within(0.95))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(low: u32, all: u32, sum: f64) -> String {
        format!(
            "# TYPE x histogram\nx_bucket{{le=\"0.001\"}} {low}\nx_bucket{{le=\"0.002\"}} {all}\n\
             x_bucket{{le=\"+Inf\"}} {all}\nx_sum {sum}\nx_count {all}\ny_sum 1\n"
        )
    }

    #[test]
    fn the_difference_of_two_readings_is_summed_up() {
        let earlier = Histogram::parse(&text(10, 10, 1.0), "x").unwrap();
        let later = Histogram::parse(&text(16, 20, 1.012), "x").unwrap();
        assert_eq!(later.since(&earlier).summary(), "1.2 ms / ≤ 1 ms / ≤ 2 ms");
    }

    #[test]
    fn a_histogram_that_is_not_there_is_none() {
        assert_eq!(Histogram::parse(&text(1, 1, 1.0), "z"), None);
        assert_eq!(Histogram::parse("x_sum one", "x"), None);
    }
}
