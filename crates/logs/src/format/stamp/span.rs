//! Where a line says when it was written: found by its looks alone, since every word of every line
//! that is indexed is looked at.

use std::ops::Range;

use callboard_protocol::{TimeRange, Timestamp};
use time::UtcOffset;

use super::{Clock, StampKind, read};

/// A stamp that begins later is no part of the head of a line.
const WITHIN: usize = 128;

/// A date and a time of day: `d` stands for a digit, `a` for a letter.
const SHAPES: [(&[u8], StampKind); 9] = [
    (b"dddd-dd-ddTdd:dd:dd", StampKind::Iso),
    (b"dddd-dd-dd dd:dd:dd", StampKind::Iso),
    (b"dddd/dd/dd dd:dd:dd", StampKind::Iso),
    (b"dd/dd/dd dd:dd:dd", StampKind::ShortSlashes),
    (b"dd/aaa/dddd:dd:dd:dd", StampKind::Clf),
    (b"aaa dd dd:dd:dd", StampKind::Bsd),
    (b"aaa  d dd:dd:dd", StampKind::Bsd),
    (b"aaa aaa dd dd:dd:dd dddd", StampKind::Ctime),
    (b"aaa aaa  d dd:dd:dd dddd", StampKind::Ctime),
];

/// The first date and time of day at the head of a line, with its fraction and its zone.
pub(crate) fn first(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut within = false;
    for (at, byte) in bytes.iter().enumerate().take(WITHIN) {
        let starts = !within && byte.is_ascii_alphanumeric();
        within = byte.is_ascii_alphanumeric();
        if starts && let Some((_, len)) = shape(&bytes[at..]) {
            let end = at + len + tail(&bytes[at + len..]);
            let ends_word = bytes.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            if ends_word && text.is_char_boundary(end) {
                return Some(at..end);
            }
        }
    }
    None
}

/// What a stamp names: a second, or less when it has a fraction; a day when there is no time of day.
/// None without a year.
pub(crate) fn instant(stamp: &str) -> Option<TimeRange> {
    const DAY: &[u8] = b"dddd-dd-dd";
    let clock = Clock { reference: Timestamp::from_millis(0), zone: UtcOffset::UTC };
    let bytes = stamp.as_bytes();
    if bytes.len() == DAY.len() && matches(bytes, DAY) {
        let midnight = format!("{stamp}T00:00:00Z");
        let (at, _) = read(StampKind::Iso, midnight.as_bytes(), &clock)?;
        return Some(span(at, 86_400_000));
    }
    let (kind, len) = shape(bytes)?;
    if kind == StampKind::Bsd {
        return None;
    }
    let (at, _) = read(kind, bytes, &clock)?;
    let fraction =
        matches!(bytes.get(len..), Some([b'.' | b',', digit, ..]) if digit.is_ascii_digit());
    Some(span(at, if fraction { 1 } else { 1_000 }))
}

fn span(at: Timestamp, millis: i64) -> TimeRange {
    let from = at.as_millis();
    TimeRange { from: Some(at), to: Some(Timestamp::from_millis(from.saturating_add(millis))) }
}

/// The kind and the length of the date and time that these bytes begin with.
fn shape(bytes: &[u8]) -> Option<(StampKind, usize)> {
    let found = SHAPES.iter().find(|(shape, _)| matches(bytes, shape));
    found.map(|(shape, kind)| (*kind, shape.len()))
}

fn matches(bytes: &[u8], shape: &[u8]) -> bool {
    bytes.len() >= shape.len()
        && bytes.iter().zip(shape).all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_alphabetic(),
            wanted => byte == wanted,
        })
}

/// The length of a fraction and a zone.
fn tail(bytes: &[u8]) -> usize {
    let mut len = 0;
    if let [b'.' | b',', digit, ..] = bytes
        && digit.is_ascii_digit()
    {
        len = 1 + bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    }
    let rest = &bytes[len..];
    let zones: [&[u8]; 8] =
        [b"Z", b"+dd:dd", b"-dd:dd", b" +dddd", b" -dddd", b"+dddd", b"-dddd", b" UTC"];
    let zone = zones.into_iter().find(|zone| matches(rest, zone));
    len + zone.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(line: &str) -> Option<&str> {
        first(line).map(|span| &line[span])
    }

    #[test]
    fn the_stamps_of_lines_are_found_whole() {
        for (line, stamp) in [
            ("2026-11-21 03:14:15.926 INFO x", "2026-11-21 03:14:15.926"),
            ("{\"ts\":\"2026-11-21T03:14:15.926Z\",", "2026-11-21T03:14:15.926Z"),
            ("2026-11-21T03:14:15+01:00 x", "2026-11-21T03:14:15+01:00"),
            ("2026/11/21 03:14:15 [error] 7#7: x", "2026/11/21 03:14:15"),
            ("10.0.0.1 - - [21/Nov/2026:03:14:15 +0000] \"GET", "21/Nov/2026:03:14:15 +0000"),
            ("Nov 21 03:14:15 host sshd[1]: x", "Nov 21 03:14:15"),
            ("<34>Jun  9 06:06:01 host x", "Jun  9 06:06:01"),
            ("[Sun Dec 04 04:47:44 2005] [error] x", "Sun Dec 04 04:47:44 2005"),
            ("2026-11-21 03:14:15,926 UTC [7] x", "2026-11-21 03:14:15,926 UTC"),
        ] {
            assert_eq!(found(line), Some(stamp), "{line}");
        }
        for line in ["", "no time", "12026-11-21 03:14:15", "2026-11-21", "2026-11-21 03:14:156"] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn a_stamp_names_a_span() {
        let millis = |stamp: &str| {
            let TimeRange { from, to } = instant(stamp)?;
            Some(to?.as_millis() - from?.as_millis())
        };
        assert_eq!(millis("2026-11-21 03:14:15.926"), Some(1));
        assert_eq!(millis("2026-11-21T03:14:15Z"), Some(1_000));
        assert_eq!(millis("21/Nov/2026:03:14:15 +0000"), Some(1_000));
        assert_eq!(millis("2026-11-21"), Some(86_400_000));
        assert_eq!(millis("Nov 21 03:14:15"), None);
        assert_eq!(millis("2026-13-41"), None);
        assert_eq!(millis("2026"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at(text in "[0-9a-z:/. TZ+é-]{0,60}") {
            if let Some(span) = first(&text) {
                prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
                instant(&text[span]);
            }
            instant(&text);
        }
    }
}
