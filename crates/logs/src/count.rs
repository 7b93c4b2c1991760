//! How many lines there are of each level, source or pattern, or of each value of a field.
//!
//! The first three stand in columns. Fields are read line by line, and so not without end: what was
//! counted is said beside what matches.

use std::collections::HashMap;

use callboard_protocol::{CountGroup, CountSearch, Level, LogCount};
use tantivy::{
    DocAddress, TERMINATED,
    query::{EnableScoring, Query},
};

use crate::{
    LogStore, SearchError, fields,
    format::custom::Formats,
    schema::Columns,
    search::{micros, started},
    store::Snapshot,
    survey::{Counts, Survey},
};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 500;

/// A name of a field has at most so many bytes.
const LONGEST_NAME: usize = 200;

/// Different values that are kept apart; lines of further ones are counted without a group.
const MOST_VALUES: usize = 200_000;

/// What was counted.
#[derive(Default)]
struct Groups {
    by_value: HashMap<String, u64>,
    counted: u64,
    without: u64,
}

impl LogStore {
    /// Counts the lines that match, group by group.
    ///
    /// # Errors
    /// When the query, the limit or the name of the field cannot be used, or the index fails.
    pub fn count(&self, search: &CountSearch) -> Result<LogCount, SearchError> {
        let started = started();
        let limit = search.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(SearchError::InvalidParameter("The limit must be between 1 and 500."));
        }
        let by = search.by.as_deref().unwrap_or("level");
        if by.is_empty() || by.len() > LONGEST_NAME {
            return Err(SearchError::InvalidParameter("A field has a name of 1 to 200 bytes."));
        }
        let snapshot = self.snapshot();
        let asked = snapshot.ask(&search.lines(), &self.inner.reading)?;
        let counts = snapshot.survey(&*asked.query, Survey::default())?.counts;
        let groups = match by {
            "level" => of_levels(&counts),
            "source" => snapshot.of_sources(&counts),
            "pattern" => snapshot.of_patterns(&*asked.query)?,
            field => {
                let limit = self.inner.config.count_limit;
                snapshot.of_field(&*asked.query, field, (limit, &self.inner.reading.formats))?
            }
        };
        asked.done()?;
        let found = groups.by_value.len() as u64;
        let mut largest: Vec<CountGroup> =
            groups.by_value.into_iter().map(|(value, count)| CountGroup { value, count }).collect();
        largest.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        largest.truncate(limit as usize);
        Ok(LogCount {
            by: by.to_owned(),
            matched: counts.matched,
            counted: groups.counted,
            without: groups.without,
            groups: largest,
            found,
            took_us: micros(started),
        })
    }
}

fn of_levels(counts: &Counts) -> Groups {
    let levels = Level::ALL.into_iter().zip(counts.levels).filter(|(_, count)| *count > 0);
    let by_value = levels.map(|(level, count)| (level.as_str().to_owned(), count)).collect();
    Groups { by_value, counted: counts.matched, without: 0 }
}

impl Snapshot {
    fn of_sources(&self, counts: &Counts) -> Groups {
        let mut groups = Groups { counted: counts.matched, ..Groups::default() };
        for (number, count) in (0_u32..).zip(&counts.sources).filter(|(_, count)| **count > 0) {
            *groups.by_value.entry(self.source(number).1).or_default() += count;
        }
        groups
    }

    fn of_patterns(&self, query: &dyn Query) -> tantivy::Result<Groups> {
        let mut groups = Groups::default();
        let mut by_id: HashMap<u32, u64> = HashMap::new();
        self.each_line(query, u64::MAX, |columns, address| {
            groups.counted += 1;
            match columns.pattern(address.doc_id) {
                Some(id) => *by_id.entry(id.0).or_default() += 1,
                None => groups.without += 1,
            }
            Ok(())
        })?;
        for (id, count) in by_id {
            let pattern = self.patterns.resolve(crate::PatternId(id));
            *groups.by_value.entry(format!("P{}", pattern.0)).or_default() += count;
        }
        Ok(groups)
    }

    fn of_field(
        &self,
        query: &dyn Query,
        field: &str,
        (limit, formats): (u64, &Formats),
    ) -> tantivy::Result<Groups> {
        let mut groups = Groups::default();
        let mut texts = self.texts();
        self.each_line(query, limit, |columns, address| {
            let text = texts.of(columns.id(address.doc_id), address)?;
            groups.counted += 1;
            let Some(value) = fields::field(&text, field, formats) else {
                groups.without += 1;
                return Ok(());
            };
            if let Some(count) = groups.by_value.get_mut(&*value) {
                *count += 1;
            } else if groups.by_value.len() < MOST_VALUES {
                groups.by_value.insert(value.into_owned(), 1);
            }
            Ok(())
        })?;
        Ok(groups)
    }

    /// Goes through the lines that match, up to so many.
    fn each_line(
        &self,
        query: &dyn Query,
        mut limit: u64,
        mut work: impl FnMut(&Columns, DocAddress) -> tantivy::Result<()>,
    ) -> tantivy::Result<()> {
        let weight = query.weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
        for (ordinal, segment) in (0..).zip(self.searcher.segment_readers()) {
            let columns = Columns::open(segment)?;
            let mut scorer = weight.scorer(segment, 1.0)?;
            let mut doc = scorer.doc();
            while doc != TERMINATED && limit > 0 {
                if !segment.is_deleted(doc) {
                    limit -= 1;
                    work(&columns, DocAddress::new(ordinal, doc))?;
                }
                doc = scorer.advance();
            }
        }
        Ok(())
    }
}
