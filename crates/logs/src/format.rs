//! Finds out how a log is laid out, and reads the head of each line: its timestamp and its level.
//!
//! [`Layout::detect`] is called by `ingest` with the first lines of a source; `record` then calls
//! [`Layout::head`] for every line. Any bytes may come; nothing here panics.

pub(crate) mod custom;
mod json;
pub(crate) mod level;
mod logfmt;
mod message;
pub(crate) mod scan;
pub(crate) mod stamp;
mod syslog;

use callboard_protocol::{Level, Timestamp};

pub(crate) use message::message;
use scan::Scan;
use stamp::{Clock, StampKind};

/// How the lines of a source are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    shape: Shape,
    /// Whether a line without a timestamp belongs to the one before it.
    pub(crate) joins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One JSON object per line.
    Json,
    /// `time=… level=info msg="…"`.
    Logfmt,
    /// RFC 5424, with or without the priority.
    Syslog5424,
    /// RFC 3164, with or without the priority.
    Syslog3164,
    /// The common and the combined log format of web servers.
    Access,
    /// `[Sun Dec 04 04:47:44 2005] [error] …`.
    ApacheError,
    /// `2026/11/21 03:14:15 [error] 7#7: …`.
    NginxError,
    /// Text with a timestamp of one kind, which starts at this word or before.
    Stamped(StampKind, usize),
    /// Text.
    Plain,
}

/// What the head of a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// When it was written.
    pub(crate) timestamp: Option<Timestamp>,
    /// How grave it is.
    pub(crate) level: Level,
    /// Whether it looks like the first line of a record of this layout.
    pub(crate) starts_record: bool,
}

impl Layout {
    /// Text of any kind.
    pub(crate) const TEXT: Self = Self { shape: Shape::Plain, joins: false };

    /// The layout of a name, but for that of text with timestamps: of which kind, its lines tell.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let shapes = [
            (Shape::Json, false),
            (Shape::Logfmt, false),
            (Shape::Syslog5424, true),
            (Shape::Syslog3164, true),
            (Shape::Access, false),
            (Shape::ApacheError, true),
            (Shape::NginxError, true),
            (Shape::Plain, false),
        ];
        let layouts = shapes.into_iter().map(|(shape, joins)| Self { shape, joins });
        { layouts }.find(|layout| layout.name() == name)
    }

    /// The layout that most of the sampled lines have.
    pub(crate) fn detect<'a>(sample: impl Iterator<Item = &'a [u8]>, clock: &Clock) -> Self {
        let mut votes: Vec<(Shape, usize)> = Vec::new();
        let (mut stamped, mut lines) = (0, 0);
        for line in sample.filter(|line| !line.trim_ascii().is_empty()) {
            let shape = Shape::of(line, clock);
            stamped += usize::from(shape != Shape::Plain);
            lines += usize::from(!is_indented(line));
            match votes.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, count)) => *count += 1,
                None => votes.push((shape, 1)),
            }
        }
        votes.retain(|(shape, _)| *shape != Shape::Plain);
        // Of equals the first seen wins: `max_by_key` takes the last.
        let shape = votes.iter().rev().max_by_key(|(_, count)| *count).map(|(shape, _)| *shape);
        let shape = shape.unwrap_or(Shape::Plain);
        let one_per_line =
            matches!(shape, Shape::Json | Shape::Logfmt | Shape::Access | Shape::Plain);
        Self { shape, joins: !one_per_line && stamped * 2 >= lines }
    }

    /// The share of the sampled lines that begin a record and are of this layout, from 0 to 1.
    pub(crate) fn confidence<'a>(
        self,
        sample: impl Iterator<Item = &'a [u8]>,
        clock: &Clock,
    ) -> f64 {
        let (mut fitting, mut lines) = (0_u32, 0_u32);
        for line in sample.filter(|line| !line.trim_ascii().is_empty() && !is_indented(line)) {
            let fits = self.shape == Shape::Plain || self.shape.read(line, clock).is_some();
            // What follows the head of a record is of no layout.
            if fits || !self.joins {
                lines += 1;
                fitting += u32::from(fits);
            }
        }
        if lines == 0 { 0.0 } else { f64::from(fitting) / f64::from(lines) }
    }

    /// The name of the format, as jobs report it.
    pub(crate) fn name(self) -> &'static str {
        match self.shape {
            Shape::Json => "json lines",
            Shape::Logfmt => "logfmt",
            Shape::Syslog5424 => "syslog (RFC 5424)",
            Shape::Syslog3164 => "syslog",
            Shape::Access => "web server access log",
            Shape::ApacheError => "apache error log",
            Shape::NginxError => "nginx error log",
            Shape::Stamped(..) => "text with timestamps",
            Shape::Plain => "text",
        }
    }

    /// Reads the head of a line. A line that is not of the layout is read as any text.
    pub(crate) fn head(self, line: &[u8], clock: &Clock) -> Head {
        let (timestamp, level) = match self.shape.read(line, clock) {
            Some(found) => found,
            None if self.joins && !Shape::starts(line, clock) => return Head::continuation(line),
            None => Shape::of(line, clock)
                .read(line, clock)
                .unwrap_or_else(|| (None, level::from_text(line))),
        };
        Head { timestamp, level, starts_record: true }
    }
}

