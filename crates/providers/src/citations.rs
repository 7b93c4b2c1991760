//! Citations: `[L123]` and `[L1, L2]` in an answer. `actors::turn` calls [`cite`] on the whole
//! answer.
//!
//! Inside code nothing is a citation: there stands quoted log text, which could forge one. The
//! page follows the same rule.

use std::collections::{HashMap, HashSet};

use callboard_protocol::{Citation, LineId, LogLine};

use crate::markdown::fold;

/// The beginning of a line, as a citation shows it.
const EXCERPT_CHARS: usize = 200;

/// A model that invents more ids than this has made its point.
const MAX_UNSUPPORTED: usize = 64;

/// What an answer cites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cited {
    /// The lines that stand in the evidence, in the order in which they are first mentioned.
    pub citations: Vec<Citation>,
    /// Ids that do not stand in the evidence, likewise; at most 64.
    pub unsupported: Vec<LineId>,
}

/// Finds the citations of `answer` and holds them against the lines of its evidence.
#[must_use]
pub fn cite<'a>(answer: &str, lines: impl IntoIterator<Item = &'a LogLine>) -> Cited {
    let lines: HashMap<LineId, &LogLine> = lines.into_iter().map(|line| (line.id, line)).collect();
    let mut seen = HashSet::new();
    let mut cited = Cited::default();
    for id in mentioned(answer) {
        if !seen.insert(id) {
            continue;
        }
        match lines.get(&id) {
            Some(line) => cited.citations.push(Citation {
                line_id: id,
                source: line.source.clone(),
                timestamp: line.timestamp,
                excerpt: fold(&line.text, EXCERPT_CHARS),
            }),
            None if cited.unsupported.len() < MAX_UNSUPPORTED => cited.unsupported.push(id),
            None => {}
        }
    }
    cited
}

/// All ids outside code, in order.
fn mentioned(answer: &str) -> Vec<LineId> {
    let bytes = answer.as_bytes();
    let mut ids = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'[', b'`', b'\\', &bytes[at..]) {
        at += found;
        match bytes[at] {
            // An escaped character is only itself.
            b'\\' => at += 2,
            b'`' => at = after_code(bytes, at),
            _ => match read_bracket(&answer[at + 1..]) {
                Some((more, length)) => {
                    ids.extend(more);
                    at += 1 + length;
                }
                None => at += 1,
            },
        }
        if at >= bytes.len() {
            break;
        }
    }
    ids
}

/// The place after the code that opens at `at`, or after its backticks when nothing closes it. An
/// open block of code reaches to the end.
fn after_code(bytes: &[u8], at: usize) -> usize {
    let run = |from: usize| bytes[from..].iter().take_while(|byte| **byte == b'`').count();
    let fence = run(at);
    let mut next = at + fence;
    while let Some(found) = memchr::memchr(b'`', &bytes[next..]) {
        let length = run(next + found);
        next += found + length;
        if length == fence {
            return next;
        }
    }
    let line_start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_block = fence >= 3 && bytes[line_start..at].iter().all(|byte| *byte == b' ');
    if is_block { bytes.len() } else { at + fence }
}

/// Reads `L1, L2]`; gives the ids and the length with the bracket.
fn read_bracket(text: &str) -> Option<(Vec<LineId>, usize)> {
    // 21 digits and separators each: no more than 40 ids are read from one bracket.
    let end = text.bytes().take(1_024).position(|byte| byte == b']')?;
    let inside = text.get(..end)?;
    let parts = inside.split([',', ';', '-', '–']);
    let ids: Option<Vec<LineId>> = parts.map(|part| part.trim().parse().ok()).collect();
    Some((ids?, end + 1))
}

#[cfg(test)]
pub(crate) mod tests {
    use callboard_protocol::{
        Evidence, Level, LineOrder, SearchedEvidence, SourceId, TimeRange, Wanted,
    };
    use proptest::prelude::*;

    use super::*;

    /// Evidence that holds nothing but lines with these ids.
    pub(crate) fn evidence(ids: &[u64]) -> Evidence {
        let source_id = SourceId::new();
        let line = |id: &u64| LogLine {
            id: LineId(*id),
            source_id,
            source: "app.log".to_owned(),
            timestamp: None,
            level: Level::Info,
            text: format!("text of\n{id}"),
            truncated: false,
            pattern: None,
        };
        Evidence {
            searched: SearchedEvidence {
                query: String::new(),
                reading: String::new(),
                left_out: Vec::new(),
                range: TimeRange::default(),
                covered: TimeRange::default(),
                matched: ids.len() as u64,
                searched: 1_000,
                counted: ids.len() as u64,
            },
            rankings: Vec::new(),
            histogram: Vec::new(),
            bucket_ms: 0,
            levels: Vec::new(),
            lines: ids.iter().map(line).collect(),
            order: LineOrder::Best,
            wanted: Wanted::default(),
            generation: 1,
        }
    }

    fn cited(answer: &str) -> (Vec<u64>, Vec<u64>) {
        let cited = cite(answer, &evidence(&[1, 2, 3]).lines);
        (
            cited.citations.iter().map(|citation| citation.line_id.0).collect(),
            cited.unsupported.iter().map(|id| id.0).collect(),
        )
    }

    #[test]
    fn citations_stand_in_the_order_of_first_mention() {
        assert_eq!(cited("b [L2] a [L1, L3; L2] [L9][L1]."), (vec![2, 1, 3], vec![9]));
        assert_eq!(cited("[L1-L3]"), (vec![1, 3], vec![]));
    }

    #[test]
    fn other_brackets_are_no_citations() {
        for text in ["[1]", "[L]", "[L1", "L1]", "[Lx]", "[l1]", "[L1 L2]", "[L1](http://x", ""] {
            let expected = if text.starts_with("[L1](") { vec![1] } else { vec![] };
            assert_eq!(cited(text), (expected, vec![]), "{text}");
        }
        assert_eq!(cited("[L99999999999999999999999]"), (vec![], vec![]));
    }

    #[test]
    fn code_forges_no_citation() {
        assert_eq!(cited("`[L1]` ``a ` [L2]`` [L3]"), (vec![3], vec![]));
        assert_eq!(cited("```\n[L1]\n```\n[L2]"), (vec![2], vec![]));
        assert_eq!(cited("```\n[L1]"), (vec![], vec![]));
        assert_eq!(cited("a ` lone backtick [L1]"), (vec![1], vec![]));
        assert_eq!(cited("\\[L1] \\`[L2]"), (vec![2], vec![]));
    }

    #[test]
    fn without_evidence_nothing_is_supported() {
        let cited = cite("[L1]", []);
        assert_eq!((cited.citations.len(), cited.unsupported), (0, vec![LineId(1)]));
    }

    #[test]
    fn an_excerpt_is_one_line() {
        let cited = cite("[L2]", &evidence(&[2]).lines);
        assert_eq!(cited.citations[0].excerpt, "text of ⏎ 2");
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(answer in "[\\[\\]L0-9,;` \\\\é\n-]{0,60}|\\PC{0,60}") {
            let cited = cite(&answer, &evidence(&[1, 2, 3]).lines);
            prop_assert!(cited.citations.len() <= 3);
        }
    }
}
