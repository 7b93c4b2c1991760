//! systemd's journal export format, as `systemd-journal-upload` sends it and `journalctl -o export`
//! writes it: fields line by line, those with other bytes with their length, and a blank line behind
//! each entry.

use callboard_protocol::Timestamp;
use serde_json::Value;

use super::{PushError, Pushed, fields::Line, named};

/// Fields of one entry: a program may send 1,024, and systemd adds some thirty.
const MOST_FIELDS: usize = 2_048;

/// The field that says where in the journal an entry stands.
const CURSOR: &str = "__CURSOR";

/// The names of syslog's severities.
const PRIORITIES: [&str; 8] =
    ["fatal", "fatal", "fatal", "error", "warn", "notice", "info", "debug"];

/// Fields of the journal that are shown, and under which name.
const SHOWN: [(&str, &str); 5] = [
    ("_HOSTNAME", "host"),
    ("_SYSTEMD_UNIT", "unit"),
    ("SYSLOG_IDENTIFIER", "ident"),
    ("_PID", "pid"),
    ("_TRANSPORT", "transport"),
];

/// Reads entries.
///
/// # Errors
/// When the bytes end in an entry, or are none.
pub fn entries(mut body: &[u8]) -> Result<Vec<Pushed>, PushError> {
    let mut records = Vec::new();
    while let Some(entry) = entry(&mut body)? {
        records.extend(record(&entry));
    }
    Ok(records)
}

/// A part of what `journalctl -o export` wrote.
pub struct Exported {
    /// The records of its entries.
    pub records: Vec<Pushed>,
    /// Where the journal goes on behind the last entry; none when there is no entry.
    pub cursor: Option<String>,
}

/// Reads entries that may be cut in the midst of the last one, which is left out then.
///
/// # Errors
/// When the bytes are no entries, and when not even one of them is whole.
pub fn exported(mut body: &[u8], is_cut: bool) -> Result<Exported, PushError> {
    let mut exported = Exported { records: Vec::new(), cursor: None };
    loop {
        let entry = match entry(&mut body) {
            // What comes last may look whole without its last fields.
            Ok(Some(_)) if is_cut && body.is_empty() => return Ok(exported),
            Err(_) if is_cut && exported.cursor.is_some() => return Ok(exported),
            entry => entry?,
        };
        let Some(fields) = entry else { return Ok(exported) };
        exported.records.extend(record(&fields));
        let cursor = fields.into_iter().find(|(key, _)| *key == CURSOR);
        exported.cursor = cursor.map(|(_, cursor)| cursor).or(exported.cursor);
    }
}

type Fields<'a> = Vec<(&'a str, String)>;

fn entry<'a>(body: &mut &'a [u8]) -> Result<Option<Fields<'a>>, PushError> {
    let mut fields = Fields::new();
    loop {
        let Some(end) = memchr::memchr(b'\n', body) else {
            if body.is_empty() {
                return Ok(if fields.is_empty() { None } else { Some(fields) });
            }
            return Err(PushError::new("the entries end within a field"));
        };
        let line = &body[..end];
        *body = &body[end + 1..];
        if line.is_empty() {
            if fields.is_empty() {
                continue;
            }
            return Ok(Some(fields));
        }
        if fields.len() >= MOST_FIELDS {
            return Err(PushError::new(format!("an entry has more than {MOST_FIELDS} fields")));
        }
        let (key, value) = match memchr::memchr(b'=', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, with_length(body)?),
        };
        let key = std::str::from_utf8(key).ok().filter(|key| is_key(key));
        let key = key.ok_or_else(|| PushError::new("a field has no name of the journal's"))?;
        fields.push((key, String::from_utf8_lossy(value).into_owned()));
    }
}

fn is_key(key: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !key.is_empty() && key.len() <= 64 && key.bytes().all(is_part)
}

/// A value behind its length in 64 bits, little endian.
fn with_length<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], PushError> {
    let cut = || PushError::new("a field is shorter than it says");
    let (len, rest) = body.split_first_chunk().ok_or_else(cut)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| cut())?;
    let value = rest.get(..len).ok_or_else(cut)?;
    *body = rest[len..].strip_prefix(b"\n").ok_or_else(cut)?;
    Ok(value)
}

fn record(fields: &Fields<'_>) -> Option<Pushed> {
    let of = |wanted: &str| {
        let found = fields.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let message = of("MESSAGE")?;
    let mut line = Line::default();
    let micros = of("_SOURCE_REALTIME_TIMESTAMP").or_else(|| of("__REALTIME_TIMESTAMP"));
    if let Some(micros) = micros.and_then(|micros| micros.parse::<i64>().ok()) {
        line.text("timestamp", &Timestamp::from_millis(micros / 1_000).to_string());
    }
    let priority = of("PRIORITY").and_then(|priority| priority.parse::<usize>().ok());
    if let Some(level) = priority.and_then(|priority| PRIORITIES.get(priority)) {
        line.text("level", level);
    }
    for (key, name) in SHOWN {
        line.text(name, of(key).unwrap_or_default());
    }
    line.text("message", message);
    let own = fields.iter().filter(|(key, _)| !key.starts_with('_'));
    for (key, value) in own.filter(|(key, _)| !known(key)) {
        line.field(&key.to_lowercase(), &Value::from(value.as_str()));
    }
    Some(Pushed { source: named([of("_HOSTNAME")], "journal"), text: line.finish() })
}

/// Fields that are said under another name, or say nothing.
fn known(key: &str) -> bool {
    matches!(key, "MESSAGE" | "PRIORITY" | "SYSLOG_IDENTIFIER" | "SYSLOG_FACILITY" | "SYSLOG_PID")
        || key.starts_with("SYSLOG_TIMESTAMP")
}
