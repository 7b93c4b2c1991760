//! A request in protocol buffers: the messages of `opentelemetry/proto/logs/v1` and of what they are
//! made of, as far as they say anything here.

use prost::Message;
use serde_json::{Map, Value};

use super::{PushError, Record};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    severity_number: i32,
    #[prost(string, tag = "3")]
    severity_text: String,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    observed_time_unix_nano: u64,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Pairs(KeyValueList),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    values: Vec<KeyValue>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

pub(super) fn status(message: &str) -> Vec<u8> {
    /// `INVALID_ARGUMENT`.
    const INVALID: i32 = 3;
    Status { code: INVALID, message: message.to_owned() }.encode_to_vec()
}

/// Messages in messages are bounded by prost: a hundred.
pub(super) fn read(body: &[u8]) -> Result<Vec<Record>, PushError> {
    let request = Request::decode(body)
        .map_err(|error| PushError::new(format!("the body is no OTLP request: {error}")))?;
    let mut records = Vec::new();
    for ResourceLogs { resource, scope_logs } in request.resource_logs {
        let of_resource = resource.map(|resource| resource.attributes).unwrap_or_default();
        for ScopeLogs { scope, log_records } in scope_logs {
            let of_scope = scope.map(|scope| scope.attributes).unwrap_or_default();
            let of_all: Map<String, Value> =
                of_resource.iter().cloned().chain(of_scope).map(named).collect();
            records.extend(log_records.into_iter().map(|record| Record {
                resource: of_all.clone(),
                nanos: if record.time_unix_nano > 0 {
                    record.time_unix_nano
                } else {
                    record.observed_time_unix_nano
                },
                severity: i64::from(record.severity_number),
                severity_text: record.severity_text,
                body: record.body.map_or(Value::Null, plain),
                attributes: record.attributes.into_iter().map(named).collect(),
                trace_id: hex(&record.trace_id),
                span_id: hex(&record.span_id),
            }));
        }
    }
    Ok(records)
}

fn named(attribute: KeyValue) -> (String, Value) {
    (attribute.key, attribute.value.map_or(Value::Null, plain))
}

fn plain(value: AnyValue) -> Value {
    match value.value {
        None => Value::Null,
        Some(Kind::Text(text)) => Value::from(text),
        Some(Kind::Bool(bool)) => Value::from(bool),
        Some(Kind::Int(number)) => Value::from(number),
        Some(Kind::Double(number)) => Value::from(number),
        Some(Kind::Array(array)) => array.values.into_iter().map(plain).collect(),
        Some(Kind::Pairs(pairs)) => Value::Object(pairs.values.into_iter().map(named).collect()),
        Some(Kind::Bytes(bytes)) => Value::from(hex(&bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
