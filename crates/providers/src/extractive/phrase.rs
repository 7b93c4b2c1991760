//! Numbers, instants and spans in words.

use callboard_protocol::{Bucket, Evidence, TimeRange, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// A number with its thousands set apart: `12,345`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `2 lines`.
pub(super) fn lines(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "line" } else { "lines" })
}

/// `26 %`, or `less than 1 %`; nothing for all of it or for none.
pub(super) fn share(part: u64, whole: u64) -> Option<String> {
    if part == 0 || part >= whole {
        return None;
    }
    let percent = u128::from(part) * 100 / u128::from(whole);
    Some(if percent == 0 { "less than 1 %".to_owned() } else { format!("{percent} %") })
}

/// `2015-12-10 09:14:05`, in UTC.
pub(super) fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {}", &text[..10], &text[11..19])
}

/// An instant, or an em-dash-free sign that there is none.
pub(super) fn instant_or_none(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "no time".to_owned(), instant)
}

/// A span that is searched: `from … to … UTC`, `since …`, `all times`.
pub(super) fn range(range: TimeRange) -> String {
    match (range.from, range.to) {
        (Some(from), Some(to)) => format!("from {} to {} UTC", instant(from), instant(to)),
        (Some(from), None) => format!("since {} UTC", instant(from)),
        (None, Some(to)) => format!("before {} UTC", instant(to)),
        (None, None) => "over all times".to_owned(),
    }
}

/// A span that lines cover: `between … and … UTC`, the second date only if it is another.
pub(super) fn covered(range: TimeRange) -> Option<String> {
    let (from, to) = (range.from?, range.to?);
    Some(if from == to {
        format!("at {} UTC", instant(from))
    } else {
        format!("between {} and {} UTC", instant(from), end(from, to, 19))
    })
}

/// The slice of the histogram that holds the most lines, if it stands out at all.
pub(super) fn peak(evidence: &Evidence) -> Option<Bucket> {
    let mut filled = evidence.histogram.iter().filter(|bucket| bucket.count > 0);
    let first = filled.next()?;
    let mut peak = first;
    let mut others = false;
    for bucket in filled {
        others = true;
        if bucket.count > peak.count {
            peak = bucket;
        }
    }
    (others && evidence.bucket_ms > 0).then_some(*peak)
}

/// A slice of the histogram, in words: `on 2015-12-10`, `between 2015-12-10 09:00 and 10:00 UTC`.
pub(super) fn slice(bucket: Bucket, width_ms: u64) -> String {
    let end_at = bucket.start.plus(std::time::Duration::from_millis(width_ms));
    if width_ms.is_multiple_of(DAY_MS) && bucket.start.as_millis().rem_euclid(DAY_MS as i64) == 0 {
        let last = end_at.minus(std::time::Duration::from_millis(1));
        let (first, last) = (instant(bucket.start), instant(last));
        return if width_ms == DAY_MS {
            format!("on {} UTC", &first[..10])
        } else {
            format!("from {} to {} UTC", &first[..10], &last[..10])
        };
    }
    // Seconds are left out when every slice begins at a full minute.
    let length = if width_ms.is_multiple_of(60_000) { 16 } else { 19 };
    let from = instant(bucket.start);
    format!("between {} and {} UTC", &from[..length], end(bucket.start, end_at, length))
}

fn end(from: Timestamp, to: Timestamp, length: usize) -> String {
    let (from, to) = (instant(from), instant(to));
    if from[..10] == to[..10] { to[11..length].to_owned() } else { to[..length].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_set_apart() {
        let texts = [0, 999, 1_000, 12_345, 1_234_567].map(number);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn shares_are_whole_percents() {
        assert_eq!(share(286, 520).as_deref(), Some("55 %"));
        assert_eq!(share(1, 2_000).as_deref(), Some("less than 1 %"));
        assert_eq!((share(5, 5), share(0, 5)), (None, None));
        assert_eq!(share(u64::MAX - 1, u64::MAX).as_deref(), Some("99 %"));
    }

    #[test]
    fn a_slice_names_its_day_once() {
        let slice_of = |start: &str, width| slice(Bucket { start: at(start), count: 1 }, width);
        assert_eq!(
            slice_of("2015-12-10T09:00:00Z", 3_600_000),
            "between 2015-12-10 09:00 and 10:00 UTC"
        );
        assert_eq!(
            slice_of("2015-12-10T23:59:30Z", 30_000),
            "between 2015-12-10 23:59:30 and 2015-12-11 00:00:00 UTC"
        );
        assert_eq!(slice_of("2015-12-10T00:00:00Z", DAY_MS), "on 2015-12-10 UTC");
        assert_eq!(
            slice_of("2015-12-10T00:00:00Z", 7 * DAY_MS),
            "from 2015-12-10 to 2015-12-16 UTC"
        );
        assert_eq!(
            slice_of("2015-12-10T06:00:00Z", DAY_MS),
            "between 2015-12-10 06:00 and 2015-12-11 06:00 UTC"
        );
    }

    #[test]
    fn spans_are_told() {
        let from = Some(at("2015-12-10T06:55:48Z"));
        let to = Some(at("2015-12-10T11:04:45Z"));
        assert_eq!(
            covered(TimeRange { from, to }).unwrap(),
            "between 2015-12-10 06:55:48 and 11:04:45 UTC"
        );
        assert_eq!(covered(TimeRange { from, to: from }).unwrap(), "at 2015-12-10 06:55:48 UTC");
        assert_eq!(covered(TimeRange { from, to: None }), None);
        assert_eq!(range(TimeRange { from, to: None }), "since 2015-12-10 06:55:48 UTC");
        assert_eq!(range(TimeRange::default()), "over all times");
    }
}
