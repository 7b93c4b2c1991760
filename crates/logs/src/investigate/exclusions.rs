//! Reads what a question wants left out: `excluding root`, `not from 10.0.0.1`, `but not mod_jk`.
//! Called by `question`.

use super::{
    lexicon::{ASKED, CONCEPTS, Concept, is_stop_word},
    question::{LEVEL_WORDS, LEVELS, Word},
};
use crate::query::Clause;

/// Things left out of one question, at most.
const MAX_EXCLUDED: usize = 16;

/// Something that is not wanted.
pub(crate) enum Excluded {
    /// A word, a name, an address, or the placeholder of quoted text.
    Word(String),
    Concept(&'static Concept),
    Level(Clause, &'static str),
}

/// Words that leave out what follows, wherever they stand; the longer ones first.
const NEGATORS: [&[&str]; 21] = [
    &["everything", "but"],
    &["anything", "but"],
    &["all", "but"],
    &["neither"],
    &["other", "than"],
    &["rather", "than"],
    &["apart", "from"],
    &["leaving", "out"],
    &["except", "for"],
    &["not", "counting"],
    &["not", "including"],
    &["but", "not"],
    &["and", "not"],
    &["excluding"],
    &["exclude"],
    &["except"],
    &["without"],
    &["ignoring"],
    &["ignore"],
    &["besides"],
    &["minus"],
];

/// After a bare `not` these show that it leaves something out: `not from 10.0.0.1`. In `did not
/// start` and `why not` it does not.
const AFTER_NOT: [&str; 10] =
    ["from", "for", "by", "in", "on", "of", "to", "with", "containing", "about"];

/// Before what is left out, these say nothing.
const FILLERS: &[&str] = &[
    "from",
    "for",
    "by",
    "in",
    "on",
    "of",
    "to",
    "with",
    "a",
    "an",
    "any",
    "all",
    "those",
    "ones",
    "that",
    "which",
    "who",
    "are",
    "is",
    "was",
    "were",
    "line",
    "lines",
    "message",
    "messages",
    "entry",
    "entries",
    "event",
    "events",
    "user",
    "users",
    "ip",
    "ips",
    "address",
    "addresses",
    "host",
    "hosts",
    "client",
    "clients",
    "machine",
    "server",
    "service",
    "process",
    "program",
    "source",
    "file",
    "name",
    "named",
    "called",
    "account",
    "containing",
    "about",
    "mentioning",
];

/// Takes what is not wanted, and the words that say so, out of a question.
pub(crate) fn take(words: &mut Vec<Word>) -> Vec<Excluded> {
    let mut excluded = Vec::new();
    let mut at = 0;
    while at < words.len() && excluded.len() < MAX_EXCLUDED {
        let Some(mut end) = negator(words, at) else {
            at += 1;
            continue;
        };
        let found = excluded.len();
        while let Some((operand, used, goes_on)) = operand(&words[end..]) {
            excluded.push(operand);
            end += used;
            if !goes_on || excluded.len() == MAX_EXCLUDED {
                break;
            }
        }
        if excluded.len() == found {
            at += 1;
        } else {
            words.drain(at..end);
        }
    }
    excluded
}

/// Where what follows a negator begins.
fn negator(words: &[Word], at: usize) -> Option<usize> {
    let texts = |range: std::ops::Range<usize>| words.get(range).unwrap_or_default();
    if words[at].minus {
        return Some(at);
    }
    let said = |negator: &&&[&str]| {
        let words = texts(at..at + negator.len());
        words.iter().map(|word| word.text.as_str()).eq(negator.iter().copied())
    };
    if let Some(negator) = NEGATORS.iter().find(said) {
        return Some(at + negator.len());
    }
    if words[at].text != "not" {
        return None;
    }
    let next = words.get(at + 1)?;
    let before = at.checked_sub(1).map_or("", |before| words[before].text.as_str());
    let is_trait = matches!(before, "is" | "are" | "was" | "were" | "that" | "which")
        && !is_stop_word(&next.text);
    let is_state = ["ed", "ing"].iter().any(|ending| next.text.ends_with(ending));
    let is_known = || matches!(thing(&words[at + 1..]), Some((Excluded::Concept(_), _)));
    let leaves_out =
        AFTER_NOT.contains(&next.text.as_str()) || (is_trait && (!is_state || is_known()));
    leaves_out.then_some(at + 1)
}

/// The thing that these words begin with, how many words it takes, and whether another follows.
fn operand(words: &[Word]) -> Option<(Excluded, usize, bool)> {
    let start = words.iter().position(|word| !FILLERS.contains(&word.text.as_str()))?;
    let (excluded, used) = thing(&words[start..])?;
    let end = start + used;
    let comma = words[end - 1].comma;
    let conjunction =
        words.get(end).is_some_and(|word| matches!(word.text.as_str(), "and" | "or" | "nor"));
    let next = words.get(end + usize::from(conjunction));
    let goes_on = (comma || conjunction) && next.is_some_and(|word| !is_stop_word(&word.text));
    Some((excluded, end + usize::from(goes_on && conjunction), goes_on))
}

fn thing(words: &[Word]) -> Option<(Excluded, usize)> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let text = texts.join(" ");
    let taken = |len: usize| text[..len].split(' ').count();
    // A word may stand before: `connection timeouts`.
    let latest = text.find(' ').map_or(0, |space| space + 1);
    let at_start = |pattern: &regex::Regex| {
        pattern.find(&text).filter(|found| found.start() <= latest).map(|found| found.end())
    };
    for (concept, asked) in CONCEPTS.iter().zip(&*ASKED) {
        if let Some(end) = at_start(asked) {
            return Some((Excluded::Concept(concept), taken(end)));
        }
    }
    for ((_, level, name), asked) in LEVELS.iter().zip(&*LEVEL_WORDS) {
        if let Some(end) = at_start(asked) {
            return Some((Excluded::Level(level(), name), taken(end)));
        }
    }
    let first = words.first().filter(|word| !is_stop_word(&word.text))?;
    Some((Excluded::Word(first.text.clone()), 1))
}

#[cfg(test)]
mod tests {
    use super::{super::question::words_of, *};

