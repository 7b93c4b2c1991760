//! Words of a question that name a time: `yesterday`, `last 15 minutes`, `between 10:00 and 11:00`,
//! `on Dec 10`, `since 2015-07-29 17:00`. Called by `question`; resolved by `investigate`, which
//! knows which days the index has.

use std::time::Duration;

use callboard_protocol::{TimeRange, Timestamp};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A span of time as a question names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeWords {
    /// The time up to now: `last 2 hours`.
    Past(Duration),
    /// Up to this point, from this one, or both; or a whole day.
    Span { from: Option<Point>, to: Option<Point> },
}

/// A point in time as far as it is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    day: Option<Day>,
    clock: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// Today less this many days.
    Ago(i64),
    Date(Date),
    /// Of the latest year that has it.
    Yearless(Month, u8),
}

/// Now, and the days that the index has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    pub(crate) now: Timestamp,
    pub(crate) zone: UtcOffset,
    /// The instant of the newest line.
    pub(crate) newest: Option<Timestamp>,
}

/// The span that was meant, and a remark when it had to be guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) range: TimeRange,
    pub(crate) remark: Option<String>,
}

/// Finds the first words that name a time: what they mean, and which words they are.
pub(crate) fn find(words: &[&str]) -> Option<(TimeWords, std::ops::Range<usize>)> {
    (0..words.len()).find_map(|start| {
        let (time, len) = read(&words[start..])?;
        Some((time, start..start + len))
    })
}

fn read(words: &[&str]) -> Option<(TimeWords, usize)> {
    let span = |from, to| TimeWords::Span { from, to };
    match *words.first()? {
        "last" | "past" | "previous" | "this" => past(words),
        "between" | "from" => {
            let (from, used) = point(&words[1..])?;
            let joint = words.get(1 + used)?;
            if !matches!(*joint, "and" | "to" | "until" | "till" | "-") {
                return None;
            }
            let (to, more) = point(&words[2 + used..])?;
            Some((span(Some(from), Some(to)), 2 + used + more))
        }
        "since" | "after" => {
            let (from, used) = point(&words[1..])?;
            Some((span(Some(from), None), 1 + used))
        }
        "before" | "until" => {
            let (to, used) = point(&words[1..])?;
            Some((span(None, Some(to)), 1 + used))
        }
        "around" | "about" => {
            let (at, used) = point(&words[1..])?;
            at.clock?;
            Some((around(at, 15 * 60, 15 * 60), 1 + used))
        }
        _ => {
            let (at, used) = point(words)?;
            Some((at.as_span(), used))
        }
    }
}

/// `last hour`, `past 2 days`, `last 15m`, `this week`.
fn past(words: &[&str]) -> Option<(TimeWords, usize)> {
    let second = *words.get(1)?;
    if let Some(unit) = unit(second) {
        return Some((TimeWords::Past(Duration::from_secs(unit)), 2));
    }
    let digits = second.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = match second {
        "few" | "couple" => 3,
        _ => second[..digits].parse().ok()?,
    };
    let (seconds, used) = match unit(&second[digits..]) {
        Some(seconds) if digits > 0 => (seconds, 2),
        _ => (unit(words.get(2)?)?, 3),
    };
    Some((TimeWords::Past(Duration::from_secs(count.min(100_000) * seconds)), used))
}

fn unit(word: &str) -> Option<u64> {
    Some(match word {
        "second" | "seconds" | "sec" | "secs" | "s" => 1,
        "minute" | "minutes" | "min" | "mins" | "m" => 60,
        "hour" | "hours" | "h" => 3600,
        "day" | "days" | "d" => 86_400,
        "week" | "weeks" | "w" => 604_800,
        "month" | "months" => 2_592_000,
        "year" | "years" => 31_536_000,
        _ => return None,
    })
}

