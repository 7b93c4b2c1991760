//! Reads a question: what it is about, of which level, when, and what is to be counted.
//!
//! Called by `investigate`. Nothing here knows the index; every word is either understood, or one
//! of the terms to search for, or a stop word.

use callboard_protocol::Level;

use super::{
    lexicon::{ASKED, CONCEPTS, Concept, is_stop_word},
    time_words::{self, TimeWords},
    values::{Kind, pattern},
};
use crate::{query::Clause, tokenizer};

use std::sync::LazyLock;

use regex::Regex;

/// Of a longer question the rest is not read.
const MAX_BYTES: usize = 2000;
const MAX_TERMS: usize = 16;

/// What a question asks.
pub(crate) struct Question {
    /// What it is about, if the lexicon knows it.
    pub(crate) concept: Option<&'static Concept>,
    /// What it says about the level, and how that is called.
    pub(crate) level: Option<(Clause, &'static str)>,
    pub(crate) time: Option<(TimeWords, String)>,
    /// What to count, the first named first.
    pub(crate) kinds: Vec<Kind>,
    /// Between quotes: to be found as it stands.
    pub(crate) phrases: Vec<String>,
    /// What remains.
    pub(crate) terms: Vec<String>,
}

static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#""([^"]{2,})"|`([^`]{2,})`|“([^”]{2,})”"#));

type LevelWords = (&'static str, fn() -> Clause, &'static str);

/// How questions name levels; the first that fits is taken.
const LEVELS: [LevelWords; 4] = [
    (
        r"\berrors? (and|or) warnings?\b|\bwarnings? (and|or) errors?\b|\bproblems?\b|\bissues?\b|\b(went|gone|going|is|anything) wrong\b",
        || Clause::at_least(Level::Warn),
        "warnings and graver",
    ),
    (
        r"\b(critical|fatal)s?( errors?)?\b|\bemergenc(y|ies)\b",
        || Clause::Level(vec![Level::Fatal]),
        "fatal lines",
    ),
    (r"\berrors?\b|\bfailures?\b|\bsevere\b", || Clause::at_least(Level::Error), "errors"),
    (r"\bwarn(ing)?s?\b", || Clause::Level(vec![Level::Warn]), "warnings"),
];

static LEVEL_WORDS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| LEVELS.iter().map(|(words, ..)| pattern(words)).collect());

impl Question {
    /// Reads a question.
    pub(crate) fn read(question: &str) -> Self {
        let question = &question[..question.floor_char_boundary(MAX_BYTES)];
        let (phrases, mut rest) = take_phrases(question);
        let time = take_time(&mut rest);
        let lower = rest.to_lowercase();
        let mut text = normalised(&lower);
        let concept = CONCEPTS.iter().zip(&*ASKED).find_map(|(concept, asked)| {
            let found = asked.find(&text)?.range();
            Some((concept, found))
        });
        // Blanked, not removed: the other matches need their word boundaries.
        let asked_kinds = Kind::asked(&text);
        if let Some((_, range)) = &concept {
            blank(&mut text, range.clone());
        }
        for (_, range) in &asked_kinds {
            blank(&mut text, range.clone());
        }
        let level = LEVELS.iter().zip(&*LEVEL_WORDS).find_map(|((_, clause, name), words)| {
            let range = words.find(&text)?.range();
            blank(&mut text, range);
            Some((clause(), *name))
        });
        Self {
            concept: concept.map(|(concept, _)| concept),
            level,
            time,
            kinds: asked_kinds.into_iter().map(|(kind, _)| kind).collect(),
            phrases,
            terms: terms(&text),
        }
    }
}

/// Quoted text, and the question without it.
fn take_phrases(question: &str) -> (Vec<String>, String) {
    let phrases = QUOTED
        .captures_iter(question)
        .filter_map(|found| Some(found.iter().skip(1).flatten().next()?.as_str().to_owned()))
        .filter(|phrase| !tokenizer::parts(phrase).is_empty())
        .collect();
    (phrases, QUOTED.replace_all(question, " ").into_owned())
}

