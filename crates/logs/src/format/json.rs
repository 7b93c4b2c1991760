//! JSON lines: bunyan, pino, zap, logrus, ECS, GELF, Docker's json-file, and our own.

use std::{borrow::Cow, fmt};

use callboard_protocol::{Level, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    level,
    stamp::{self, Clock},
};

/// Timestamp and level of a line that is a JSON object; none if it is not one.
pub(super) fn read(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let mut fields = Fields { clock, timestamp: None, level: None, from_message: Level::Unknown };
    let mut json = serde_json::Deserializer::from_slice(line);
    // A line that was cut is no whole object: what was read before the cut counts.
    match (&mut json).deserialize_map(&mut fields) {
        Ok(()) => {}
        Err(error) if error.is_eof() && fields.timestamp.is_some() => {}
        Err(_) => return None,
    }
    Some((fields.timestamp, fields.level.unwrap_or(fields.from_message)))
}

struct Fields<'c> {
    clock: &'c Clock,
    timestamp: Option<Timestamp>,
    level: Option<Level>,
    from_message: Level,
}

impl Fields<'_> {
    fn take(&mut self, key: &str, value: &Scalar<'_>) {
        match key {
            "timestamp" | "@timestamp" | "time" | "ts" | "t" | "datetime" | "date" | "asctime"
            | "eventTime" | "event_time" | "@t"
                if self.timestamp.is_none() =>
            {
                self.timestamp = value.timestamp(self.clock);
            }
            "level" | "severity" | "lvl" | "log.level" | "loglevel" | "log_level" | "levelname"
            | "severity_text" | "severityText" | "@l"
                if self.level.is_none() =>
            {
                self.level = value.level();
            }
            // ECS nests: `"log": {"level": "error"}`; Docker's `"log"` is a text.
            "msg" | "message" | "log" | "short_message" => match value {
                Scalar::Text(text) => self.from_message = level::from_text(text.as_bytes()),
                Scalar::Object(level) => self.level = self.level.or(*level),
                Scalar::Number(_) | Scalar::Integer(_) | Scalar::Other => {}
            },
            _ => {}
        }
    }
}

impl<'de> Visitor<'de> for &mut Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value = map.next_value_seed(AnyValue)?;
            self.take(&key, &value);
        }
        Ok(())
    }
}

/// A value of the object, as far as it matters here.
enum Scalar<'de> {
    Text(Cow<'de, str>),
    Number(f64),
    Integer(u64),
    /// An object, and the level that it holds.
    Object(Option<Level>),
    Other,
}

impl Scalar<'_> {
    fn timestamp(&self, clock: &Clock) -> Option<Timestamp> {
        match self {
            Self::Text(text) => stamp::read_field(text, clock),
            Self::Integer(number) => stamp::read_field(&number.to_string(), clock),
            Self::Number(seconds) => stamp::read_field(&format!("{seconds:.6}"), clock),
            Self::Object(_) | Self::Other => None,
        }
    }

    fn level(&self) -> Option<Level> {
        match self {
            Self::Text(text) => level::from_word(text.as_bytes()),
            Self::Integer(number) => Some(level::from_number(*number)),
            Self::Object(_) | Self::Number(_) | Self::Other => None,
        }
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_str(AnyVisitor)? {
            Scalar::Text(text) => Ok(text),
            Scalar::Number(_) | Scalar::Integer(_) | Scalar::Object(_) | Scalar::Other => {
                Ok(Cow::Borrowed(""))
            }
        }
    }
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        let mut level = None;
        while let Some(key) = map.next_key_seed(Key)? {
            let value = map.next_value_seed(AnyValue)?;
            if key == "level" {
                level = value.level();
            }
        }
        Ok(Scalar::Object(level))
    }
}
