//! One flat JSON object per event, with the fields of all its spans in it.
//!
//! `tracing-subscriber`'s own JSON format nests spans in lists, which neither a person's `grep` nor
//! our own index can use: here `request_id` and `turn_id` stand beside the message.

use std::fmt;

use callboard_protocol::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::is_secret;

/// A longer value is cut: one line must not fill the queue's memory.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The layer; `write` takes one line, with its newline, and must not block for long.
pub(super) struct JsonLines<W> {
    write: W,
}

impl<W: Fn(Vec<u8>)> JsonLines<W> {
    pub(super) fn new(write: W) -> Self {
        Self { write }
    }
}

/// The fields of a span, kept with the span.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(Vec<u8>) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        // A second layer of this kind finds the fields of the first.
        if extensions.get_mut::<SpanFields>().is_none() {
            let mut fields = Fields(Map::new());
            attributes.record(&mut fields);
            extensions.insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields(Map::new());
        values.record(&mut fields);
        if let Some(kept) = span.extensions_mut().get_mut::<SpanFields>() {
            kept.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        let metadata = event.metadata();
        line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        let mut own = Fields(Map::new());
        event.record(&mut own);
        // What is nearer to the event wins, and nothing replaces time, level and target.
        add(&mut line, own.0);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                add(&mut line, fields.0.clone());
            }
        }
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        (self.write)(bytes);
    }
}

fn add(line: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (name, value) in fields {
        line.entry(name).or_insert(value);
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let name = field.name();
        let value = if is_secret(name) { "***".into() } else { value() };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, || value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, || value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, || cut(value).into());
    }

    /// An error with all its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, || {
            let causes = std::iter::successors(Some(value), |error| error.source());
            let text: Vec<_> = causes.map(ToString::to_string).collect();
            cut(&text.join(": ")).into()
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, || cut(&format!("{value:?}")).into());
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_VALUE_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_VALUE_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;

    /// What `log` logs, as JSON.
    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let sink = Arc::clone(&written);
        let layer = JsonLines::new(move |line| sink.lock().unwrap().push(line));
        tracing::subscriber::with_default(Registry::default().with(layer), log);
        let written = written.lock().unwrap();
        written.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn the_fields_of_all_spans_stand_in_the_line() {
        let lines = lines(|| {
            let request = tracing::info_span!("request", request_id = "r-1", status = 1);
            let _request = request.enter();
            let turn = tracing::info_span!("turn", turn_id = tracing::field::Empty);
            turn.record("turn_id", "t-1");
            turn.in_scope(|| tracing::info!(status = 2, ok = true, "answered"));
        });
        let line = &lines[0];
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["turn_id"], "t-1");
        assert_eq!(line["status"], 2, "the event's own field wins");
        assert_eq!(line["ok"], true);
        assert_eq!(line["message"], "answered");
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert!(line["target"].as_str().unwrap().contains("json_lines"));
    }

    #[test]
    fn secrets_are_masked_in_events_and_spans() {
        let lines = lines(|| {
            let span = tracing::info_span!("login", password = "hunter2");
            let _span = span.enter();
            tracing::info!(access_token = "eyJ", tokens = 3, "signed in");
        });
        assert_eq!(lines[0]["password"], "***");
        assert_eq!(lines[0]["access_token"], "***");
        assert_eq!(lines[0]["tokens"], 3);
    }

    #[test]
    fn a_line_is_one_line_and_bounded() {
        let long = "é".repeat(MAX_VALUE_BYTES);
        let lines = lines(|| tracing::info!(long, "two\nlines \u{0}"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "two\nlines \u{0}");
        assert!(lines[0]["long"].as_str().unwrap().len() <= MAX_VALUE_BYTES + '…'.len_utf8());
    }

    #[test]
    fn an_error_brings_its_causes() {
        let error = std::io::Error::other("disk full");
        let lines = lines(|| {
            tracing::error!(error = &error as &dyn std::error::Error, "write failed");
        });
        assert_eq!(lines[0]["error"], "disk full");
    }
}
