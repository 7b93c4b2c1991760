//! The table of results.

use std::fmt::Write as _;

/// Rows of a workload, a measure and its value each, and tables of their own.
#[derive(Debug)]
pub(crate) struct Report {
    cores: usize,
    load: String,
    rows: String,
    tables: String,
}

impl Report {
    /// An empty one. It notes how busy the machine is before any of our work.
    pub(crate) fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { cores, load: load_average(), rows: String::new(), tables: String::new() }
    }

    pub(crate) fn row(&mut self, workload: &str, measure: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.rows, "| {workload} | {measure} | {value} |");
    }

    /// A table of another shape, in Markdown.
    pub(crate) fn table(&mut self, table: &str) {
        let _ = writeln!(self.tables, "\n{table}");
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Callboard {}, {} cores shared with the load generator; load average {} before \
             and {} after.\n",
            env!("CARGO_PKG_VERSION"),
            self.cores,
            self.load,
            load_average(),
        );
        if !self.rows.is_empty() {
            text.push_str("\n| workload | measure | value |\n|---|---|---|\n");
            text.push_str(&self.rows);
        }
        text.push_str(&self.tables);
        text
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
