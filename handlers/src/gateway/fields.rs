//! Reads the fields of a request one by one, knows where each stands, and refuses what is left.
//!
//! `null` is the same as absent, as the vendors have it: their clients send it for what is not set.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use callboard_providers::Schema;

use super::{
    fault::{Fault, Flaw},
    tree::Node,
};

/// Where a value stands, from the outermost field to it. It prints as `messages.[2].content`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'p> {
    /// The body itself.
    Root,
    /// A field of an object.
    Field(&'p Place<'p>, &'p str),
    /// An item of an array, counted from 0.
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up, step) = match self {
            Self::Root => return Ok(()),
            Self::Field(up, name) => (up, Cow::Borrowed(*name)),
            Self::Item(up, index) => (up, Cow::Owned(format!("[{index}]"))),
        };
        if !matches!(up, Self::Root) {
            write!(f, "{up}.")?;
        }
        f.write_str(&step)
    }
}

/// The fields of an object; each is taken once.
#[derive(Debug)]
pub(super) struct Fields<'a, 'p> {
    place: Place<'p>,
    entries: Vec<(Cow<'a, str>, Option<Node<'a>>)>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// The fields of a value that must be an object.
    pub(super) fn of(node: Node<'a>, place: Place<'p>) -> Result<Self, Fault> {
        let Node::Object(fields) = node else {
            return Err(mismatch(&node, place, "an object"));
        };
        let entries = fields.into_iter().map(|(name, node)| (name, Some(node)));
        Ok(Self { place, entries: entries.collect() })
    }

    /// Where the object stands.
    pub(super) fn place(&self) -> Place<'p> {
        self.place
    }

    /// Looks at a field without taking it.
    pub(super) fn peek(&self, name: &str) -> Option<&Node<'a>> {
        let entry = self.entries.iter().find(|(key, node)| key == name && node.is_some());
        entry?.1.as_ref().filter(|node| **node != Node::Null)
    }

    /// The field, unless it is absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let entry = self.entries.iter_mut().find(|(key, node)| key == name && node.is_some());
        entry?.1.take().filter(|node| *node != Node::Null)
    }

    /// The field as `read` reads it, unless it is absent.
    pub(super) fn get<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Node<'a>, Place<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let node = self.take(name);
        node.map(|node| read(node, Place::Field(&self.place, name))).transpose()
    }

    /// The field as `read` reads it; it must be there.
    pub(super) fn need<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Node<'a>, Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let place = self.place;
        self.get(name, read)?
            .ok_or_else(|| Fault::at(Place::Field(&place, name), Flaw::Missing, "is required"))
    }

    /// Fields that shape no answer here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// A field that exists at the vendor and that this server refuses, with the reason.
    pub(super) fn refuse(&mut self, name: &str, reason: &str) -> Result<(), Fault> {
        match self.take(name) {
            None => Ok(()),
            Some(_) => Err(Fault::at(Place::Field(&self.place, name), Flaw::Unsupported, reason)),
        }
    }

    /// Refuses what was not taken.
    pub(super) fn end(self) -> Result<(), Fault> {
        let Some(left) = self.entries.iter().position(|(_, node)| node.is_some()) else {
            return Ok(());
        };
        let name = &self.entries[left].0;
        let place = Place::Field(&self.place, cut(name));
        let twice = self.entries[..left].iter().any(|(earlier, _)| earlier == name);
        Err(if twice {
            Fault::value(place, "is given twice")
        } else {
            Fault::at(place, Flaw::Unknown, "is not known here")
        })
    }
}

/// A name that a client made up is repeated to it, but not without end.
fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(64)).unwrap_or_default()
}

/// A value of another type than the one that is wanted.
pub(super) fn mismatch(node: &Node<'_>, place: Place<'_>, wanted: &str) -> Fault {
    Fault::at(place, Flaw::Type, format_args!("must be {wanted}, not {}", node.kind()))
}

/// A string.
pub(super) fn text<'a>(node: Node<'a>, place: Place<'_>) -> Result<Cow<'a, str>, Fault> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a string"))
        }
    }
}

/// A string of our own.
pub(super) fn string(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    text(node, place).map(Cow::into_owned)
}

/// A string that names something: 1 to 1 024 bytes.
pub(super) fn name(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    let name = string(node, place)?;
    if name.is_empty() || name.len() > 1_024 {
        return Err(Fault::value(place, "must have 1 to 1024 bytes"));
    }
    Ok(name)
}

/// The name of a tool: 1 to 128 letters, digits, `_` and `-`.
pub(super) fn tool_name(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    let name = string(node, place)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
        return Err(Fault::value(place, "must have 1 to 128 letters, digits, '_' or '-'"));
    }
    Ok(name)
}

/// A boolean.
pub(super) fn boolean(node: Node<'_>, place: Place<'_>) -> Result<bool, Fault> {
    match node {
        Node::Bool(value) => Ok(value),
        Node::Null | Node::Text(_) | Node::Number(_) | Node::List(_) | Node::Object(_) => {
            Err(mismatch(&node, place, "a boolean"))
        }
    }
}

/// A whole number.
pub(super) fn integer(node: Node<'_>, place: Place<'_>) -> Result<i64, Fault> {
    let Node::Number(number) = &node else { return Err(mismatch(&node, place, "an integer")) };
    // JavaScript knows no other numbers than these: 5.0 is 5.
    let whole = |value: f64| value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
    number
        .as_i64()
        .or_else(|| number.as_f64().filter(|value| whole(*value)).map(|value| value as i64))
        .ok_or_else(|| Fault::at(place, Flaw::Type, "must be an integer"))
}

