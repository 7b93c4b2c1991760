//! Log lines, sources, and the answers of the log API.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Bucket, LevelCount, LineId, PatternId, SourceId, TimeRange, Timestamp};

/// How grave a line is; least first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The line does not say.
    Unknown,
    /// Finest.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// The ordinary course.
    Info,
    /// Ordinary and notable.
    Notice,
    /// May become a fault.
    Warn,
    /// A fault.
    Error,
    /// The program or the system is in danger.
    Fatal,
}

impl Level {
    /// All levels, least first.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl std::str::FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or("a level is unknown, trace, debug, info, notice, warn, error or fatal")
    }
}

/// One record of a log: a line, or several that belong together, such as a stack trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Stays valid for as long as the line is kept.
    pub id: LineId,
    /// Where it comes from.
    pub source_id: SourceId,
    /// The name of its source.
    pub source: String,
    /// When it was written, if it says so.
    #[schema(required)]
    pub timestamp: Option<Timestamp>,
    /// How grave it is.
    pub level: Level,
    /// The text as it was read, invalid UTF-8 replaced.
    pub text: String,
    /// Whether the text was cut at the longest line allowed.
    pub truncated: bool,
    /// What it is an instance of; absent when it was indexed before there were patterns.
    #[schema(required)]
    pub pattern: Option<PatternId>,
}

/// The query string of `GET /logs/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogSearch {
    /// Words that must all occur, `"phrases"`, `-word` to exclude, `a OR b`, parentheses,
    /// `level:error`, `level>=warn`, `source:name`, `pattern:P12`; empty finds everything.
    #[serde(default)]
    pub q: String,
    /// The first instant; a date alone, such as `2026-11-21`, is its midnight in UTC.
    #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// The first instant after; a date alone is the midnight at its end, so that the day counts.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// At least this grave.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only this source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// Newest first, or what fits best first.
    #[serde(default)]
    pub order: SearchOrder,
    /// At most this many lines, 1 to 500; 50 when absent.
    #[serde(default)]
    pub limit: Option<u32>,
    /// From the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// How found lines are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchOrder {
    /// The newest line first.
    #[default]
    Newest,
    /// The line that fits best first (BM25).
    Best,
}

/// A page of found lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// How many lines match in all.
    pub matched: u64,
    /// Matching lines over time, from the same snapshot as the lines.
    pub histogram: Vec<Bucket>,
    /// The width of a slice of the histogram, in milliseconds.
    pub bucket_ms: u64,
    /// For the next page; absent on the last, and when ordered by `best`.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// How long the search took, in microseconds.
    pub took_us: u64,
}

/// Which lines are meant: the query string of `GET /logs/facets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineFilter {
    /// As in `GET /logs/search`; empty means everything.
    #[serde(default)]
    pub q: String,
    /// The first instant; a date alone, such as `2026-11-21`, is its midnight in UTC.
    #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// The first instant after; a date alone is the midnight at its end, so that the day counts.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// At least this grave.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only this source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
}

/// What a push came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushTaken {
    /// Records that are on the disk now, and in the index soon after.
    pub taken: u64,
}

/// How many lines of each kind there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogFacets {
    /// Lines that match.
    pub matched: u64,
    /// The span that they cover.
    pub covered: TimeRange,
    /// By level, the least grave first.
    pub levels: Vec<LevelCount>,
    /// By source, the most lines first.
    pub sources: Vec<SourceCount>,
    /// Over time.
    pub histogram: Vec<Bucket>,
    /// The width of a slice of the histogram, in milliseconds.
    pub bucket_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Lines of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceCount {
    /// The source.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// How many lines.
    pub count: u64,
}

/// The query string of `GET /logs/export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogExport {
    /// As in `GET /logs/search`; empty means everything.
    #[serde(default)]
    pub q: String,
    /// The first instant; a date alone, such as `2026-11-21`, is its midnight in UTC.
    #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// The first instant after; a date alone is the midnight at its end, so that the day counts.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// At least this grave.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only this source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// As what.
    #[serde(default)]
    pub format: ExportFormat,
    /// At most so many lines, the newest; 1,000,000 when absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1_000_000)]
    pub limit: Option<u64>,
}

/// What lines are exported as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// The lines as they are.
    #[default]
    Text,
    /// A JSON object on each line, with all that is known of a log line.
    Ndjson,
    /// Id, timestamp, level, source and text. A cell that a spreadsheet would take for a formula has
    /// an apostrophe before it.
    Csv,
}

