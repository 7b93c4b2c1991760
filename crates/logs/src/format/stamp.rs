//! Timestamps as logs write them. Called by the layouts of `format`, and by `investigate` to leave
//! a line's timestamp out of its message.
//!
//! Every reader here takes any bytes and never panics.

pub(crate) mod span;

use callboard_protocol::Timestamp;
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::scan::Scan;

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StampKind {
    /// `2026-11-21T03:14:15.926Z`, `2026-11-21 03:14:15,926`, `2026/11/21 03:14:15`.
    Iso,
    /// `17/06/09 20:10:40`: year, month, day.
    ShortSlashes,
    /// `Sun Dec 04 04:47:44 2005`.
    Ctime,
    /// `Jun  9 06:06:01`: without a year.
    Bsd,
    /// `10/Oct/2000:13:55:36 -0700`.
    Clf,
    /// `081109 203615`: year, month, day.
    Compact,
    /// Seconds since 1970 and a fraction, or milli-, micro- or nanoseconds.
    Epoch,
}

impl StampKind {
    /// The strict ones first, so that a number is not mistaken for a time.
    const ALL: [Self; 7] = [
        Self::Iso,
        Self::ShortSlashes,
        Self::Ctime,
        Self::Bsd,
        Self::Clf,
        Self::Compact,
        Self::Epoch,
    ];
}

/// What a timestamp leaves open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// About when the lines were read: a line without a year is of the latest year that puts it
    /// at most a day after this.
    pub(crate) reference: Timestamp,
    /// The zone of times that name none.
    pub(crate) zone: UtcOffset,
}

impl Clock {
    fn at(&self, date: Date, time: Time, zone: Option<UtcOffset>) -> Timestamp {
        let local = PrimitiveDateTime::new(date, time);
        Timestamp::from_datetime(local.assume_offset(zone.unwrap_or(self.zone)))
    }

    fn without_year(&self, month: Month, day: u8, time: Time) -> Option<Timestamp> {
        let latest = self.reference.plus(std::time::Duration::from_secs(24 * 3600));
        let year = self.reference.to_datetime().to_offset(self.zone).year();
        // Nine years, because 29 February may be eight years away.
        (year - 8..=year + 1)
            .rev()
            .filter_map(|year| Date::from_calendar_date(year, month, day).ok())
            .map(|date| self.at(date, time, None))
            .find(|at| *at <= latest)
    }
}

/// Reads a timestamp at the start of `bytes`; also how many bytes it takes.
pub(crate) fn read(kind: StampKind, bytes: &[u8], clock: &Clock) -> Option<(Timestamp, usize)> {
    let mut scan = Scan::new(bytes);
    let at = match kind {
        StampKind::Iso => iso(&mut scan, clock),
        StampKind::ShortSlashes => short_slashes(&mut scan, clock),
        StampKind::Ctime => ctime(&mut scan, clock),
        StampKind::Bsd => bsd(&mut scan, clock),
        StampKind::Clf => clf(&mut scan, clock),
        StampKind::Compact => compact(&mut scan, clock),
        StampKind::Epoch => epoch(&mut scan),
    }?;
    // `12:00:01abc` and `17000000001` hold no timestamp.
    (!scan.peek().is_some_and(|byte| byte.is_ascii_alphanumeric())).then_some((at, scan.at()))
}

/// The first timestamp among the first words of a line: its kind, the word that it starts at, and
/// the offset after it.
pub(crate) fn find(bytes: &[u8], clock: &Clock) -> Option<(StampKind, usize, usize)> {
    word_starts(bytes).enumerate().find_map(|(word, start)| {
        StampKind::ALL.into_iter().find_map(|kind| {
            let (_, len) = read(kind, &bytes[start..], clock)?;
            Some((kind, word, start + len))
        })
    })
}

/// The offsets where a timestamp may start: the first words, after opening brackets and quotes.
pub(crate) fn word_starts(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    const WORDS: usize = 6;
    const WITHIN: usize = 96;
    let head = &bytes[..bytes.len().min(WITHIN)];
    let mut at = 0;
    std::iter::from_fn(move || {
        while head.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'[' | b'(' | b'"')) {
            at += 1;
        }
        let start = at;
        while head.get(at).is_some_and(|byte| !matches!(byte, b' ' | b'\t')) {
            at += 1;
        }
        (at > start).then_some(start)
    })
    .take(WORDS)
}

/// An instant of a structured field, such as `"2026-11-21T03:14:15Z"` or `1763694855.926`.
pub(crate) fn read_field(text: &str, clock: &Clock) -> Option<Timestamp> {
    StampKind::ALL.into_iter().find_map(|kind| {
        let (at, len) = read(kind, text.as_bytes(), clock)?;
        text[len..].trim().is_empty().then_some(at)
    })
}

