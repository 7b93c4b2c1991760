//! From a query to a search of the index.

use std::{ops::Bound, sync::Arc};

use callboard_protocol::TimeRange;
use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, Occur, PhraseQuery, Query, RangeQuery,
        RegexQuery, TermQuery,
    },
    schema::IndexRecordOption,
};

use super::{
    Clause, FieldClause, Test,
    excludable::Excludable,
    parse::compiled,
    verified::{Allowance, Check, Verified},
};
use crate::{
    catalogue::Catalogue,
    chunks::Chunks,
    fields,
    format::{custom::Formats, stamp::span},
    patterns::Patterns,
    schema::Fields,
    tokenizer,
};

/// What names in a query refer to.
pub(crate) struct Compiler<'a> {
    pub(crate) fields: Fields,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) patterns: &'a Patterns,
    pub(crate) chunks: Option<&'a Chunks>,
    /// The numbers of the only sources in which is searched; none: in all.
    pub(crate) visible: Option<&'a [u64]>,
    /// How many lines may be read.
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) formats: Formats,
}

impl Compiler<'_> {
    /// The search for a query within a span of time, and in one source alone when it is named by its
    /// number.
    pub(crate) fn search(
        &self,
        clause: &Clause,
        range: TimeRange,
        source: Option<u64>,
    ) -> Box<dyn Query> {
        let only = source.map(|number| self.one_of(self.fields.source, std::iter::once(number)));
        let visible =
            self.visible.map(|numbers| self.one_of(self.fields.source, numbers.iter().copied()));
        let in_range = in_range(self.fields, range);
        let mut filters: Vec<_> = in_range.into_iter().chain(only).chain(visible).collect();
        let clauses =
            if let Clause::All(clauses) = clause { clauses } else { std::slice::from_ref(clause) };
        match (clauses, &mut filters[..]) {
            // Neither is wrapped: of a segment that they hold as a whole the counts are known.
            ([], []) => Box::new(AllQuery),
            ([], [_]) => filters.remove(0),
            ([one], []) => self.compile(one),
            _ => self.all(clauses, filters),
        }
    }

    fn compile(&self, clause: &Clause) -> Box<dyn Query> {
        match clause {
            Clause::Text(text) => self.text(text),
            Clause::Level(levels) => {
                let numbers = levels.iter().map(|level| *level as u64);
                self.one_of(self.fields.level, numbers)
            }
            Clause::Source(name) => self.one_of(self.fields.source, self.sources(name).into_iter()),
            Clause::Pattern(id) => match self.fields.pattern {
                Some(field) => {
                    let ids = self.patterns.ids_of(*id);
                    self.one_of(field, ids.map(|id| u64::from(id.0)))
                }
                None => Box::new(EmptyQuery),
            },
            Clause::Not(clause) => Box::new(BooleanQuery::new(vec![
                (Occur::Must, everything()),
                (Occur::MustNot, self.excluded(clause)),
            ])),
            Clause::All(clauses) => self.all(clauses, Vec::new()),
            Clause::Like(pattern) => self.like(pattern),
            Clause::Field(_) | Clause::Regex(_) => {
                self.all(std::slice::from_ref(clause), Vec::new())
            }
            Clause::Any(clauses) => {
                Box::new(BooleanQuery::union(clauses.iter().map(|c| self.compile(c)).collect()))
            }
        }
    }

    /// The numbers of the sources of this name, or else of those whose name contains it.
    fn sources(&self, name: &str) -> Vec<u64> {
        let name = name.to_lowercase();
        let numbers = |is_named: &dyn Fn(&str) -> bool| -> Vec<u64> {
            let sources = self.catalogue.sources.iter().zip(0..);
            let named = sources.filter(|(source, _)| is_named(&source.name.to_lowercase()));
            named.map(|(_, number)| number).collect()
        };
        let exact = numbers(&|known| known == name);
        if exact.is_empty() { numbers(&|known| known.contains(&name)) } else { exact }
    }

    /// What the index can tell comes first; of what is left each line is read.
    fn all(&self, clauses: &[Clause], filters: Vec<Box<dyn Query>>) -> Box<dyn Query> {
        let mut parts: Vec<(Occur, Box<dyn Query>)> =
            filters.into_iter().map(|filter| (Occur::Must, filter)).collect();
        let mut checks: Vec<Check> = Vec::new();
        for clause in clauses {
            match clause {
                Clause::Not(clause) => parts.push((Occur::MustNot, self.excluded(clause))),
                Clause::Field(field) => {
                    let likely = self.likely(field).into_iter();
                    parts.extend(likely.map(|query| (Occur::Must, query)));
                    let field = field.clone();
                    let formats = Arc::clone(&self.formats);
                    checks.push(Arc::new(move |line| field.matches(line, &formats)));
                }
                Clause::Regex(pattern) => {
                    // It was read before.
                    let Ok(regex) = compiled(pattern) else { return Box::new(EmptyQuery) };
                    checks.push(Arc::new(move |line| regex.is_match(line)));
                }
                Clause::Text(_)
                | Clause::Level(_)
                | Clause::Source(_)
                | Clause::Pattern(_)
                | Clause::Like(_)
                | Clause::All(_)
                | Clause::Any(_) => parts.push((Occur::Must, self.compile(clause))),
            }
        }
        if parts.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            parts.push((Occur::Must, everything()));
        }
        let found = BooleanQuery::new(parts);
        if checks.is_empty() {
            return Box::new(found);
        }
        Box::new(Verified {
            candidates: Arc::new(found),
            check: Arc::new(move |line| checks.iter().all(|check| check(line))),
            chunks: self.chunks.cloned(),
            text: self.fields.text,
            allowance: Arc::clone(&self.allowance),
        })
    }

    /// What lines have, as a rule, that have such a field.
    fn likely(&self, field: &FieldClause) -> Vec<Box<dyn Query>> {
        let mut likely = Vec::new();
        if let Some(statuses) = field.statuses() {
            let terms = statuses.iter().map(|status| self.words(status)).collect();
            likely.push(Box::new(BooleanQuery::union(terms)) as Box<dyn Query>);
        } else if let Some(spellings) = fields::spellings(&field.name) {
            let terms = spellings.iter().map(|name| self.words(last_part(name))).collect();
            likely.push(Box::new(BooleanQuery::union(terms)) as Box<dyn Query>);
        } else if !fields::is_unnamed(&field.name, &self.formats) {
            let last = last_part(&field.name);
            if !tokenizer::parts(last).is_empty() {
                likely.push(self.words(last));
            }
        }
        if let Test::Is(value) = &field.test
            && span::first(value).is_none()
            && !tokenizer::parts(value).is_empty()
        {
            likely.push(self.words(value));
        }
        likely.into_iter().map(unscored).collect()
    }

    /// Words that look like this.
    fn like(&self, pattern: &str) -> Box<dyn Query> {
        // Wholes begin and end with a letter or a digit.
        let joiner = |c: char| !c.is_alphanumeric() && !matches!(c, '*' | '?');
        let mut regex = String::new();
        for c in pattern.trim_matches(joiner).to_lowercase().chars() {
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        match RegexQuery::from_pattern(&regex, self.fields.text) {
            Ok(query) => Box::new(query),
            Err(_) => Box::new(EmptyQuery),
        }
    }

    fn excluded(&self, clause: &Clause) -> Box<dyn Query> {
        Box::new(Excludable(self.compile(clause)))
    }

    /// The words, or lines of the instant that the text names with the words beside it: when a line was
    /// written is no part of its words.
    fn text(&self, text: &str) -> Box<dyn Query> {
        let stamp = span::first(text).or_else(|| span::instant(text).map(|_| 0..text.len()));
        let Some(stamp) = stamp else { return self.words(text) };
        let instant = span::instant(&text[stamp.clone()]);
        let instant = instant.and_then(|range| in_range(self.fields, range));
        let beside = format!("{} {}", &text[..stamp.start], &text[stamp.end..]);
        let beside = beside.trim();
        let beside = (!tokenizer::parts(beside).is_empty()).then(|| self.words(beside));
        let written: Vec<_> = instant.into_iter().chain(beside).collect();
        if written.is_empty() {
            return self.words(text);
        }
        let written: Box<dyn Query> = Box::new(BooleanQuery::intersection(written));
        Box::new(BooleanQuery::union(vec![self.words(text), written]))
    }

    /// The parts in their order; a line where they stand as one identifier fits better.
    fn words(&self, text: &str) -> Box<dyn Query> {
        let terms: Vec<Term> = tokenizer::parts(text)
            .iter()
            .map(|part| Term::from_field_text(self.fields.text, part))
            .collect();
        match &terms[..] {
            [] => Box::new(EmptyQuery),
            [term] => Box::new(TermQuery::new(term.clone(), IndexRecordOption::WithFreqs)),
            _ => {
                let whole = Term::from_field_text(self.fields.text, &text.to_lowercase());
                let whole = TermQuery::new(whole, IndexRecordOption::WithFreqs);
                let phrase: Box<dyn Query> = Box::new(PhraseQuery::new(terms));
                if text.contains(char::is_whitespace) {
                    return phrase;
                }
                Box::new(BooleanQuery::new(vec![
                    (Occur::Must, phrase),
                    (Occur::Should, Box::new(whole)),
                ]))
            }
        }
    }

    fn one_of(
        &self,
        field: tantivy::schema::Field,
        numbers: impl Iterator<Item = u64>,
    ) -> Box<dyn Query> {
        let queries: Vec<Box<dyn Query>> = numbers
            .map(|number| -> Box<dyn Query> {
                let term = Term::from_field_u64(field, number);
                Box::new(TermQuery::new(term, IndexRecordOption::Basic))
            })
            .collect();
        match queries.len() {
            0 => Box::new(EmptyQuery),
            _ => unscored(Box::new(BooleanQuery::union(queries))),
        }
    }
}

/// Lines within a span of time; none when it is open on both ends.
fn in_range(fields: Fields, range: TimeRange) -> Option<Box<dyn Query>> {
    if range.from.is_none() && range.to.is_none() {
        return None;
    }
    let term =
        |at: callboard_protocol::Timestamp| Term::from_field_i64(fields.timestamp, at.as_millis());
    let from = range.from.map_or(Bound::Unbounded, |at| Bound::Included(term(at)));
    let to = range.to.map_or(Bound::Unbounded, |at| Bound::Excluded(term(at)));
    // It scores all lines alike.
    Some(Box::new(RangeQuery::new(from, to)))
}

fn everything() -> Box<dyn Query> {
    unscored(Box::new(AllQuery))
}

/// A filter: it says whether a line matches, not how well.
fn unscored(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

/// What a field is called in its object.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}
