//! Evidence as text for a model: the figures first, then lines, best first, as far as they fit.

use std::fmt::Write as _;

use callboard_protocol::{Bucket, Evidence, LineOrder, LogLine, Ranking, TimeRange, Timestamp};

use super::defuse;
use crate::markdown::fold;

/// Values that a model is shown of each ranking.
const TOP: usize = 20;

/// Slices of the histogram that a model is shown: the fullest ones.
const SLICES: usize = 24;

/// One line of evidence; a longer one says more than a model needs.
const LINE_CHARS: usize = 600;

/// Room kept for the sentence about lines that were left out.
const TAIL_BYTES: usize = 80;

/// Renders `evidence` in at most about `max_bytes`; every line of it ends with a newline.
pub(super) fn render(evidence: &Evidence, max_bytes: usize) -> String {
    let mut text = Bounded { text: String::new(), left: max_bytes.saturating_sub(TAIL_BYTES) };
    let mut fits = render_search(evidence, &mut text);
    for ranking in &evidence.rankings {
        fits = fits && render_ranking(ranking, &mut text);
    }
    fits = fits && render_times(evidence, &mut text);
    let mut shown = 0;
    let heading = match evidence.order {
        LineOrder::Best => "Lines, those that fit best first:",
        LineOrder::Newest => "Lines, the latest first:",
        LineOrder::Oldest => "Lines, the earliest first:",
    };
    if fits && !evidence.lines.is_empty() && text.line(heading) {
        shown = evidence.lines.iter().take_while(|line| text.line(&log_line(line))).count();
    }
    let left_out = evidence.lines.len() - shown;
    if left_out > 0 {
        text.text.push_str(&format!("({left_out} more lines were left out for want of room)\n"));
    }
    text.text
}

struct Bounded {
    text: String,
    left: usize,
}

impl Bounded {
    /// Adds a line of data if it fits.
    fn line(&mut self, line: &str) -> bool {
        let line = defuse(line);
        let fits = line.len() < self.left;
        if fits {
            self.left -= line.len() + 1;
            self.text.push_str(&line);
            self.text.push('\n');
        }
        fits
    }
}

fn render_search(evidence: &Evidence, text: &mut Bounded) -> bool {
    let searched = &evidence.searched;
    let counted = if searched.counted < searched.matched {
        format!(" (a limit was reached: only {} of them were counted below)", searched.counted)
    } else {
        String::new()
    };
    let left_out =
        if searched.left_out.is_empty() { "none".to_owned() } else { searched.left_out.join(", ") };
    let lines = [
        format!("The question was read as: {}", fold(&searched.reading, 1_200)),
        format!("Words of the question that had no part in the search: {}", fold(&left_out, 400)),
        format!("Query: {}", fold(&searched.query, 400)),
        format!("Searched span: {}", span(searched.range)),
        format!("Lines searched: {}", searched.searched),
        format!("Lines that match: {}{counted}", searched.matched),
        format!("Span of the matching lines: {}", span(searched.covered)),
    ];
    lines.iter().all(|line| text.line(line))
}

fn render_ranking(ranking: &Ranking, text: &mut Bounded) -> bool {
    let head = format!(
        "{}: {} different, the most frequent among the matching lines:",
        fold(&ranking.kind, 100),
        ranking.distinct
    );
    text.line(&head)
        && ranking.top.iter().take(TOP).all(|value| {
            let mut line = format!("- {}: {} lines", fold(&value.value, 200), value.lines);
            let ends = [
                ("first", value.first_seen, value.first_line),
                ("last", value.last_seen, value.last_line),
            ];
            for (end, at, id) in ends {
                let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string());
                let _ = write!(line, ", {end} {at} [{id}]");
            }
            text.line(&line)
        })
}

fn render_times(evidence: &Evidence, text: &mut Bounded) -> bool {
    let levels: Vec<String> = evidence
        .levels
        .iter()
        .filter(|level| level.count > 0)
        .map(|level| format!("{} {}", level.count, level.level.as_str()))
        .collect();
    if !levels.is_empty() && !text.line(&format!("By level: {}", levels.join(", "))) {
        return false;
    }
    let mut fullest: Vec<&Bucket> =
        evidence.histogram.iter().filter(|bucket| bucket.count > 0).collect();
    if fullest.is_empty() {
        return true;
    }
    fullest.sort_by_key(|bucket| std::cmp::Reverse(bucket.count));
    let all = fullest.len() <= SLICES || evidence.wanted.over_time;
    fullest.truncate(if all { usize::MAX } else { SLICES });
    fullest.sort_by_key(|bucket| bucket.start);
    let which = if all { "" } else { ", the fullest slices only" };
    let width = evidence.bucket_ms / 1_000;
    text.line(&format!("Matching lines over time, in slices of {width} s{which}:"))
        && fullest.iter().all(|bucket| text.line(&format!("- {}: {}", bucket.start, bucket.count)))
}

/// A line as a model reads it: its id, time, level and source, and its text folded into one line and
/// cut.
#[must_use]
pub fn log_line(line: &LogLine) -> String {
    let at = line.timestamp.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let source = fold(&line.source, 100);
    let level = line.level.as_str();
    format!("[{}] {at} {level} {source} | {}", line.id, fold(&line.text, LINE_CHARS))
}

fn span(range: TimeRange) -> String {
    let end = |at: Option<Timestamp>| at.map_or_else(|| "open".to_owned(), |at| at.to_string());
    format!("from {} to {}", end(range.from), end(range.to))
}
