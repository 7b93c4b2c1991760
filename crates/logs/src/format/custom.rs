//! Formats of the operator's own: a regular expression whose groups are the fields of a line, or the
//! same in the words of grok (`%{IP:client}`, as Logstash has it).
//!
//! The groups `timestamp` (or `time`) and `level` (or `severity`) are read as such. A format is taken
//! for a source when it fits at least half of its first lines; a line that it does not fit belongs to
//! the record before it.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde::Deserialize;

use super::{
    Head, is_indented, level,
    stamp::{self, Clock},
};
use crate::regular;

/// A format, as it is configured: `[[logs.formats]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatConfig {
    /// For people.
    pub name: String,
    /// The regular expression.
    pub pattern: String,
    /// A line that it must fit.
    #[serde(default)]
    pub sample: Option<String>,
    /// What the fields of the sample must be.
    #[serde(default)]
    pub expect: BTreeMap<String, String>,
}

/// A format, ready to be used.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) name: String,
    regex: Regex,
}

/// All of them, in the order in which they are tried.
pub(crate) type Formats = Arc<[Format]>;

/// What the words of grok stand for; they may stand for others.
const WORDS: [(&str, &str); 24] = [
    ("DATA", r".*?"),
    ("DATE", r"\d{4}[-/]\d{2}[-/]\d{2}"),
    ("GREEDYDATA", r".*"),
    ("HOSTNAME", r"[0-9A-Za-z][0-9A-Za-z.-]*"),
    ("HTTPDATE", r"\d{2}/[A-Za-z]{3}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}"),
    ("INT", r"[+-]?\d+"),
    ("IP", r"(?:%{IPV4}|%{IPV6})"),
    ("IPORHOST", r"(?:%{IP}|%{HOSTNAME})"),
    ("IPV4", r"\d{1,3}(?:\.\d{1,3}){3}"),
    ("IPV6", r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"),
    ("LOGLEVEL", r"[A-Za-z]+"),
    ("MONTH", r"[A-Za-z]{3,9}"),
    ("NOTSPACE", r"\S+"),
    ("NUMBER", r"[+-]?\d+(?:\.\d+)?"),
    ("PATH", r"(?:/[^\s]*)+"),
    ("POSINT", r"\d+"),
    ("QUOTEDSTRING", r#""(?:[^"\\]|\\.)*""#),
    ("SPACE", r"\s*"),
    ("SYSLOGTIMESTAMP", r"[A-Za-z]{3} +\d{1,2} \d{2}:\d{2}:\d{2}"),
    ("TIMESTAMP_ISO8601", r"%{DATE}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?"),
    ("URI", r"[A-Za-z][A-Za-z0-9+.-]*://\S+"),
    ("USER", r"[A-Za-z0-9._-]+"),
    ("UUID", r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    ("WORD", r"\w+"),
];

/// Words in words.
const DEEPEST: u32 = 4;

impl Format {
    /// Reads a format, and holds it against its sample.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(config: &FormatConfig) -> Result<Self, String> {
        let expanded = expanded(&config.pattern, DEEPEST)?;
        let built = regular::expression(&expanded, false);
        let regex = built.map_err(|problem| format!("the pattern {problem}"))?;
        if regex.capture_names().flatten().next().is_none() {
            return Err("the pattern names no field".to_owned());
        }
        let format = Self { name: config.name.clone(), regex };
        let Some(sample) = &config.sample else {
            let none = config.expect.is_empty();
            return if none { Ok(format) } else { Err("there is no sample to expect from".into()) };
        };
        if !format.regex.is_match(sample) {
            return Err("the pattern does not fit its sample".to_owned());
        }
        for (field, expected) in &config.expect {
            let found = format.field(sample, field).unwrap_or_default();
            if found != expected {
                return Err(format!("in the sample {field} is {found:?}, not {expected:?}"));
            }
        }
        Ok(format)
    }

    /// The one that fits the first lines of a source.
    pub(crate) fn of<'a>(
        formats: &Formats,
        sample: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<Self> {
        let lines = || {
            let told = |line: &&[u8]| !line.trim_ascii().is_empty() && !is_indented(line);
            sample.clone().filter(told).filter_map(|line| std::str::from_utf8(line).ok())
        };
        let fits = |format: &&Self| {
            let fitting = lines().filter(|line| format.regex.is_match(line)).count();
            fitting > 0 && fitting * 2 >= lines().count()
        };
        formats.iter().find(fits).cloned()
    }

    /// What the head of a line says; none when the format does not fit it.
    pub(crate) fn head(&self, line: &[u8], clock: &Clock) -> Option<Head> {
        let line = std::str::from_utf8(line).ok()?;
        let groups = self.regex.captures(line)?;
        let of = |names: [&str; 2]| names.into_iter().find_map(|name| groups.name(name));
        let at = of(["timestamp", "time"]).and_then(|at| stamp::read_field(at.as_str(), clock));
        let named = of(["level", "severity"]);
        let named = named.and_then(|level| level::from_word(level.as_str().as_bytes()));
        let level = named.unwrap_or_else(|| level::from_text(line.as_bytes()));
        Some(Head { timestamp: at, level, starts_record: true })
    }

    /// Whether it has a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.regex.capture_names().flatten().any(|known| known == name)
    }

    /// A field of a line.
    pub(crate) fn field<'l>(&self, line: &'l str, name: &str) -> Option<&'l str> {
        if !self.has(name) {
            return None;
        }
        self.regex.captures(line)?.name(name).map(|value| value.as_str())
    }

    /// All fields of a line.
    pub(crate) fn fields<'l>(&self, line: &'l str) -> Vec<(String, &'l str)> {
        let Some(groups) = self.regex.captures(line) else { return Vec::new() };
        let names = self.regex.capture_names().flatten();
        names.filter_map(|name| Some((name.to_owned(), groups.name(name)?.as_str()))).collect()
    }
}

