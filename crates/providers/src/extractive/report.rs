//! The text of an answer, piece by piece: a sentence or a row each.

use std::collections::HashSet;

use callboard_protocol::{Evidence, LineId, LineOrder, Ranking, SearchedEvidence, ValueCount};

use super::phrase;
use crate::markdown::{cell, code, prose};

/// Rows of each ranking.
const ROWS: usize = 10;

/// Lines that are shown.
const LINES: usize = 8;

/// One shown line; its citation opens the whole.
const LINE_CHARS: usize = 300;

/// One value of a ranking.
const VALUE_CHARS: usize = 120;

/// The query; how the question was read stands in full, since what was left out stands there.
const QUERY_CHARS: usize = 300;
const READING_CHARS: usize = 2_000;

/// Slices of time that are listed.
const SLICES: usize = 60;

const CLOSING: &str =
    "\n*This answer was put together from the log index alone, without a language model.*\n";

/// The whole answer.
pub(super) fn compose(evidence: &Evidence) -> Vec<String> {
    let mut pieces = Vec::new();
    if evidence.searched.matched == 0 {
        nothing(&evidence.searched, &mut pieces);
        nearest(evidence, &mut pieces);
    } else {
        let citable: HashSet<LineId> = evidence.lines.iter().map(|line| line.id).collect();
        lead(&evidence.searched, &mut pieces);
        if evidence.wanted.lines.is_some() {
            shown_lines(evidence, &mut pieces);
        }
        if evidence.wanted.over_time {
            times(evidence, &mut pieces);
        }
        for (index, ranking) in evidence.rankings.iter().enumerate() {
            let asked = evidence.wanted.values.filter(|_| index == 0);
            let rows = asked.map_or(ROWS, |rows| rows as usize);
            rank(ranking, rows, evidence, &citable, &mut pieces);
        }
        if !evidence.wanted.over_time {
            times(evidence, &mut pieces);
        }
        if evidence.wanted.lines.is_none() {
            shown_lines(evidence, &mut pieces);
        }
        coverage(&evidence.searched, &mut pieces);
    }
    pieces.push(CLOSING.to_owned());
    pieces
}

fn lead(searched: &SearchedEvidence, pieces: &mut Vec<String>) {
    let matched = if searched.matched == 1 { "line matches" } else { "lines match" };
    not_understood(searched, pieces);
    let mut sentence = format!(
        "I read the question as “{}”: **{} {matched}**, of {} searched",
        prose(&searched.reading, READING_CHARS),
        phrase::number(searched.matched),
        phrase::number(searched.searched),
    );
    if let Some(covered) = phrase::covered(searched.covered) {
        sentence.push_str(&format!(", {covered}"));
    }
    sentence.push_str(".\n");
    pieces.push(sentence);
}

/// Before any figure: what of the question it does not answer.
fn not_understood(searched: &SearchedEvidence, pieces: &mut Vec<String>) {
    if searched.left_out.is_empty() {
        return;
    }
    let words: Vec<String> =
        searched.left_out.iter().map(|word| format!("“{}”", prose(word, 60))).collect();
    pieces.push(format!(
        "**Not all of the question is answered:** {} had no part in the search.\n\n",
        words.join(", ")
    ));
}

fn rank(
    ranking: &Ranking,
    rows: usize,
    evidence: &Evidence,
    citable: &HashSet<LineId>,
    pieces: &mut Vec<String>,
) {
    let Some(first) = ranking.top.first() else { return };
    let kind = prose(&ranking.kind, VALUE_CHARS);
    pieces.push(format!("\n{}", winner(ranking, first, &kind, evidence)));
    let shown = ranking.top.len().min(rows);
    if ranking.distinct as usize > shown {
        pieces.push(format!(
            " There are {} different {kind}; these are the first {shown}:\n",
            phrase::number(ranking.distinct)
        ));
    } else {
        pieces.push("\n".to_owned());
    }
    pieces.push(format!(
        "\n| {} | Lines | First seen (UTC) | Last seen (UTC) |\n|---|---:|---|---|\n",
        capitalised(&kind)
    ));
    for value in ranking.top.iter().take(rows) {
        pieces.push(row(value, citable));
    }
}

/// Who comes first, and whether alone.
fn winner(ranking: &Ranking, first: &ValueCount, kind: &str, evidence: &Evidence) -> String {
    let (searched, fewest) = (&evidence.searched, evidence.wanted.fewest);
    let tied = ranking.top.iter().take_while(|value| value.lines == first.lines).count();
    if tied > 1 && ranking.distinct > 1 {
        let lines = phrase::lines(first.lines);
        let share = if fewest { "share the last" } else { "share the first" };
        let all = tied == ranking.distinct as usize;
        let more = tied == ranking.top.len() && !all;
        return match (all, more) {
            (true, _) => format!("All {tied} {kind} occur equally often, in {lines} each."),
            (false, true) => {
                format!("At least {tied} {kind} {share} place, with {lines} each.")
            }
            (false, false) => format!("{tied} {kind} {share} place, with {lines} each."),
        };
    }
    let whole = if searched.counted < searched.matched { " of those counted" } else { "" };
    let share = phrase::share(first.lines, searched.counted)
        .map_or_else(String::new, |share| format!(" ({share}{whole})"));
    let value = code(&first.value, VALUE_CHARS);
    let place = match (ranking.distinct > 1, fewest) {
        (false, _) => "is the only one",
        (true, false) => "occurs most often",
        (true, true) => "occurs least often",
    };
    format!("Of the {kind}, **{value}** {place}: in {}{share}.", phrase::lines(first.lines))
}

