//! Words of a question that name a time: `yesterday`, `last 15 minutes`, `between 10:00 and 11:00`,
//! `on Dec 10`, `since 2015-07-29 17:00`, `this morning`. Called by `question`; resolved by
//! `investigate`, which knows which days the index has.

mod read;

use std::{ops::Range, time::Duration};

use callboard_protocol::{TimeRange, Timestamp};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset, Weekday};

/// A span of time as a question names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeWords {
    /// The time up to now: `last 2 hours`.
    Past(Duration),
    /// Up to this point, from this one, or both; or a whole day.
    Span {
        from: Option<Point>,
        to: Option<Point>,
    },
    /// A month, of the latest year that has it if none is named.
    Month(Month, Option<i32>),
    Year(i32),
}

/// A point in time as far as it is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    day: Option<Day>,
    clock: Option<Time>,
    /// Only the hour is named: `7am`.
    whole_hour: bool,
    /// What follows the day is meant: `after Dec 10`.
    past_day: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// Today less this many days.
    Ago(i64),
    Date(Date),
    /// Of the latest year that has it.
    Yearless(Month, u8),
    /// The latest one.
    Weekday(Weekday),
}

/// Now, and the days that the index has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    pub(crate) now: Timestamp,
    pub(crate) zone: UtcOffset,
    /// The instant of the newest line.
    pub(crate) newest: Option<Timestamp>,
    /// How many years before the latest possible one a day is that is named without a year.
    pub(crate) years_back: i32,
}

/// The span that was meant, and a remark when it had to be guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) range: TimeRange,
    pub(crate) remark: Option<String>,
}

/// Finds the first words that name a time: what they mean, and which words they are, with the
/// preposition before them.
pub(crate) fn find(words: &[&str]) -> Option<(TimeWords, Range<usize>)> {
    let (mut start, time, len) = (0..words.len()).find_map(|start| {
        let (time, len) = read::read(&words[start..])?;
        Some((start, time, len))
    })?;
    let mut end = start + len;
    if words.get(end).is_some_and(|word| matches!(*word, "utc" | "gmt")) {
        end += 1;
    }
    while start > 0 && is_preposition(words[start - 1]) && !ends_sign_in(&words[..start]) {
        start -= 1;
    }
    Some((time, start..end))
}

fn is_preposition(word: &str) -> bool {
    matches!(word, "in" | "on" | "at" | "during" | "within" | "over" | "for" | "from" | "of" | "by")
}

/// Whether the words end with `log in` as a verb, whose `in` does not belong to the time after it:
/// `who could log in yesterday`, and not `errors in the server log in the last hour`.
fn ends_sign_in(words: &[&str]) -> bool {
    let [before @ .., verb, "in" | "on"] = words else { return false };
    match *verb {
        "logged" | "logging" | "signed" | "signing" => true,
        "log" | "logs" | "sign" | "signs" => !before.last().is_some_and(|word| {
            word.ends_with("'s") || word.ends_with("’s") || NAMES_A_LOG.contains(word)
        }),
        _ => false,
    }
}

/// Before `log`, these say that it is a noun.
const NAMES_A_LOG: [&str; 18] = [
    "own",
    "this",
    "that",
    "my",
    "our",
    "your",
    "its",
    "error",
    "access",
    "auth",
    "system",
    "server",
    "app",
    "application",
    "audit",
    "in",
    "event",
    "security",
];

/// One span from several that a question names: the hours of a day that stands elsewhere, and
/// otherwise what is common to all.
pub(crate) fn resolve(times: &[TimeWords], calendar: &Calendar) -> Resolved {
    let whole = times.iter().find_map(TimeWords::whole_day);
    let day = whole.filter(|_| times.iter().any(TimeWords::lacks_day));
    let parts: Vec<Resolved> = times
        .iter()
        .filter(|time| day.is_none() || time.whole_day() != day)
        .map(|time| time.clone().on(day).resolve(calendar))
        .collect();
    let all = parts.iter().map(|part| part.range);
    let Some(common) = all.clone().reduce(common) else { return Resolved::default() };
    let is_empty = matches!((common.from, common.to), (Some(from), Some(to)) if to <= from);
    let range = if is_empty { all.reduce(hull).unwrap_or_default() } else { common };
    let mut remarks: Vec<String> = parts.into_iter().filter_map(|part| part.remark).collect();
    if is_empty {
        remarks.push("these have no moment in common, so from the first to the last".to_owned());
    }
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    Resolved { range, remark }
}

fn common(a: TimeRange, b: TimeRange) -> TimeRange {
    let to = match (a.to, b.to) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    TimeRange { from: a.from.max(b.from), to }
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    let from = a.from.zip(b.from).map(|(a, b)| a.min(b));
    TimeRange { from, to: a.to.zip(b.to).map(|(a, b)| a.max(b)) }
}

