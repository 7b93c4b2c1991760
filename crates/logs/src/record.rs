//! Joins lines into records: a stack trace belongs to the line that it explains.
//!
//! Called by `ingest`. A record is bounded in lines and bytes; what goes over starts another one,
//! so no line is lost.

use std::sync::LazyLock;

use callboard_protocol::{Level, Timestamp};
use memchr::memmem::Finder;

use crate::{
    config::LogsConfig,
    format::{self, Layout, custom::Format, stamp::Clock},
    lines::RawLine,
    text,
};

/// What a Python traceback begins with.
static TRACEBACK: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new("Traceback (most recent call last):"));

/// One record, ready to be indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) text: String,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) level: Level,
    /// Whether a line of it was cut.
    pub(crate) truncated: bool,
    /// Whether bytes of it were replaced.
    pub(crate) invalid_utf8: bool,
    /// The offset of the first byte after it in its source.
    pub(crate) end: u64,
}

/// The record being built, and how to read the lines.
pub(crate) struct Assembler {
    layout: Layout,
    clock: Clock,
    max_lines: usize,
    max_bytes: usize,
    /// What lines are read by, if not by the layout.
    custom: Option<Format>,
    pending: Option<Pending>,
    /// Where the first record begins.
    start: u64,
}

struct Pending {
    record: Record,
    /// Where the record before it ends.
    start: u64,
    lines: usize,
    /// In a Python traceback: the first line of it that is not indented ends it.
    in_traceback: bool,
}

impl Assembler {
    pub(crate) fn new(layout: Layout, clock: Clock, config: &LogsConfig) -> Self {
        let (max_lines, max_bytes) = (config.max_record_lines, config.max_record_bytes);
        Self { layout, clock, max_lines, max_bytes, custom: None, pending: None, start: 0 }
    }

    /// For lines that begin at this offset of their source.
    pub(crate) fn from(self, start: u64) -> Self {
        Self { start, ..self }
    }

    /// Reads lines by a format of the operator's own, if there is one: what it does not fit belongs to
    /// the record before.
    pub(crate) fn with(self, custom: Option<Format>) -> Self {
        Self { custom, ..self }
    }

    /// Takes a line; gives out the record that it ended. Blank lines only end nothing.
    pub(crate) fn push(&mut self, line: &RawLine<'_>) -> Option<Record> {
        if line.bytes.trim_ascii().is_empty() {
            if let Some(pending) = &mut self.pending {
                pending.record.end = line.end;
            }
            return None;
        }
        let head = match &self.custom {
            Some(format) => format
                .head(line.bytes, &self.clock)
                .unwrap_or_else(|| format::Head::continuation(line.bytes)),
            None => self.layout.head(line.bytes, &self.clock),
        };
        let (text, invalid_utf8) = text::decode(line.bytes);
        if let Some(pending) = &mut self.pending {
            let fits = pending.lines < self.max_lines
                && pending.record.text.len() + 1 + text.len() <= self.max_bytes;
            if fits && (!head.starts_record || pending.continues_with(&text)) {
                pending.join(&text, head.level);
                pending.record.truncated |= line.cut;
                pending.record.invalid_utf8 |= invalid_utf8;
                pending.record.end = line.end;
                return None;
            }
        }
        let next = Pending {
            start: self.pending.as_ref().map_or(self.start, |pending| pending.record.end),
            lines: 1,
            in_traceback: TRACEBACK.find(text.as_bytes()).is_some(),
            record: Record {
                text: text.into_owned(),
                timestamp: head.timestamp,
                level: head.level,
                truncated: line.cut,
                invalid_utf8,
                end: line.end,
            },
        };
        self.pending.replace(next).map(|pending| pending.record)
    }

    /// Where the last record begins, when lines that come later may belong to it: when some did, or it
    /// tells of a failure. Others are seldom followed by any, and nobody should wait for them.
    pub(crate) fn may_go_on(&self) -> Option<u64> {
        let joins = self.custom.is_some() || self.layout.joins;
        let pending = self.pending.as_ref().filter(|_| joins)?;
        let goes_on =
            pending.lines > 1 || pending.in_traceback || pending.record.level >= Level::Error;
        goes_on.then_some(pending.start)
    }

    /// The last record, at the end of the lines.
    pub(crate) fn finish(&mut self) -> Option<Record> {
        self.pending.take().map(|pending| pending.record)
    }
}

impl Pending {
    /// Whether a line that could start a record belongs to this one all the same.
    fn continues_with(&self, line: &str) -> bool {
        let marks = ["Caused by:", "at ", "... "];
        format::is_indented(line.as_bytes())
            || marks.iter().any(|mark| line.starts_with(mark))
            || self.in_traceback
    }

