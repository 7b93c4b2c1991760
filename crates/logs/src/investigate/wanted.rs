//! Reads what a question wants shown: `top 3`, `last 5`, `for the first time`, `per hour`. Called
//! by `question`.

use std::{ops::Range, sync::LazyLock};

use callboard_protocol::{LineOrder, Wanted};
use regex::Regex;

use super::values::pattern;

/// The most of anything that a question gets, and the lines of one that asks for the first without
/// a number.
const MOST: u32 = 100;
const SOME_LINES: u32 = 5;

const NUMBER: &str =
    r"(?<n>\d{1,6}|two|three|four|five|six|seven|eight|nine|ten|twelve|dozen|twenty|fifty|hundred)";

/// `top 3`, `5 latest`.
static COUNTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:^| )(?<said>(?<which>top|worst|biggest|largest|busiest|most frequent|most common|first|earliest|oldest|last|latest|newest|most recent) {NUMBER})(?: |$)"
    ))
});
static COUNTED_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:^| )(?<said>{NUMBER} (?<which>first|earliest|oldest|last|latest|newest|most recent|top|worst|biggest|largest|busiest|most \w+))\b"
    ))
});

/// `for the first time`, `the latest`.
static UNCOUNTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?<said>(?<which>first|earliest|oldest|since when|last|latest|newest|most recent)(ly)?( time| occurrence| seen)?)\b",
    )
});

static OVER_TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(per|each|every|by) (?<unit>second|minute|hour|day|week)\b|\b(?<ly>hourly|daily|weekly)\b|\bover time\b|\b(as a |a )?(histogram|time ?line|trend)\b",
    )
});

static FEWEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:^|[^t] |[^a]t )(?<said>(least|fewest|rarest|lowest)( (often|frequent(ly)?|common(ly)?|active))?)\b",
    )
});

/// What is wanted, in which order lines are cited if the question says, and the width of slices of
/// time in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) wanted: Wanted,
    pub(crate) order: Option<LineOrder>,
    pub(crate) slice_ms: Option<u64>,
    /// How that was said.
    pub(crate) said: Vec<String>,
}

impl Shape {
    /// Reads lower-case text; also gives the stretches that were understood.
    pub(crate) fn read(text: &str) -> (Self, Vec<Range<usize>>) {
        let mut shape = Self::default();
        let mut understood = Vec::new();
        if let Some(found) = OVER_TIME.captures(text)
            && let Some(whole) = found.get(0)
        {
            let unit = found.name("unit").or(found.name("ly")).map(|unit| unit.as_str());
            shape.wanted.over_time = true;
            shape.slice_ms = unit.map(width);
            shape.said.push(whole.as_str().to_owned());
            understood.push(whole.range());
        }
        if let Some(said) = FEWEST.captures(text).and_then(|found| found.name("said")) {
            shape.wanted.fewest = true;
            shape.said.push(said.as_str().to_owned());
            understood.push(said.range());
        }
        let counted = COUNTED.captures(text).or_else(|| COUNTED_AFTER.captures(text));
        if let Some(found) = counted.or_else(|| UNCOUNTED.captures(text))
            && let (Some(said), Some(which)) = (found.name("said"), found.name("which"))
        {
            let count = found.name("n").map(|number| count(number.as_str()));
            shape.choose(which.as_str(), count);
            shape.said.push(said.as_str().to_owned());
            understood.push(said.range());
        }
        (shape, understood)
    }

    fn choose(&mut self, which: &str, count: Option<u32>) {
        self.order = match which {
            "first" | "earliest" | "oldest" | "since when" => Some(LineOrder::Oldest),
            "last" | "latest" | "newest" | "most recent" => Some(LineOrder::Newest),
            _ => None,
        };
        match self.order {
            Some(_) => self.wanted.lines = Some(count.unwrap_or(SOME_LINES)),
            None => self.wanted.values = count,
        }
    }
}

fn width(unit: &str) -> u64 {
    match unit {
        "second" => 1_000,
        "minute" => 60_000,
        "hour" | "hourly" => 3_600_000,
        "day" | "daily" => 86_400_000,
        _ => 604_800_000,
    }
}

fn count(number: &str) -> u32 {
    let known = match number {
        "two" => 2,
        "three" => 3,
        "four" => 4,
        "five" => 5,
        "six" => 6,
        "seven" => 7,
        "eight" => 8,
        "nine" => 9,
        "ten" => 10,
        "twelve" | "dozen" => 12,
        "twenty" => 20,
        "fifty" => 50,
        digits => digits.parse().unwrap_or(MOST),
    };
    known.clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_how_much_to_show() {
        let read = |text| {
            let Shape { wanted, order, slice_ms, .. } = Shape::read(text).0;
            (wanted.values, wanted.lines, order, slice_ms)
        };
        let (oldest, newest) = (Some(LineOrder::Oldest), Some(LineOrder::Newest));
        assert_eq!(read("top 3 ip addresses"), (Some(3), None, None, None));
        assert_eq!(read("the ten most active users"), (Some(10), None, None, None));
        assert_eq!(read("last 5 errors"), (None, Some(5), newest, None));
        assert_eq!(read("first 10 lines of it"), (None, Some(10), oldest, None));
        assert_eq!(read("5 most recent crashes"), (None, Some(5), newest, None));
        assert_eq!(read("when did mod_jk fail for the first time"), (None, Some(5), oldest, None));
        assert_eq!(read("when did 10.0.0.7 first fail"), (None, Some(5), oldest, None));
        assert_eq!(read("when was first 10.0.0.7 seen"), (None, Some(5), oldest, None));
        assert_eq!(read("errors per hour"), (None, None, None, Some(3_600_000)));
        assert_eq!(read("top 99999 users"), (Some(MOST), None, None, None));
        assert_eq!(read("which users failed most often"), (None, None, None, None));
        assert!(Shape::read("errors over time").0.wanted.over_time);
        assert!(Shape::read("which ip failed least often").0.wanted.fewest);
        assert!(!Shape::read("at least 5 errors").0.wanted.fewest);
    }
}
