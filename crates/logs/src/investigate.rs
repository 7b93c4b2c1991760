//! Finds what the logs say about a question: the evidence that an answer is built on.
//!
//! Called once per turn. Counting is done here, over all matching lines, and never by a model. The
//! evidence states how the question was read, what was searched, and how much of it was counted.

mod lexicon;
mod question;
mod ranking;
mod time_words;
mod values;

use callboard_protocol::{
    Evidence, Level, LineId, LogLine, Ranking, SearchedEvidence, TimeRange, Timestamp,
};
use tantivy::{DocAddress, collector::Count, query::Query};
use time::UtcOffset;

use crate::{
    LogStore, SearchError,
    catalogue::covered,
    query::Clause,
    store::{Snapshot, level_counts},
    survey::{Survey, Surveyed},
    tokenizer,
};
use lexicon::{Concept, Told};
use question::{Question, term_clause};
use ranking::Counter;
use time_words::Calendar;
use values::Kind;

/// Kinds that are counted for one question.
const MAX_KINDS: usize = 4;

/// How to look into a question.
#[derive(Clone, Copy, Debug)]
pub struct InvestigateOptions {
    /// What "today" and "last hour" are counted from.
    pub now: Timestamp,
    /// The zone of the times that a question names.
    pub zone: UtcOffset,
    /// How many lines to cite, besides those that a ranking points at.
    pub lines: usize,
    /// How many values of the kind that the question names first; of further kinds, a third.
    pub values: usize,
}

impl InvestigateOptions {
    /// 20 lines, 25 values, times in UTC.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, zone: UtcOffset::UTC, lines: 20, values: 25 }
    }
}

impl LogStore {
    /// What the logs say about a question.
    ///
    /// # Errors
    /// When the index fails. A question that nobody understands finds the lines with its words.
    pub fn investigate(
        &self,
        question: &str,
        options: &InvestigateOptions,
    ) -> Result<Evidence, SearchError> {
        let question = Question::read(question);
        let snapshot = self.snapshot();
        let mut inquiry =
            Inquiry { store: self, snapshot: &snapshot, options, reading: Vec::new() };
        let range = inquiry.range(&question);
        let (clause, by_words) = inquiry.clause(&question, range)?;
        let query = snapshot.compiler(self.inner.fields).search(&clause, range);
        let (found, addresses) = inquiry.find(by_words, &*query)?;
        let (rankings, counter) = inquiry.rank(&question, &*query)?;
        let lines = inquiry.lines(&addresses, &rankings)?;
        if question.time.is_none() {
            inquiry.note("all time");
        }
        let (histogram, bucket_ms) = found.timeline.finish();
        Ok(Evidence {
            searched: SearchedEvidence {
                query: clause.to_string(),
                reading: inquiry.reading.join("; "),
                range,
                covered: covered(found.first, found.last),
                matched: found.matched,
                searched: snapshot.catalogue.lines(),
                counted: counter,
            },
            rankings,
            histogram,
            bucket_ms,
            levels: level_counts(&found.levels),
            lines,
            generation: snapshot.catalogue.generation,
        })
    }
}

/// One question, being looked into.
struct Inquiry<'a> {
    store: &'a LogStore,
    snapshot: &'a Snapshot,
    options: &'a InvestigateOptions,
    /// How the question was read, part by part.
    reading: Vec<String>,
}

