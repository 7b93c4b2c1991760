//! Reads a question: what it is about, of which level, when, and what is to be counted.
//!
//! Called by `investigate`. Nothing here knows the index; every word is either understood, or one
//! of the terms to search for, or a stop word.

use std::sync::LazyLock;

use callboard_protocol::Level;
use regex::Regex;

use super::{
    exclusions::{self, Excluded},
    lexicon::{ASKED, CONCEPTS, Concept, FAILED_SIGN_INS, FAULTS, SIGN_INS, is_stop_word},
    time_words::{self, TimeWords},
    values::{Kind, pattern},
    wanted::Shape,
};
use crate::{query::Clause, tokenizer};

/// Of a longer question the rest is not read.
const MAX_BYTES: usize = 2000;
const MAX_TERMS: usize = 16;
const MAX_PHRASES: usize = 8;
const MAX_TIMES: usize = 4;

/// Stands for quoted text while the words around it are read; the next ones for further texts.
const PLACEHOLDER: u32 = 0xE000;

/// What a question asks.
pub(crate) struct Question {
    /// What it is about, if the lexicon knows it.
    pub(crate) concept: Option<&'static Concept>,
    /// What came after that, to the same user or address: `failed, but then logged in`.
    pub(crate) then: Option<&'static Concept>,
    /// What it says about the level, and how that is called.
    pub(crate) level: Option<(Clause, &'static str)>,
    /// The times that it names, and how.
    pub(crate) times: Vec<TimeWords>,
    pub(crate) named_times: String,
    /// What to count, the first named first.
    pub(crate) kinds: Vec<Kind>,
    /// Between quotes: to be found as it stands.
    pub(crate) phrases: Vec<String>,
    /// What is not wanted.
    pub(crate) excluded: Vec<Excluded>,
    /// What it wants shown.
    pub(crate) shape: Shape,
    /// What remains.
    pub(crate) terms: Vec<Term>,
    /// What has no part in the search: small numbers, and a `not` that leaves nothing out.
    pub(crate) left_out: Vec<String>,
    /// Whether it is answered by yes or no: then nothing of it is left out for an answer's sake.
    pub(crate) yes_or_no: bool,
}

/// A word to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) word: String,
    /// Whether it names one thing: an address, an id, or who or what the question is about. An
    /// answer without it would be about something else.
    pub(crate) is_name: bool,
    /// How it is joined to the term before it, if it directly is.
    pub(crate) joint: Option<Joint>,
}

/// `root and eve`, `root or eve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    And,
    Or,
}

/// A word of a question, in lower case and without the punctuation around it.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// Whether a comma follows.
    pub(crate) comma: bool,
    /// Whether a minus stands before it, as in the query language.
    pub(crate) minus: bool,
}

static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#""([^"]{2,})"|`([^`]{2,})`|“([^”]{2,})”"#));

static THEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b((but|and) )?(then|later|eventually|finally|afterwards|subsequently|after that)\b")
});

static FAILED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bfail\w*"));

/// The log in question is a noun: `what is in the log in today's folder`.
static LOG_AS_NOUN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(own|this|that|my|our|error|access|auth|system|server|app|application) logs? (in|on)\b",
    )
});

type LevelWords = (&'static str, fn() -> Clause, &'static str);

/// How questions name levels; the first that fits is taken.
pub(crate) const LEVELS: [LevelWords; 5] = [
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
    (r"\berrors?\b|\bsevere\b", || Clause::at_least(Level::Error), "errors"),
    (r"\bwarn(ing)?s?\b", || Clause::Level(vec![Level::Warn]), "warnings"),
    (
        r"\bfail(s|ed|ing|ures?)?\b|\bbr(ea|o)k(s|e|en|ing)?\b",
        || {
            let words = FAULTS.iter().map(|words| Clause::text(words));
            Clause::Any([Clause::at_least(Level::Error)].into_iter().chain(words).collect())
        },
        "failures",
    ),
];

pub(crate) static LEVEL_WORDS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| LEVELS.iter().map(|(words, ..)| pattern(words)).collect());

