//! Elasticsearch's bulk API, as its shippers use it: pairs of lines, what to do and a document.

use serde_json::{Map, Value};

use super::{PushError, Pushed, named};

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    /// `create` or `index`, and what is refused.
    pub action: String,
    /// Where it was to go.
    pub index: String,
    /// Its name, when it came with one.
    pub id: Option<String>,
    /// The record, or why there is none.
    pub record: Result<Pushed, PushError>,
}

/// Reads the body of a bulk request. `index` is the one of the path.
///
/// # Errors
/// When what to do cannot be read: what follows has no meaning then. A document that is wrong is an
/// error of its own.
pub fn bulk(body: &[u8], index: Option<&str>) -> Result<Vec<BulkItem>, PushError> {
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii())
        .filter(|line| !line.is_empty());
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        let number = items.len() + 1;
        let command: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| PushError::new(format!("action {number} is no object: {error}")))?;
        let Some((action, target)) = command.into_iter().next() else {
            return Err(PushError::new(format!("action {number} names nothing to do")));
        };
        let of = |key: &str| target.get(key).and_then(Value::as_str);
        let index = named([of("_index"), index], "elastic");
        let record = match action.as_str() {
            "create" | "index" => match lines.next() {
                Some(document) => read(document, &index),
                None => Err(PushError::new("there is no document behind the action")),
            },
            "delete" => Err(PushError::new("log lines are not deleted")),
            "update" => {
                lines.next();
                Err(PushError::new("log lines are not updated"))
            }
            other => return Err(PushError::new(format!("action {number} is {other:?}"))),
        };
        items.push(BulkItem { id: of("_id").map(str::to_owned), action, index, record });
    }
    Ok(items)
}

fn read(document: &[u8], index: &str) -> Result<Pushed, PushError> {
    let text = std::str::from_utf8(document)
        .map_err(|error| PushError::new(format!("the document is no UTF-8: {error}")))?;
    serde_json::from_str::<Map<String, Value>>(text)
        .map_err(|error| PushError::new(format!("the document is no object: {error}")))?;
    Ok(Pushed { source: index.to_owned(), text: text.to_owned() })
}
