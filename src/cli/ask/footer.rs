//! The last words below an answer: how much was searched, over which span, and how the question was
//! read. Counts come from the engine, whoever wrote the answer.

use callboard_protocol::{SearchedEvidence, TimeRange, Timestamp};

/// What is known of the search for an answer.
pub(super) enum Searched {
    /// It was searched so.
    Evidence(Box<SearchedEvidence>),
    /// No logs were searched.
    Nothing,
    /// The server could not be asked any more.
    Unknown,
}

impl Searched {
    pub(super) fn evidence(&self) -> Option<&SearchedEvidence> {
        match self {
            Self::Evidence(evidence) => Some(evidence),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

/// The footer; none when the answer says all of it itself, as the extractive provider's does.
pub(super) fn footer(answer: &str, searched: &Searched) -> Option<String> {
    let searched = match searched {
        Searched::Evidence(searched) => searched,
        Searched::Nothing if answer.to_lowercase().contains("no logs were searched") => {
            return None;
        }
        Searched::Nothing => return Some("No logs were searched for this answer.".to_owned()),
        Searched::Unknown => return None,
    };
    if says_it_all(answer, searched) {
        return None;
    }
    let matches = if searched.matched == 1 { "matches" } else { "match" };
    let mut text = format!(
        "{} of {} lines searched {matches} the question",
        grouped(searched.matched),
        grouped(searched.searched)
    );
    if let Some(span) = span(searched.covered) {
        text.push_str(&format!(", {span}"));
    }
    if searched.counted < searched.matched {
        text.push_str(&format!("; {} of them were counted", grouped(searched.counted)));
    }
    let reading = searched.reading.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(format!("{text}.\nIt was read as: {reading}"))
}

/// Whether the counts, the span and the whole reading stand in the text. Markdown escapes with
/// backslashes, which are not part of the words.
fn says_it_all(answer: &str, searched: &SearchedEvidence) -> bool {
    let answer = answer.replace('\\', "");
    let all = grouped(searched.searched);
    let counts = match searched.matched {
        0 => ["no line matches".to_owned(), format!("{all} lines")],
        matched => [format!("{} line", grouped(matched)), format!("of {all} searched")],
    };
    let ends = [searched.covered.from, searched.covered.to];
    let instants = ends.into_iter().flatten().map(|at| instant(at)[11..].to_owned());
    searched.counted == searched.matched
        && counts.into_iter().chain(instants).all(|words| answer.contains(&words))
        && answer.contains(&searched.reading)
}

/// `between … and … UTC`.
fn span(range: TimeRange) -> Option<String> {
    let (from, to) = (range.from?, range.to?);
    if from == to {
        return Some(format!("at {} UTC", instant(from)));
    }
    Some(format!("between {} and {} UTC", instant(from), instant(to)))
}

/// `2026-11-21 03:14:15`.
fn instant(at: Timestamp) -> String {
    at.to_string()[..19].replace('T', " ")
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched() -> SearchedEvidence {
        let at = |text: &str| text.parse().ok();
        SearchedEvidence {
            query: "failed".to_owned(),
            reading: "failed sign-ins, “a_b”".to_owned(),
            left_out: Vec::new(),
            range: TimeRange::default(),
            covered: TimeRange {
                from: at("2026-11-20T01:02:03Z"),
                to: at("2026-11-21T04:05:06.789Z"),
            },
            matched: 1_520,
            searched: 2_000_000,
            counted: 1_520,
        }
    }

    fn below(answer: &str, searched: SearchedEvidence) -> Option<String> {
        footer(answer, &Searched::Evidence(Box::new(searched)))
    }

    #[test]
    fn it_says_what_was_searched() {
        assert_eq!(
            below("All is well.", searched()).unwrap(),
            "1,520 of 2,000,000 lines searched match the question, \
             between 2026-11-20 01:02:03 and 2026-11-21 04:05:06 UTC.\n\
             It was read as: failed sign-ins, “a_b”"
        );
        let cut = SearchedEvidence { counted: 1_000, ..searched() };
        assert!(below("", cut).unwrap().contains("UTC; 1,000 of them were counted."));
        let none = SearchedEvidence {
            covered: TimeRange::default(),
            matched: 0,
            counted: 0,
            ..searched()
        };
        let none = below("", none).unwrap();
        assert!(none.starts_with("0 of 2,000,000 lines searched match the question.\n"), "{none}");
        let nothing = footer("Hello.", &Searched::Nothing).unwrap();
        assert_eq!(nothing, "No logs were searched for this answer.");
        assert_eq!(footer("Hello.", &Searched::Unknown), None);
    }

    #[test]
    fn what_the_answer_says_itself_is_not_said_again() {
        let answer = "I read the question as “failed sign-ins, “a\\_b””: **1,520 lines match**, of \
                      2,000,000 searched, between 2026-11-20 01:02:03 and 2026-11-21 04:05:06 UTC.";
        assert_eq!(below(answer, searched()), None);
        let none = "I read the question as “failed sign-ins, “a\\_b””, and **no line matches**.\n\
                    Searched for `failed` over all times (2,000,000 lines).";
        let nothing = SearchedEvidence {
            covered: TimeRange::default(),
            matched: 0,
            counted: 0,
            ..searched()
        };
        assert_eq!(below(none, nothing), None);
        // A reading that was cut is not said.
        assert!(below(&answer.replace("sign-ins, “a\\_b”", "…"), searched()).is_some());
        assert_eq!(footer("No logs were searched for this message.", &Searched::Nothing), None);
    }
}