impl Question {
    /// Reads a question.
    pub(crate) fn read(question: &str) -> Self {
        let question = &question[..question.floor_char_boundary(MAX_BYTES)];
        let (quoted, text) = take_phrases(question);
        let mut words = words_of(&text);
        let (times, named_times) = take_times(&mut words);
        for word in &mut words {
            let owner = word.text.strip_suffix("'s").or(word.text.strip_suffix("’s"));
            word.text = owner.unwrap_or(&word.text).to_owned();
        }
        let excluded = exclusions::take(&mut words);
        let excluded = excluded.into_iter().map(|excluded| match excluded {
            Excluded::Word(word) => Excluded::Word(quoted_text(&quoted, &word).unwrap_or(word)),
            excluded @ (Excluded::Concept(_) | Excluded::Level(..)) => excluded,
        });
        let excluded = excluded.collect();
        let phrases = words.iter().filter_map(|word| quoted_text(&quoted, &word.text)).collect();
        let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
        let text = LOG_AS_NOUN.replace_all(&words.join(" "), "$1").into_owned();
        let (shape, text) = take_shape(text);
        let mut reader = Reader { unread: text.clone(), text };
        let (concept, then) = reader.concepts();
        let kinds = reader.kinds();
        let level = reader.level();
        let terms = reader.terms();
        let (left_out, yes_or_no) = (reader.left_out(), reader.is_yes_or_no());
        Self {
            concept,
            then,
            level,
            times,
            named_times,
            kinds,
            phrases,
            excluded,
            shape,
            terms,
            left_out,
            yes_or_no,
        }
    }
}

/// The text of a question, and what of it is not understood yet: the rest is blanked, not removed,
/// since further matches need their word boundaries.
struct Reader {
    text: String,
    unread: String,
}

impl Reader {
    fn blank(&mut self, range: std::ops::Range<usize>) {
        let blanks = " ".repeat(range.len());
        self.unread.replace_range(range, &blanks);
    }

    /// What the question is about, and what came then.
    fn concepts(&mut self) -> (Option<&'static Concept>, Option<&'static Concept>) {
        if let Some((first, then, ranges)) = in_sequence(&self.unread) {
            ranges.into_iter().for_each(|range| self.blank(range));
            return (Some(first), Some(then));
        }
        let Some((concept, range)) = concept(&self.unread) else { return (None, None) };
        self.blank(range);
        (Some(concept), None)
    }

    /// Kinds are also read from the words of the concept: who failed to log in to which host.
    fn kinds(&mut self) -> Vec<Kind> {
        let asked = Kind::asked(&self.text);
        asked.iter().for_each(|(_, range)| self.blank(range.clone()));
        asked.into_iter().map(|(kind, _)| kind).collect()
    }

    fn level(&mut self) -> Option<(Clause, &'static str)> {
        LEVELS.iter().zip(&*LEVEL_WORDS).find_map(|((_, clause, name), words)| {
            let range = words.find(&self.unread)?.range();
            self.blank(range);
            Some((clause(), *name))
        })
    }

    /// The words that nothing else has understood.
    fn terms(&self) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        let mut end = 0;
        for word in self.unread.split(' ') {
            let start = end;
            end = start + word.len() + 1;
            let known = is_small_number(word)
                || is_stop_word(word)
                || terms.iter().any(|term| term.word == word);
            if known || tokenizer::parts(word).is_empty() || terms.len() == MAX_TERMS {
                continue;
            }
            let mut before = self.text[..start].split_whitespace().rev();
            let (previous, last) = (before.next(), terms.last());
            // The `in` of `log in` announces nothing.
            let is_read = self.unread[..start].trim_end_matches(' ').len() + 1 < start;
            let opens = before.clone().next().is_none() && self.is_yes_or_no();
            let announced =
                previous.is_some_and(announces_name) && !is_read && !word.ends_with("ly");
            let joint = match previous {
                Some("and") => Some(Joint::And),
                Some("or") => Some(Joint::Or),
                Some(_) | None => None,
            };
            let joint =
                joint.filter(|_| last.is_some_and(|last| before.next() == Some(&last.word)));
            let like_last = joint.is_some() && last.is_some_and(|last| last.is_name);
            let is_name =
                like_last || looks_like_name(word) || announced || (opens && previous.is_some());
            let joint = joint.filter(|_| like_last);
            terms.push(Term { word: word.to_owned(), is_name, joint });
        }
        terms
    }
}

impl Reader {
    /// What was neither read nor is a term, and still matters.
    fn left_out(&self) -> Vec<String> {
        let words = self.unread.split_whitespace();
        let matters = words.filter(|word| is_small_number(word) || is_negation(word));
        matters.map(str::to_owned).collect()
    }

    fn is_yes_or_no(&self) -> bool {
        const FIRST: [&str; 14] = [
            "did", "has", "have", "had", "was", "were", "is", "are", "does", "do", "can", "could",
            "will", "would",
        ];
        self.text.split(' ').next().is_some_and(|first| FIRST.contains(&first))
    }
}

