//! A request's body as a tree: read in one pass, with its texts borrowed from the body where they
//! hold no escapes, and the order of its fields kept, since that is the order in which models
//! write the properties of a schema.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap as _, SerializeSeq as _},
};
use serde_json::Number;

/// Deeper nesting is refused: a message's parts need six levels, the rest is for schemas.
const MAX_DEPTH: usize = 64;

/// More values than this are in no honest request; they bound the memory that a body can take.
const MAX_NODES: usize = 256 * 1024;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object, its fields in their order.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a body.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let nodes = Cell::new(MAX_NODES);
        let mut reader = serde_json::Deserializer::from_slice(body);
        let node = Seed { depth: MAX_DEPTH, nodes: &nodes }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(node)
    }

    /// What it is, for an error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

/// Reads one value, `depth` levels below which there may be more.
#[derive(Clone, Copy)]
struct Seed<'n> {
    depth: usize,
    nodes: &'n Cell<usize>,
}

impl Seed<'_> {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format!("nested over {MAX_DEPTH} levels")))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Node<'de>, D::Error> {
        let left = self.nodes.get().checked_sub(1);
        let left = left.ok_or_else(|| de::Error::custom(format!("over {MAX_NODES} values")))?;
        self.nodes.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node<'de>, E> {
        Number::from_f64(value)
            .map(Node::Number)
            .ok_or_else(|| E::custom("a number without an end"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let below = self.below()?;
        let mut fields = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            fields.push((name, map.next_value_seed(below)?));
        }
        Ok(Node::Object(fields))
    }
}

/// Reads the name of a field.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_texts_survive() {
        let json = r#"{"z":1,"a":[true,null,-2,1.5],"q\"":"line\n\u00e9"}"#;
        let node = Node::parse(json.as_bytes()).unwrap();
        let again = serde_json::to_string(&node).unwrap();
        assert_eq!(again, "{\"z\":1,\"a\":[true,null,-2,1.5],\"q\\\"\":\"line\\né\"}");
        let Node::Object(fields) = &node else { panic!("{node:?}") };
        assert!(matches!(fields[0].0, Cow::Borrowed("z")));
    }

    #[test]
    fn depth_and_size_have_an_end() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Node::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = Node::parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("nested over 64 levels"), "{error}");
        let wide = format!("[{}1]", "1,".repeat(MAX_NODES));
        let error = Node::parse(wide.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("values"), "{error}");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in ["", "{", "{}x", "{1:2}", "\"\u{0}\""] {
            assert!(Node::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
        assert!(Node::parse(b"1e999").is_err());
    }
}