impl Head {
    /// Of a line that belongs to the record before it.
    pub(crate) fn continuation(line: &[u8]) -> Self {
        Self { timestamp: None, level: level::from_text(line), starts_record: false }
    }
}

/// Lines of the beginning of a source that its format is found from.
const SAMPLE_LINES: usize = 200;

/// What the format of a source is found from.
pub(crate) fn sample(start: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    start.split(|byte| *byte == b'\n').take(SAMPLE_LINES)
}

/// Whether a line starts with a space or a tab.
pub(crate) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

impl Shape {
    /// The shape of one line; the strictest that it has.
    fn of(line: &[u8], clock: &Clock) -> Self {
        let strict = [Self::Json, Self::Syslog5424, Self::Access, Self::ApacheError];
        let known = |shape: &Self| shape.read(line, clock).is_some();
        if let Some(shape) = strict.into_iter().find(known) {
            return shape;
        }
        if Self::NginxError.read(line, clock).is_some() {
            return Self::NginxError;
        }
        if Self::Syslog3164.read(line, clock).is_some() {
            return Self::Syslog3164;
        }
        if Self::Logfmt.read(line, clock).is_some() {
            return Self::Logfmt;
        }
        match stamp::find(line, clock) {
            Some((kind, word, _)) => Self::Stamped(kind, word),
            None => Self::Plain,
        }
    }

    /// Whether a line starts with a head of some shape: files are mixed, too.
    fn starts(line: &[u8], clock: &Clock) -> bool {
        !is_indented(line)
            && match Self::of(line, clock) {
                Self::Plain => false,
                Self::Stamped(_, word) => word == 0,
                Self::Json
                | Self::Logfmt
                | Self::Syslog5424
                | Self::Syslog3164
                | Self::Access
                | Self::ApacheError
                | Self::NginxError => true,
            }
    }

    /// Timestamp and level of a line of this shape; none if it has another.
    fn read(self, line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
        match self {
            Self::Json => json::read(line, clock),
            Self::Logfmt => logfmt::read(line, clock),
            Self::Syslog5424 => syslog::read_5424(line, clock),
            Self::Syslog3164 => syslog::read_3164(line, clock),
            Self::Access => access(line, clock),
            Self::ApacheError => apache_error(line, clock),
            Self::NginxError => nginx_error(line, clock),
            Self::Stamped(kind, word) => stamped(kind, word, line, clock),
            Self::Plain => None,
        }
    }
}

fn stamped(
    kind: StampKind,
    word: usize,
    line: &[u8],
    clock: &Clock,
) -> Option<(Option<Timestamp>, Level)> {
    stamp::word_starts(line).take(word + 1).find_map(|start| {
        let (at, len) = stamp::read(kind, &line[start..], clock)?;
        let mut level = level::from_text(&line[start + len..]);
        if level == Level::Unknown {
            // `ERROR 2026-11-21 03:14:15 …`
            level = level::from_text(&line[..start]);
        }
        Some((Some(at), level))
    })
}

fn apache_error(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    let mut scan = Scan::new(line);
    scan.byte(b'[')?;
    let (at, len) = stamp::read(StampKind::Ctime, scan.rest(), clock)?;
    let rest = scan.rest()[len..].strip_prefix(b"] [")?;
    Some((Some(at), level::from_text(&line[line.len() - rest.len() - 1..])))
}

fn nginx_error(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    if line.get(4) != Some(&b'/') {
        return None;
    }
    let (at, len) = stamp::read(StampKind::Iso, line, clock)?;
    let rest = line[len..].strip_prefix(b" [")?;
    let end = memchr::memchr(b']', rest)?;
    Some((Some(at), level::from_word(&rest[..end])?))
}

/// `host ident user [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326 …`.
fn access(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    const WITHIN: usize = 512;
    let open = memchr::memchr(b'[', &line[..line.len().min(WITHIN)])?;
    let (at, len) = stamp::read(StampKind::Clf, &line[open + 1..], clock)?;
    let request = line[open + 1 + len..].strip_prefix(b"] \"")?;
    let mut scan = Scan::new(&request[end_of_quoted(request)?..]);
    scan.byte(b'"')?;
    scan.byte(b' ')?;
    let status = scan.digits(3)?;
    Some((Some(at), level::from_status(status)))
}

/// The offset of the quote that ends a text; quotes after a backslash do not.
pub(crate) fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests;