impl TimeWords {
    /// The day, if this is all of one.
    fn whole_day(&self) -> Option<Day> {
        match self {
            Self::Span { from: Some(from), to: Some(to) } if from == to && from.clock.is_none() => {
                from.day
            }
            Self::Span { .. } | Self::Past(_) | Self::Month(..) | Self::Year(_) => None,
        }
    }

    /// Whether it is of a day or a month of a year that is not named.
    pub(crate) fn is_yearless(&self) -> bool {
        let is_yearless = |at: &Point| matches!(at.day, Some(Day::Yearless(..)));
        match self {
            Self::Span { from, to } => from.iter().chain(to).any(is_yearless),
            Self::Month(_, year) => year.is_none(),
            Self::Past(_) | Self::Year(_) => false,
        }
    }

    /// Whether it is a time of day, of no day that it names.
    fn lacks_day(&self) -> bool {
        matches!(self, Self::Span { from, to } if from.iter().chain(to).all(|at| at.day.is_none()))
    }

    /// Of this day, unless it names one.
    fn on(mut self, day: Option<Day>) -> Self {
        if self.lacks_day()
            && let Self::Span { from, to } = &mut self
            && let Some(first) = from.as_mut().or(to.as_mut())
        {
            first.day = day;
        }
        self
    }