    fn join(&mut self, line: &str, level: Level) {
        if self.in_traceback && !format::is_indented(line.as_bytes()) {
            self.in_traceback = false;
        }
        self.in_traceback |= line.as_bytes().starts_with(TRACEBACK.needle());
        if self.record.level == Level::Unknown {
            self.record.level = level;
        }
        self.record.text.push('\n');
        self.record.text.push_str(line);
        self.lines += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::UtcOffset;

    use super::*;
    use crate::lines::LineReader;

    fn records_within(text: &[u8], config: &LogsConfig) -> Vec<Record> {
        let clock =
            Clock { reference: "2026-11-21T03:00:00Z".parse().unwrap(), zone: UtcOffset::UTC };
        let layout = Layout::detect(text.split(|byte| *byte == b'\n'), &clock);
        let mut assembler = Assembler::new(layout, clock, config);
        let mut reader = LineReader::new(text, 0, config.max_line_bytes);
        let mut records = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            records.extend(assembler.push(&line));
        }
        records.extend(assembler.finish());
        records
    }

    fn texts(text: &str) -> Vec<String> {
        let records = records_within(text.as_bytes(), &LogsConfig::default());
        records.into_iter().map(|record| record.text).collect()
    }

    #[test]
    fn a_stack_trace_belongs_to_the_line_before() {
        let trace = "2026-11-21 03:14:15 ERROR it broke\njava.lang.Exception: no\n\tat a.B.c(D.java:7)\nCaused by: java.io.IOException: disk\n\t... 3 more";
        let text =
            format!("2026-11-21 03:14:14 INFO before\n{trace}\n2026-11-21 03:14:16 INFO after\n");
        assert_eq!(
            texts(&text),
            ["2026-11-21 03:14:14 INFO before", trace, "2026-11-21 03:14:16 INFO after"]
        );
    }

    #[test]
    fn a_python_traceback_is_one_record_without_timestamps_too() {
        let trace = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: no";
        assert_eq!(texts(&format!("before\n{trace}\nafter\n")), ["before", trace, "after"]);
    }

    #[test]
    fn plain_and_structured_lines_stay_alone() {
        assert_eq!(texts("a\nb\n\nc"), ["a", "b", "c"]);
        let json = "{\"time\":\"2026-11-21T03:14:15Z\",\"msg\":\"a\"}";
        assert_eq!(texts(&format!("{json}\nnot json\n{json}\n")), [json, "not json", json]);
    }

    #[test]
    fn a_file_of_mixed_formats_is_not_joined() {
        let lines = [
            "2026-11-21 03:14:14 INFO one",
            "2026-11-21 03:14:15 INFO two",
            "Nov 21 03:14:16 host app[7]: three",
            "[Sat Nov 21 03:14:17 2026] [error] four",
            "{\"time\":\"2026-11-21T03:14:18Z\",\"msg\":\"five\"}",
        ];
        assert_eq!(texts(&lines.join("\n")), lines);
    }

    #[test]
    fn a_record_is_bounded_in_lines_and_bytes_and_loses_nothing() {
        let config =
            LogsConfig { max_record_lines: 3, max_record_bytes: 300, ..LogsConfig::default() };
        let text = format!("2026-11-21 03:14:14 INFO x\n{}", " y\n".repeat(7));
        let lines: Vec<usize> = records_within(text.as_bytes(), &config)
            .iter()
            .map(|record| record.text.lines().count())
            .collect();
        assert_eq!(lines, [3, 3, 2]);
        let text =
            format!("2026-11-21 03:14:14 INFO x\n {}\n {}\n", "a".repeat(200), "b".repeat(200));
        assert_eq!(records_within(text.as_bytes(), &config).len(), 2);
    }

    #[test]
    fn a_record_ends_where_its_last_line_does() {
        let records = records_within(b"a\n b\n\nc\n", &LogsConfig::default());
        assert_eq!(records.iter().map(|record| record.end).collect::<Vec<_>>(), [6, 8]);
    }

    proptest! {
        #[test]
        fn any_bytes_become_records_within_bounds(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b' ')], 0..3000),
        ) {
            let config = LogsConfig { max_record_bytes: 300, max_line_bytes: 256, ..LogsConfig::default() };
            let mut end = 0;
            for record in records_within(&bytes, &config) {
                // A replacement character takes three bytes for one.
                prop_assert!(record.text.len() <= 3 * 300);
                prop_assert!(record.end > end && record.end <= bytes.len() as u64);
                end = record.end;
            }
        }
    }
}
