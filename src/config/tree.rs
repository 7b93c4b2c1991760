//! The settings as a tree in which every value remembers where it was set.
//!
//! `source` builds one tree per source and merges them; `de` turns the result into the typed
//! [`Config`](super::Config); `print` shows it. Tables merge key by key, everything else replaces.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The compiled-in `config.default.toml`.
    Default,
    /// A configuration file and the line in it.
    File(Arc<PathBuf>, usize),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line, as the user wrote it.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value with its origin. Deliberately not `Debug`: it holds secrets.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone)]
pub(super) enum Value {
    /// From an environment variable or a flag: the type that is asked for decides what it means.
    Untyped(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Node>;

impl Node {
    pub(super) fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin }
    }

    pub(super) fn empty() -> Self {
        Self::new(Value::Table(Table::new()), Origin::Default)
    }

    /// Lays `over` on top of this one.
    pub(super) fn merge(&mut self, over: Self) {
        if let (Value::Table(under), Value::Table(over)) = (&mut self.value, &over.value) {
            for (key, node) in over {
                match under.get_mut(key) {
                    Some(old) => old.merge(node.clone()),
                    None => {
                        under.insert(key.clone(), node.clone());
                    }
                }
            }
            return;
        }
        *self = over;
    }

    /// The node at `path`, if there is one. List entries are addressed by number.
    pub(super) fn get(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match &node.value {
            Value::Table(table) => table.get(step),
            Value::List(list) => list.get(step.parse::<usize>().ok()?),
            Value::Untyped(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_) => None,
        })
    }

    /// Like [`get`](Self::get), to change it.
    pub(super) fn get_mut(&mut self, path: &[String]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| match &mut node.value {
            Value::Table(table) => table.get_mut(step),
            Value::List(list) => list.get_mut(step.parse::<usize>().ok()?),
            Value::Untyped(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_) => None,
        })
    }

    /// Whether both hold the same values, wherever these come from.
    fn is_like(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Table(one), Value::Table(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(key, node)| other.get(key).is_some_and(|other| node.is_like(other)))
            }
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(node, other)| node.is_like(other))
            }
            (Value::Untyped(one), Value::Untyped(other))
            | (Value::Text(one), Value::Text(other)) => one == other,
            (Value::Integer(one), Value::Integer(other)) => one == other,
            (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
            (Value::Bool(one), Value::Bool(other)) => one == other,
            _ => false,
        }
    }

    /// The keys of the topmost entries that are not alike.
    pub(super) fn entries_unlike(&self, other: &Self) -> Vec<String> {
        let table = |node: &Self| {
            if let Value::Table(table) = &node.value { table.clone() } else { Table::new() }
        };
        let (one, other) = (table(self), table(other));
        let mut keys: Vec<String> = one.keys().chain(other.keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => !one.is_like(other),
            _ => true,
        });
        keys
    }

    /// The origin of the node at `path`, or of the nearest one above it that was set by the user.
    pub(super) fn origin_of(&self, path: &[String]) -> Origin {
        (0..=path.len())
            .rev()
            .find_map(|length| self.get(&path[..length]))
            .map_or(Origin::Default, |node| node.origin.clone())
    }

    /// Takes out the node at `path`.
    pub(super) fn remove(&mut self, path: &[String]) -> Option<Self> {
        let (last, above) = path.split_last()?;
        match &mut self.get_mut(above)?.value {
            Value::Table(table) => table.remove(last),
            Value::List(list) => {
                let index = last.parse::<usize>().ok()?;
                (index < list.len()).then(|| list.remove(index))
            }
            Value::Untyped(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_) => None,
        }
    }

    /// Sets one value, from an environment variable or a flag, and makes the tables on the way.
    ///
    /// A step into a list is the number of an entry, or the `name` of one.
    ///
    /// # Errors
    /// Says why there is no such place.
    pub(super) fn set(
        &mut self,
        path: &[String],
        text: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        let Some((last, above)) = path.split_last() else {
            return Err("names no key".to_owned());
        };
        let mut node = self;
        for step in above {
            node = node.step_into(step, origin)?;
        }
        let place = node.step_into(last, origin)?;
        let structured = matches!(place.value, Value::Table(_)) && !text.starts_with('{');
        if structured && place.has_entries() {
            return Err("is a section; set one of its keys".to_owned());
        }
        *place = parse_text(text, last, origin);
        Ok(())
    }

    fn has_entries(&self) -> bool {
        matches!(&self.value, Value::Table(table) if !table.is_empty())
    }

    fn step_into(&mut self, step: &str, origin: &Origin) -> Result<&mut Self, String> {
        let fresh = || Self::new(Value::Table(Table::new()), origin.clone());
        match &mut self.value {
            Value::Table(table) => Ok(table.entry(step.to_owned()).or_insert_with(fresh)),
            Value::List(list) => {
                let count = list.len();
                let index = match step.parse::<usize>() {
                    Ok(index) => index,
                    Err(_) => list.iter().position(|entry| entry.is_named(step)).ok_or_else(
                        || format!("names no entry of the list: none is called `{step}`; use its number"),
                    )?,
                };
                if index > count {
                    return Err(format!(
                        "skips entries: the list has {count}, so the next is number {count}"
                    ));
                }
                if index == count {
                    list.push(fresh());
                }
                list.get_mut(index).ok_or_else(|| "no such entry".to_owned())
            }
            Value::Untyped(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_) => Err("lies below a plain value".to_owned()),
        }
    }

    fn is_named(&self, wanted: &str) -> bool {
        let name = self.get(&["name".to_owned()]).map(|node| &node.value);
        matches!(name, Some(Value::Text(name) | Value::Untyped(name))
            if name.eq_ignore_ascii_case(wanted))
    }
}