fn iso(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    let year = scan.digits(4)?;
    let separator = scan.one_of(b"-/")?;
    let month = scan.digits(2)?;
    scan.byte(separator)?;
    let day = scan.digits(2)?;
    scan.one_of(b"T t_")?;
    let time = clock_time(scan)?;
    let zone = zone(scan);
    Some(clock.at(date(i32::try_from(year).ok()?, month, day)?, time, zone))
}

fn short_slashes(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    let year = scan.digits(2)?;
    scan.byte(b'/')?;
    let month = scan.digits(2)?;
    scan.byte(b'/')?;
    let day = scan.digits(2)?;
    scan.byte(b' ')?;
    let time = clock_time(scan)?;
    Some(clock.at(date(short_year(year), month, day)?, time, None))
}

fn compact(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    let (year, month, day) = (scan.digits(2)?, scan.digits(2)?, scan.digits(2)?);
    scan.byte(b' ')?;
    let (hour, minute, second) = (scan.digits(2)?, scan.digits(2)?, scan.digits(2)?);
    let time = hms(hour, minute, second, 0)?;
    Some(clock.at(date(short_year(year), month, day)?, time, None))
}

fn ctime(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    scan.weekday()?;
    scan.spaces()?;
    let month = scan.month()?;
    scan.spaces()?;
    let day = scan.number(2)?;
    scan.spaces()?;
    let time = clock_time(scan)?;
    scan.spaces()?;
    let year = scan.digits(4)?;
    Some(clock.at(date(i32::try_from(year).ok()?, u32::from(u8::from(month)), day)?, time, None))
}

fn bsd(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    let month = scan.month()?;
    scan.spaces()?;
    let day = u8::try_from(scan.number(2)?).ok()?;
    scan.spaces()?;
    let time = clock_time(scan)?;
    clock.without_year(month, day, time)
}

fn clf(scan: &mut Scan<'_>, clock: &Clock) -> Option<Timestamp> {
    let day = scan.digits(2)?;
    scan.byte(b'/')?;
    let month = scan.month()?;
    scan.byte(b'/')?;
    let year = i32::try_from(scan.digits(4)?).ok()?;
    scan.byte(b':')?;
    let time = clock_time(scan)?;
    let zone = zone(scan);
    Some(clock.at(date(year, u32::from(u8::from(month)), day)?, time, zone))
}