/// A day, a time of day, or both in either order; and how many words it takes.
fn point(words: &[&str]) -> Option<(Point, usize)> {
    let (mut point, mut used) = (Point::default(), 0);
    while used < words.len() {
        let rest = &words[used..];
        let rest_after_on = match rest {
            ["on" | "at", rest @ ..] if used > 0 => rest,
            rest => rest,
        };
        let skipped = rest.len() - rest_after_on.len();
        if point.day.is_none()
            && let Some((day, clock, len)) = day(rest_after_on)
        {
            point.day = Some(day);
            point.clock = point.clock.or(clock);
            used += skipped + len;
        } else if point.clock.is_none()
            && let Some((clock, len)) = clock(rest_after_on)
        {
            point.clock = Some(clock);
            used += skipped + len;
        } else {
            break;
        }
    }
    (used > 0).then_some((point, used))
}

/// `today`, `2015-07-29`, `dec 10`, `10th of december`; an ISO date may carry its time.
fn day(words: &[&str]) -> Option<(Day, Option<Time>, usize)> {
    let first = *words.first()?;
    match first {
        "today" | "tonight" => return Some((Day::Ago(0), None, 1)),
        "yesterday" => return Some((Day::Ago(1), None, 1)),
        _ => {}
    }
    if let Some(date) = iso_date(first) {
        let time = first.get(10..).and_then(|rest| rest.strip_prefix('t')).and_then(clock_digits);
        return Some((Day::Date(date), time, 1));
    }
    let second = words.get(1).copied().unwrap_or_default();
    let (month, number, mut used) = match (month(first), month(second)) {
        (Some(month), _) => (month, ordinal(second)?, 2),
        (None, Some(month)) => (month, ordinal(first)?, 2),
        (None, None) if second == "of" => (month(words.get(2)?)?, ordinal(first)?, 3),
        (None, None) => return None,
    };
    let year = words.get(used).filter(|word| word.len() == 4).and_then(|word| word.parse().ok());
    let day = match year {
        Some(year) => {
            used += 1;
            Day::Date(Date::from_calendar_date(year, month, number).ok()?)
        }
        None => Day::Yearless(month, number),
    };
    Some((day, None, used))
}

fn iso_date(word: &str) -> Option<Date> {
    let mut parts = word.get(..10)?.splitn(3, ['-', '/']);
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month = Month::try_from(parts.next()?.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year, month, parts.next()?.parse().ok()?).ok()
}

fn month(word: &str) -> Option<Month> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let index = NAMES.iter().position(|name| {
        word == *name || (word.len() >= 3 && word.len() <= 4 && name.starts_with(word))
    })?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

/// `10`, `10th`.
fn ordinal(word: &str) -> Option<u8> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    matches!(&word[digits..], "" | "st" | "nd" | "rd" | "th").then_some(())?;
    word[..digits].parse().ok().filter(|day| (1..=31).contains(day))
}

/// `10:00`, `10:00:30`, `10am`, `10 pm`, `noon`, `midnight`.
fn clock(words: &[&str]) -> Option<(Time, usize)> {
    let first = *words.first()?;
    match first {
        "noon" => return Some((Time::from_hms(12, 0, 0).ok()?, 1)),
        "midnight" => return Some((Time::MIDNIGHT, 1)),
        _ => {}
    }
    let attached = ["am", "pm"].into_iter().find_map(|half| {
        Some((first.strip_suffix(half).filter(|rest| !rest.is_empty())?, half, 1))
    });
    let apart = words.get(1).filter(|half| matches!(**half, "am" | "pm"));
    let (digits, half, used) =
        attached.or_else(|| apart.map(|half| (first, *half, 2))).unwrap_or((first, "", 1));
    let time = match digits.parse::<u8>() {
        Ok(hour) if !half.is_empty() => Time::from_hms(hour, 0, 0).ok()?,
        _ => clock_digits(digits)?,
    };
    let hour = match (half, time.hour()) {
        ("am", 12) => 0,
        ("pm", hour @ 1..=11) => hour + 12,
        (_, hour) => hour,
    };
    Some((time.replace_hour(hour).ok()?, used))
}

fn clock_digits(text: &str) -> Option<Time> {
    let text = text.trim_end_matches('z');
    let mut parts = text.splitn(3, ':').map(|part| part.parse::<u8>());
    let (hour, minute) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let second = parts.next().unwrap_or(Ok(0)).ok()?;
    Time::from_hms(hour, minute, second).ok()
}

