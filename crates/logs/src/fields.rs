//! The fields of a line, read when they are asked for: of JSON, of `key=value`, of web servers' access
//! logs, and of the head of syslog. Any text may come.

mod ids;

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

pub(crate) use self::ids::spellings;
use crate::format::{custom::Formats, stamp::span};

/// Fields that have no name in the line: those of access logs and of syslog.
const UNNAMED: [&str; 11] = [
    "client", "method", "path", "protocol", "status", "bytes", "referer", "agent", "host", "app",
    "pid",
];

/// Fields of one line that are shown.
const MOST_FIELDS: usize = 200;

/// Whether lines of some format that everybody knows have the field without naming it.
pub(crate) fn may_be_unnamed(name: &str) -> bool {
    UNNAMED.contains(&name)
}

/// Whether lines may have the field without naming it.
pub(crate) fn is_unnamed(name: &str, formats: &Formats) -> bool {
    may_be_unnamed(name) || formats.iter().any(|format| format.has(name))
}

/// The value of a field; fields of objects in objects have dots in their names. `trace_id`, `span_id` and
/// `request_id` are found however a program writes them.
pub(crate) fn field<'a>(text: &'a str, name: &str, formats: &Formats) -> Option<Cow<'a, str>> {
    let Some(spellings) = spellings(name) else { return named(text, name, formats) };
    spellings.iter().find_map(|spelling| ids::id_in(spelling, named(text, spelling, formats)?))
}

fn named<'a>(text: &'a str, name: &str, formats: &Formats) -> Option<Cow<'a, str>> {
    let line = text.lines().next()?;
    if let Some(value) = formats.iter().find_map(|format| format.field(line, name)) {
        return Some(Cow::Borrowed(value));
    }
    if line.starts_with('{') {
        return of_object(line, name).map(Cow::Owned);
    }
    if let Some(value) = of_pairs(line, name) {
        return Some(value);
    }
    let behind = line.ends_with('}').then(|| line.find(" {")).flatten();
    if let Some(value) = behind.and_then(|at| of_object(&line[at + 1..], name)) {
        return Some(Cow::Owned(value));
    }
    let unnamed = if may_be_unnamed(name) { of_head(line, name) } else { None };
    unnamed.map(Cow::Borrowed)
}

/// All fields of a line, by name; those that are written the same way twice once.
pub(crate) fn all(text: &str, formats: &Formats) -> BTreeMap<String, String> {
    let mut found = written(text, formats);
    for name in ids::ours() {
        if !found.contains_key(name)
            && let Some(id) = field(text, name, formats)
        {
            found.insert(name.to_owned(), id.into_owned());
        }
    }
    found
}

/// The fields as the line names them.
fn written(text: &str, formats: &Formats) -> BTreeMap<String, String> {
    let line = text.lines().next().unwrap_or_default();
    let mut found = BTreeMap::new();
    for (name, value) in formats.iter().flat_map(|format| format.fields(line)) {
        found.entry(name).or_insert_with(|| value.to_owned());
    }
    let object = if line.starts_with('{') { Some(line) } else { None };
    let behind = line.ends_with('}').then(|| line.find(" {").map(|at| &line[at + 1..])).flatten();
    if let Some(object) = object.or(behind)
        && let Ok(Value::Object(object)) = serde_json::from_str(object)
    {
        flatten("", &object, &mut found);
    }
    if object.is_some() {
        return found;
    }
    for (at, _) in line.match_indices('=') {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '@' | '-');
        let start = line[..at].rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
        // The character before may be of several bytes.
        let Some(name) = line.get(start..at).filter(|name| !name.is_empty()) else { continue };
        if found.len() < MOST_FIELDS
            && let Some(value) = of_pairs(line, name)
        {
            found.entry(name.to_owned()).or_insert_with(|| value.into_owned());
        }
    }
    for name in UNNAMED {
        if let Some(value) = of_head(line, name) {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

fn flatten(before: &str, object: &Map<String, Value>, found: &mut BTreeMap<String, String>) {
    for (key, value) in object {
        let name = format!("{before}{key}");
        if found.len() >= MOST_FIELDS {
            return;
        }
        match value {
            // serde_json reads no deeper than 128.
            Value::Object(inner) => flatten(&format!("{name}."), inner, found),
            Value::Null => {}
            Value::String(text) => drop(found.insert(name, text.clone())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                drop(found.insert(name, value.to_string()));
            }
        }
    }
}

fn of_object(line: &str, name: &str) -> Option<String> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    match within(&object, name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(value.to_string())
        }
    }
}

