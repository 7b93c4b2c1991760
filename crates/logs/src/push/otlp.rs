//! OpenTelemetry's logs over HTTP (OTLP 1.x): `ExportLogsServiceRequest`, in protocol buffers or in
//! JSON. A record becomes a line of JSON with the time, the level, the message, and all attributes.

mod json;
mod proto;

use callboard_protocol::{Level, Timestamp};
use serde_json::{Map, Value};

use super::{PushError, Pushed, fields::Line, named};

/// Where the name of a service stands among the attributes of a resource.
const SERVICE: &str = "service.name";

/// Reads a request in JSON.
///
/// # Errors
/// When it is none.
pub fn from_json(body: &[u8]) -> Result<Vec<Pushed>, PushError> {
    json::read(body).map(pushed)
}

/// Reads a request in protocol buffers.
///
/// # Errors
/// When it is none.
pub fn from_protobuf(body: &[u8]) -> Result<Vec<Pushed>, PushError> {
    proto::read(body).map(pushed)
}

/// The answer to a request in protocol buffers that was refused: `google.rpc.Status`.
#[must_use]
pub fn status_protobuf(message: &str) -> Vec<u8> {
    proto::status(message)
}

/// A record, as both ways of writing it say it.
struct Record {
    /// Attributes of the resource and of the scope.
    resource: Map<String, Value>,
    nanos: u64,
    severity: i64,
    severity_text: String,
    body: Value,
    attributes: Map<String, Value>,
    trace_id: String,
    span_id: String,
}

fn pushed(records: Vec<Record>) -> Vec<Pushed> {
    records.into_iter().map(Record::pushed).collect()
}

impl Record {
    fn pushed(self) -> Pushed {
        let mut line = Line::default();
        if let Ok(millis @ 1..) = i64::try_from(self.nanos / 1_000_000) {
            line.text("timestamp", &Timestamp::from_millis(millis).to_string());
        }
        line.text("level", self.level());
        match &self.body {
            Value::String(message) => line.text("message", message),
            Value::Object(fields) => {
                let message = fields.get("message").or_else(|| fields.get("msg"));
                line.text("message", message.and_then(Value::as_str).unwrap_or_default());
                line.flat("body", &self.body);
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                line.field("message", &self.body);
            }
        }
        line.text("trace_id", &self.trace_id);
        line.text("span_id", &self.span_id);
        for (key, value) in self.attributes.iter().chain(&self.resource) {
            line.flat(key, value);
        }
        let service = self.resource.get(SERVICE).and_then(Value::as_str);
        Pushed { source: named([service], "otlp"), text: line.finish() }
    }

    fn level(&self) -> &str {
        let by_number = match self.severity {
            1..=4 => Level::Trace,
            5..=8 => Level::Debug,
            9..=12 => Level::Info,
            13..=16 => Level::Warn,
            17..=20 => Level::Error,
            21..=24 => Level::Fatal,
            _ => return &self.severity_text,
        };
        by_number.as_str()
    }
}