/// A span about a point, which `resolve` finds by its seconds before and after.
fn around(at: Point, before: i64, after: i64) -> TimeWords {
    let clock = at.clock.unwrap_or(Time::MIDNIGHT);
    let seconds = i64::from(clock.hour()) * 3600 + i64::from(clock.minute()) * 60;
    let shifted = |by: i64| {
        let of_day = (seconds + by).clamp(0, 86_399);
        let time = Time::MIDNIGHT + time::Duration::seconds(of_day);
        Some(Point { clock: Some(time), ..at })
    };
    TimeWords::Span { from: shifted(-before), to: shifted(after) }
}

impl Point {
    /// A day is all of it; a time of day is its minute.
    fn as_span(self) -> TimeWords {
        match self.clock {
            Some(_) => around(self, 0, 60),
            None => TimeWords::Span { from: Some(self), to: Some(self) },
        }
    }
}

impl TimeWords {
    /// The span that is meant. A time of day without a day is of today, or, when the index ends
    /// before today, of the last day that it has.
    pub(crate) fn resolve(&self, calendar: &Calendar) -> Resolved {
        let (from, to) = match self {
            Self::Past(duration) => {
                let from = Some(calendar.now.minus(*duration));
                return Resolved { range: TimeRange { from, to: None }, remark: None };
            }
            Self::Span { from, to } => (*from, *to),
        };
        let named = from.and_then(|at| at.day).or(to.and_then(|at| at.day));
        let (default_day, remark) = match named {
            Some(day) => (calendar.date(day), None),
            None => calendar.likely_day(),
        };
        let date = |at: Point| at.day.map_or(default_day, |day| calendar.date(day));
        let start = from.map(|at| calendar.at(date(at), at.clock.unwrap_or(Time::MIDNIGHT)));
        let end = to.map(|at| match at.clock {
            Some(clock) => calendar.at(date(at), clock),
            None => calendar.at(date(at).next_day().unwrap_or(Date::MAX), Time::MIDNIGHT),
        });
        // `between 22:00 and 02:00` ends on the next day.
        let end = match (start, end) {
            (Some(start), Some(end)) if end <= start && to.is_some_and(|at| at.day.is_none()) => {
                Some(end.plus(Duration::from_secs(86_400)))
            }
            (_, end) => end,
        };
        Resolved { range: TimeRange { from: start, to: end }, remark }
    }
}

impl Calendar {
    fn today(&self) -> Date {
        self.day_of(self.now)
    }

    fn day_of(&self, at: Timestamp) -> Date {
        at.to_datetime().to_offset(self.zone).date()
    }

    fn at(&self, date: Date, time: Time) -> Timestamp {
        Timestamp::from_datetime(OffsetDateTime::new_in_offset(date, time, self.zone))
    }

    /// Today, or the last day with lines.
    fn likely_day(&self) -> (Date, Option<String>) {
        let today = self.today();
        match self.newest.map(|newest| self.day_of(newest)) {
            Some(last) if last < today => {
                (last, Some(format!("no lines today, so of {last}, the latest day with lines")))
            }
            Some(_) | None => (today, None),
        }
    }

