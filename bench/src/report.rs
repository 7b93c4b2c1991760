//! The table of results.

use std::fmt::Write as _;

/// Rows of a workload, a measure and its value each.
#[derive(Debug)]
pub(crate) struct Report {
    load: String,
    rows: String,
}

impl Report {
    /// An empty one. It notes how busy the machine is before any of our work.
    pub(crate) fn begin() -> Self {
        Self { load: load_average(), rows: String::new() }
    }

    pub(crate) fn row(&mut self, workload: &str, measure: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.rows, "| {workload} | {measure} | {value} |");
    }

    pub(crate) fn markdown(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        format!(
            "Callboard {}, {cores} cores shared with the load generator; load average {} before \
             and {} after.\n\n| workload | measure | value |\n|---|---|---|\n{}",
            env!("CARGO_PKG_VERSION"),
            self.load,
            load_average(),
            self.rows,
        )
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