impl Inquiry<'_> {
    fn note(&mut self, part: impl Into<String>) {
        self.reading.push(part.into());
    }

    fn range(&mut self, question: &Question) -> TimeRange {
        let Some((time, named)) = &question.time else { return TimeRange::default() };
        let newest = self.snapshot.catalogue.covered().to;
        let newest = newest.map(|to| to.minus(std::time::Duration::from_millis(1)));
        let calendar = Calendar { now: self.options.now, zone: self.options.zone, newest };
        let resolved = time.resolve(&calendar);
        match resolved.remark {
            Some(remark) => self.note(format!("{named} ({remark})")),
            None => self.note(named.clone()),
        }
        if let (Some(from), Some(newest)) = (resolved.range.from, newest)
            && newest < from
        {
            self.note(format!("the newest line is of {newest}, before that"));
        }
        resolved.range
    }

    /// What to search for, and whether words of the question are a part of it. When no line has all
    /// of the words, lines with any of them are searched for, and last those with none.
    fn clause(
        &mut self,
        question: &Question,
        range: TimeRange,
    ) -> Result<(Clause, bool), SearchError> {
        let (sources, terms) = self.sources(&question.terms);
        let mut base = sources;
        base.extend(question.phrases.iter().map(|phrase| Clause::text(phrase)));
        if let Some(concept) = question.concept {
            base.push(self.concept(concept, range)?);
        }
        if let Some((level, name)) = &question.level {
            base.push(self.level(&base, level, name, range)?);
        }
        // An address or an id names one thing: an answer without it would be about something else,
        // and when no line has it, that is the answer.
        let (named, terms): (Vec<String>, Vec<String>) =
            terms.into_iter().partition(|term| names_one_thing(term));
        base.extend(named.iter().map(|term| term_clause(term)));
        if !named.is_empty() {
            self.note(format!("only lines with {}", named.join(" and ")));
        }
        if terms.is_empty() {
            return Ok((Clause::all(base), !named.is_empty()));
        }
        let wanted: Vec<Clause> = terms.iter().map(|term| term_clause(term)).collect();
        let with_all = Clause::all(base.iter().chain(&wanted).cloned());
        if self.occurs(&with_all, range)? {
            self.note(format!("lines with {}", terms.join(" and ")));
            return Ok((with_all, true));
        }
        let with_any = Clause::all(base.iter().cloned().chain([Clause::any(wanted)]));
        if base.is_empty() || self.occurs(&with_any, range)? {
            self.note(match &terms[..] {
                [term] => format!("no line has {term}"),
                terms => format!("no line has all of {}; lines with any of them", terms.join(", ")),
            });
            return Ok((with_any, true));
        }
        self.note(format!("no such line has {}, which was left out", terms.join(" or ")));
        Ok((Clause::all(base), false))
    }

    /// Words that name one of several sources restrict the search to it; and the other words.
    fn sources(&mut self, terms: &[String]) -> (Vec<Clause>, Vec<String>) {
        let sources = &self.snapshot.catalogue.sources;
        let names = |term: &str| {
            sources.len() > 1
                && term.len() > 3
                && sources
                    .iter()
                    .any(|source| tokenizer::parts(&source.name).iter().any(|part| part == term))
        };
        let (named, rest): (Vec<String>, Vec<String>) =
            terms.iter().cloned().partition(|term| names(term));
        let clauses: Vec<Clause> = named.iter().map(|name| Clause::Source(name.clone())).collect();
        if clauses.is_empty() {
            return (Vec::new(), rest);
        }
        self.note(format!("sources named {}", named.join(" or ")));
        (vec![Clause::any(clauses)], rest)
    }

    fn concept(&mut self, concept: &Concept, range: TimeRange) -> Result<Clause, SearchError> {
        let clause = match concept.told {
            Told::Any(phrases) => {
                let all = any_of(phrases);
                let mut occurring = Vec::new();
                for phrase in phrases {
                    if self.occurs(&Clause::text(phrase), range)? {
                        occurring.push(*phrase);
                    }
                }
                if occurring.is_empty() { all } else { any_of(&occurring) }
            }
            Told::First(groups) => self.first_group(groups, range)?,
        };
        self.note(format!("{}: lines with {clause}", concept.name));
        Ok(clause)
    }

    /// In each source the first group that occurs there.
    fn first_group(
        &self,
        groups: &[&'static [&'static str]],
        range: TimeRange,
    ) -> Result<Clause, SearchError> {
        let sources = &self.snapshot.catalogue.sources;
        let mut taken: Vec<bool> = vec![false; sources.len()];
        let mut chosen: Vec<(Clause, Vec<String>)> = Vec::new();
        for group in groups {
            let clause = any_of(group);
            let mut names = Vec::new();
            let lines = self.by_source(&clause, range)?;
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

    /// Lines of a level, or, where lines have no levels, those that speak of errors.
    fn level(
        &mut self,
        base: &[Clause],
        level: &Clause,
        name: &'static str,
        range: TimeRange,
    ) -> Result<Clause, SearchError> {
        /// What lines without a level say of a fault.
        const FAULTS: &[&str] =
            &["error", "errors", "failed", "failure", "fatal", "exception", "panic", "critical"];
        let with_base = |clause: &Clause| Clause::all(base.iter().chain([clause]).cloned());
        if self.occurs(&with_base(level), range)? {
            self.note(name);
            return Ok(level.clone());
        }
        let graver = matches!(level, Clause::Level(levels) if levels.contains(&Level::Fatal));
        let words = any_of(FAULTS);
        if graver && self.occurs(&with_base(&words), range)? {
            self.note(format!("no line has such a level; {name} by their words: {words}"));
            return Ok(words);
        }
        self.note(name);
        Ok(level.clone())
    }

    /// Whether a line matches.
    fn occurs(&self, clause: &Clause, range: TimeRange) -> Result<bool, SearchError> {
        let query = self.snapshot.compiler(self.store.inner.fields).search(clause, range);
        Ok(self.snapshot.searcher.search(&*query, &Count)? > 0)
    }

    /// Matching lines by the number of their source.
    fn by_source(&self, clause: &Clause, range: TimeRange) -> Result<Vec<u64>, SearchError> {
        let query = self.snapshot.compiler(self.store.inner.fields).search(clause, range);
        Ok(self.snapshot.searcher.search(&*query, &Survey::default())?.sources)
    }

    /// What matches, and the lines to cite: the best for words, and otherwise the newest.
    fn find(
        &self,
        by_words: bool,
        query: &dyn Query,
    ) -> Result<(Surveyed, Vec<DocAddress>), SearchError> {
        let lines = self.options.lines.max(1);
        if by_words {
            return self.snapshot.best(query, lines);
        }
        let survey = Survey { newest: lines, before: None };
        let found = self.snapshot.searcher.search(query, &survey)?;
        let addresses = found.newest.iter().map(|(_, address)| *address).collect();
        Ok((found, addresses))
    }

    /// Counts the values of the kinds asked for, or that belong to the concept, and the messages.
    fn rank(
        &mut self,
        question: &Question,
        query: &dyn Query,
    ) -> Result<(Vec<Ranking>, u64), SearchError> {
        let mut kinds = question.kinds.clone();
        if let Some(concept) = question.concept.filter(|_| kinds.is_empty()) {
            kinds.extend(concept.kinds);
        }
        kinds.truncate(MAX_KINDS - 1);
        if !kinds.contains(&Kind::Message) {
            kinds.push(Kind::Message);
        }
        let mut counter = Counter::new(kinds, self.store.inner.config.count_limit);
        counter.count(self.snapshot, query)?;
        let (counted, repeats) = (counter.counted, counter.repeats);
        if repeats.0 > 0 {
            let (lines, are) = if repeats.0 == 1 { ("line", "stands") } else { ("lines", "stand") };
            self.note(format!("{} {lines} among them {are} for {} repeats", repeats.0, repeats.1));
        }
        let values = self.options.values.max(1);
        let most = |index| if index == 0 { values } else { values.div_ceil(3) };
        let mut rankings = Vec::new();
        for (index, (ranking, holding)) in counter.finish(most).into_iter().enumerate() {
            let without = counted - holding;
            if index == 0 && !question.kinds.is_empty() && without > 0 {
                self.note(format!("{without} of the lines name no {}", ranking.kind));
            }
            rankings.push(ranking);
        }
        Ok((rankings, counted))
    }

    /// The lines to cite, and those that the rankings point at.
    fn lines(
        &self,
        addresses: &[DocAddress],
        rankings: &[Ranking],
    ) -> Result<Vec<LogLine>, SearchError> {
        let mut lines = self.snapshot.lines(self.store.inner.fields, addresses)?;
        let mut known: std::collections::HashSet<LineId> =
            lines.iter().map(|line| line.id).collect();
        let pointed = rankings.iter().flat_map(|ranking| &ranking.top);
        for id in pointed.flat_map(|value| [value.first_line, value.last_line]) {
            if known.insert(id) {
                lines.push(self.store.line_of(self.snapshot, id)?);
            }
        }
        Ok(lines)
    }
}

/// Whether a word is an address, an id, or another name with a number in it. Small numbers are not:
/// `top 5` does not ask for lines with a five.
fn names_one_thing(term: &str) -> bool {
    term.len() >= 4 && term.bytes().any(|byte| byte.is_ascii_digit())
}

fn any_of(phrases: &[&str]) -> Clause {
    Clause::any(phrases.iter().map(|phrase| Clause::text(phrase)).collect())
}