    fn date(&self, day: Day) -> Date {
        match day {
            Day::Date(date) => date,
            Day::Ago(days) => self.today().saturating_sub(time::Duration::days(days)),
            Day::Yearless(month, number) => {
                let latest = self.newest.map_or(self.today(), |newest| self.day_of(newest));
                (latest.year() - 8..=latest.year())
                    .rev()
                    .filter_map(|year| Date::from_calendar_date(year, month, number).ok())
                    .find(|date| *date <= latest)
                    .unwrap_or(latest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The span of a question asked on 21 November 2026 at 03:00, of an index that ends then.
    fn range(question: &str, newest: &str) -> (String, String) {
        let words: Vec<&str> = question.split(' ').collect();
        let calendar = Calendar {
            now: "2026-11-21T03:00:00Z".parse().unwrap(),
            zone: UtcOffset::UTC,
            newest: Some(newest.parse().unwrap()),
        };
        let (time, _) = find(&words).unwrap_or_else(|| panic!("no time in {question}"));
        let range = time.resolve(&calendar).range;
        let text =
            |at: Option<Timestamp>| at.map_or(String::new(), |at| at.to_string()[..16].to_owned());
        (text(range.from), text(range.to))
    }

    #[test]
    fn time_words_name_spans() {
        for (question, from, to) in [
            ("errors today", "2026-11-21T00:00", "2026-11-22T00:00"),
            ("errors yesterday", "2026-11-20T00:00", "2026-11-21T00:00"),
            ("in the last hour", "2026-11-21T02:00", ""),
            ("in the last 15 minutes", "2026-11-21T02:45", ""),
            ("past 2 days", "2026-11-19T03:00", ""),
            ("last 24h", "2026-11-20T03:00", ""),
            ("since 01:30", "2026-11-21T01:30", ""),
            ("since yesterday", "2026-11-20T00:00", ""),
            ("before 2am", "", "2026-11-21T02:00"),
            ("between 01:00 and 02:00", "2026-11-21T01:00", "2026-11-21T02:00"),
            ("between 22:00 and 02:00", "2026-11-21T22:00", "2026-11-22T02:00"),
            ("from 1 am to 2 am yesterday", "2026-11-20T01:00", "2026-11-20T02:00"),
            ("on Dec 10".to_lowercase().as_str(), "2025-12-10T00:00", "2025-12-11T00:00"),
            (
                "on the 10th of december".replace("the ", "").as_str(),
                "2025-12-10T00:00",
                "2025-12-11T00:00",
            ),
            ("on 2015-07-29", "2015-07-29T00:00", "2015-07-30T00:00"),
            ("at 2015-07-29t17:41:00", "2015-07-29T17:41", "2015-07-29T17:42"),
            ("around 02:00", "2026-11-21T01:45", "2026-11-21T02:15"),
            ("between 2015-07-29 and 2015-07-30", "2015-07-29T00:00", "2015-07-31T00:00"),
            ("after 10:00 on dec 10", "2025-12-10T10:00", ""),
        ] {
            let expected = (from.to_owned(), to.to_owned());
            assert_eq!(range(question, "2026-11-21T02:59:00Z"), expected, "{question}");
        }
    }

    #[test]
    fn a_time_of_day_is_of_the_last_day_with_lines() {
        let span = range("between 10:00 and 11:00", "2025-12-10T11:04:45Z");
        assert_eq!(span, ("2025-12-10T10:00".into(), "2025-12-10T11:00".into()));
        let calendar = Calendar {
            now: "2026-11-21T03:00:00Z".parse().unwrap(),
            zone: UtcOffset::UTC,
            newest: Some("2025-12-10T11:04:45Z".parse().unwrap()),
        };
        let (time, words) = find(&["what", "since", "10:00"]).unwrap();
        assert_eq!(words, 1..3);
        let remark = time.resolve(&calendar).remark.unwrap();
        assert_eq!(remark, "no lines today, so of 2025-12-10, the latest day with lines");
        let (time, _) = find(&["today"]).unwrap();
        assert_eq!(time.resolve(&calendar).remark, None);
    }

    #[test]
    fn other_words_name_none() {
        for question in ["which ip addresses", "from 10.0.0.1", "last login", "block 7", "may fail"]
        {
            let words: Vec<&str> = question.split(' ').collect();
            assert_eq!(find(&words), None, "{question}");
        }
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(text in "(last|between|since|on|dec|2015-07-|[0-9]{1,5}|am|:|ä| |and|t|10:)*") {
            let words: Vec<&str> = text.split(' ').collect();
            let calendar = Calendar {
                now: Timestamp::from_millis(i64::MAX),
                zone: UtcOffset::UTC,
                newest: Some(Timestamp::from_millis(i64::MIN)),
            };
            if let Some((time, _)) = find(&words) {
                time.resolve(&calendar);
            }
        }
    }
}
