//! From the merged tree to typed settings, with every error at its key.
//!
//! Serde stops at the first error. [`typed`] notes it, puts the default back in that place, and
//! tries again, so that one run reports everything. Texts from the environment and from flags
//! take the type that is asked for: `"8080"` is a number where a number is wanted, and stays text
//! where a password is.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, IntoDeserializer as _, Unexpected, value::StrDeserializer,
};

use super::{
    error::{ConfigError, suggestion},
    tree::{Node, Value, is_secret, join_path},
};

/// More errors than this are not reported: nobody reads them, and the search is quadratic.
const MAX_ERRORS: usize = 64;

/// Reads `tree` as a `T`. Where a value is wrong, the one from `defaults` is used, and the error
/// goes to `errors`; `None` when not even that helps.
pub(super) fn typed<T: DeserializeOwned>(
    tree: &Node,
    defaults: &Node,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let mut tree = tree.clone();
    let mut repaired: Vec<Vec<String>> = Vec::new();
    for _ in 0..MAX_ERRORS {
        let error = match T::deserialize(Reader { node: &tree }) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let mut path: Vec<String> = error.path.iter().rev().cloned().collect();
        // What we took out ourselves is no error of the user's.
        if !repaired.contains(&path) {
            errors.push(error.report(&path, &tree));
        }
        // A place that was repaired and is still wrong: the error lies in what contains it.
        while repaired.contains(&path) {
            path.pop()?;
        }
        repair(&mut tree, defaults, &path);
        repaired.push(path);
    }
    None
}

fn repair(tree: &mut Node, defaults: &Node, path: &[String]) {
    match (tree.get_mut(path), defaults.get(path)) {
        (Some(place), Some(default)) => *place = default.clone(),
        _ => {
            tree.remove(path);
        }
    }
}

/// An error on its way up: `path` grows from the leaf to the root.
#[derive(Debug)]
pub(super) struct ReadError {
    path: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    UnknownKey(Vec<&'static str>),
    MissingKey,
    /// What is wrong, and the same without the value, for secrets.
    BadValue {
        shown: String,
        hidden: String,
    },
}

impl ReadError {
    fn bad(shown: String, hidden: String) -> Self {
        Self { path: Vec::new(), kind: Kind::BadValue { shown, hidden } }
    }

    fn below(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    fn report(self, path: &[String], tree: &Node) -> ConfigError {
        let last = path.last().map_or("", String::as_str);
        let problem = match self.kind {
            Kind::UnknownKey(known) => format!("is not a known key{}", suggestion(last, &known)),
            Kind::MissingKey => "is missing".to_owned(),
            Kind::BadValue { hidden, .. } if path.iter().any(|step| is_secret(step)) => hidden,
            Kind::BadValue { shown, .. } => shown,
        };
        let key = if path.is_empty() { "the configuration".to_owned() } else { join_path(path) };
        ConfigError { key, problem, origin: Some(tree.origin_of(path)) }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<_> = self.path.iter().rev().cloned().collect();
        write!(f, "{}: {:?}", join_path(&path), self.kind)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        Self::bad(format!("has a bad value: {message}"), "has a bad value".to_owned())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = plain(&expected.to_string());
        let hidden = format!("must be {expected}");
        Self::bad(format!("must be {expected}, and is {}", plain_value(&unexpected)), hidden)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let problem = format!("cannot be `{variant}`{}", suggestion(variant, expected));
        Self::bad(problem, "has a bad value".to_owned())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { path: vec![field.to_owned()], kind: Kind::UnknownKey(expected.to_vec()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: vec![field.to_owned()], kind: Kind::MissingKey }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format_args!("`{field}` is set twice"))
    }
}

/// Serde's names of types, for people.
fn plain(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        name if name.starts_with("a nonzero") => "a whole number, 1 or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "a formatted string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        name if name == "a map" || name.starts_with("struct ") => "a section".to_owned(),
        name => name.to_owned(),
    }
}

fn plain_value(unexpected: &Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(text) => format!("the text {text:?}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Map => "a section".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Char(_)
        | Unexpected::Bytes(_)
        | Unexpected::Unit
        | Unexpected::Option
        | Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => unexpected.to_string(),
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
}

impl Reader<'_> {
    /// The text of a variable or a flag, which may stand for any type.
    fn untyped(&self) -> Option<&str> {
        match &self.node.value {
            Value::Untyped(text) => Some(text.trim()),
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::List(_)
            | Value::Table(_) => None,
        }
    }
}

/// Parses an untyped text as the number that is wanted; what does not parse is reported as text.
macro_rules! number {
    ($($method:ident, $type:ty, $visit:ident;)+) => {$(
        fn $method<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.untyped().and_then(|text| text.parse::<$type>().ok()) {
                Some(number) => visitor.$visit(number),
                None => self.deserialize_any(visitor),
            }
        }
    )+};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    number! {
        deserialize_bool, bool, visit_bool;
        deserialize_i8, i64, visit_i64;
        deserialize_i16, i64, visit_i64;
        deserialize_i32, i64, visit_i64;
        deserialize_i64, i64, visit_i64;
        deserialize_u8, i64, visit_i64;
        deserialize_u16, i64, visit_i64;
        deserialize_u32, i64, visit_i64;
        deserialize_u64, i64, visit_i64;
    }

