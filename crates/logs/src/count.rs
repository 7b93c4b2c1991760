//! How many lines there are of each level, source or pattern, or of each value of a field.
//!
//! The first three stand in columns. Fields are read line by line, and so not without end: what was
//! counted is said beside what matches.

use std::{collections::HashMap, ops::ControlFlow};

use callboard_protocol::{CountGroup, CountSearch, Level, LogCount};
use tantivy::query::Query;

use crate::{
    LogStore, SearchError, fields,
    format::custom::Formats,
    search::{limit_of, micros, started},
    store::Snapshot,
    survey::{Counts, Survey},
};

const DEFAULT_LIMIT: u32 = 20;

/// A name of a field has at most so many bytes.
const LONGEST_NAME: usize = 200;

/// Different values that are kept apart; lines of further ones are counted without a group.
const MOST_VALUES: usize = 200_000;

/// What was counted.
#[derive(Default)]
struct Groups {
    by_value: HashMap<String, u64>,
    matched: u64,
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
        let limit = limit_of(search.limit, DEFAULT_LIMIT)?;
        let by = search.by.as_deref().unwrap_or("level");
        if by.is_empty() || by.len() > LONGEST_NAME {
            return Err(SearchError::InvalidParameter("A field has a name of 1 to 200 bytes."));
        }
        let snapshot = self.snapshot();
        let asked = snapshot.ask(&search.lines(), &self.inner.reading)?;
        let survey = || snapshot.survey(&*asked.query, Survey::default());
        let groups = match by {
            "level" => of_levels(&survey()?.counts),
            "source" => snapshot.of_sources(&survey()?.counts),
            "pattern" => snapshot.of_patterns(&*asked.query)?,
            field => {
                let limit = self.inner.config.count_limit;
                snapshot.of_field(&*asked.query, field, (limit, &self.inner.reading.formats))?
            }
        };
        let partial = asked.is_partial(search.partial)?;
        let found = groups.by_value.len() as u64;
        let mut largest: Vec<CountGroup> =
            groups.by_value.into_iter().map(|(value, count)| CountGroup { value, count }).collect();
        largest.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        largest.truncate(limit);
        Ok(LogCount {
            by: by.to_owned(),
            matched: groups.matched,
            counted: groups.counted,
            without: groups.without,
            groups: largest,
            found,
            partial,
            took_us: micros(started),
        })
    }
}

fn of_levels(counts: &Counts) -> Groups {
    let levels = Level::ALL.into_iter().zip(counts.levels).filter(|(_, count)| *count > 0);
    let by_value = levels.map(|(level, count)| (level.as_str().to_owned(), count)).collect();
    Groups { by_value, matched: counts.matched, counted: counts.matched, without: 0 }
}

impl Snapshot {
    fn of_sources(&self, counts: &Counts) -> Groups {
        let Counts { matched, .. } = *counts;
        let mut groups = Groups { matched, counted: matched, ..Groups::default() };
        for (number, count) in (0_u32..).zip(&counts.sources).filter(|(_, count)| **count > 0) {
            *groups.by_value.entry(self.source(number).1).or_default() += count;
        }
        groups
    }

    fn of_patterns(&self, query: &dyn Query) -> tantivy::Result<Groups> {
        let mut groups = Groups::default();
        let mut by_id: HashMap<u32, u64> = HashMap::new();
        self.each_line(query, |columns, address| {
            groups.counted += 1;
            match columns.pattern(address.doc_id) {
                Some(id) => *by_id.entry(id.0).or_default() += 1,
                None => groups.without += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (id, count) in by_id {
            let pattern = self.patterns.resolve(crate::PatternId(id));
            *groups.by_value.entry(format!("P{}", pattern.0)).or_default() += count;
        }
        groups.matched = groups.counted;
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
        self.each_line(query, |columns, address| {
            groups.matched += 1;
            if groups.counted >= limit {
                return Ok(ControlFlow::Continue(()));
            }
            let text = texts.of(columns.id(address.doc_id), address)?;
            groups.counted += 1;
            let Some(value) = fields::field(&text, field, formats) else {
                groups.without += 1;
                return Ok(ControlFlow::Continue(()));
            };
            if let Some(count) = groups.by_value.get_mut(&*value) {
                *count += 1;
            } else if groups.by_value.len() < MOST_VALUES {
                groups.by_value.insert(value.into_owned(), 1);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(groups)
    }
}