fn row(value: &ValueCount, citable: &HashSet<LineId>) -> String {
    let cite = |id: LineId| match citable.contains(&id) {
        true => format!(" [{id}]"),
        false => String::new(),
    };
    let first_cite = cite(value.first_line);
    let last_cite = cite(value.last_line);
    format!(
        "| {} | {} | {}{first_cite} | {}{last_cite} |\n",
        cell(&value.value, VALUE_CHARS),
        phrase::number(value.lines),
        phrase::instant_or_none(value.first_seen),
        phrase::instant_or_none(value.last_seen),
    )
}

fn times(evidence: &Evidence, pieces: &mut Vec<String>) {
    let matched = evidence.searched.matched;
    if let Some(peak) = phrase::peak(evidence) {
        let share = phrase::share(peak.count, matched)
            .map_or_else(String::new, |share| format!(" ({share})"));
        pieces.push(format!(
            "\n**When:** the busiest stretch was {}, with {} of the matching lines{share}.\n",
            phrase::slice(peak, evidence.bucket_ms),
            phrase::number(peak.count),
        ));
    }
    if evidence.wanted.over_time {
        over_time(evidence, pieces);
    }
    let known = evidence.levels.iter().filter(|level| level.count > 0);
    let known: Vec<String> = known
        .map(|level| format!("{} {}", phrase::number(level.count), level.level.as_str()))
        .collect();
    let only_unknown = known.len() == 1
        && evidence
            .levels
            .iter()
            .any(|level| level.count > 0 && level.level == callboard_protocol::Level::Unknown);
    if !known.is_empty() && !only_unknown {
        pieces.push(format!("\n**Levels:** {}.\n", known.join(", ")));
    }
}

/// The counts slice by slice; the engine chooses a width at which there are not too many.
fn over_time(evidence: &Evidence, pieces: &mut Vec<String>) {
    pieces.push("\n| Time (UTC) | Lines |\n|---|---:|\n".to_owned());
    for bucket in evidence.histogram.iter().take(SLICES) {
        let slice = phrase::slice(*bucket, evidence.bucket_ms);
        pieces.push(format!("| {slice} | {} |\n", phrase::number(bucket.count)));
    }
}

fn shown_lines(evidence: &Evidence, pieces: &mut Vec<String>) {
    let Some(first) = evidence.lines.first() else { return };
    let asked = evidence.wanted.lines.map_or(LINES, |lines| lines as usize);
    let shown = &evidence.lines[..asked.min(evidence.lines.len())];
    let one_source = shown.iter().all(|line| line.source_id == first.source_id);
    let which = match evidence.order {
        LineOrder::Best => "Lines that fit best",
        LineOrder::Newest => "The latest lines",
        LineOrder::Oldest => "The earliest lines",
    };
    let from = if one_source {
        format!("**, from {}:\n\n", code(&first.source, 120))
    } else {
        ":**\n\n".to_owned()
    };
    pieces.push(format!("\n**{which}{from}"));
    for line in shown {
        let source =
            if one_source { String::new() } else { format!(" {}", code(&line.source, 120)) };
        pieces.push(format!("- [{}]{source} {}\n", line.id, code(&line.text, LINE_CHARS)));
    }
}

/// Lines that do not match, and come nearest.
fn nearest(evidence: &Evidence, pieces: &mut Vec<String>) {
    let shown = &evidence.lines[..evidence.lines.len().min(LINES)];
    if shown.is_empty() {
        return;
    }
    pieces.push("\n**Lines that have some of these words:**\n\n".to_owned());
    for line in shown {
        let (source, text) = (code(&line.source, 120), code(&line.text, LINE_CHARS));
        pieces.push(format!("- [{}] {source} {text}\n", line.id));
    }
}

fn coverage(searched: &SearchedEvidence, pieces: &mut Vec<String>) {
    pieces.push(format!("\n{}\n", what_was_searched(searched)));
    if searched.counted < searched.matched {
        pieces.push(format!(
            "A limit was reached: only {} of the {} matching lines were counted for the rankings.\n",
            phrase::number(searched.counted),
            phrase::number(searched.matched),
        ));
    }
}

fn what_was_searched(searched: &SearchedEvidence) -> String {
    let query = if searched.query.trim().is_empty() {
        "every line".to_owned()
    } else {
        code(&searched.query, QUERY_CHARS)
    };
    format!(
        "Searched for {query} {} ({}).",
        phrase::range(searched.range),
        phrase::lines(searched.searched)
    )
}

fn nothing(searched: &SearchedEvidence, pieces: &mut Vec<String>) {
    not_understood(searched, pieces);
    let reading = prose(&searched.reading, READING_CHARS);
    pieces.push(format!("I read the question as “{reading}”, and **no line matches**.\n"));
    pieces.push(format!("\n{}\n", what_was_searched(searched)));
    pieces.push("\nTo widen the search:\n\n".to_owned());
    let bounded = searched.range.from.is_some() || searched.range.to.is_some();
    if searched.searched == 0 && !bounded {
        pieces.push(
            "- Nothing is indexed yet: upload a log, or run `callboard ingest PATH`.\n".to_owned(),
        );
        return;
    }
    if bounded {
        pieces.push("- Name a longer span of time, or none at all.\n".to_owned());
    }
    if searched.query.contains("level:") {
        pieces.push("- Ask for all levels, not only the graver ones.\n".to_owned());
    }
    pieces.push("- Use fewer words, or those that the logs themselves use.\n".to_owned());
    pieces.push("- Check that the log in question has been ingested.\n".to_owned());
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
