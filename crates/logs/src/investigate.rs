//! Finds what the logs say about a question: the evidence that an answer is built on.
//!
//! Called once per turn. Counting is done here, over all matching lines, and never by a model. The
//! evidence states how the question was read, what was searched, and how much of it was counted.

mod clause;
mod exclusions;
mod lexicon;
mod meaning;
mod question;
mod ranking;
mod sequence;
mod sources;
mod time_words;
mod values;
mod wanted;

use callboard_protocol::{
    Evidence, LineId, LineOrder, LogLine, Ranking, SearchedEvidence, TimeRange, Timestamp, Wanted,
};
use tantivy::{DocAddress, query::Query};
use time::UtcOffset;

use crate::{
    Embedder, LogStore, SearchError,
    catalogue::covered,
    query::Clause,
    store::{Snapshot, level_counts},
    survey::{Survey, Surveyed},
};
use clause::Found;
use question::Question;
use ranking::Counter;
use time_words::{Calendar, TimeWords};
use values::Kind;
use wanted::Shape;

/// Lines that are shown when none matches.
const NEAREST: usize = 10;
/// Kinds that are counted for one question.
const MAX_KINDS: usize = 4;
/// Years in which a day is looked for that is named without one.
const MAX_YEARS_BACK: i32 = 30;

/// How to look into a question.
#[derive(Clone, Copy)]
pub struct InvestigateOptions<'a> {
    /// What "today" and "last hour" are counted from.
    pub now: Timestamp,
    /// The zone of the times that a question names.
    pub zone: UtcOffset,
    /// How many lines to cite, besides those that a ranking points at.
    pub lines: usize,
    /// How many values of the kind that the question names first; of further kinds, a third.
    pub values: usize,
    /// The source that is searched only when a question names it: the server's own log.
    pub own: Option<&'static str>,
    /// Who tells likeness of meaning; when absent the model of `logs.embeddings.model_dir`, if there is
    /// one.
    pub embedder: Option<&'a dyn Embedder>,
}

impl InvestigateOptions<'_> {
    /// 20 lines, 25 values, times in UTC.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, zone: UtcOffset::UTC, lines: 20, values: 25, own: None, embedder: None }
    }
}

impl LogStore {
    /// What the logs say about a question.
    ///
    /// # Errors
    /// When the index fails. A question that nobody understands finds the lines with its words.
    pub fn investigate(
        &self,
        text: &str,
        options: &InvestigateOptions<'_>,
    ) -> Result<Evidence, SearchError> {
        let question = Question::read(text);
        let snapshot = self.snapshot();
        let mut inquiry = Inquiry {
            store: self,
            snapshot: &snapshot,
            options,
            range: TimeRange::default(),
            reading: Vec::new(),
            left_out: question.left_out.clone(),
            aside: 0,
        };
        let Found { clause, by_words } = inquiry.read(text, &question)?;
        let range = inquiry.range;
        let query = snapshot.query(&clause, range);
        let by_default = if by_words { LineOrder::Best } else { LineOrder::Newest };
        let order = question.shape.order.unwrap_or(by_default);
        let wanted = question.shape.wanted;
        let (found, mut addresses) = inquiry.find(text, (order, wanted), &*query)?;
        if found.counts.matched == 0 {
            addresses = inquiry.find_nearest(text, &question)?;
        }
        let (rankings, counted) = inquiry.rank(&question, &*query)?;
        let lines = inquiry.lines(&addresses, &rankings)?;
        let found = found.counts;
        let (histogram, bucket_ms) = found.timeline.finish_in(question.shape.slice_ms);
        inquiry.say_shape(&question.shape, bucket_ms);
        Ok(Evidence {
            searched: SearchedEvidence {
                query: clause.to_string(),
                reading: inquiry.reading.join("; "),
                left_out: inquiry.left_out,
                range,
                covered: covered(found.first, found.last),
                matched: found.matched,
                searched: snapshot.catalogue.lines() - inquiry.aside,
                counted,
            },
            rankings,
            histogram,
            bucket_ms,
            levels: level_counts(&found.levels),
            lines,
            order,
            wanted,
            generation: snapshot.catalogue.generation,
        })
    }
}

/// One question, being looked into.
struct Inquiry<'a> {
    store: &'a LogStore,
    snapshot: &'a Snapshot,
    options: &'a InvestigateOptions<'a>,
    /// The span that is searched.
    range: TimeRange,
    /// Lines of sources that are not searched.
    aside: u64,
    /// Words that have no part in the search.
    left_out: Vec<String>,
    /// How the question was read, part by part.
    reading: Vec<String>,
}

