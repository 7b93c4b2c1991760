//! Reads lines that are in the index anew, as the formats and rules are now: their times and levels.
//!
//! Called by `reindex`. What a text does not say now stays as it was known.

use std::collections::HashMap;

use callboard_protocol::{Level, TimeRange, Timestamp};
use serde::{Deserialize, Serialize};
use time::UtcOffset;

use crate::{
    LogsConfig, SourceNames,
    catalogue::Catalogue,
    format::{
        Layout,
        custom::{Format, Formats},
        stamp::Clock,
    },
    lines::RawLine,
    record::Assembler,
    schema::Line,
};

/// Texts that the format of a source is found from.
pub(crate) const SAMPLE_TEXTS: usize = 100;

/// Which lines are read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// Of these sources; of all when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<SourceNames>,
    /// Of this time, as it was known. Lines without a time are of a range without bounds alone.
    #[serde(default)]
    pub range: TimeRange,
}

impl Reread {
    fn includes(&self, source: &str, timestamp: Option<Timestamp>) -> bool {
        let TimeRange { from, to } = self.range;
        let is_bounded = from.is_some() || to.is_some();
        let in_range = timestamp.map_or(!is_bounded, |at| {
            from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to)
        });
        in_range && self.sources.as_ref().is_none_or(|names| names.include(source))
    }
}

/// Reads the lines of a part of the index.
pub(crate) struct Reader<'a> {
    which: &'a Reread,
    config: &'a LogsConfig,
    formats: &'a Formats,
    catalogue: &'a Catalogue,
    /// How the lines of a source are read, by its number.
    ways: HashMap<u32, (Layout, Option<Format>)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        which: &'a Reread,
        (config, formats): (&'a LogsConfig, &'a Formats),
        catalogue: &'a Catalogue,
    ) -> Self {
        Self { which, config, formats, catalogue, ways: HashMap::new() }
    }

    /// Whether a line of this source and time is to be read.
    pub(crate) fn wants(&self, source: u32, timestamp: Option<Timestamp>) -> bool {
        let entry = self.catalogue.sources.get(source as usize);
        entry.is_some_and(|entry| self.which.includes(&entry.name, timestamp))
    }

    /// Whether nothing is known yet of how the lines of a source are read.
    pub(crate) fn is_new(&self, source: u32) -> bool {
        !self.ways.contains_key(&source)
    }

    /// Finds out how the lines of a source are read.
    pub(crate) fn learn(&mut self, source: u32, line: u64, sample: &[String]) {
        let lines = sample.iter().flat_map(|text| text.as_bytes().split(|byte| *byte == b'\n'));
        let Some(entry) = self.catalogue.sources.get(source as usize) else { return };
        let way = entry.read_as.way(self.formats, lines, &self.clock(source, line));
        self.ways.insert(source, way);
    }

    /// Reads a line, whose number is given for about when it came in.
    pub(crate) fn read(&self, source: u32, number: u64, line: &mut Line<'_>) {
        let Some((layout, custom)) = self.ways.get(&source) else { return };
        let assembler = Assembler::new(*layout, self.clock(source, number), self.config);
        let mut assembler = assembler.with(custom.clone());
        let mut first = None;
        for bytes in line.text.as_bytes().split(|byte| *byte == b'\n') {
            let raw = RawLine { bytes, end: 0, terminated: true, cut: false };
            first = first.or(assembler.push(&raw));
        }
        let Some(record) = first.or_else(|| assembler.finish()) else { return };
        line.timestamp = record.timestamp.or(line.timestamp);
        if record.level != Level::Unknown {
            line.level = record.level;
        }
    }

    fn clock(&self, source: u32, line: u64) -> Clock {
        let reference = self.catalogue.came_in(line).unwrap_or(Timestamp::from_millis(0));
        let entry = self.catalogue.sources.get(source as usize);
        let zone = entry.map_or(UtcOffset::UTC, |entry| entry.read_as.zone());
        Clock { reference, zone }
    }
}