/// One that may be written in many ways, and stands in every line by chance.
fn is_small_number(word: &str) -> bool {
    word.len() < 3 && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_negation(word: &str) -> bool {
    ["not", "never", "neither", "nor"].contains(&word)
        || word.ends_with("n't")
        || word.ends_with("n’t")
}

/// An address, an id, or another word with a number in it. Small numbers are not: `block 7` may be
/// written in many ways.
fn looks_like_name(word: &str) -> bool {
    word.len() >= 4 && word.bytes().any(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// Whether the next word says who or what the question is about: `for mallory`, `in payments`.
fn announces_name(word: &str) -> bool {
    const BEFORE: [&str; 25] = [
        "from",
        "of",
        "for",
        "by",
        "as",
        "on",
        "in",
        "at",
        "user",
        "users",
        "host",
        "service",
        "process",
        "program",
        "daemon",
        "named",
        "called",
        "container",
        "pod",
        "app",
        "application",
        "server",
        "machine",
        "source",
        "file",
    ];
    BEFORE.contains(&word)
}

/// The first concept of the lexicon that a text names, and where.
fn concept(text: &str) -> Option<(&'static Concept, std::ops::Range<usize>)> {
    CONCEPTS
        .iter()
        .zip(&*ASKED)
        .find_map(|(concept, asked)| Some((concept, asked.find(text)?.range())))
}

type Sequence = (&'static Concept, &'static Concept, [std::ops::Range<usize>; 3]);

/// Two concepts, the second of which came after the first, and where all that is said.
fn in_sequence(text: &str) -> Option<Sequence> {
    let joint = THEN.find(text)?;
    let (then, found) = concept(&text[joint.end()..])?;
    let found = found.start + joint.end()..found.end + joint.end();
    let before = &text[..joint.start()];
    let (first, range) = concept(before).or_else(|| {
        let is_sign_in = then.name == CONCEPTS[SIGN_INS].name;
        let failed = FAILED.find(before).filter(|_| is_sign_in)?;
        Some((&CONCEPTS[FAILED_SIGN_INS], failed.range()))
    })?;
    (first.name != then.name).then_some((first, then, [range, joint.range(), found]))
}

/// Quoted text, and the question with a placeholder for each.
fn take_phrases(question: &str) -> (Vec<String>, String) {
    let question = question.replace(is_placeholder, " ");
    let mut phrases = Vec::new();
    let text = QUOTED.replace_all(&question, |found: &regex::Captures<'_>| {
        let phrase = found.iter().skip(1).flatten().next().map_or("", |group| group.as_str());
        if phrases.len() == MAX_PHRASES || tokenizer::parts(phrase).is_empty() {
            return " ".to_owned();
        }
        phrases.push(phrase.to_owned());
        let number = PLACEHOLDER + u32::try_from(phrases.len() - 1).unwrap_or_default();
        char::from_u32(number).map_or_else(String::new, |placeholder| format!(" {placeholder} "))
    });
    let text = text.into_owned();
    (phrases, text)
}

fn is_placeholder(c: char) -> bool {
    (PLACEHOLDER..PLACEHOLDER + MAX_PHRASES as u32).contains(&u32::from(c))
}

/// The text that a placeholder stands for.
fn quoted_text(quoted: &[String], word: &str) -> Option<String> {
    let first = word.chars().next().filter(|first| is_placeholder(*first))?;
    quoted.get((u32::from(first) - PLACEHOLDER) as usize).cloned()
}

/// The words of a question; articles are left out.
pub(crate) fn words_of(question: &str) -> Vec<Word> {
    let around = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '_') && !is_placeholder(c);
    let lower = question.to_lowercase();
    let words = lower.split_whitespace().map(|word| {
        let minus = word.strip_prefix('-').filter(|rest| rest.starts_with(char::is_alphabetic));
        Word {
            text: word.trim_matches(around).to_owned(),
            comma: word.ends_with(','),
            minus: minus.is_some(),
        }
    });
    words.filter(|word| !word.text.is_empty() && word.text != "the").collect()
}

/// What the question wants shown, and the rest of it.
fn take_shape(mut text: String) -> (Shape, String) {
    let (shape, mut understood) = Shape::read(&text);
    understood.sort_by_key(|range| std::cmp::Reverse(range.start));
    let mut end = text.len();
    for range in understood.into_iter() {
        if range.end <= end {
            end = range.start;
            text.replace_range(range, "");
        }
    }
    (shape, text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The words that name times, taken out of the question, and how they were named.
fn take_times(words: &mut Vec<Word>) -> (Vec<TimeWords>, String) {
    let mut times = Vec::new();
    let mut named: Vec<String> = Vec::new();
    while times.len() < MAX_TIMES {
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let Some((time, range)) = time_words::find(&texts) else { break };
        times.push(time);
        named.push(texts[range.clone()].join(" "));
        words.drain(range);
    }
    (times, named.join(" "))
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
            read.terms.into_iter().map(|term| term.word).collect(),
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
        assert_eq!(question.named_times, "since 07:00");
        assert!(question.terms.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(text in "\\PC{0,200}") {
            Question::read(&text);
        }
    }
}