/// A pattern with the words of grok replaced.
fn expanded(pattern: &str, depth: u32) -> Result<String, String> {
    let Some((before, rest)) = pattern.split_once("%{") else { return Ok(pattern.to_owned()) };
    let (word, behind) = rest.split_once('}').ok_or_else(|| format!("%{{{rest} has no end"))?;
    let (word, name) = match word.split_once(':') {
        // Logstash allows a type behind the name; values are compared as numbers where they are.
        Some((word, name)) => (word, name.split(':').next()),
        None => (word, None),
    };
    let known = WORDS.iter().find(|(known, _)| *known == word);
    let (_, meaning) = known.ok_or_else(|| format!("%{{{word}}} is not known"))?;
    let meaning = match depth.checked_sub(1) {
        Some(depth) => expanded(meaning, depth)?,
        None => return Err(format!("%{{{word}}} stands for too much")),
    };
    let group = match name {
        Some(name) => format!("(?P<{name}>{meaning})"),
        None => format!("(?:{meaning})"),
    };
    // What stands behind is as deep as what stands before.
    Ok(format!("{before}{group}{}", expanded(behind, depth)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(pattern: &str) -> FormatConfig {
        let name = "shop".to_owned();
        FormatConfig { name, pattern: pattern.to_owned(), sample: None, expect: BTreeMap::new() }
    }

    const SHOP: &str = r"^%{TIMESTAMP_ISO8601:timestamp} \[%{LOGLEVEL:level}\] %{POSINT:order.id:int} from %{IPORHOST:client} %{GREEDYDATA:message}$";
    const LINE: &str = "2026-11-21 03:14:15 [warn] 77 from 10.0.0.1 stock is low";

    #[test]
    fn the_words_of_grok_name_fields() {
        let format = Format::new(&config(SHOP)).unwrap();
        for (name, value) in [
            ("order.id", Some("77")),
            ("client", Some("10.0.0.1")),
            ("message", Some("stock is low")),
            ("none", None),
        ] {
            assert_eq!(format.field(LINE, name), value, "{name}");
        }
        let clock = Clock {
            reference: callboard_protocol::Timestamp::from_millis(0),
            zone: time::UtcOffset::UTC,
        };
        let head = format.head(LINE.as_bytes(), &clock).unwrap();
        assert_eq!(
            (head.timestamp.unwrap().to_string(), head.level.as_str()),
            ("2026-11-21T03:14:15.000Z".to_owned(), "warn")
        );
        assert_eq!(format.head(b"another line", &clock), None);
        assert_eq!(format.head(b"\xff", &clock), None);
    }

    #[test]
    fn a_format_is_held_against_its_sample() {
        let of = |field: &str, value: &str| {
            let expect = BTreeMap::from([(field.to_owned(), value.to_owned())]);
            Format::new(&FormatConfig { sample: Some(LINE.into()), expect, ..config(SHOP) })
        };
        assert!(of("client", "10.0.0.1").is_ok());
        assert_eq!(
            of("client", "b").unwrap_err(),
            "in the sample client is \"10.0.0.1\", not \"b\""
        );
        let sample = Some("no line of the shop".to_owned());
        let other = Format::new(&FormatConfig { sample, ..config(SHOP) });
        assert_eq!(other.unwrap_err(), "the pattern does not fit its sample");
        for (pattern, problem) in [
            ("%{NOTHING:x}", "%{NOTHING} is not known"),
            ("%{WORD:x", "%{WORD:x has no end"),
            ("(?P<x>", "the pattern cannot be read: unclosed group"),
            ("plain", "the pattern names no field"),
            ("(?P<x>a{1000}{1000})", "the pattern is too large"),
        ] {
            assert_eq!(Format::new(&config(pattern)).unwrap_err(), problem, "{pattern}");
        }
    }

    #[test]
    fn every_word_can_be_used() {
        for (word, _) in WORDS {
            assert!(Format::new(&config(&format!("%{{{word}:x}}"))).is_ok(), "{word}");
        }
    }

    #[test]
    fn a_source_has_the_format_that_fits_half_of_its_lines() {
        let formats: Formats = [Format::new(&config(SHOP)).unwrap()].into();
        let of =
            |text: &str| Format::of(&formats, text.as_bytes().split(|b| *b == b'\n')).is_some();
        assert!(of(&format!("{LINE}\n  indented\nother\n")));
        assert!(!of(&format!("{LINE}\nother\nother\n")));
        assert!(!of(""));
    }

    proptest! {
        #[test]
        fn any_pattern_is_read_or_refused(pattern in "[%{}A-Z:a-z()?<>*.]{0,40}") {
            if let Ok(format) = Format::new(&config(&pattern)) {
                format.fields("any text");
            }
        }
    }
}
