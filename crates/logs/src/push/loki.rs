//! Loki's push API: streams of labels, and in each lines with their times. JSON, or protocol buffers
//! packed with Snappy.

use callboard_protocol::Timestamp;
use prost::Message;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{PushError, Pushed, fields::joined, named};

/// Labels that name a source, the most telling first.
const NAMING: [&str; 8] =
    ["service_name", "service", "app", "job", "container", "unit", "filename", "host"];

#[derive(Deserialize)]
struct Push {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    stream: Map<String, Value>,
    values: Vec<Entry>,
}

/// A time in nanoseconds, a line, and perhaps further labels.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Plain(String, String),
    WithLabels(String, String, Map<String, Value>),
}

/// Reads the body of a push in JSON.
///
/// # Errors
/// When it is no such body.
pub fn from_json(body: &[u8]) -> Result<Vec<Pushed>, PushError> {
    let push: Push = serde_json::from_slice(body)
        .map_err(|error| PushError::new(format!("the body is no push of Loki's: {error}")))?;
    let mut records = Vec::new();
    for Stream { stream, values } in push.streams {
        for entry in values {
            let (nanos, line, more) = match entry {
                Entry::Plain(nanos, line) => (nanos, line, Map::new()),
                Entry::WithLabels(nanos, line, more) => (nanos, line, more),
            };
            let nanos = nanos.parse().map_err(|_| {
                PushError::new(format!("{nanos:?} is no time in nanoseconds since 1970"))
            })?;
            records.push(record(&stream, nanos, &line, more));
        }
    }
    Ok(records)
}

/// `logproto.PushRequest`.
#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    structured_metadata: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Reads the body of a push in protocol buffers, which unpacks to `most` bytes at most.
///
/// # Errors
/// When it is no such body, or a larger one.
pub fn from_protobuf(body: &[u8], most: usize) -> Result<Vec<Pushed>, PushError> {
    let packed = |error: snap::Error| PushError::new(format!("the body is not Snappy's: {error}"));
    if snap::raw::decompress_len(body).map_err(packed)? > most {
        return Err(PushError::new(format!("the body unpacks to more than {most} bytes")));
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(body).map_err(packed)?;
    let push = PushRequest::decode(&*bytes)
        .map_err(|error| PushError::new(format!("the body is no push of Loki's: {error}")))?;
    let mut records = Vec::new();
    for StreamAdapter { labels, entries } in push.streams {
        let stream = read_labels(&labels)
            .ok_or_else(|| PushError::new(format!("{labels:?} are no labels")))?;
        for EntryAdapter { timestamp, line, structured_metadata } in entries {
            let nanos = timestamp.map_or(0, |at| {
                at.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(at.nanos))
            });
            let more = structured_metadata.into_iter();
            let more = more.map(|label| (label.name, Value::from(label.value))).collect();
            records.push(record(&stream, nanos, &line, more));
        }
    }
    Ok(records)
}

fn record(stream: &Map<String, Value>, nanos: i64, line: &str, more: Map<String, Value>) -> Pushed {
    let label = |key: &&str| stream.get(*key).and_then(Value::as_str);
    let source = named(NAMING.iter().map(label), "loki");
    let beside = stream.iter().filter(|(_, value)| value.as_str() != Some(&*source));
    let mut labels: Map<String, Value> =
        beside.map(|(key, value)| (key.clone(), value.clone())).collect();
    labels.extend(more);
    let at = (nanos > 0).then(|| Timestamp::from_millis(nanos / 1_000_000));
    Pushed { source, text: joined(line.trim_end_matches(['\n', '\r']), at, labels) }
}

/// `{app="api", pod="api-1"}`; values are quoted as in Go.
fn read_labels(text: &str) -> Option<Map<String, Value>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut labels = Map::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let mut values =
            serde_json::Deserializer::from_str(after.trim_start()).into_iter::<String>();
        let value = values.next()?.ok()?;
        let behind = after.trim_start().get(values.byte_offset()..)?.trim_start();
        labels.insert(key.trim().to_owned(), Value::from(value));
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    Some(labels)
}