/// A key of the object, or of an object in it: names with dots may be either.
fn within<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| {
        let inner = object.get(&name[..at])?.as_object()?;
        within(inner, &name[at + 1..])
    })
}

/// The value behind `name=`, in quotes or up to what ends a word.
fn of_pairs<'a>(line: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | ']' | '}');
    line.match_indices(name).find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let starts = before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '-'));
        let value = line[at + name.len()..].strip_prefix('=').filter(|_| starts)?;
        if let Some(quoted) = value.strip_prefix('"') {
            let end = crate::format::end_of_quoted(quoted.as_bytes())?;
            let inside = quoted.get(..end)?;
            let unescaped = inside.contains('\\').then(|| inside.replace("\\\"", "\""));
            return Some(unescaped.map_or(Cow::Borrowed(inside), Cow::Owned));
        }
        let end = value.find(ends).unwrap_or(value.len());
        (end > 0).then(|| Cow::Borrowed(&value[..end]))
    })
}

/// A field of an access log, or of the head of syslog.
fn of_head<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    match name {
        "host" | "app" | "pid" => of_syslog(line, name),
        _ => of_access(line, name),
    }
}

/// `client ident user [time] "GET /path HTTP/1.1" 200 123 "referer" "agent"`.
fn of_access<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (head, rest) = line.split_once('[')?;
    let (_, rest) = rest.split_once("] \"")?;
    let end = crate::format::end_of_quoted(rest.as_bytes())?;
    let (request, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
    let mut numbers = rest.split_ascii_whitespace();
    let mut words = request.split_ascii_whitespace();
    let found = match name {
        "client" => head.split_ascii_whitespace().next(),
        "method" => words.next(),
        "path" => words.nth(1),
        "protocol" => words.nth(2),
        "status" => numbers.next(),
        "bytes" => numbers.nth(1),
        "referer" => rest.split('"').nth(1),
        "agent" => rest.split('"').nth(3),
        _ => None,
    };
    found.filter(|value| *value != "-")
}

