//! How protocol values stand in columns, and back.

use std::{fmt, str::FromStr};

use callboard_protocol::Timestamp;
use sea_orm::sea_query::LikeExpr;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::StoreError;

/// The SHA-256 of a token: all that the store ever sees of it.
pub type TokenHash = [u8; 32];

/// Where a page ended: an instant and, among equals, an id.
///
/// Its text form is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) at: Timestamp,
    pub(crate) id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_millis(), self.id.simple())
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (at, id) = text.split_once('.')?;
            Some(Self {
                at: Timestamp::from_millis(at.parse().ok()?),
                id: Uuid::parse_str(id).ok()?,
            })
        };
        parse().ok_or("the cursor is not one that this server gave")
    }
}

/// The wire name of an enum's value, which is also what its column holds.
pub(crate) fn name_of<T: Serialize>(value: &T) -> Result<String, StoreError> {
    if let Value::String(name) = serde_json::to_value(value)? {
        Ok(name)
    } else {
        Err(StoreError::internal("not an enum without fields"))
    }
}

/// The value of an enum by its wire name.
pub(crate) fn from_name<T: DeserializeOwned>(name: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_value(Value::String(name.to_owned()))?)
}

/// A value as JSON without NUL characters.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Value, StoreError> {
    let mut json = serde_json::to_value(value)?;
    clean_json(&mut json);
    Ok(json)
}

/// Text without NUL characters. PostgreSQL refuses them in text and in JSON, and log lines that
/// are cited, and questions, may hold them.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What a text is like that holds `word` itself, whatever that is.
pub(crate) fn containing(word: &str) -> LikeExpr {
    LikeExpr::new(format!("%{}%", literal(word))).escape('\\')
}

/// What a text is like that begins with `word` itself, whatever that is.
pub(crate) fn beginning(word: &str) -> LikeExpr {
    LikeExpr::new(format!("{}%", literal(word))).escape('\\')
}

fn literal(word: &str) -> String {
    let mut pattern = String::new();
    for character in word.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn clean_json(json: &mut Value) {
    match json {
        Value::String(text) if text.contains('\0') => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(clean_json),
        Value::Object(fields) if fields.keys().any(|key| key.contains('\0')) => {
            let taken = std::mem::take(fields);
            for (key, mut value) in taken {
                clean_json(&mut value);
                fields.insert(clean(&key), value);
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(clean_json),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use callboard_protocol::JobState;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_prints() {
        let cursor = Cursor { at: Timestamp::from_millis(-5), id: Uuid::from_u128(7) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", ".", "1.", "x.0", "1.00000000000000000000000000000007x"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_wire() {
        assert_eq!(name_of(&JobState::Cancelled).unwrap(), "cancelled");
        assert_eq!(from_name::<JobState>("cancelled").unwrap(), JobState::Cancelled);
        assert!(from_name::<JobState>("done").is_err());
        assert!(name_of(&3).is_err());
    }

    #[test]
    fn no_nul_is_left_anywhere() {
        let value = json!({"a\0": ["x\0y", {"b": "\0"}], "n": 1});
        assert_eq!(
            to_json(&value).unwrap(),
            json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}], "n": 1})
        );
    }
}