impl Inquiry<'_> {
    fn note(&mut self, part: impl Into<String>) {
        self.reading.push(part.into());
    }

    /// What to search for, and when.
    fn read(&mut self, text: &str, question: &Question) -> Result<Found, SearchError> {
        if let Some(found) = self.remembered(text, question)? {
            return Ok(found);
        }
        let (sources, terms) = self.sources(&question.terms);
        self.range = self.range(question, &sources)?;
        let by_source = !sources.is_empty() && terms.len() < question.terms.len();
        let found = self.clause(question, sources, &terms)?;
        let is_path = question.terms.iter().any(|term| term.word.contains(['.', '/']));
        if !by_source || is_path || self.lines_of(&found.clause, self.range)? > 0 {
            return Ok(found);
        }
        // A word that names a source may as well be what lines of others say.
        let mut other =
            Inquiry { reading: Vec::new(), left_out: question.left_out.clone(), aside: 0, ..*self };
        other.range = other.range(question, &[])?;
        let elsewhere = other.clause(question, Vec::new(), &question.terms)?;
        if other.lines_of(&elsewhere.clause, other.range)? == 0 {
            return Ok(found);
        }
        let Inquiry { range, aside, left_out, reading, .. } = other;
        (self.range, self.aside, self.left_out, self.reading) = (range, aside, left_out, reading);
        Ok(elsewhere)
    }

    /// Lines that have some of a question's words, when none has all: where they are best.
    fn find_nearest(
        &mut self,
        text: &str,
        question: &Question,
    ) -> Result<Vec<DocAddress>, SearchError> {
        let mut candidates = self.of_like_patterns(text, question)?;
        if let Some(clause) = self.nearest(question)? {
            let clause = self.without_own(clause, question);
            let query = self.snapshot.query(&clause, self.range);
            let of_words = self.snapshot.top(&*query, self.candidates(NEAREST))?;
            let known: Vec<DocAddress> = of_words.iter().map(|(_, address)| *address).collect();
            candidates.retain(|(_, address)| !known.contains(address));
            candidates.splice(0..0, of_words);
        }
        let mut nearest = self.by_meaning(text, candidates)?;
        nearest.truncate(NEAREST);
        if !nearest.is_empty() {
            self.note("the nearest lines are shown, which have some of the words");
        }
        Ok(nearest)
    }

    /// The span of time that the question names. A day or a month without a year is of the latest
    /// year in which the sources have lines then.
    fn range(&mut self, question: &Question, sources: &[Clause]) -> Result<TimeRange, SearchError> {
        if question.times.is_empty() {
            self.note("all time");
            return Ok(TimeRange::default());
        }
        let newest = self.snapshot.catalogue.covered().to;
        let newest = newest.map(|to| to.minus(std::time::Duration::from_millis(1)));
        let calendar = |years_back| Calendar {
            now: self.options.now,
            zone: self.options.zone,
            newest,
            years_back,
        };
        let mut resolved = time_words::resolve(&question.times, &calendar(0));
        if question.times.iter().any(TimeWords::is_yearless) {
            let sources = Clause::all(sources.iter().cloned());
            for years_back in 0..MAX_YEARS_BACK {
                let other = time_words::resolve(&question.times, &calendar(years_back));
                if self.lines_of(&sources, other.range)? > 0 {
                    resolved = other;
                    break;
                }
            }
        }
        let named = &question.named_times;
        self.note(match resolved.remark {
            Some(remark) => format!("{named} ({remark})"),
            None => named.clone(),
        });
        if let (Some(from), Some(newest)) = (resolved.range.from, newest)
            && newest < from
        {
            self.note(format!("the newest line is of {newest}, before that"));
        }
        Ok(resolved.range)
    }

    fn say_shape(&mut self, shape: &Shape, bucket_ms: u64) {
        for said in &shape.said {
            self.note(said.clone());
        }
        if shape.slice_ms.is_some_and(|asked| asked < bucket_ms) {
            self.note("in wider slices of time, since there are too many of those");
        }
    }

    /// What matches, and the lines to cite.
    fn find(
        &mut self,
        text: &str,
        (order, wanted): (LineOrder, Wanted),
        query: &dyn Query,
    ) -> Result<(Surveyed, Vec<DocAddress>), SearchError> {
        let asked = wanted.lines.unwrap_or_default() as usize;
        let most = self.options.lines.max(1).max(asked);
        if order == LineOrder::Best {
            let candidates = self.snapshot.top(query, self.candidates(most))?;
            let mut best = self.by_meaning(text, candidates)?;
            best.truncate(most);
            return Ok((self.snapshot.survey(query, Survey::default())?, best));
        }
        let survey = Survey { most, before: None, oldest: order == LineOrder::Oldest };
        let found = self.snapshot.survey(query, survey)?;
        let addresses = found.lines.iter().map(|(_, address)| *address).collect();
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
        if repeats.0 > 0 && question.concept.is_some() {
            let lines = if repeats.0 == 1 { "line says" } else { "lines say" };
            let events = counted - repeats.0 + repeats.1;
            self.note(format!(
                "{} {lines} that a message was repeated, {} times in all: {events} events",
                repeats.0, repeats.1
            ));
        }
        let asked = question.shape.wanted.values.map(|values| values as usize);
        let values = asked.unwrap_or(self.options.values).max(1);
        let most = |index| if index == 0 { values } else { values.div_ceil(3) };
        let mut rankings = Vec::new();
        for (index, (ranking, holding)) in
            counter.finish(question.shape.wanted.fewest, most).into_iter().enumerate()
        {
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
        let mut lines = self.snapshot.lines(addresses)?;
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