/// A whole number from 1.
pub(super) fn positive(node: Node<'_>, place: Place<'_>) -> Result<u32, Fault> {
    u32::try_from(integer(node, place)?)
        .ok()
        .filter(|value| *value > 0)
        .ok_or_else(|| Fault::value(place, "must be an integer from 1 to 4294967295"))
}

/// A number within `range`.
pub(super) fn number(
    node: Node<'_>,
    place: Place<'_>,
    range: RangeInclusive<f64>,
) -> Result<f64, Fault> {
    let Node::Number(number) = &node else { return Err(mismatch(&node, place, "a number")) };
    number.as_f64().filter(|value| range.contains(value)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        Fault::value(place, format_args!("must be a number from {low} to {high}"))
    })
}

/// A list of at most `most` items, each as `read` reads it.
pub(super) fn list<'a, T>(
    node: Node<'a>,
    place: Place<'_>,
    most: usize,
    mut read: impl FnMut(Node<'a>, Place<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let Node::List(items) = node else { return Err(mismatch(&node, place, "an array")) };
    if items.len() > most {
        let problem = format!("has {} items; at most {most} are allowed", items.len());
        return Err(Fault::value(place, problem));
    }
    let items = items.into_iter().enumerate();
    items.map(|(index, item)| read(item, Place::Item(&place, index))).collect()
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    node: Node<'_>,
    place: Place<'_>,
    words: &[(&str, T)],
) -> Result<T, Fault> {
    let said = text(node, place)?;
    words.iter().find(|(word, _)| *word == said).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        Fault::value(place, format_args!("must be {}", known.join(" or ")))
    })
}

/// A JSON schema, which is an object.
pub(super) fn schema(node: Node<'_>, place: Place<'_>) -> Result<Schema, Fault> {
    if !matches!(node, Node::Object(_)) {
        return Err(mismatch(&node, place, "a JSON schema"));
    }
    let text = serde_json::to_string(&node);
    text.and_then(|text| Schema::parse(&text))
        .map_err(|_| Fault::value(place, "must be a JSON schema"))
}

/// The schema of a tool that takes no arguments.
pub(super) fn no_arguments(place: Place<'_>) -> Result<Schema, Fault> {
    Schema::parse(r#"{"type":"object","properties":{}}"#)
        .map_err(|_| Fault::value(place, "must be a JSON schema"))
}

/// JSON text of an object, or nothing at all.
pub(super) fn arguments(node: Node<'_>, place: Place<'_>) -> Result<String, Fault> {
    let text = string(node, place)?;
    let inner = text.trim_start();
    let fits = inner.is_empty()
        || inner.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(inner).is_ok();
    if fits { Ok(text) } else { Err(Fault::value(place, "must be the JSON text of an object")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_, 'static> {
        Fields::of(Node::parse(json.as_bytes()).unwrap(), Place::Root).unwrap()
    }

    #[test]
    fn a_place_prints_its_way() {
        let messages = Place::Field(&Place::Root, "messages");
        let item = Place::Item(&messages, 2);
        assert_eq!(Place::Field(&item, "content").to_string(), "messages.[2].content");
        assert_eq!(Place::Root.to_string(), "");
    }

    #[test]
    fn what_is_left_is_refused_by_name() {
        let mut left = fields(r#"{"a":1,"b":null,"c":2}"#);
        assert_eq!(left.get("a", integer).unwrap(), Some(1));
        assert_eq!(left.get("b", integer).unwrap(), None);
        let fault = left.end().unwrap_err();
        assert_eq!(fault.param.as_deref(), Some("c"));
        assert_eq!(fault.message, "The parameter 'c' is not known here.");

        let mut twice = fields(r#"{"a":1,"a":2}"#);
        assert!(twice.take("a").is_some());
        assert_eq!(twice.end().unwrap_err().message, "The parameter 'a' is given twice.");
    }

    #[test]
    fn types_and_ranges_are_named() {
        for (json, problem) in [
            (r#"{"v":"x"}"#, "The parameter 'v' must be an integer, not a string."),
            (r#"{"v":1.5}"#, "The parameter 'v' must be an integer."),
            ("{}", "The parameter 'v' is required."),
            (r#"{"v":null}"#, "The parameter 'v' is required."),
        ] {
            assert_eq!(fields(json).need("v", integer).unwrap_err().message, problem);
        }
        assert_eq!(fields(r#"{"v":5.0}"#).need("v", integer).unwrap(), 5);
        assert!(fields(r#"{"v":0}"#).need("v", positive).is_err());
        let unit = |node, place: Place<'_>| number(node, place, 0.0..=1.0);
        assert!(fields(r#"{"v":1.1}"#).need("v", unit).is_err());
        assert_eq!(fields(r#"{"v":1}"#).need("v", unit).unwrap(), 1.0);
        assert!(fields(r#"{"v":"a b"}"#).need("v", tool_name).is_err());
        for (json, fits) in
            [(r#"{"v":"{}"}"#, true), (r#"{"v":""}"#, true), (r#"{"v":"[1]"}"#, false)]
        {
            assert_eq!(fields(json).need("v", arguments).is_ok(), fits, "{json}");
        }
    }
}