fn epoch(scan: &mut Scan<'_>) -> Option<Timestamp> {
    /// 2001 to 2100: outside of it a number is more likely something else.
    const SECONDS: std::ops::RangeInclusive<i64> = 1_000_000_000..=4_102_444_800;
    let (number, digits) = scan.long_number()?;
    let per_second = match digits {
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    let seconds = number / per_second;
    let nanos = number % per_second * (1_000_000_000 / per_second);
    let fraction = if digits == 10 { i64::from(scan.fraction(b".")) } else { 0 };
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    SECONDS
        .contains(&seconds)
        .then(|| Timestamp::from_datetime(at + Duration::nanoseconds(nanos + fraction)))
}

/// `03:14:15`, with a fraction after a dot or a comma.
fn clock_time(scan: &mut Scan<'_>) -> Option<Time> {
    let hour = scan.digits(2)?;
    scan.byte(b':')?;
    let minute = scan.digits(2)?;
    scan.byte(b':')?;
    let second = scan.digits(2)?;
    hms(hour, minute, second, scan.fraction(b".,"))
}

/// `Z`, `+01:00`, ` -0700`, ` UTC`; nothing is taken when there is none.
fn zone(scan: &mut Scan<'_>) -> Option<UtcOffset> {
    let mut ahead = scan.clone();
    ahead.skip(b' ');
    let zone = if ahead.word("UTC") || ahead.word("GMT") || ahead.word("Z") || ahead.word("z") {
        UtcOffset::UTC
    } else {
        let sign = if ahead.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = i8::try_from(ahead.digits(2)?).ok()?;
        ahead.skip(b':');
        let minutes = i8::try_from(ahead.digits(2)?).ok()?;
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?
    };
    // A dash and a number after a space may also be the next word.
    if ahead.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    *scan = ahead;
    Some(zone)
}

fn date(year: i32, month: u32, day: u32) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

/// A leap second is told as the last moment of its minute.
fn hms(hour: u32, minute: u32, second: u32, nanos: u32) -> Option<Time> {
    let byte = |value: u32| u8::try_from(value).ok();
    if second == 60 {
        return Time::from_hms_nano(byte(hour)?, byte(minute)?, 59, 999_999_999).ok();
    }
    Time::from_hms_nano(byte(hour)?, byte(minute)?, byte(second)?, nanos).ok()
}

/// Two digits are of 1970 to 2069.
fn short_year(year: u32) -> i32 {
    let year = i32::try_from(year).unwrap_or(0);
    if year < 70 { 2000 + year } else { 1900 + year }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock(reference: &str) -> Clock {
        Clock { reference: reference.parse().unwrap(), zone: UtcOffset::UTC }
    }

    fn reads(text: &str) -> Option<String> {
        read_field(text, &clock("2026-11-21T03:00:00Z")).map(|at| at.to_string())
    }

    #[test]
    fn the_usual_forms_are_read() {
        for (text, expected) in [
            ("2026-11-21T03:14:15.926Z", "2026-11-21T03:14:15.926Z"),
            ("2026-11-21T03:14:15.926535+01:00", "2026-11-21T02:14:15.926Z"),
            ("2015-07-29 17:41:44,747", "2015-07-29T17:41:44.747Z"),
            ("2026-11-21 03:14:15 UTC", "2026-11-21T03:14:15.000Z"),
            ("2026-11-21 03:14:15 +0200", "2026-11-21T01:14:15.000Z"),
            ("2026/11/21 03:14:15", "2026-11-21T03:14:15.000Z"),
            ("17/06/09 20:10:40", "2017-06-09T20:10:40.000Z"),
            ("081109 203615", "2008-11-09T20:36:15.000Z"),
            ("Sun Dec 04 04:47:44 2005", "2005-12-04T04:47:44.000Z"),
            ("Fri Sep 09 10:42:29.902022 2011", "2011-09-09T10:42:29.902Z"),
            ("Jun  9 06:06:01", "2026-06-09T06:06:01.000Z"),
            ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000Z"),
            ("1763694855", "2025-11-21T03:14:15.000Z"),
            ("1763694855.926", "2025-11-21T03:14:15.926Z"),
            ("1763694855926", "2025-11-21T03:14:15.926Z"),
            ("1763694855926000000", "2025-11-21T03:14:15.926Z"),
            ("2016-12-31 23:59:60", "2016-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(reads(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2026",
            "2026-13-01 00:00:00",
            "2026-02-30 00:00:00",
            "25:00:00",
            "12345",
            "99999999999",
            "Jun 31 06:06:01",
            "Foo 12 06:06:01",
            "081309 203615",
            "2026-11-21T03:14",
        ] {
            assert_eq!(reads(text), None, "{text}");
        }
    }

    #[test]
    fn a_year_is_the_latest_that_is_not_in_the_future() {
        let year = |reference: &str, text: &str| {
            let (at, _) = read(StampKind::Bsd, text.as_bytes(), &clock(reference)).unwrap();
            at.to_datetime().year()
        };
        assert_eq!(year("2026-11-21T03:00:00Z", "Dec 10 06:55:46"), 2025);
        assert_eq!(year("2026-11-21T03:00:00Z", "Nov 22 02:00:00"), 2026);
        assert_eq!(year("2026-11-21T03:00:00Z", "Nov 22 04:00:00"), 2025);
        assert_eq!(year("2026-12-31T23:59:00Z", "Jan  1 00:10:00"), 2027);
        assert_eq!(year("2026-11-21T03:00:00Z", "Feb 29 00:10:00"), 2024);
    }

    #[test]
    fn a_stamp_is_found_behind_other_words() {
        let found = find(b"- 1117838570 2005.06.03 R02", &clock("2026-11-21T03:00:00Z")).unwrap();
        assert_eq!(found, (StampKind::Epoch, 1, 12));
        let found = find(b"[Sun Dec 04 04:47:44 2005] x", &clock("2026-11-21T03:00:00Z")).unwrap();
        assert_eq!(found, (StampKind::Ctime, 0, 25));
        assert_eq!(find(b"nothing of the kind", &clock("2026-11-21T03:00:00Z")), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let clock = clock("2026-11-21T03:00:00Z");
            for kind in StampKind::ALL {
                read(kind, &bytes, &clock);
            }
            find(&bytes, &clock);
        }

        #[test]
        fn nor_do_nearly_right_ones(text in "[0-9]{2,4}[-/ ][0-9A-Za-z]{2,3}[-/ ][0-9]{2}[T :][0-9]{2}:[0-9]{2}:[0-9]{2}[.,]?[0-9]{0,12}[+-]?[0-9:]{0,5}") {
            find(text.as_bytes(), &clock("2026-11-21T03:00:00Z"));
        }

        #[test]
        fn every_instant_reads_back(millis in 0_i64..4_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(read_field(&at.to_string(), &clock("2026-11-21T03:00:00Z")), Some(at));
        }
    }
}
