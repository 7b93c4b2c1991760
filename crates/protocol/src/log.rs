//! Log lines, sources, and the answers of the log API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// Whether more lines match than could be looked at: then the lines are some of those that match,
    /// and every count is of those that were looked at.
    pub partial: bool,
    /// How long the search took, in microseconds.
    pub took_us: u64,
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
    /// Whether more lines match than could be looked at: then the lines are some of those that match,
    /// and every count is of those that were looked at.
    pub partial: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Lines to be looked at: the body of `POST /logs/preview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// The lines, as a file would hold them.
    pub lines: String,
}

/// What would become of lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogPreview {
    /// How they are laid out.
    pub format: String,
    /// The share of them that are, from 0 to 1.
    pub confidence: f64,
    /// The records; at most 200.
    pub records: Vec<PreviewRecord>,
    /// Whether there are more.
    pub more: bool,
}

/// What would become of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreviewRecord {
    /// When it was written, if it says so.
    #[schema(required)]
    pub timestamp: Option<Timestamp>,
    /// How grave it is.
    pub level: Level,
    /// What the program said: the line without its time, its host, and the wrapping of its logger.
    pub message: String,
    /// Its fields, as queries name them.
    pub fields: std::collections::BTreeMap<String, String>,
    /// All of it.
    pub text: String,
}

/// How many lines there are, slice by slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogHistogram {
    /// Lines that match.
    pub matched: u64,
    /// The span that they cover.
    pub covered: TimeRange,
    /// From the first slice with a line to the last.
    pub slices: Vec<LogSlice>,
    /// The width of a slice, in milliseconds.
    pub slice_ms: u64,
    /// Whether more lines match than could be looked at: then the lines are some of those that match,
    /// and every count is of those that were looked at.
    pub partial: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// The lines of a slice of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogSlice {
    /// Its first instant.
    pub start: Timestamp,
    /// How many lines.
    pub count: u64,
    /// By level, the least grave first.
    pub levels: Vec<LevelCount>,
}

/// How many lines there are, group by group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogCount {
    /// What they are counted by.
    pub by: String,
    /// Lines that match.
    pub matched: u64,
    /// Of these so many were counted: fields are read line by line, and not without end.
    pub counted: u64,
    /// Of these so many have no such field.
    pub without: u64,
    /// The groups, the largest first.
    pub groups: Vec<CountGroup>,
    /// How many groups there are in all.
    pub found: u64,
    /// Whether more lines match than could be looked at: then the lines are some of those that match,
    /// and every count is of those that were looked at.
    pub partial: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Lines with the same value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountGroup {
    /// The value.
    pub value: String,
    /// How many lines.
    pub count: u64,
}

/// What is different in a later span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogComparison {
    /// The earlier span.
    pub before: TimeRange,
    /// The later span.
    pub after: TimeRange,
    /// Lines of the earlier one.
    pub matched_before: u64,
    /// Lines of the later one.
    pub matched_after: u64,
    /// The patterns that changed, those that changed most first.
    pub changes: Vec<PatternChange>,
    /// How many patterns changed in all.
    pub found: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// A pattern that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PatternChange {
    /// Its id, as in `pattern:P12`.
    pub id: PatternId,
    /// What its lines have in common; `<*>` stands for what differs.
    pub template: String,
    /// What became of it.
    pub change: Change,
    /// Lines of the earlier span.
    pub before: u64,
    /// Lines of the later span.
    pub after: u64,
    /// How many times as often it came, span for span; each counted one more.
    pub ratio: f64,
    /// The newest of its lines.
    pub example: LogLine,
}

/// What became of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there before.
    Appeared,
    /// It is not there any more.
    Vanished,
    /// It comes more often.
    Grew,
    /// It comes less often.
    Shrank,
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
