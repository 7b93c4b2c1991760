//! The texts of the lines of a snapshot, from the chunks beside the index; those of an index that was
//! made before there were chunks, from the index itself.

use std::{borrow::Cow, sync::Arc};

use callboard_protocol::LineId;
use tantivy::{DocAddress, TantivyDocument, TantivyError, schema::Value};

use crate::{chunks::Chunk, store::Snapshot};

/// Reads texts; quickly, when neighbours are asked for one after the other.
pub(crate) struct Texts<'a> {
    snapshot: &'a Snapshot,
    chunk: Option<Arc<Chunk>>,
}

impl Snapshot {
    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts { snapshot: self, chunk: None }
    }
}

impl Texts<'_> {
    /// The text of a line, which stands at this address.
    pub(crate) fn of(&mut self, id: LineId, address: DocAddress) -> tantivy::Result<Cow<'_, str>> {
        let Snapshot { chunks, searcher, fields, .. } = self.snapshot;
        let Some(chunks) = chunks else {
            let document: TantivyDocument = searcher.doc(address)?;
            let text = document.get_first(fields.text).and_then(|value| value.as_str());
            return Ok(Cow::Owned(text.unwrap_or_default().to_owned()));
        };
        let held = self.chunk.as_ref().and_then(|chunk| chunk.find(id));
        let at = match held {
            Some(at) => at,
            None => {
                self.chunk = chunks.of(id)?;
                let found = self.chunk.as_ref().and_then(|chunk| chunk.find(id));
                found
                    .ok_or_else(|| TantivyError::InternalError(format!("line {id} has no text")))?
            }
        };
        Ok(Cow::Borrowed(self.chunk.as_ref().map_or("", |chunk| chunk.nth(at))))
    }
}