    /// The span that is meant. A time of day without a day is of today, or, when the index ends
    /// before today, of the last day that it has.
    fn resolve(&self, calendar: &Calendar) -> Resolved {
        let whole = |range| Resolved { range, remark: None };
        let (from, to) = match self {
            Self::Past(duration) => return whole(calendar.past(*duration)),
            Self::Month(month, year) => return whole(calendar.month(*month, *year)),
            Self::Year(year) => return whole(calendar.year(*year)),
            Self::Span { from, to } => (*from, *to),
        };
        let named = from.and_then(|at| at.day).or(to.and_then(|at| at.day));
        let (default_day, remark) = match named {
            Some(day) => (calendar.date(day), None),
            None => calendar.likely_day(),
        };
        let date = |at: Point| at.day.map_or(default_day, |day| calendar.date(day));
        let next = |date: Date| date.next_day().unwrap_or(Date::MAX);
        let start = from.map(|at| match at.clock {
            Some(clock) => calendar.at(date(at), clock),
            None if at.past_day => calendar.at(next(date(at)), Time::MIDNIGHT),
            None => calendar.at(date(at), Time::MIDNIGHT),
        });
        let end = to.map(|at| match at.clock {
            Some(clock) => calendar.at(date(at), clock),
            None => calendar.at(next(date(at)), Time::MIDNIGHT),
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

    /// The time up to now, this millisecond included.
    fn past(&self, duration: Duration) -> TimeRange {
        let to = self.now.plus(Duration::from_millis(1));
        TimeRange { from: Some(self.now.minus(duration)), to: Some(to) }
    }

    fn year(&self, year: i32) -> TimeRange {
        let first = |year| Date::from_calendar_date(year, Month::January, 1).ok();
        let start = |date: Option<Date>| date.map(|date| self.at(date, Time::MIDNIGHT));
        TimeRange { from: start(first(year)), to: start(first(year + 1)) }
    }

    fn month(&self, month: Month, year: Option<i32>) -> TimeRange {
        let latest = self.latest();
        let this_year = if month as u8 <= latest.month() as u8 { 0 } else { 1 };
        let year = year.unwrap_or(latest.year() - this_year - self.years_back);
        let start = |year, month| {
            let first = Date::from_calendar_date(year, month, 1).ok()?;
            Some(self.at(first, Time::MIDNIGHT))
        };
        let next_year = if month == Month::December { year + 1 } else { year };
        TimeRange { from: start(year, month), to: start(next_year, month.next()) }
    }

    /// The day of the newest line.
    fn latest(&self) -> Date {
        self.newest.map_or(self.today(), |newest| self.day_of(newest))
    }

    fn date(&self, day: Day) -> Date {
        match day {
            Day::Date(date) => date,
            Day::Ago(days) => self.today().saturating_sub(time::Duration::days(days)),
            Day::Weekday(name) => {
                let today = self.today();
                let since = i64::from(today.weekday().number_days_from_monday())
                    - i64::from(name.number_days_from_monday());
                today.saturating_sub(time::Duration::days(since.rem_euclid(7)))
            }
            Day::Yearless(month, number) => {
                let latest = self.latest();
                (latest.year() - 8 - self.years_back..=latest.year())
                    .rev()
                    .filter_map(|year| Date::from_calendar_date(year, month, number).ok())
                    .filter(|date| *date <= latest)
                    .find(|date| date.year() <= latest.year() - self.years_back)
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
        let mut words: Vec<&str> = question.split(' ').collect();
        let calendar = Calendar {
            now: "2026-11-21T03:00:00Z".parse().unwrap(),
            zone: UtcOffset::UTC,
            newest: Some(newest.parse().unwrap()),
            years_back: 0,
        };
        let mut times = Vec::new();
        while let Some((time, range)) = find(&words) {
            times.push(time);
            words.drain(range);
        }
        let range = resolve(&times, &calendar).range;
        let text =
            |at: Option<Timestamp>| at.map_or(String::new(), |at| at.to_string()[..16].to_owned());
        (text(range.from), text(range.to))
    }

    #[test]
    fn time_words_name_spans() {
        for (question, from, to) in [
            ("errors today", "2026-11-21T00:00", "2026-11-22T00:00"),
            ("errors yesterday", "2026-11-20T00:00", "2026-11-21T00:00"),
            ("in the last hour", "2026-11-21T02:00", "2026-11-21T03:00"),
            ("in the last 15 minutes", "2026-11-21T02:45", "2026-11-21T03:00"),
            ("past 2 days", "2026-11-19T03:00", "2026-11-21T03:00"),
            ("last 24h", "2026-11-20T03:00", "2026-11-21T03:00"),
            ("errors this morning", "2026-11-21T00:00", "2026-11-21T12:00"),
            ("yesterday evening", "2026-11-20T18:00", "2026-11-21T00:00"),
            ("last night", "2026-11-20T18:00", "2026-11-21T06:00"),
            ("last friday", "2026-11-20T00:00", "2026-11-21T00:00"),
            ("on monday", "2026-11-16T00:00", "2026-11-17T00:00"),
            ("in december", "2025-12-01T00:00", "2026-01-01T00:00"),
            ("in july 2015", "2015-07-01T00:00", "2015-08-01T00:00"),
            ("in 2015", "2015-01-01T00:00", "2016-01-01T00:00"),
            ("on dec 10 between 09:00 and 10:00", "2025-12-10T09:00", "2025-12-10T10:00"),
            ("between 09:00 and 10:00 on dec 10", "2025-12-10T09:00", "2025-12-10T10:00"),
            ("from sshd yesterday between 9 and 10", "2026-11-20T09:00", "2026-11-20T10:00"),
            ("on dec 10 x 22:00-02:00", "2025-12-10T22:00", "2025-12-11T02:00"),
            ("on dec 10 in morning", "2025-12-10T00:00", "2025-12-10T12:00"),
            ("today x last 2 hours", "2026-11-21T01:00", "2026-11-21T03:00"),
            ("yesterday x today", "2026-11-20T00:00", "2026-11-22T00:00"),
            ("since 09:00 utc on dec 10", "2025-12-10T09:00", ""),
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
            ("after 10:00 on dec 10", "2025-12-10T10:00", "2025-12-11T00:00"),
            ("before 10:00 on dec 10", "2025-12-10T00:00", "2025-12-10T10:00"),
            ("after dec 10", "2025-12-11T00:00", ""),
            ("before dec 10", "", "2025-12-10T00:00"),
            ("until dec 10", "", "2025-12-11T00:00"),
            ("on dec 10 at 7am", "2025-12-10T07:00", "2025-12-10T08:00"),
            ("at 7 o'clock", "2026-11-21T07:00", "2026-11-21T08:00"),
            ("on 10 december at 9", "2025-12-10T09:00", "2025-12-10T10:00"),
            ("at 7:00", "2026-11-21T07:00", "2026-11-21T07:01"),
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
            years_back: 0,
        };
        let (time, words) = find(&["what", "since", "10:00"]).unwrap();
        assert_eq!(words, 1..3);
        let remark = resolve(&[time], &calendar).remark.unwrap();
        assert_eq!(remark, "no lines today, so of 2025-12-10, the latest day with lines");
        let (time, _) = find(&["today"]).unwrap();
        assert_eq!(resolve(&[time], &calendar).remark, None);
    }

    #[test]
    fn prepositions_belong_to_the_time_unless_they_end_a_verb() {
        for (question, expected) in [
            ("errors in callboard's own log in last hour", 5..8),
            ("errors on dec 10", 1..4),
            ("who logged in yesterday", 3..4),
            ("failed to log in yesterday", 4..5),
            ("failed to log in in last hour", 4..7),
        ] {
            let words: Vec<&str> = question.split(' ').collect();
            assert_eq!(find(&words).unwrap().1, expected, "{question}");
        }
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
                years_back: 3,
            };
            if let Some((time, _)) = find(&words) {
                resolve(&[time], &calendar);
            }
        }
    }
}
