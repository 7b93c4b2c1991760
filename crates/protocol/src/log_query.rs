//! The query strings of the log API.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Level, SourceId, Timestamp};

/// A query string that says which lines are meant, and more.
macro_rules! line_queries {
    ($($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* })+) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// Words that must all occur, `"phrases"`, `-word` to exclude, `a OR b`, parentheses,
            /// `wor*` and `/regular expressions/`, `level:error`, `level>=warn`, `source:name`,
            /// `pattern:P12`, fields (`status>=500`, `user.id=7`, `trace_id=*`); empty finds everything.
            #[serde(default)]
            pub q: String,
            /// The first instant; a date alone, such as `2026-11-21`, is its midnight in UTC.
            #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
            pub from: Option<Timestamp>,
            /// The first instant after; a date alone is the midnight at its end, so that the day
            /// counts.
            #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
            pub to: Option<Timestamp>,
            /// At least this grave.
            #[serde(default)]
            pub level: Option<Level>,
            /// Only this source.
            #[serde(default)]
            pub source_id: Option<SourceId>,
            $($(#[$of])* #[serde(default)] pub $field: $kind,)*
        }

        impl $name {
            /// Which lines are meant.
            #[must_use]
            pub fn lines(&self) -> LineFilter {
                let Self { q, from, to, level, source_id, .. } = self.clone();
                LineFilter { q, from, to, level, source_id }
            }
        }
    )+};
}

line_queries! {
    /// Which lines are meant.
    LineFilter {}

    /// The query string of `GET /logs/facets`.
    FacetSearch {
        /// Whether an answer that is not whole is better than `query_too_expensive`; it says so.
        partial: bool,
    }

    /// The query string of `GET /logs/search`.
    LogSearch {
        /// Newest first, or what fits best first.
        order: SearchOrder,
        /// At most this many lines, 1 to 500; 50 when absent.
        limit: Option<u32>,
        /// From the page before.
        cursor: Option<String>,
        /// Whether an answer that is not whole is better than `query_too_expensive`; it says so.
        partial: bool,
    }

    /// The query string of `GET /logs/histogram`.
    HistogramSearch {
        /// Slices at least this wide, in milliseconds.
        #[param(minimum = 1)]
        slice_ms: Option<u64>,
        /// At most so many slices, 1 to 500; 60 when absent.
        #[param(minimum = 1, maximum = 500)]
        slices: Option<u32>,
        /// Whether an answer that is not whole is better than `query_too_expensive`; it says so.
        partial: bool,
    }

    /// The query string of `GET /logs/count`.
    CountSearch {
        /// What lines are counted by: `level`, `source`, `pattern`, or the name of a field, such as
        /// `status` or `user.id`; `level` when absent.
        by: Option<String>,
        /// At most so many groups, the largest, 1 to 500; 20 when absent.
        #[param(minimum = 1, maximum = 500)]
        limit: Option<u32>,
        /// Whether an answer that is not whole is better than `query_too_expensive`; it says so.
        partial: bool,
    }

    /// The query string of `GET /logs/compare`: the span is held against an earlier one.
    CompareSearch {
        /// The first instant of the earlier span; when absent it is as long as the later, and ends
        /// where that begins.
        #[serde(deserialize_with = "crate::timestamp::optional_from")]
        before_from: Option<Timestamp>,
        /// The first instant after the earlier span.
        #[serde(deserialize_with = "crate::timestamp::optional_to")]
        before_to: Option<Timestamp>,
        /// At most so many patterns, 1 to 500; 50 when absent.
        #[param(minimum = 1, maximum = 500)]
        limit: Option<u32>,
    }

    /// The query string of `GET /logs/export`.
    LogExport {
        /// As what.
        format: ExportFormat,
        /// At most so many lines, the newest; 1,000,000 when absent.
        #[param(minimum = 1, maximum = 1_000_000)]
        limit: Option<u64>,
    }

    /// The query string of `GET /logs/patterns`.
    PatternSearch {
        /// Which come first.
        order: PatternOrder,
        /// At most this many, 1 to 500; 50 when absent.
        limit: Option<u32>,
    }
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
