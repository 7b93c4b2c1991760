//! Instants on the wire and in the stores.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description,
};
use utoipa::ToSchema;

/// An instant in UTC with millisecond precision.
///
/// JSON holds RFC 3339 text (`2026-11-21T03:14:15.926Z`); the stores hold the number of
/// milliseconds since 1970, which sorts the same in every database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T03:14:15.926Z")]
pub struct Timestamp(i64);

/// The first and last instant that RFC 3339 can print (years 0000 to 9999), in milliseconds.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a date begins.
fn midnight(date: &str) -> Option<Timestamp> {
    let date = Date::parse(date, format_description!("[year]-[month]-[day]")).ok()?;
    Some(Timestamp::from_datetime(date.midnight().assume_utc()))
}

impl Timestamp {
    /// The wall clock. Code that must be testable takes the instant as an argument instead.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now() -> Self {
        Self::from_datetime(OffsetDateTime::now_utc())
    }

    /// From milliseconds since 1970, clamped to the years 0000 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*RANGE.start(), *RANGE.end()))
    }

    /// From a [`OffsetDateTime`], cut to milliseconds.
    #[must_use]
    pub fn from_datetime(at: OffsetDateTime) -> Self {
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The same instant as an [`OffsetDateTime`] in UTC.
    #[must_use]
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// This instant and `by` more.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(by))
    }

    /// This instant less `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(by))
    }

    /// The first instant of a span: an RFC 3339 timestamp, or the midnight (UTC) at which a date
    /// such as `2026-11-21` begins.
    #[must_use]
    pub fn parse_from(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| midnight(text))
    }

    /// The first instant after a span: an RFC 3339 timestamp, or the midnight (UTC) at which a
    /// date ends, so that the whole day is inside.
    #[must_use]
    pub fn parse_to(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| midnight(text).map(|day| day.plus(DAY)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        f.write_str(&self.to_datetime().format(format).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from_datetime)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            de::Error::custom("not an RFC 3339 timestamp, such as 2026-11-21T03:14:15Z")
        })
    }
}

/// For `#[serde(deserialize_with)]`: a field `from`, read by [`Timestamp::parse_from`].
pub(crate) fn optional_from<'de, D>(deserializer: D) -> Result<Option<Timestamp>, D::Error>
where
    D: Deserializer<'de>,
{
    optional(deserializer, "from", Timestamp::parse_from)
}

/// For `#[serde(deserialize_with)]`: a field `to`, read by [`Timestamp::parse_to`].
pub(crate) fn optional_to<'de, D>(deserializer: D) -> Result<Option<Timestamp>, D::Error>
where
    D: Deserializer<'de>,
{
    optional(deserializer, "to", Timestamp::parse_to)
}

fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &str,
    parse: fn(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let Some(text) = text else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| {
        de::Error::custom(format_args!(
            "`{field}` is neither an RFC 3339 timestamp, such as 2026-11-21T03:14:15Z, \
             nor a date, such as 2026-11-21"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn it_reads_any_offset() {
        let utc: Timestamp = "2026-11-21T03:14:15.926Z".parse().unwrap();
        let paris: Timestamp = "2026-11-21T04:14:15.926+01:00".parse().unwrap();
        assert_eq!(utc, paris);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn every_value_prints_and_reads_back() {
        for millis in [i64::MIN, -1, 0, 1, 1_763_694_855_926, i64::MAX] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }
    }

    #[test]
    fn a_date_is_the_whole_day() {
        let text = |at: Option<Timestamp>| at.unwrap().to_string();
        assert_eq!(text(Timestamp::parse_from("2024-02-29")), "2024-02-29T00:00:00.000Z");
        assert_eq!(text(Timestamp::parse_to("2024-02-29")), "2024-03-01T00:00:00.000Z");
        assert_eq!(text(Timestamp::parse_to("9999-12-31")), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::parse_from("2026-02-29"), None);
    }
}
