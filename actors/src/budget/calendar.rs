//! Days and months in UTC.

use std::time::Duration;

use callboard_protocol::Timestamp;

const DAY_S: u64 = 24 * 3_600;

/// The day and the month of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    /// When the day began.
    pub(super) day: Timestamp,
    /// When the month began.
    pub(super) month: Timestamp,
    /// When the next day begins.
    pub(super) next_day: Timestamp,
    /// When the next month begins.
    pub(super) next_month: Timestamp,
}

impl Calendar {
    /// Of `at`.
    pub(super) fn at(at: Timestamp) -> Self {
        let date = at.to_datetime();
        let days = |count: u8| Duration::from_secs(DAY_S * u64::from(count));
        let day_ms = i64::try_from(days(1).as_millis()).unwrap_or(i64::MAX);
        let day = Timestamp::from_millis(at.as_millis().div_euclid(day_ms) * day_ms);
        let month = day.minus(days(date.day() - 1));
        Self {
            day,
            month,
            next_day: day.plus(days(1)),
            next_month: month.plus(days(date.month().length(date.year()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_their_lengths() {
        for (at, month, next_day, next_month) in [
            ("2026-11-21T03:14:15.926Z", "2026-11-01", "2026-11-22", "2026-12-01"),
            ("2026-12-31T23:59:59.999Z", "2026-12-01", "2027-01-01", "2027-01-01"),
            ("2024-02-29T00:00:00.000Z", "2024-02-01", "2024-03-01", "2024-03-01"),
            ("2026-02-28T12:00:00.000Z", "2026-02-01", "2026-03-01", "2026-03-01"),
            ("1969-12-31T23:00:00.000Z", "1969-12-01", "1970-01-01", "1970-01-01"),
        ] {
            let of = |date| Timestamp::parse_from(date).unwrap();
            let calendar = Calendar::at(of(at));
            assert_eq!(calendar.month, of(month), "{at}");
            assert_eq!(calendar.next_day, of(next_day), "{at}");
            assert_eq!(calendar.next_month, of(next_month), "{at}");
        }
    }
}
