//! Lines made of fields, and fields put into lines.

use callboard_protocol::Timestamp;
use serde_json::{Map, Value};
use time::UtcOffset;

use crate::format::{Layout, stamp::Clock};

/// As deep as objects are written with dots; what lies deeper is written as it is.
const DEEPEST: usize = 8;

/// Whether a line says itself when it was written.
pub(super) fn says_when(line: &str) -> bool {
    let clock = Clock { reference: Timestamp::from_millis(0), zone: UtcOffset::UTC };
    let first = line.lines().next().unwrap_or_default().as_bytes();
    Layout::detect(std::iter::once(first), &clock).head(first, &clock).timestamp.is_some()
}

/// A line with what stands beside it: when it was written, unless it says so itself, and labels. They
/// go into a line of JSON as fields, and into any other before and behind it.
pub(super) fn joined(line: &str, at: Option<Timestamp>, labels: Map<String, Value>) -> String {
    let at = at.filter(|_| !says_when(line));
    if let Some(object) = line.trim_end().strip_suffix('}').filter(|_| is_object(line)) {
        let mut more = Line::default();
        if let Some(at) = at {
            more.text("timestamp", &at.to_string());
        }
        if !labels.is_empty() {
            more.field("labels", &Value::Object(labels));
        }
        let comma = if more.is_empty() || object.trim_end().ends_with('{') { "" } else { "," };
        return format!("{object}{comma}{}}}", more.inside());
    }
    let stamp = at.map(|at| format!("{at} ")).unwrap_or_default();
    if labels.is_empty() {
        return format!("{stamp}{line}");
    }
    let labels = Value::Object(labels);
    match line.split_once('\n') {
        Some((first, rest)) => format!("{stamp}{first} {labels}\n{rest}"),
        None => format!("{stamp}{line} {labels}"),
    }
}

fn is_object(line: &str) -> bool {
    line.starts_with('{') && serde_json::from_str::<Map<String, Value>>(line).is_ok()
}

/// A line of JSON that is being written, its fields in the order in which they came.
#[derive(Default)]
pub(super) struct Line {
    inside: String,
    keys: Vec<String>,
}

impl Line {
    /// Adds a field; the first of a name counts.
    pub(super) fn field(&mut self, key: &str, value: &Value) {
        if self.keys.iter().any(|known| known == key) {
            return;
        }
        self.keys.push(key.to_owned());
        if !self.inside.is_empty() {
            self.inside.push(',');
        }
        self.inside.push_str(&Value::from(key).to_string());
        self.inside.push(':');
        self.inside.push_str(&value.to_string());
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.field(key, &Value::from(value));
        }
    }

    /// Adds a value under a name; an object with dots.
    pub(super) fn flat(&mut self, key: &str, value: &Value) {
        self.flat_within(key, value, DEEPEST);
    }

    fn flat_within(&mut self, key: &str, value: &Value, depth: usize) {
        let Some(object) = value.as_object().filter(|_| depth > 0) else {
            return self.field(key, value);
        };
        for (inner, value) in object {
            self.flat_within(&format!("{key}.{inner}"), value, depth - 1);
        }
    }

    fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    fn inside(&self) -> &str {
        &self.inside
    }

    pub(super) fn finish(self) -> String {
        format!("{{{}}}", self.inside)
    }
}