/// A list or a table can be given in one variable, as TOML (`["a", "b"]`, `[{ name = "x" }]`).
fn parse_text(text: &str, key: &str, origin: &Origin) -> Node {
    if text.starts_with(['[', '{']) && !is_secret(key) {
        let document = format!("value = {text}");
        if let Ok(table) = toml::de::DeTable::parse(&document)
            && let Some(value) = table.get_ref().get("value")
        {
            return from_toml(value, &|_| origin.clone());
        }
    }
    Node::new(Value::Untyped(text.to_owned()), origin.clone())
}

/// From parsed TOML; `origin` turns an offset in the text into a place.
pub(super) fn from_toml(
    value: &toml::Spanned<toml::de::DeValue<'_>>,
    origin: &dyn Fn(usize) -> Origin,
) -> Node {
    use toml::de::DeValue;
    let at = origin(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Value::Text(number.to_string()), Value::Float)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(at) => Value::Text(at.to_string()),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|entry| from_toml(entry, origin)).collect())
        }
        DeValue::Table(table) => Value::Table(table_from_toml(table, origin)),
    };
    Node::new(value, at)
}

/// Entries take the place of their key: that is the line that a person looks for.
pub(super) fn table_from_toml(
    table: &toml::de::DeTable<'_>,
    origin: &dyn Fn(usize) -> Origin,
) -> Table {
    table
        .iter()
        .map(|(key, value)| {
            let mut node = from_toml(value, origin);
            node.origin = origin(key.span().start);
            (key.get_ref().clone().into_owned(), node)
        })
        .collect()
}

/// Whether the value of this key must not be shown. A URL is shown without its password.
pub(super) fn is_secret(key: &str) -> bool {
    ["api_key", "api_keys", "password", "secret", "token", "webhook_url"]
        .iter()
        .any(|name| key == *name || key.strip_suffix(name).is_some_and(|rest| rest.ends_with('_')))
}

/// The key whose value a `…_file` key brings, if it is one that may come from a file.
pub(super) fn secret_of_file_key(key: &str) -> Option<&str> {
    key.strip_suffix("_file").filter(|key| is_secret(key) || *key == "url")
}

/// `server.limits.uploads`, `providers[0].api_key`.
pub(super) fn join_path(path: &[String]) -> String {
    let mut out = String::new();
    for step in path {
        if step.parse::<usize>().is_ok() {
            out.push_str(&format!("[{step}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(step);
        }
    }
    out
}

/// The steps of `server.limits.uploads` or `providers[0].api_key`.
pub(super) fn split_path(key: &str) -> Vec<String> {
    key.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

/// Shown in messages: relative paths as given, so that they can be clicked.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