    fn deserialize_f64<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match (self.untyped().and_then(|text| text.parse().ok()), &self.node.value) {
            (Some(number), _) => visitor.visit_f64(number),
            // 1 for 1.0 is no mistake
            #[expect(clippy::cast_precision_loss, reason = "settings are small numbers")]
            (None, Value::Integer(number)) => visitor.visit_f64(*number as f64),
            (None, _) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f32<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Untyped(text) | Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::List(list) => visitor.visit_seq(Entries { list, next: 0 }),
            Value::Table(table) => visitor.visit_map(Keys {
                rest: table.iter().collect::<Vec<_>>().into_iter(),
                value: None,
            }),
        }
    }

    /// An empty variable counts as not set: that is how compose files pass on what is absent.
    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.untyped() == Some("") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// In a variable, a list of plain values is separated by commas.
    fn deserialize_seq<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Some(text) = self.untyped() else { return self.deserialize_any(visitor) };
        let list: Vec<_> = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| Node::new(Value::Untyped(entry.to_owned()), self.node.origin.clone()))
            .collect();
        visitor.visit_seq(Entries { list: &list, next: 0 })
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Text(text) | Value::Untyped(text) => {
                let text: StrDeserializer<'_, ReadError> = text.trim().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::List(_)
            | Value::Table(_) => match self.deserialize_any(Expecting(variants)) {
                Err(error) => Err(error),
                Ok(never) => match never {},
            },
        }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    /// Serde's derive would take a list for a struct, field by field.
    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if matches!(self.node.value, Value::List(_)) {
            return Err(de::Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier
        ignored_any
    }
}

/// Refuses everything, to say that one of some words is wanted.
struct Expecting(&'static [&'static str]);

impl de::Visitor<'_> for Expecting {
    type Value = std::convert::Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", self.0.join(", "))
    }
}

struct Entries<'a> {
    list: &'a [Node],
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.list.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Reader { node }).map(Some).map_err(|error| error.below(index.to_string()))
    }
}

struct Keys<'a> {
    rest: std::vec::IntoIter<(&'a String, &'a Node)>,
    value: Option<(&'a String, &'a Node)>,
}

impl<'de> de::MapAccess<'de> for Keys<'_> {
    type Error = ReadError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key, node));
        let name: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| {
            // An unknown key of a struct names itself; a key of a map that is no word of its enum
            // does not.
            if error.path.is_empty() { error.below(key) } else { error }
        })
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ReadError> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value without a key"));
        };
        seed.deserialize(Reader { node }).map_err(|error| error.below(key))
    }
}

/// The keys of the section in which `tree` has a key that is none.
#[cfg(test)]
pub(super) fn known_keys<T: DeserializeOwned>(tree: &Node) -> Option<Vec<String>> {
    match T::deserialize(Reader { node: tree }) {
        Err(ReadError { kind: Kind::UnknownKey(known), .. }) => {
            Some(known.iter().map(ToString::to_string).collect())
        }
        Err(_) | Ok(_) => None,
    }
}
