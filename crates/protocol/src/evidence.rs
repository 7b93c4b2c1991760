//! What the log engine found for a question. Counting is done there, never by a model.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Level, LineId, LogLine, Timestamp};

/// A span of time; both ends may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct TimeRange {
    /// The first instant inside.
    #[serde(default)]
    #[schema(required)]
    pub from: Option<Timestamp>,
    /// The first instant after it.
    #[serde(default)]
    #[schema(required)]
    pub to: Option<Timestamp>,
}

/// What was looked for, and how much of it there was: stated with every answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchedEvidence {
    /// The query that was run, in the words of the log query language.
    pub query: String,
    /// How the question was read, for people: `failed sign-ins, last hour`.
    pub reading: String,
    /// Words of the question that had no part in the search: the figures are without them.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The span that was searched.
    pub range: TimeRange,
    /// The span that the matching lines cover.
    pub covered: TimeRange,
    /// How many lines match.
    pub matched: u64,
    /// How many lines were searched.
    pub searched: u64,
    /// How many of the matching lines were looked at for the groups; less than `matched` only
    /// when a limit was reached.
    pub counted: u64,
}

/// How often one value occurs among the matching lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueCount {
    /// The value, such as `183.62.140.253`.
    pub value: String,
    /// In how many matching lines it occurs.
    pub lines: u64,
    /// The earliest of them.
    #[schema(required)]
    pub first_seen: Option<Timestamp>,
    /// The latest of them.
    #[schema(required)]
    pub last_seen: Option<Timestamp>,
    /// The first of them.
    pub first_line: LineId,
    /// The last of them.
    pub last_line: LineId,
}

/// The most frequent values of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ranking {
    /// What was counted, for people, in the plural: `IP addresses`.
    pub kind: String,
    /// How many different values there are.
    pub distinct: u64,
    /// The most frequent first, or the least frequent if the question asks for those.
    pub top: Vec<ValueCount>,
}

/// How many matching lines fall into a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bucket {
    /// The first instant of the slice.
    pub start: Timestamp,
    /// Matching lines in it.
    pub count: u64,
}

/// How many matching lines have a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LevelCount {
    /// The level.
    pub level: Level,
    /// Matching lines of it.
    pub count: u64,
}

/// Which of the matching lines are cited first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineOrder {
    /// Those that fit the question best.
    #[default]
    Best,
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

/// What a question wants shown, as far as it says: `top 3 users`, `last 5 errors`, `per hour`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wanted {
    /// How many values of the first ranking.
    #[serde(default)]
    #[schema(required)]
    pub values: Option<u32>,
    /// The least frequent ones first.
    #[serde(default)]
    pub fewest: bool,
    /// How many lines, before anything else.
    #[serde(default)]
    #[schema(required)]
    pub lines: Option<u32>,
    /// The counts over time.
    #[serde(default)]
    pub over_time: bool,
}

/// All that the engine found for a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What was looked for.
    pub searched: SearchedEvidence,
    /// The kinds of values that the question asks about, the one it names first.
    pub rankings: Vec<Ranking>,
    /// Matching lines over time; slices of equal width, none left out between first and last.
    pub histogram: Vec<Bucket>,
    /// The width of a slice of the histogram, in milliseconds.
    pub bucket_ms: u64,
    /// Matching lines by level.
    pub levels: Vec<LevelCount>,
    /// Matching lines in `order`; after them every further line that a ranking points at.
    pub lines: Vec<LogLine>,
    /// The order of the lines.
    #[serde(default)]
    pub order: LineOrder,
    /// What the question wants shown.
    #[serde(default)]
    pub wanted: Wanted,
    /// Grows whenever the index changes; a part of every cache key.
    pub generation: u64,
}