/// The query string of `GET /logs/tail`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TailSearch {
    /// Of which lines; as in `GET /logs/search`.
    #[serde(default)]
    pub q: String,
    /// At least this grave.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only this source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// So many lines before the first that comes in, 0 to 500; 20 when absent.
    #[serde(default)]
    #[param(minimum = 0, maximum = 500)]
    pub lines: Option<u32>,
}

/// Lines that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogTail {
    /// The lines, in the order in which they came.
    pub lines: Vec<LogLine>,
    /// Lines that match and came before these, and are left out: too many came at once.
    pub skipped: u64,
    /// The last line that was looked at.
    pub seen: LineId,
}

/// The query string of `GET /logs/patterns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PatternSearch {
    /// Of which lines; as in `GET /logs/search`.
    #[serde(default)]
    pub q: String,
    /// The first instant; a date alone, such as `2026-11-21`, is its midnight in UTC.
    #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// The first instant after; a date alone is the midnight at its end, so that the day counts.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// At least this grave.
    #[serde(default)]
    pub level: Option<Level>,
    /// Only this source.
    #[serde(default)]
    pub source_id: Option<SourceId>,
    /// Which come first.
    #[serde(default)]
    pub order: PatternOrder,
    /// At most this many, 1 to 500; 50 when absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// How patterns are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternOrder {
    /// Those with the most lines.
    #[default]
    Count,
    /// Those that come more often lately than before, new ones among them.
    Rising,
    /// Those that were first seen last.
    Newest,
}

/// The patterns of some lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PatternPage {
    /// The patterns.
    pub patterns: Vec<PatternCount>,
    /// How many there are in all.
    pub found: u64,
    /// How many lines match in all; lines that were indexed before there were patterns have none.
    pub matched: u64,
    /// What the trends cover.
    pub span: TimeRange,
    /// The width of a slice of a trend, in milliseconds; 0 when no line has a time.
    pub slice_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// A pattern, and the lines that are instances of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PatternCount {
    /// Its id, as in `pattern:P12`.
    pub id: PatternId,
    /// What its lines have in common; `<*>` stands for what differs.
    pub template: String,
    /// How many lines.
    pub count: u64,
    /// From the first of them to the last.
    pub seen: TimeRange,
    /// The lines by level.
    pub levels: Vec<LevelCount>,
    /// The lines in slices of `slice_ms`, the oldest first.
    pub trend: Vec<u64>,
    /// How many times as often it comes in the last fifth of the span as it did before; each counted
    /// one more, so that few lines say little.
    pub change: f64,
    /// The newest of them.
    pub example: LogLine,
}

/// A line between its neighbours in the same source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineContext {
    /// The lines before, in the order of the source.
    pub before: Vec<LogLine>,
    /// The line.
    pub line: LogLine,
    /// The lines after, in the order of the source.
    pub after: Vec<LogLine>,
}

/// A source and what is indexed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceStats {
    /// Its id.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// Lines indexed.
    pub lines: u64,
    /// The span that they cover.
    pub covered: TimeRange,
}

/// What is indexed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogStats {
    /// Lines in all.
    pub lines: u64,
    /// Bytes that the index takes on the disk.
    pub index_bytes: u64,
    /// The span that the lines cover.
    pub covered: TimeRange,
    /// Lines by level.
    pub levels: Vec<LevelCount>,
    /// Each source.
    pub sources: Vec<SourceStats>,
    /// Grows whenever the index changes.
    pub generation: u64,
    /// Patterns that the lines are instances of.
    pub patterns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_takes_dates_for_the_ends_of_its_span() {
        let span = |from: &str, to: &str| {
            let json = serde_json::json!({ "from": from, "to": to });
            serde_json::from_value(json).map(|search: LogSearch| (search.from, search.to))
        };
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let day = span("2026-11-21", "2026-11-21").unwrap();
        assert_eq!(day, (at("2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z")));
        let exact = span("2026-11-21T03:00:00+01:00", "2026-11-21T03:00:00Z").unwrap();
        assert_eq!(exact, (at("2026-11-21T02:00:00Z"), at("2026-11-21T03:00:00Z")));
        let all: LogSearch = serde_json::from_str("{}").unwrap();
        assert_eq!(all, LogSearch::default());
        for bad in ["", "2026-11-31", "2026-11", "21.11.2026", "2026-11-21T25:00:00Z"] {
            let why = span(bad, "2026-11-21").unwrap_err().to_string();
            assert!(why.contains("`from`") && why.contains("such as 2026-11-21"), "{why}");
            let why = span("2026-11-21", bad).unwrap_err().to_string();
            assert!(why.contains("`to`"), "{why}");
        }
    }
}
