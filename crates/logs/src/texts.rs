//! The texts of the lines of a snapshot, from the chunks beside the index; those of an index that was
//! made before there were chunks, from the index itself.

use std::borrow::Cow;

use callboard_protocol::LineId;
use tantivy::{DocAddress, TantivyDocument, TantivyError, schema::Value};

use crate::{chunks::ChunkCursor, store::Snapshot};

/// Reads texts; quickly, when neighbours are asked for one after the other.
pub(crate) struct Texts<'a> {
    snapshot: &'a Snapshot,
    /// None when the texts are in the index.
    cursor: Option<ChunkCursor>,
}

impl Snapshot {
    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts { snapshot: self, cursor: self.chunks.clone().map(ChunkCursor::new) }
    }
}

impl Texts<'_> {
    /// The text of a line, which stands at this address.
    pub(crate) fn of(&mut self, id: LineId, address: DocAddress) -> tantivy::Result<Cow<'_, str>> {
        let Some(cursor) = &mut self.cursor else {
            let Snapshot { searcher, fields, .. } = self.snapshot;
            let document: TantivyDocument = searcher.doc(address)?;
            let text = document.get_first(fields.text).and_then(|value| value.as_str());
            return Ok(Cow::Owned(text.unwrap_or_default().to_owned()));
        };
        let text = cursor.text(id)?.map(Cow::Borrowed);
        text.ok_or_else(|| TantivyError::InternalError(format!("line {id} has no text")))
    }
}
