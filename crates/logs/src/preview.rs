//! What would become of lines: how they are laid out, where records begin, and what each of them says.

use callboard_protocol::{LogPreview, PreviewRecord, Timestamp};
use time::UtcOffset;

use crate::{
    LogStore, fields,
    format::{
        self, Layout,
        custom::{Format, Formats},
        message,
        stamp::Clock,
    },
    lines::LineReader,
    record::{Assembler, Record},
};

/// Records that are shown.
const MOST_RECORDS: usize = 200;

impl LogStore {
    /// Reads lines as an ingest would, and indexes nothing. `reference` is about when they were written,
    /// for those that name no year.
    #[must_use]
    pub fn preview(&self, text: &str, reference: Timestamp) -> LogPreview {
        let clock = Clock { reference, zone: UtcOffset::UTC };
        let sample = format::sample(text.as_bytes());
        let layout = Layout::detect(sample.clone(), &clock);
        let (config, formats) = (&self.inner.config, &self.inner.reading.formats);
        let custom = Format::of(formats, sample.clone());
        let name = custom.as_ref().map_or(layout.name(), |format| &format.name).to_owned();
        let confidence = if custom.is_some() { 1.0 } else { layout.confidence(sample, &clock) };
        let mut assembler = Assembler::new(layout, clock, config).with(custom);
        let mut lines = LineReader::new(text.as_bytes(), 0, config.max_line_bytes);
        let mut records = Vec::new();
        // Reading from memory does not fail.
        while let Ok(Some(line)) = lines.next_line() {
            records.extend(assembler.push(&line));
            if records.len() > MOST_RECORDS {
                break;
            }
        }
        records.extend(assembler.finish());
        let more = records.len() > MOST_RECORDS;
        records.truncate(MOST_RECORDS);
        let records = records.into_iter().map(|record| shown(record, formats)).collect();
        LogPreview { format: name, confidence, records, more }
    }
}

fn shown(record: Record, formats: &Formats) -> PreviewRecord {
    PreviewRecord {
        timestamp: record.timestamp,
        level: record.level,
        message: message(&record.text).to_owned(),
        fields: fields::all(&record.text, formats),
        text: record.text,
    }
}
