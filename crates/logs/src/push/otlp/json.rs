//! A request in JSON, as the protocol buffers' mapping to JSON writes it; numbers of 64 bits come as
//! text, or as numbers.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::{PushError, Record};

/// Values in values; the format has no bound of its own.
const DEEPEST: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    #[serde(default)]
    resource: Attributed,
    #[serde(default)]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    #[serde(default)]
    scope: Attributed,
    #[serde(default)]
    log_records: Vec<LogRecord>,
}

#[derive(Default, Deserialize)]
struct Attributed {
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord {
    #[serde(default, deserialize_with = "number")]
    time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    observed_time_unix_nano: u64,
    #[serde(default)]
    severity_number: i64,
    #[serde(default)]
    severity_text: String,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    attributes: Vec<KeyValue>,
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    span_id: String,
}

pub(super) fn read(body: &[u8]) -> Result<Vec<Record>, PushError> {
    let request: Request = serde_json::from_slice(body)
        .map_err(|error| PushError::new(format!("the body is no OTLP request: {error}")))?;
    let mut records = Vec::new();
    for ResourceLogs { resource, scope_logs } in request.resource_logs {
        for ScopeLogs { scope, log_records } in scope_logs {
            let of_all: Map<String, Value> =
                resource.attributes.iter().chain(&scope.attributes).map(named).collect();
            records.extend(log_records.into_iter().map(|record| Record {
                resource: of_all.clone(),
                nanos: if record.time_unix_nano > 0 {
                    record.time_unix_nano
                } else {
                    record.observed_time_unix_nano
                },
                severity: record.severity_number,
                severity_text: record.severity_text,
                body: plain(&record.body, DEEPEST),
                attributes: record.attributes.iter().map(named).collect(),
                trace_id: record.trace_id,
                span_id: record.span_id,
            }));
        }
    }
    Ok(records)
}

fn named(attribute: &KeyValue) -> (String, Value) {
    (attribute.key.clone(), plain(&attribute.value, DEEPEST))
}

/// The value of an `AnyValue`.
fn plain(value: &Value, depth: usize) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    let values = inner.get("values").and_then(Value::as_array).filter(|_| depth > 0);
    match (kind.as_str(), values) {
        ("arrayValue", Some(values)) => {
            values.iter().map(|value| plain(value, depth - 1)).collect()
        }
        ("kvlistValue", Some(values)) => {
            let pairs = values.iter().filter_map(|pair| {
                let key = pair.get("key")?.as_str()?;
                Some((key.to_owned(), plain(pair.get("value")?, depth - 1)))
            });
            Value::Object(pairs.collect())
        }
        ("intValue", _) => {
            let number = inner.as_str().and_then(|text| text.parse::<i64>().ok());
            number.map_or_else(|| inner.clone(), Value::from)
        }
        ("arrayValue" | "kvlistValue", None) => Value::Null,
        _ => inner.clone(),
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().ok_or_else(|| D::Error::custom("no time")),
        Value::String(text) if text.is_empty() => Ok(0),
        Value::String(text) => text.parse().map_err(D::Error::custom),
        Value::Null => Ok(0),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(D::Error::custom("no time")),
    }
}