/// The words that name a time, taken out of the question.
fn take_time(question: &mut String) -> Option<(TimeWords, String)> {
    let lower = question.to_lowercase();
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| {
            word.trim_matches(|c: char| matches!(c, '?' | '!' | '.' | ',' | ';' | '(' | ')'))
        })
        .filter(|word| !word.is_empty() && *word != "the")
        .collect();
    let (time, range) = time_words::find(&words)?;
    let named = words[range.clone()].join(" ");
    let kept: Vec<&str> = words[..range.start].iter().chain(&words[range.end..]).copied().collect();
    *question = kept.join(" ");
    Some((time, named))
}

/// Words with single spaces between, and without the punctuation around them.
fn normalised(lower: &str) -> String {
    let trim = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '_');
    let words = lower.split_whitespace().map(|word| word.trim_matches(trim));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn blank(text: &mut String, range: std::ops::Range<usize>) {
    let blanks = " ".repeat(range.len());
    text.replace_range(range, &blanks);
}

fn terms(text: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let known = is_stop_word(word) || terms.iter().any(|term| term == word);
        if !known && !tokenizer::parts(word).is_empty() && terms.len() < MAX_TERMS {
            terms.push(word.to_owned());
        }
    }
    terms
}

/// A term as a clause: a plural also finds its singular, and the other way round. (Words that end
/// like verbs have none.)
pub(crate) fn term_clause(term: &str) -> Clause {
    let is_plain = term.len() > 3 && term.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_plain {
        return Clause::text(term);
    }
    if ["ed", "ing", "ly"].iter().any(|ending| term.ends_with(ending)) {
        return Clause::text(term);
    }
    let other = match term.strip_suffix('s') {
        Some(singular) if !singular.ends_with('s') => singular.to_owned(),
        Some(_) => return Clause::text(term),
        None => format!("{term}s"),
    };
    Clause::Any(vec![Clause::text(term), Clause::Text(other)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(
        question: &str,
    ) -> (Option<&'static str>, Option<&'static str>, Vec<Kind>, Vec<String>) {
        let read = Question::read(question);
        (
            read.concept.map(|concept| concept.name),
            read.level.map(|(_, name)| name),
            read.kinds,
            read.terms,
        )
    }

    #[test]
    fn questions_are_understood() {
        let none: Vec<String> = vec![];
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            read("which IP addresses failed to log in most often, and when?"),
            (Some("failed sign-ins"), None, vec![Kind::Ip], none.clone())
        );
        assert_eq!(
            read("login failures by user"),
            (Some("failed sign-ins"), None, vec![Kind::User], none.clone())
        );
        assert_eq!(
            read("who logged in yesterday?"),
            (Some("sign-ins"), None, vec![Kind::User], none.clone())
        );
        assert_eq!(read("which errors happened?"), (None, Some("errors"), vec![], none.clone()));
        assert_eq!(read("how many warnings today"), (None, Some("warnings"), vec![], none.clone()));
        assert_eq!(
            read("what went wrong?"),
            (None, Some("warnings and graver"), vec![], none.clone())
        );
        assert_eq!(read("summarise"), (None, None, vec![], none.clone()));
        assert_eq!(
            read("what happened between 10:00 and 11:00"),
            (None, None, vec![], none.clone())
        );
        assert_eq!(
            read("mod_jk errors in workerEnv"),
            (None, Some("errors"), vec![], words(&["mod_jk", "workerenv"]))
        );
        assert_eq!(read("connection refused from 10.0.0.1?").3, words(&["10.0.0.1"]));
    }

    #[test]
    fn quoted_text_is_a_phrase_and_time_is_taken_out() {
        let question = Question::read("how often \"POSSIBLE BREAK-IN ATTEMPT\" since 07:00?");
        assert_eq!(question.phrases, ["POSSIBLE BREAK-IN ATTEMPT"]);
        assert_eq!(question.time.unwrap().1, "since 07:00");
        assert!(question.terms.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(text in "\\PC{0,200}") {
            Question::read(&text);
        }
    }
}
