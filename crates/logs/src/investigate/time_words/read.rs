//! From words to the times that they name. Called by `find` alone.

use std::time::Duration;

use time::{Date, Month, Time, Weekday};

use super::{Day, Point, TimeWords};

/// Reads the time that these words begin with, and says how many words it takes.
pub(super) fn read(words: &[&str]) -> Option<(TimeWords, usize)> {
    match *words.first()? {
        "last" | "past" | "previous" | "this" => past(words).or_else(|| near(words)),
        "between" | "from" => between(words),
        "since" => {
            let (from, used) = point(&words[1..])?;
            Some((span(Some(from), None), 1 + used))
        }
        "until" => {
            let (to, used) = point(&words[1..])?;
            Some((span(None, Some(to)), 1 + used))
        }
        "after" => {
            let (from, used) = point(&words[1..])?;
            // After 10:30 on a day: of that day.
            let to = from.day.filter(|_| from.clock.is_some()).map(Point::all_of);
            Some((span(Some(Point { past_day: true, ..from }), to), 1 + used))
        }
        "before" => {
            let (to, used) = point(&words[1..])?;
            let from = to.day.filter(|_| to.clock.is_some()).map(Point::all_of);
            let clock = to.clock.unwrap_or(Time::MIDNIGHT);
            Some((span(from, Some(Point { clock: Some(clock), ..to })), 1 + used))
        }
        "around" | "about" => {
            let (at, used) = point(&words[1..])?;
            at.clock?;
            Some((around(at, 15 * 60, 15 * 60), 1 + used))
        }
        "in" | "during" | "at" => {
            let (time, used) = stretch(&words[1..])?;
            Some((time, 1 + used))
        }
        "tonight" => Some((part_of_day(&["evening"])?.0.on(Some(Day::Ago(0))), 1)),
        first => {
            if let Some((from, to)) = first.split_once('-')
                && let (Some(from), Some(to)) = (clock_digits(from), clock_digits(to))
            {
                return Some((span(Some(Point::of(from)), Some(Point::of(to))), 1));
            }
            let (at, used) = point(words)?;
            let part = at.clock.is_none().then(|| part_of_day(&words[used..])).flatten();
            Some(match part {
                Some((part, more)) => (part.on(at.day), used + more),
                None => (at.as_span(), used),
            })
        }
    }
}

