//! A JSON schema, kept as the text that it came as: the order of its properties is the order in
//! which models write them.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

/// A JSON schema.
#[derive(Clone)]
pub struct Schema(Box<RawValue>);

impl Schema {
    /// Reads JSON text.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(Self)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<Box<RawValue>> for Schema {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl From<&Value> for Schema {
    fn from(value: &Value) -> Self {
        // The text of a `Value` is JSON; `null` stands for what cannot happen.
        serde_json::value::to_raw_value(value)
            .map_or_else(|_| Self(RawValue::NULL.to_owned()), Self)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_properties_is_kept() {
        let text = r#"{"z":1,"a":{"y":2,"b":3}}"#;
        assert_eq!(serde_json::to_string(&Schema::parse(text).unwrap()).unwrap(), text);
        assert!(Schema::parse("{").is_err());
    }
}
