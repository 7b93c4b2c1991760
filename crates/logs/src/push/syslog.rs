//! Syslog over the network: messages of RFC 3164 and RFC 5424, one in a datagram (RFC 5426), or one
//! after another in a stream, with their length before them or a line feed behind (RFC 6587).

use super::{Pushed, named};
use crate::format::scan::Scan;

/// A message that is longer is cut; RFC 5424 asks for 2 KiB.
const MOST_BYTES: usize = 64 * 1024;

/// A length has at most so many digits.
const MOST_DIGITS: usize = 6;

/// A message; none when there is nothing in it.
#[must_use]
pub fn record(message: &[u8]) -> Option<Pushed> {
    let message = message.trim_ascii_end();
    let cut = &message[..message.len().min(MOST_BYTES)];
    if cut.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(cut).into_owned();
    let source = named([host(&text)], "syslog");
    Some(Pushed { source, text })
}

/// The host that a message names.
fn host(message: &str) -> Option<&str> {
    let mut scan = Scan::new(message.as_bytes());
    scan.byte(b'<')?;
    scan.number(3)?;
    scan.byte(b'>')?;
    let rest = message.get(scan.at()..)?;
    let mut words = rest.split_ascii_whitespace();
    let first = words.next()?;
    // RFC 5424: a version, the time, the host.
    let host = if first == "1" {
        words.nth(1)?
    } else if first.as_bytes().first()?.is_ascii_digit() {
        // A time of RFC 3339, as rsyslog writes it.
        words.next()?
    } else {
        // RFC 3164: a month, a day, a time of day, the host.
        let time = words.nth(1)?;
        if !time.contains(':') {
            return None;
        }
        words.next()?
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b".-_:".contains(&b);
    (host != "-" && !host.ends_with(':') && host.bytes().all(is_name)).then_some(host)
}

/// Cuts a stream into messages.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// What is left of a message that is too long.
    skipping: Skipping,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Skipping {
    #[default]
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// Up to a line feed.
    Line,
}

impl Frames {
    /// Takes bytes of the stream; gives out the messages that are whole with them.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Pushed> {
        self.buffer.extend_from_slice(bytes);
        let mut records = Vec::new();
        let mut at = 0;
        while let Some((skip, take)) = self.next(at) {
            records.extend(record(&self.buffer[at + skip..at + skip + take]));
            at += skip + take;
        }
        self.buffer.drain(..at.min(self.buffer.len()));
        self.bound(&mut records);
        records
    }

    /// What is left at the end of the stream.
    #[must_use]
    pub fn finish(self) -> Option<Pushed> {
        if self.skipping == Skipping::Nothing { record(&self.buffer) } else { None }
    }

    /// How many bytes stand before the next whole message, and how many are in it.
    fn next(&mut self, at: usize) -> Option<(usize, usize)> {
        let rest = &self.buffer[at..];
        match self.skipping {
            Skipping::Nothing => {}
            Skipping::Bytes(left) => {
                let skip = left.min(rest.len());
                self.skipping = match left - skip {
                    0 => Skipping::Nothing,
                    left => Skipping::Bytes(left),
                };
                return (skip > 0).then_some((skip, 0));
            }
            Skipping::Line => {
                let end = memchr::memchr(b'\n', rest);
                if end.is_some() {
                    self.skipping = Skipping::Nothing;
                }
                let skip = end.map_or(rest.len(), |end| end + 1);
                return (skip > 0).then_some((skip, 0));
            }
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let may_be_length = (1..=MOST_DIGITS).contains(&digits);
        match (rest.get(digits), rest.get(digits + 1)) {
            (None, _) | (Some(b' '), None) if may_be_length => None,
            (Some(b' '), Some(b'<')) if may_be_length => {
                let number = std::str::from_utf8(&rest[..digits]).ok();
                let len: usize = number.and_then(|number| number.parse().ok()).unwrap_or_default();
                (rest.len() > digits + len).then_some((digits + 1, len))
            }
            _ => memchr::memchr(b'\n', rest).map(|end| (0, end + 1)),
        }
    }

    /// A message that is too long is given out cut, and its rest is skipped.
    fn bound(&mut self, records: &mut Vec<Pushed>) {
        if self.buffer.len() <= MOST_BYTES + MOST_DIGITS + 1 {
            return;
        }
        let digits = self.buffer.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&self.buffer[..digits]).ok();
        let len: Option<usize> = number.and_then(|number| number.parse().ok());
        let body = if len.is_some() { digits + 1 } else { 0 };
        records.extend(record(&self.buffer[body..]));
        self.skipping = match len {
            Some(len) => Skipping::Bytes(len.saturating_sub(self.buffer.len() - body)),
            None => Skipping::Line,
        };
        self.buffer.clear();
    }
}