fn span(from: Option<Point>, to: Option<Point>) -> TimeWords {
    TimeWords::Span { from, to }
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

/// `this morning`, `last night`, `last friday`.
fn near(words: &[&str]) -> Option<(TimeWords, usize)> {
    let on = |days, clock| Some(Point { clock, ..Point::all_of(Day::Ago(days)) });
    match (*words.first()?, *words.get(1)?) {
        ("last", "night") => Some((span(on(1, Some(hour(18)?)), on(0, Some(hour(6)?))), 2)),
        ("this", _) => {
            let (part, used) = part_of_day(&words[1..])?;
            Some((part.on(Some(Day::Ago(0))), 1 + used))
        }
        (_, name) => {
            let day = Point::all_of(Day::Weekday(weekday(name)?));
            Some((day.as_span(), 2))
        }
    }
}

/// `between 10:00 and 11:00`, `from monday to friday`, `between 9 and 10`.
fn between(words: &[&str]) -> Option<(TimeWords, usize)> {
    let joins = |word: &str| matches!(word, "and" | "to" | "until" | "till" | "-");
    if let [_, from, joint, to, rest @ ..] = words
        && joins(joint)
        && let (Ok(from), Ok(to)) = (from.parse::<u8>(), to.parse::<u8>())
        && (rest.is_empty() || rest[0] == "on" || rest[0] == "utc" || point(rest).is_some())
    {
        let (from, to) = (Point::of(hour(from)?), Point::of(hour(to)?));
        return Some((span(Some(from), Some(to)), 4));
    }
    let (from, used) = point(&words[1..])?;
    joins(words.get(1 + used)?).then_some(())?;
    let (to, more) = point(&words[2 + used..])?;
    Some((span(Some(from), Some(to)), 2 + used + more))
}

/// What follows `in` or `during`: `december`, `july 2015`, `2015`, `morning`.
fn stretch(words: &[&str]) -> Option<(TimeWords, usize)> {
    if let Some(found) = part_of_day(words) {
        return Some(found);
    }
    let first = *words.first()?;
    if let Some(year) = year(first) {
        return Some((TimeWords::Year(year), 1));
    }
    let month = month(first)?;
    match words.get(1) {
        Some(next) if ordinal(next).is_some() => None,
        Some(next) => match year(next) {
            Some(year) => Some((TimeWords::Month(month, Some(year)), 2)),
            None => Some((TimeWords::Month(month, None), 1)),
        },
        None => Some((TimeWords::Month(month, None), 1)),
    }
}

/// `morning`, `in afternoon`, of a day that is named elsewhere.
fn part_of_day(words: &[&str]) -> Option<(TimeWords, usize)> {
    let (word, used) = match words {
        ["in" | "at" | "during", word, ..] => (*word, 2),
        [word, ..] => (*word, 1),
        [] => return None,
    };
    let (from, to) = match word {
        "morning" => (0, Some(12)),
        "afternoon" => (12, Some(18)),
        "evening" => (18, None),
        "night" => (22, Some(6)),
        _ => return None,
    };
    let to = match to {
        Some(to) => Point::of(hour(to)?),
        None => Point::default(),
    };
    Some((span(Some(Point::of(hour(from)?)), Some(to)), used))
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
            && let Some((clock, whole_hour, len)) =
                clock(rest_after_on).or_else(|| bare_hour(rest, point.day.is_some()))
        {
            point.clock = Some(clock);
            point.whole_hour = whole_hour;
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
        "today" => return Some((Day::Ago(0), None, 1)),
        "yesterday" => return Some((Day::Ago(1), None, 1)),
        _ => {}
    }
    if let Some(name) = weekday(first) {
        return Some((Day::Weekday(name), None, 1));
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
    let day = match words.get(used).and_then(|word| year(word)) {
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

/// `2015`, of this century or the end of the last.
fn year(word: &str) -> Option<i32> {
    let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    is_year.then(|| word.parse().ok())?.filter(|year| (1970..2100).contains(year))
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

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// `10`, `10th`.
fn ordinal(word: &str) -> Option<u8> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    matches!(&word[digits..], "" | "st" | "nd" | "rd" | "th").then_some(())?;
    word[..digits].parse().ok().filter(|day| (1..=31).contains(day))
}

fn hour(hour: u8) -> Option<Time> {
    Time::from_hms(hour, 0, 0).ok()
}

/// `at 9`, after a day.
fn bare_hour(words: &[&str], has_day: bool) -> Option<(Time, bool, usize)> {
    let ["at", number, ..] = words else { return None };
    // The `at` is counted by the caller.
    has_day.then(|| hour(number.parse().ok()?)).flatten().map(|hour| (hour, true, 1))
}

/// `10:00`, `10:00:30`, `10am`, `10 pm`, `7 o'clock`, `noon`, `midnight`; whether only the hour is
/// named, and how many words it takes.
fn clock(words: &[&str]) -> Option<(Time, bool, usize)> {
    let first = *words.first()?;
    match first {
        "noon" => return Some((hour(12)?, false, 1)),
        "midnight" => return Some((Time::MIDNIGHT, false, 1)),
        _ => {}
    }
    if let Some("o'clock" | "o’clock" | "oclock") = words.get(1).copied() {
        return Some((hour(first.parse().ok()?)?, true, 2));
    }
    let attached = ["am", "pm"].into_iter().find_map(|half| {
        Some((first.strip_suffix(half).filter(|rest| !rest.is_empty())?, half, 1))
    });
    let apart = words.get(1).filter(|half| matches!(**half, "am" | "pm"));
    let (digits, half, used) =
        attached.or_else(|| apart.map(|half| (first, *half, 2))).unwrap_or((first, "", 1));
    let (time, whole_hour) = match digits.parse::<u8>() {
        Ok(number) if !half.is_empty() => (hour(number)?, true),
        _ => (clock_digits(digits)?, false),
    };
    let hour = match (half, time.hour()) {
        ("am", 12) => 0,
        ("pm", hour @ 1..=11) => hour + 12,
        (_, hour) => hour,
    };
    Some((time.replace_hour(hour).ok()?, whole_hour, used))
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
    span(shifted(-before), shifted(after))
}

impl Point {
    fn of(clock: Time) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    fn all_of(day: Day) -> Self {
        Self { day: Some(day), ..Self::default() }
    }

    /// A day is all of it; a time of day is its minute, or its hour.
    fn as_span(self) -> TimeWords {
        match self.clock {
            Some(_) => around(self, 0, if self.whole_hour { 3_600 } else { 60 }),
            None => span(Some(self), Some(self)),
        }
    }
}
