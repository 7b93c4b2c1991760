//! The tools themselves, as plain functions of the log store.

use std::{collections::HashMap, fmt::Write as _};

use callboard_logs::{InvestigateOptions, LogStore, SearchError};
use callboard_protocol::{
    AnomalySearch, Change, CompareSearch, CountSearch, LineId, LogCount, LogLine, LogPage,
    LogSearch, PatternOrder, PatternSearch, SearchOrder, TimeRange, Timestamp,
};
use callboard_providers::log_line;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Outcome, Tool};

/// Lines that one search shows.
pub(super) const MAX_LINES: u32 = 50;

/// Neighbours of a line, on each side.
pub(super) const MAX_AROUND: usize = 25;

/// Lines that a search shows unless it says otherwise.
const DEFAULT_LINES: u32 = 20;

/// Patterns that are shown.
const MAX_PATTERNS: u32 = 30;

/// Groups of a count that are shown.
const MAX_GROUPS: u32 = 50;

/// Slices of a histogram that are shown.
const MAX_SLICES: usize = 60;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    order: Option<SearchOrder>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    query: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    order: PatternOrder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grouped {
    query: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unusual {
    query: String,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    minutes: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Around {
    line: LineId,
    #[serde(default)]
    around: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Runs a tool; what goes wrong is an outcome, too.
pub(super) fn run(tool: Tool, logs: &LogStore, arguments: &str) -> Outcome {
    let done = match tool {
        Tool::SearchLogs => read(arguments).and_then(|search| find(logs, &search)),
        Tool::CountLogs => read(arguments).and_then(|search| count(logs, &search)),
        Tool::Histogram => read(arguments).and_then(|search| over_time(logs, &search)),
        Tool::Patterns => read(arguments).and_then(|asked| patterns(logs, &asked)),
        Tool::CountBy => read(arguments).and_then(|asked| count_by(logs, &asked)),
        Tool::Compare => read(arguments).and_then(|search| compare(logs, &search)),
        Tool::Anomalies => read(arguments).and_then(|asked| anomalies(logs, &asked)),
        Tool::LineContext => read(arguments).and_then(|around| context(logs, &around)),
        Tool::ListSources => read(arguments).map(|Nothing {}| sources(logs)),
    };
    done.unwrap_or_else(Outcome::failed)
}

fn read<T: DeserializeOwned>(arguments: &str) -> Result<T, String> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    serde_json::from_str(arguments).map_err(|error| format!("The arguments are wrong: {error}."))
}

impl Search {
    fn spanned(query: &str, from: &Option<String>, to: &Option<String>) -> Self {
        Self { query: query.to_owned(), from: from.clone(), to: to.clone(), ..Self::default() }
    }

    /// For the engine, whose own check of the parameters says what is wrong with them.
    fn of_engine(&self, limit: u32) -> Result<LogSearch, String> {
        let search = serde_json::json!({ "q": self.query, "limit": limit });
        let mut search: LogSearch =
            serde_json::from_value(search).map_err(|error| error.to_string())?;
        let ends = [("from", &self.from), ("to", &self.to)];
        let ends = ends.into_iter().filter_map(|(end, at)| Some((end, at.as_deref()?)));
        let ends = serde_json::json!(ends.collect::<HashMap<_, _>>());
        let span: LogSearch =
            serde_json::from_value(ends).map_err(|error| format!("The span is wrong: {error}."))?;
        (search.from, search.to) = (span.from, span.to);
        search.order = self.order.unwrap_or_default();
        Ok(search)
    }

    fn page(&self, logs: &LogStore, limit: u32) -> Result<LogPage, String> {
        logs.search(&self.of_engine(limit)?).map_err(said)
    }

    /// What was searched, as every result states it.
    fn head(&self, matched: u64) -> String {
        let span = match (&self.from, &self.to) {
            (None, None) => "of all time".to_owned(),
            (from, to) => format!(
                "from {} to {}",
                from.as_deref().unwrap_or("the beginning"),
                to.as_deref().unwrap_or("the end")
            ),
        };
        format!("{matched} lines {span} match: {}\n", self.query)
    }
}

fn said(error: SearchError) -> String {
    format!("The search failed: {error}")
}

fn find(logs: &LogStore, search: &Search) -> Result<Outcome, String> {
    let limit = search.limit.unwrap_or(DEFAULT_LINES).clamp(1, MAX_LINES);
    let page = search.page(logs, limit)?;
    let mut text = search.head(page.matched);
    push_lines(&mut text, &page.lines);
    let summary = format!("{} lines match, {} shown", page.matched, page.lines.len());
    Ok(Outcome { text, summary, lines: page.lines, is_error: false })
}

fn count(logs: &LogStore, search: &Search) -> Result<Outcome, String> {
    let page = search.page(logs, 1)?;
    let mut text = search.head(page.matched);
    let summary = format!("{} lines match", page.matched);
    let mut lines = Vec::new();
    if let Some(of) = &search.of {
        let now = Timestamp::now();
        let question = format!("which {of} occur most often in lines with {}", search.query);
        let span = match (&search.from, &search.to) {
            (Some(from), Some(to)) => format!(" from {from} to {to}"),
            (Some(from), None) => format!(" since {from}"),
            (None, Some(to)) => format!(" before {to}"),
            (None, None) => String::new(),
        };
        let options = InvestigateOptions::at(now);
        let found = logs.investigate(&format!("{question}{span}"), &options).map_err(said)?;
        // The engine read words of its own: what it counted is stated beside its figures.
        let _ = writeln!(
            text,
            "Counted among {} lines, read as: {}",
            found.searched.matched, found.searched.reading
        );
        for ranking in &found.rankings {
            let _ = writeln!(text, "{}: {} different", ranking.kind, ranking.distinct);
            for value in &ranking.top {
                let _ = writeln!(
                    text,
                    "- {}: {} lines, first [{}], last [{}]",
                    value.value, value.lines, value.first_line, value.last_line
                );
            }
        }
        lines = found.lines;
    }
    Ok(Outcome { text, summary, lines, is_error: false })
}

fn over_time(logs: &LogStore, search: &Search) -> Result<Outcome, String> {
    let page = search.page(logs, 1)?;
    let mut text = search.head(page.matched);
    let filled: Vec<_> = page.histogram.iter().filter(|bucket| bucket.count > 0).collect();
    let _ = writeln!(text, "In slices of {} s, empty ones left out:", page.bucket_ms / 1_000);
    for bucket in filled.iter().take(MAX_SLICES) {
        let _ = writeln!(text, "- {}: {}", bucket.start, bucket.count);
    }
    if filled.len() > MAX_SLICES {
        let _ = writeln!(text, "({} later slices are not shown)", filled.len() - MAX_SLICES);
    }
    let summary = format!("{} lines in {} slices", page.matched, filled.len());
    Ok(Outcome { text, summary, lines: Vec::new(), is_error: false })
}

fn patterns(logs: &LogStore, asked: &Patterns) -> Result<Outcome, String> {
    let search = Search::spanned(&asked.query, &asked.from, &asked.to);
    let LogSearch { q, from, to, .. } = search.of_engine(MAX_PATTERNS)?;
    let of_engine = PatternSearch {
        q,
        from,
        to,
        order: asked.order,
        limit: Some(MAX_PATTERNS),
        ..PatternSearch::default()
    };
    let page = logs.patterns(&of_engine).map_err(said)?;
    let mut text = search.head(page.matched);
    let order = match asked.order {
        PatternOrder::Count => "the most lines first",
        PatternOrder::Rising => "what comes more often of late first",
        PatternOrder::Newest => "what was first seen last first",
    };
    let _ = writeln!(text, "{} patterns, {order}:", page.found);
    for one in &page.patterns {
        let (id, count, example) = (one.id, one.count, one.example.id);
        let seen = span(one.seen);
        let change = one.change;
        let _ = writeln!(
            text,
            "- {id}: {count} lines {seen}, of late {change:.1} times as often, newest [{example}]: {}",
            one.template
        );
    }
    let summary = format!("{} patterns in {} lines", page.found, page.matched);
    let lines = page.patterns.into_iter().map(|one| one.example).collect();
    Ok(Outcome { text, summary, lines, is_error: false })
}

fn count_by(logs: &LogStore, asked: &Grouped) -> Result<Outcome, String> {
    let search = Search::spanned(&asked.query, &asked.from, &asked.to);
    let LogSearch { q, from, to, .. } = search.of_engine(1)?;
    let (by, limit) = (Some(asked.by.clone()), Some(MAX_GROUPS));
    let counted = logs.count(&CountSearch { q, from, to, by, limit, ..CountSearch::default() });
    let counted = counted.map_err(said)?;
    let mut text = search.head(counted.matched);
    let LogCount { by, found, without, .. } = &counted;
    let _ = writeln!(text, "{found} different values of {by}; {without} lines have none:");
    for group in &counted.groups {
        let _ = writeln!(text, "- {}: {}", group.value, group.count);
    }
    if counted.counted < counted.matched {
        let _ = writeln!(text, "(only {} lines were counted)", counted.counted);
    }
    let summary = format!("{found} values of {by} in {} lines", counted.matched);
    Ok(Outcome { text, summary, lines: Vec::new(), is_error: false })
}

fn compare(logs: &LogStore, search: &Search) -> Result<Outcome, String> {
    let LogSearch { q, from, to, .. } = search.of_engine(1)?;
    let asked =
        CompareSearch { q, from, to, limit: Some(MAX_PATTERNS), ..CompareSearch::default() };
    let compared = logs.compare(&asked).map_err(said)?;
    let mut text = format!(
        "{} lines {}, and {} lines before, {}, match: {}\n{} patterns changed, the most first:\n",
        compared.matched_after,
        span(compared.after),
        compared.matched_before,
        span(compared.before),
        search.query,
        compared.found,
    );
    for one in &compared.changes {
        let (id, example, template) = (one.id, one.example.id, &one.template);
        let change = match one.change {
            Change::Appeared => "appeared",
            Change::Vanished => "vanished",
            Change::Grew => "grew",
            Change::Shrank => "shrank",
        };
        let _ = writeln!(
            text,
            "- {id} {change}: {} lines, {} before, newest [{example}]: {template}",
            one.after, one.before
        );
    }
    let summary = format!("{} patterns changed", compared.found);
    let lines = compared.changes.into_iter().map(|one| one.example).collect();
    Ok(Outcome { text, summary, lines, is_error: false })
}

fn anomalies(logs: &LogStore, asked: &Unusual) -> Result<Outcome, String> {
    let LogSearch { q, to, .. } = Search::spanned(&asked.query, &None, &asked.to).of_engine(1)?;
    let window_s = Some(asked.minutes.unwrap_or(60).saturating_mul(60));
    let search = AnomalySearch { q, to, window_s };
    let unusual = logs.anomalies(&search, Timestamp::now()).map_err(said)?;
    let kinds = [
        ("Levels with far more lines", &unusual.levels),
        ("Patterns with far more lines", &unusual.patterns),
        ("New patterns", &unusual.new_patterns),
        ("Sources without lines", &unusual.silent_sources),
    ];
    let mut text = format!(
        "From {} to {}, compared with {} days before, of lines with: {}\n",
        unusual.from, unusual.to, unusual.days, asked.query
    );
    let mut lines = Vec::new();
    for (kind, findings) in kinds {
        let _ = writeln!(text, "{kind}: {}", findings.len());
        for finding in findings {
            // It may have left the index since.
            let example = finding.example.and_then(|id| logs.line(id).ok());
            let newest = example.as_ref().map(|line| format!(" [{}]", line.id));
            let (key, newest) = (&finding.key, newest.unwrap_or_default());
            let _ = writeln!(text, "- {key}{newest} {}", finding.summary);
            lines.extend(example);
        }
    }
    let found: usize = kinds.iter().map(|(_, findings)| findings.len()).sum();
    let summary = format!("{found} things are unusual");
    Ok(Outcome { text, summary, lines, is_error: false })
}

fn context(logs: &LogStore, asked: &Around) -> Result<Outcome, String> {
    let around = asked.around.unwrap_or(5).clamp(1, MAX_AROUND);
    let found = logs.context(asked.line, around, around).map_err(said)?;
    let lines: Vec<LogLine> =
        found.before.into_iter().chain([found.line]).chain(found.after).collect();
    let mut text = format!("The line {} between its neighbours:\n", asked.line);
    push_lines(&mut text, &lines);
    let summary = format!("{} lines around {}", lines.len(), asked.line);
    Ok(Outcome { text, summary, lines, is_error: false })
}

fn sources(logs: &LogStore) -> Outcome {
    let stats = logs.stats();
    let mut text = format!("{} lines, {}\n", stats.lines, span(stats.covered));
    for source in &stats.sources {
        let _ =
            writeln!(text, "- {}: {} lines, {}", source.name, source.lines, span(source.covered));
    }
    let summary = format!("{} sources", stats.sources.len());
    Outcome { text, summary, lines: Vec::new(), is_error: false }
}

fn span(range: TimeRange) -> String {
    let end = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), |at| at.to_string());
    format!("from {} to {}", end(range.from), end(range.to))
}

fn push_lines(text: &mut String, lines: &[LogLine]) {
    for line in lines {
        text.push_str(&log_line(line));
        text.push('\n');
    }
}
