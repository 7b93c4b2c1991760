//! The fields of the index, and the way from a record to a document and back.

use std::ops::{Range, RangeInclusive};

use callboard_protocol::{Level, LineId, Timestamp};
use tantivy::{
    DocId, Index, SegmentReader, TantivyDocument,
    columnar::Column,
    schema::{
        FAST, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
    },
    tokenizer::TextAnalyzer,
};

use crate::{
    mining::PatternId,
    tokenizer::{self, LogTokenizer},
};

/// The fields of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// The number of its [`LineId`].
    pub(crate) id: Field,
    /// The number of its source in the catalogue.
    pub(crate) source: Field,
    /// Its place within its source, from 0.
    pub(crate) position: Field,
    /// Milliseconds since 1970; absent when the line does not say.
    pub(crate) timestamp: Field,
    /// The place of its level in [`Level::ALL`].
    pub(crate) level: Field,
    /// Whether it was cut.
    pub(crate) truncated: Field,
    /// Its words.
    pub(crate) text: Field,
    /// Whether the texts are in the index: in one that was made before there were chunks.
    pub(crate) stores_text: bool,
    /// The number of its pattern, as it was given; none in an index that was made before there were
    /// patterns.
    pub(crate) pattern: Option<Field>,
}

/// Where a line stands: its number, its source's number, its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: LineId,
    pub(crate) source: u32,
    pub(crate) position: u64,
}

/// What is known of a line.
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) level: Level,
    pub(crate) truncated: bool,
    pub(crate) pattern: PatternId,
}

/// The schema of a new index.
pub(crate) fn schema() -> Schema {
    let mut builder = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer::NAME)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    // Without norms, which only words need.
    let number = NumericOptions::default().set_fast().set_indexed();
    builder.add_u64_field("id", FAST);
    builder.add_u64_field("source", number.clone());
    builder.add_u64_field("position", FAST);
    builder.add_i64_field("timestamp", FAST);
    builder.add_u64_field("level", number.clone());
    builder.add_bool_field("truncated", FAST);
    builder.add_text_field("text", TextOptions::default().set_indexing_options(indexing));
    builder.add_u64_field("pattern", number);
    builder.build()
}

/// Tells an opened index how to cut text.
pub(crate) fn register_tokenizer(index: &Index) {
    index.tokenizers().register(tokenizer::NAME, TextAnalyzer::from(LogTokenizer::of_lines()));
}

impl Fields {
    /// The fields of an index that was opened.
    pub(crate) fn of(schema: &Schema) -> tantivy::Result<Self> {
        let text = schema.get_field("text")?;
        Ok(Self {
            id: schema.get_field("id")?,
            source: schema.get_field("source")?,
            position: schema.get_field("position")?,
            timestamp: schema.get_field("timestamp")?,
            level: schema.get_field("level")?,
            truncated: schema.get_field("truncated")?,
            text,
            stores_text: schema.get_field_entry(text).is_stored(),
            pattern: schema.get_field("pattern").ok(),
        })
    }

    /// The document of a line.
    pub(crate) fn document(&self, place: Place, line: &Line<'_>) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.id, place.id.0);
        document.add_u64(self.source, u64::from(place.source));
        document.add_u64(self.position, place.position);
        if let Some(at) = line.timestamp {
            document.add_i64(self.timestamp, at.as_millis());
        }
        document.add_u64(self.level, line.level as u64);
        document.add_bool(self.truncated, line.truncated);
        document.add_text(self.text, line.text);
        if let Some(pattern) = self.pattern {
            document.add_u64(pattern, u64::from(line.pattern.0));
        }
        document
    }
}

/// The columns of one segment.
pub(crate) struct Columns {
    id: Column<u64>,
    source: Column<u64>,
    position: Column<u64>,
    timestamp: Column<i64>,
    level: Column<u64>,
    truncated: Column<bool>,
    pattern: Option<Column<u64>>,
}

impl Columns {
    pub(crate) fn open(segment: &SegmentReader) -> tantivy::Result<Self> {
        let columns = segment.fast_fields();
        Ok(Self {
            id: columns.u64("id")?,
            source: columns.u64("source")?,
            position: columns.u64("position")?,
            timestamp: columns.i64("timestamp")?,
            level: columns.u64("level")?,
            truncated: columns.bool("truncated")?,
            pattern: columns.u64("pattern").ok(),
        })
    }

    pub(crate) fn place(&self, doc: DocId) -> Place {
        Place { id: self.id(doc), source: self.source(doc), position: self.position(doc) }
    }

    pub(crate) fn id(&self, doc: DocId) -> LineId {
        LineId(self.id.first(doc).unwrap_or_default())
    }

    pub(crate) fn source(&self, doc: DocId) -> u32 {
        Self::to_source(self.source.first(doc))
    }

    pub(crate) fn position(&self, doc: DocId) -> u64 {
        self.position.first(doc).unwrap_or_default()
    }

    pub(crate) fn timestamp(&self, doc: DocId) -> Option<Timestamp> {
        self.timestamp.first(doc).map(Timestamp::from_millis)
    }

    /// The first and the last instant; none when no line has one.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.timestamp.min_value(), self.timestamp.max_value());
        (self.timestamp.values.num_vals() > 0).then_some((first, last))
    }

    /// The instants of several documents, in milliseconds.
    pub(crate) fn timestamps(&self, docs: &[DocId], out: &mut [Option<i64>]) {
        out.fill(None);
        self.timestamp.first_vals(docs, out);
    }

    /// Those of some documents whose instants lie within these, in their order.
    pub(crate) fn within(&self, instants: RangeInclusive<i64>, docs: Range<DocId>) -> Vec<DocId> {
        let mut found = Vec::new();
        self.timestamp.get_docids_for_value_range(instants, docs, &mut found);
        found
    }

    /// What stands for their levels.
    pub(crate) fn levels(&self, docs: &[DocId], out: &mut [Option<u64>]) {
        out.fill(None);
        self.level.first_vals(docs, out);
    }

    /// What stands for their sources.
    pub(crate) fn sources(&self, docs: &[DocId], out: &mut [Option<u64>]) {
        out.fill(None);
        self.source.first_vals(docs, out);
    }

    pub(crate) fn to_source(number: Option<u64>) -> u32 {
        u32::try_from(number.unwrap_or_default()).unwrap_or(u32::MAX)
    }

    pub(crate) fn to_level_index(number: Option<u64>) -> usize {
        usize::try_from(number.unwrap_or_default()).unwrap_or_default().min(Level::ALL.len() - 1)
    }

    /// The place of the level in [`Level::ALL`].
    pub(crate) fn level_index(&self, doc: DocId) -> usize {
        Self::to_level_index(self.level.first(doc))
    }

    pub(crate) fn level(&self, doc: DocId) -> Level {
        Level::ALL[self.level_index(doc)]
    }

    pub(crate) fn truncated(&self, doc: DocId) -> bool {
        self.truncated.first(doc).unwrap_or_default()
    }

    /// The pattern, as it was given to the line.
    pub(crate) fn pattern(&self, doc: DocId) -> Option<PatternId> {
        let number = self.pattern.as_ref()?.first(doc)?;
        u32::try_from(number).ok().map(PatternId)
    }
}