    fn read(question: &str) -> (Vec<String>, String) {
        let mut words = words_of(question);
        let excluded = take(&mut words).into_iter().map(|excluded| match excluded {
            Excluded::Word(word) => word,
            Excluded::Concept(concept) => concept.name.to_owned(),
            Excluded::Level(_, name) => name.to_owned(),
        });
        let rest: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        (excluded.collect(), rest.join(" "))
    }

    #[test]
    fn what_is_not_wanted_is_taken_out() {
        for (question, excluded, rest) in [
            ("failed logins not from 10.0.0.1", &["10.0.0.1"][..], "failed logins"),
            ("failed logins excluding root", &["root"], "failed logins"),
            ("errors but not mod_jk in apache", &["mod_jk"], "errors in apache"),
            ("who failed, except root, admin and bob?", &["root", "admin", "bob"], "who failed"),
            ("errors other than timeouts", &["timeouts"], "errors"),
            ("everything without warnings", &["warnings"], "everything"),
            ("users that are not root", &["root"], "users that are"),
            (
                "not counting the user root or 10.0.0.1, which errors",
                &["root", "10.0.0.1"],
                "which errors",
            ),
            ("errors -debug", &["debug"], "errors"),
            ("except for connection timeouts in today.log", &["timeouts"], "in today.log"),
        ] {
            let expected: Vec<String> = excluded.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(read(question), (expected, rest.to_owned()), "{question}");
        }
    }

    #[test]
    fn other_nots_leave_nothing_out() {
        for question in [
            "why did nginx not start",
            "why not",
            "the disk is not responding",
            "what could not be read",
            "is it not",
            "-1 is not it",
        ] {
            assert!(read(question).0.is_empty(), "{question}");
        }
    }
}