/// `time host app[pid]: message`, or RFC 5424's `time host app pid id message`.
fn of_syslog<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let stamp = span::first(line)?;
    let before = &line[..stamp.start];
    let is_5424 = before.ends_with(">1 ");
    if !is_5424 && !before.is_empty() && !before.ends_with('>') {
        return None;
    }
    let mut words = line.get(stamp.end..)?.split_ascii_whitespace();
    let host = words.next()?;
    let app = words.next()?;
    let found = if is_5424 {
        match name {
            "host" => host,
            "app" => app,
            _ => words.next()?,
        }
    } else {
        let app = app.strip_suffix(':')?;
        let (app, pid) = app.strip_suffix(']').and_then(|a| a.split_once('[')).unwrap_or((app, ""));
        match name {
            "host" => host,
            "app" => app,
            _ => pid,
        }
    };
    (found != "-" && !found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_wherever_lines_have_them() {
        let json =
            r#"{"a.b":1,"user":{"id":7,"on":true,"tags":["x"]},"msg":"say \"hi\"","no":null}"#;
        let access = r#"10.0.0.1 - ada [21/Nov/2026:03:14:15 +0000] "GET /a?b=c HTTP/1.1" 502 17 "-" "curl/8" 0.2"#;
        let bsd = "Nov 21 03:14:15 web-1 sshd[42]: Failed user=root rhost=1.2.3.4";
        let rfc = "<34>1 2026-11-21T03:14:15Z web-2 app 7 ID1 - up";
        for (line, name, value) in [
            (json, "a.b", Some("1")),
            (json, "user.id", Some("7")),
            (json, "user.on", Some("true")),
            (json, "user.tags", Some(r#"["x"]"#)),
            (json, "msg", Some(r#"say "hi""#)),
            (json, "no", None),
            (json, "user.none", None),
            ("ts=1 level=warn msg=\"slow \\\"one\\\"\" ms=51", "msg", Some("slow \"one\"")),
            ("ts=1 level=warn ms=51, x", "ms", Some("51")),
            ("terms=5 ms=51", "ms", Some("51")),
            ("a xms=51", "ms", None),
            ("empty= x", "empty", None),
            (r#"disk full {"pod":"api-1"}"#, "pod", Some("api-1")),
            (access, "status", Some("502")),
            (access, "client", Some("10.0.0.1")),
            (access, "path", Some("/a?b=c")),
            (access, "agent", Some("curl/8")),
            (access, "referer", None),
            (access, "bytes", Some("17")),
            (bsd, "host", Some("web-1")),
            (bsd, "app", Some("sshd")),
            (bsd, "pid", Some("42")),
            (bsd, "user", Some("root")),
            (rfc, "host", Some("web-2")),
            (rfc, "pid", Some("7")),
            ("plain text", "host", None),
            ("", "x", None),
        ] {
            assert_eq!(
                field(line, name, &Formats::default()).as_deref(),
                value,
                "{name} of {line}"
            );
        }
    }

    #[test]
    fn ids_are_found_however_they_are_written() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (line, name) in [
            (format!(r#"{{"traceId":"{trace}"}}"#), "trace_id"),
            (format!(r#"{{"trace":{{"id":"{trace}"}}}}"#), "trace_id"),
            (format!("level=info trace_id={trace}"), "trace_id"),
            (format!("x traceparent=00-{trace}-00f067aa0ba902b7-01"), "trace_id"),
            (format!(r#"{{"dd.trace_id":"{trace}"}}"#), "trace_id"),
            (format!("reqId={trace} done"), "request_id"),
            (format!(r#"{{"X-Request-ID":"{trace}"}}"#), "request_id"),
            (format!(r#"{{"spanId":"{trace}"}}"#), "span_id"),
        ] {
            let formats = Formats::default();
            assert_eq!(field(&line, name, &formats).as_deref(), Some(trace), "{line}");
            assert_eq!(all(&line, &formats).get(name).map(String::as_str), Some(trace), "{line}");
        }
        assert_eq!(field("traceparent=none", "trace_id", &Formats::default()), None);
        assert_eq!(field("traceId=1", "traceid", &Formats::default()), None);
    }

    #[test]
    fn all_fields_of_a_line_are_shown() {
        let shown = |line: &str| {
            let fields: Vec<String> = all(line, &Formats::default())
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            fields.join(" ")
        };
        let json = r#"{"a":1,"user":{"id":7,"on":true},"no":null,"tags":["x"]}"#;
        assert_eq!(shown(json), r#"a=1 tags=["x"] user.id=7 user.on=true"#);
        assert_eq!(shown("x ms=5 q=\"a b\", é=1 =2"), "ms=5 q=a b");
        let bsd = "Nov 21 03:14:15 web-1 sshd[42]: Failed user=root";
        assert_eq!(shown(bsd), "app=sshd host=web-1 pid=42 user=root");
        assert_eq!(shown("plain"), "");
    }

    proptest! {
        #[test]
        fn any_text_has_fields_or_none(text in "[ -~é\"{}=\\[\\]]{0,120}", name in "[a-z.]{1,6}") {
            field(&text, &name, &Formats::default());
            for (name, value) in all(&text, &Formats::default()) {
                let found = field(&text, &name, &Formats::default());
                prop_assert_eq!(found.as_deref(), Some(value.as_str()));
            }
            UNNAMED.iter().for_each(|name| drop(field(&text, name, &Formats::default())));
        }
    }
}
