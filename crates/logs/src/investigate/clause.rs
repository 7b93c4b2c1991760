//! Turns what a question says into a search that finds something: of several readings the
//! strictest one that has lines. Whatever is left out of it is said.

use callboard_protocol::{Level, TimeRange};
use tantivy::{Term as IndexTerm, collector::Count};

use super::{
    Inquiry,
    exclusions::Excluded,
    lexicon::{Concept, FAULTS, Told, forms, synonyms},
    question::{Joint, Question, Term},
    sources::names_source,
};
use crate::{SearchError, query::Clause, survey::Survey, tokenizer};

/// Forms of one word that are searched for.
const MAX_FORMS: usize = 8;
/// Sources that are named to somebody who asks for one that is not there.
const MAX_NAMED: usize = 8;

/// A level to search for, and how that is called; none when a question names none.
type AskedLevel = (Option<Clause>, Option<String>);

/// What to search for.
pub(super) struct Found {
    pub(super) clause: Clause,
    /// Whether words of the question are a part of it: then the lines that fit best are cited.
    pub(super) by_words: bool,
}

impl Inquiry<'_> {
    /// The question itself, as text that somebody remembers or has copied: when it is short, asks
    /// nothing in so many words, and lines have it.
    pub(super) fn remembered(
        &mut self,
        text: &str,
        question: &Question,
    ) -> Result<Option<Found>, SearchError> {
        const WORDS: std::ops::RangeInclusive<usize> = 2..=12;
        let text = text.trim().trim_end_matches(['?', '!', '.']);
        let words = text.split_whitespace().count();
        let least = if question.concept.is_some() { 3 } else { *WORDS.start() };
        let is_text = question.times.is_empty()
            && !question.yes_or_no
            && (least..=*WORDS.end()).contains(&words)
            && !text.contains('"');
        if !is_text || tokenizer::parts(text).len() < least {
            return Ok(None);
        }
        let clause = Clause::text(text);
        if !self.occurs_ever(&clause)? {
            return Ok(None);
        }
        self.note(format!("lines with “{text}”"));
        Ok(Some(Found { clause, by_words: true }))
    }

    /// What to search for when no line has all that a question says: lines with any of its words, so
    /// that the nearest can be shown. None when there is nothing to look for.
    pub(super) fn nearest(&self, question: &Question) -> Result<Option<Clause>, SearchError> {
        let mut ways: Vec<Clause> = question.phrases.iter().map(|p| Clause::text(p)).collect();
        for term in &question.terms {
            ways.push(self.word(&term.word)?);
        }
        if let Some(concept) = question.concept {
            let (Told::Any(phrases) | Told::First(&[phrases, ..])) = concept.told else {
                return Ok(None);
            };
            ways.push(self.told(phrases)?);
        }
        self.occurring(vec![Clause::Any(ways)])
    }

    /// What to search for. Sources, quoted text, names and what is not wanted always hold. When no
    /// line has all the other words, lines with any of them are searched for, and last those with
    /// none.
    pub(super) fn clause(
        &mut self,
        question: &Question,
        sources: Vec<Clause>,
        terms: &[Term],
    ) -> Result<Found, SearchError> {
        let mut base = sources;
        base.extend(question.phrases.iter().map(|phrase| Clause::text(phrase)));
        self.exclude(&question.excluded, &mut base)?;
        let (names, words): (Vec<&Term>, Vec<&Term>) = terms.iter().partition(|term| term.is_name);
        let nameless = base.clone();
        base.extend(self.names(&names, &nameless)?);
        if let Some(concept) = question.concept {
            let concept = match question.then {
                Some(then) => self.in_sequence(question, concept, then, &base)?,
                None => self.concept(concept)?,
            };
            base.push(concept);
        }
        let named = words;
        let words = self.known(&named)?;
        // Without them the question would be about every line.
        if words.is_empty() && !named.is_empty() && base.is_empty() && question.level.is_none() {
            let words = named.iter().map(|term| Clause::text(&term.word)).collect();
            return Ok(Found { clause: Clause::any(words), by_words: true });
        }
        let found = self.with_words(question, base, &words)?;
        if !names.is_empty() {
            self.say_names(&names, &nameless, &found.clause)?;
        }
        Ok(Found { by_words: found.by_words || !names.is_empty(), ..found })
    }

    /// Lines must have every name; of names that are joined by `or`, or by `and` without any line
    /// that has both, one.
    fn names(&self, names: &[&Term], base: &[Clause]) -> Result<Vec<Clause>, SearchError> {
        let mut all: Vec<Clause> = Vec::new();
        for name in names {
            let word = self.word(&name.word)?;
            let last = match name.joint {
                Some(_) => all.pop(),
                None => None,
            };
            let Some(last) = last else {
                all.push(word);
                continue;
            };
            let both = Clause::all([last.clone(), word.clone()]);
            let with_both = Clause::all(base.iter().chain([&both]).cloned());
            if name.joint == Some(Joint::And) && self.occurs(&with_both)? {
                all.push(both);
            } else {
                all.push(Clause::any(vec![last, word]));
            }
        }
        Ok(all)
    }

    /// Of the words those that some line has; the others are said.
    fn known(&mut self, words: &[&Term]) -> Result<Vec<String>, SearchError> {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for term in words {
            let clause = self.word(&term.word)?;
            let list = if self.occurs_ever(&clause)? { &mut known } else { &mut unknown };
            list.push(term.word.clone());
        }
        if !unknown.is_empty() {
            self.note(format!("no line has {}, left out", quoted_list(&unknown, "or")));
            self.left_out.extend(unknown);
        }
        Ok(known)
    }

    /// The level and the words of the question, as far as lines have them together.
    fn with_words(
        &mut self,
        question: &Question,
        base: Vec<Clause>,
        words: &[String],
    ) -> Result<Found, SearchError> {
        let levels = self.levels(question)?;
        let mut wanted = Vec::new();
        for word in words {
            wanted.push(self.word(word)?);
        }
        let with = |level: &Option<Clause>, words: Vec<Clause>| {
            Clause::all(base.iter().cloned().chain(level.clone()).chain(words))
        };
        for (level, said) in &levels {
            let clause = with(level, wanted.clone());
            if self.occurs(&clause)? {
                self.say(said.as_deref(), words, "and");
                return Ok(Found { clause, by_words: !words.is_empty() });
            }
        }
        for (level, said) in levels.iter().filter(|_| words.len() > 1 && !question.yes_or_no) {
            let clause = with(level, vec![Clause::any(wanted.clone())]);
            if self.occurs(&clause)? {
                self.note(format!("no line has all of {}", quoted_list(words, "and")));
                self.say(said.as_deref(), words, "or");
                return Ok(Found { clause, by_words: true });
            }
        }
        self.with_fewer(question, &levels, &base, words)
    }

    /// When no line has all that the question says: lines of any level, or, for a concept, lines
    /// without the words. Otherwise there are none.
    fn with_fewer(
        &mut self,
        question: &Question,
        levels: &[AskedLevel],
        base: &[Clause],
        words: &[String],
    ) -> Result<Found, SearchError> {
        let mut wanted = base.to_vec();
        for word in words {
            wanted.push(self.word(word)?);
        }
        let (level, said) = levels.first().cloned().unwrap_or_default();
        if let Some(said) =
            said.as_ref().filter(|_| question.concept.is_some() || !words.is_empty())
        {
            let clause = Clause::all(wanted.clone());
            if self.occurs(&clause)? {
                self.say(None, words, "and");
                self.note(format!("none of these lines are {said}, so all of them"));
                return Ok(Found { clause, by_words: !words.is_empty() });
            }
        }
        if words.is_empty() {
            self.say(said.as_deref(), words, "");
            return Ok(Found {
                clause: Clause::all(wanted.into_iter().chain(level)),
                by_words: false,
            });
        }
        let without = Clause::all(base.iter().cloned().chain(level.clone()));
        let lines = self.lines_of(&without, self.range)?;
        if question.concept.is_some() && lines > 0 && !question.yes_or_no {
            self.say(said.as_deref(), &[], "");
            let quoted = quoted_list(words, "or");
            self.note(format!("none of these lines has {quoted}, left out"));
            self.left_out.extend(words.iter().cloned());
            return Ok(Found { clause: without, by_words: false });
        }
        self.say(said.as_deref(), words, "and");
        if lines > 0 && !matches!(&without, Clause::All(all) if all.is_empty()) {
            self.note(format!("without that, {} would match", lines_in_words(lines)));
        }
        Ok(Found { clause: Clause::all(wanted.into_iter().chain(level)), by_words: true })
    }

    fn say(&mut self, level: Option<&str>, words: &[String], joint: &str) {
        level.into_iter().for_each(|level| self.note(level));
        if !words.is_empty() {
            self.note(format!("lines with {}", quoted_list(words, joint)));
        }
    }

    /// The ways to read the level that a question names, the first preferred; one without a level
    /// when it names none.
    fn levels(&self, question: &Question) -> Result<Vec<AskedLevel>, SearchError> {
        let Some((level, name)) = &question.level else { return Ok(vec![(None, None)]) };
        let asked = match level {
            Clause::Any(ways) => self.occurring(ways.clone())?,
            Clause::Text(_)
            | Clause::Level(_)
            | Clause::Source(_)
            | Clause::Pattern(_)
            | Clause::Like(_)
            | Clause::Regex(_)
            | Clause::Field(_)
            | Clause::Not(_)
            | Clause::All(_) => None,
        };
        let asked = asked.unwrap_or_else(|| level.clone());
        let mut levels = vec![(Some(asked), Some((*name).to_owned()))];
        let is_grave = matches!(level, Clause::Level(levels) if levels.contains(&Level::Fatal));
        if let Some((Some(asked), _)) = levels.first().filter(|_| is_grave)
            && !self.occurs_ever(asked)?
        {
            let words = self.told(FAULTS)?;
            let said = format!("{name} by their words, since none has the level");
            levels.push((Some(words), Some(said)));
        }
        Ok(levels)
    }

    /// Says that only lines with these names were searched for, and, if that leaves none, which
    /// names no line has, and how much there is without them.
    fn say_names(
        &mut self,
        names: &[&Term],
        nameless: &[Clause],
        clause: &Clause,
    ) -> Result<(), SearchError> {
        let joint = if names.iter().any(|name| name.joint.is_some()) { "or" } else { "and" };
        let words: Vec<&str> = names.iter().map(|name| name.word.as_str()).collect();
        self.note(format!("only lines with {}", quoted_list(&words, joint)));
        if self.occurs(clause)? {
            return Ok(());
        }
        let mut missing = Vec::new();
        for name in words {
            if !self.occurs_ever(&self.word(name)?)? {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            self.note(format!("no line at all has {}", quoted_list(&missing, "or")));
        }
        if missing.iter().any(|name| is_file_name(name)) {
            let sources = self.snapshot.catalogue.sources.iter().map(|source| &source.name);
            let known: Vec<&String> = sources.take(MAX_NAMED).collect();
            self.note(format!("no source has that name, but {}", quoted_list(&known, "and")));
        }
        let Clause::All(all) = clause else { return Ok(()) };
        let named = self.names(names, nameless)?;
        let rest = all.iter().filter(|part| !named.contains(part) || nameless.contains(part));
        let without = self.lines_of(&Clause::all(rest.cloned()), self.range)?;
        if without > 0 {
            self.note(format!("without that, {} would match", lines_in_words(without)));
        }
        Ok(())
    }

    fn exclude(
        &mut self,
        excluded: &[Excluded],
        base: &mut Vec<Clause>,
    ) -> Result<(), SearchError> {
        let mut names: Vec<String> = Vec::new();
        for excluded in excluded {
            let (clause, name) = match excluded {
                Excluded::Word(word) if names_source(&self.snapshot.catalogue.sources, word) => {
                    (Clause::Source(word.clone()), format!("the source “{word}”"))
                }
                Excluded::Word(word) => (self.word(word)?, format!("“{word}”")),
                Excluded::Concept(concept) => {
                    let phrases = match concept.told {
                        Told::Any(phrases) => self.told(phrases)?,
                        Told::First(groups) => any_of(&groups.concat()),
                    };
                    (phrases, concept.name.to_owned())
                }
                Excluded::Level(level, name) => (level.clone(), (*name).to_owned()),
            };
            base.push(Clause::Not(Box::new(clause)));
            names.push(name);
        }
        if !names.is_empty() {
            self.note(format!("without lines that have {}", names.join(" or ")));
        }
        Ok(())
    }

    /// The lines that tell of a concept.
    pub(super) fn concept(&mut self, concept: &Concept) -> Result<Clause, SearchError> {
        let clause = match concept.told {
            Told::Any(phrases) => self.told(phrases)?,
            Told::First(groups) => self.first_group(groups)?,
        };
        let except = any_of(concept.except);
        let clause = if !concept.except.is_empty() && self.occurs_ever(&except)? {
            Clause::all([clause, Clause::Not(Box::new(except))])
        } else {
            clause
        };
        self.note(format!("{}: lines with {clause}", concept.name));
        Ok(clause)
    }

    /// Those of the phrases, and of the forms of single verbs and nouns, that some line has; all
    /// phrases if none has any.
    fn told(&self, phrases: &[&str]) -> Result<Clause, SearchError> {
        let mut ways: Vec<Clause> = Vec::new();
        for phrase in phrases {
            // `aborted` says more than `abort`.
            let is_bent = ["ed", "ing"].iter().any(|ending| phrase.ends_with(ending));
            ways.push(if is_bent { Clause::text(phrase) } else { self.word(phrase)? });
        }
        Ok(self.occurring(ways)?.unwrap_or_else(|| any_of(phrases)))
    }

    /// Any of those that some line has, if there is one.
    fn occurring(&self, ways: Vec<Clause>) -> Result<Option<Clause>, SearchError> {
        let mut occurring: Vec<Clause> = Vec::new();
        let Clause::Any(ways) = Clause::any(ways) else { return Ok(None) };
        for way in ways {
            if !occurring.contains(&way) && self.occurs_ever(&way)? {
                occurring.push(way);
            }
        }
        Ok((!occurring.is_empty()).then(|| Clause::any(occurring)))
    }

    /// In each source the first group that occurs there.
    fn first_group(&self, groups: &[&'static [&'static str]]) -> Result<Clause, SearchError> {
        let sources = &self.snapshot.catalogue.sources;
        let mut taken: Vec<bool> = vec![false; sources.len()];
        let mut chosen: Vec<(Clause, Vec<String>)> = Vec::new();
        for group in groups {
            let clause = self.told(group)?;
            let mut names = Vec::new();
            let lines = self.by_source(&clause)?;
            for ((source, lines), taken) in sources.iter().zip(lines).zip(&mut taken) {
                if lines > 0 && !*taken {
                    *taken = true;
                    names.push(source.name.clone());
                }
            }
            if !names.is_empty() {
                chosen.push((clause, names));
            }
        }
        if chosen.len() <= 1 {
            let only = chosen.pop().map(|(clause, _)| clause);
            return Ok(only.unwrap_or_else(|| any_of(&groups.concat())));
        }
        let restricted = chosen.into_iter().map(|(clause, names)| {
            let sources = names.into_iter().map(Clause::Source).collect();
            Clause::all([clause, Clause::any(sources)])
        });
        Ok(Clause::any(restricted.collect()))
    }

    /// A word in the forms that the index has; anything with punctuation in it as it stands.
    fn word(&self, word: &str) -> Result<Clause, SearchError> {
        let mut clauses = vec![Clause::text(word)];
        for form in forms(word).into_iter().chain(synonyms(word)) {
            if clauses.len() <= MAX_FORMS && self.is_indexed(&form)? {
                clauses.push(Clause::Text(form));
            }
        }
        if clauses.len() > 1 && !self.is_indexed(&word.to_lowercase())? {
            clauses.remove(0);
        }
        Ok(Clause::any(clauses))
    }

    fn is_indexed(&self, word: &str) -> Result<bool, SearchError> {
        if self.snapshot.visible.is_some() {
            return self.occurs_ever(&Clause::text(word));
        }
        let term = IndexTerm::from_field_text(self.snapshot.fields.text, word);
        Ok(self.snapshot.searcher.doc_freq(&term)? > 0)
    }

    /// Whether a line of the span matches.
    fn occurs(&self, clause: &Clause) -> Result<bool, SearchError> {
        Ok(self.lines_of(clause, self.range)? > 0)
    }

    /// Whether a line of any time matches.
    fn occurs_ever(&self, clause: &Clause) -> Result<bool, SearchError> {
        Ok(self.lines_of(clause, TimeRange::default())? > 0)
    }

    /// How many lines of a span match.
    pub(super) fn lines_of(&self, clause: &Clause, range: TimeRange) -> Result<usize, SearchError> {
        let query = self.snapshot.query(clause, range);
        Ok(self.snapshot.searcher.search(&*query, &Count)?)
    }

    /// Matching lines by the number of their source.
    fn by_source(&self, clause: &Clause) -> Result<Vec<u64>, SearchError> {
        let query = self.snapshot.query(clause, self.range);
        Ok(self.snapshot.survey(&*query, Survey::default())?.counts.sources)
    }
}

/// Whether a word is like `auth.log` or `/var/log/syslog`, and not like `10.0.0.1`.
pub(super) fn is_file_name(word: &str) -> bool {
    word.len() > 3 && word.contains(['.', '/']) && !word.starts_with(|c: char| c.is_ascii_digit())
}

fn lines_in_words(lines: usize) -> String {
    if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") }
}

/// `“a”, “b” and “c”`.
pub(super) fn quoted_list<T: AsRef<str>>(words: &[T], joint: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("“{}”", word.as_ref())).collect();
    match &quoted[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {joint} {last}", first.join(", ")),
    }
}

fn any_of(phrases: &[&str]) -> Clause {
    Clause::any(phrases.iter().map(|phrase| Clause::text(phrase)).collect())
}
