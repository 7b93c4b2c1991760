//! The settings in force as TOML, and the reference of all settings as Markdown.

use std::fmt::Write as _;

use super::tree::{Node, Origin, Value, is_secret};

const MASK: &str = "\"***\"";

/// The whole tree as TOML with secrets as `***`. What does not come from the defaults says where
/// it comes from.
pub(super) fn print_masked(tree: &Node) -> String {
    let mut out = String::new();
    section(&mut out, "", tree);
    out
}

fn section(out: &mut String, name: &str, node: &Node) {
    let Value::Table(table) = &node.value else { return };
    let (below, plain): (Vec<_>, Vec<_>) = table.iter().partition(|(_, node)| is_section(node));
    if !plain.is_empty() && !name.is_empty() {
        let _ = writeln!(out, "{}[{name}]", separator(out));
    }
    lines(out, &plain);
    for (key, node) in below {
        let path = if name.is_empty() { quoted(key) } else { format!("{name}.{}", quoted(key)) };
        match &node.value {
            Value::List(list) => {
                for entry in list {
                    let _ = writeln!(out, "{}[[{path}]]", separator(out));
                    entries(out, &path, entry);
                }
            }
            Value::Table(_)
            | Value::Untyped(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Bool(_) => section(out, &path, node),
        }
    }
}

/// The keys of one entry of a list of tables, and its sections. A list in it stands on its line.
fn entries(out: &mut String, path: &str, entry: &Node) {
    let Value::Table(table) = &entry.value else { return };
    let (below, plain): (Vec<_>, Vec<_>) =
        table.iter().partition(|(_, node)| matches!(node.value, Value::Table(_)));
    lines(out, &plain);
    for (key, node) in below {
        section(out, &format!("{path}.{}", quoted(key)), node);
    }
}

fn separator(out: &str) -> &'static str {
    if out.is_empty() { "" } else { "\n" }
}

fn lines(out: &mut String, plain: &[(&String, &Node)]) {
    for (key, node) in plain {
        let _ = write!(out, "{} = {}", quoted(key), value(key, node));
        if node.origin != Origin::Default {
            let _ = write!(out, " # {}", node.origin);
        }
        out.push('\n');
    }
}

/// Printed below a heading of its own: a table, or a list that has tables in it.
fn is_section(node: &Node) -> bool {
    match &node.value {
        Value::Table(_) => true,
        Value::List(list) => {
            !list.is_empty() && list.iter().all(|entry| matches!(entry.value, Value::Table(_)))
        }
        Value::Untyped(_)
        | Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_) => false,
    }
}

fn value(key: &str, node: &Node) -> String {
    // Of a list of secrets each is hidden for itself.
    if is_secret(key) && !matches!(node.value, Value::List(_)) {
        return MASK.to_owned();
    }
    match &node.value {
        // A bare number or truth value is most likely wanted as one.
        Value::Untyped(text) if text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok() => {
            text.clone()
        }
        Value::Untyped(text) | Value::Text(text) => {
            toml::Value::String(without_password(text)).to_string()
        }
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::Float(*number).to_string(),
        Value::Bool(value) => value.to_string(),
        Value::List(list) => {
            let entries: Vec<_> = list.iter().map(|entry| value(key, entry)).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Table(table) => {
            let entries: Vec<_> = table
                .iter()
                .map(|(key, node)| format!("{} = {}", quoted(key), value(key, node)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// `postgres://callboard:***@db/callboard`. Works on text that is no valid URL, too: whatever stands
/// between `://` and the last `@` may hold a password, and so may a query. Better hide too much.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (mut out, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => match login.split_once(':') {
            Some((user, _)) => (format!("{scheme}://{user}:***@"), rest),
            None => (format!("{scheme}://{login}@"), rest),
        },
        None => (format!("{scheme}://"), rest),
    };
    let (place, query) =
        rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    out.push_str(place);
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _)) if is_secret(key) => out.push_str(&format!("{key}=***")),
            _ => out.push_str(pair),
        }
    }
    out
}

fn quoted(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

/// `docs/configuration.md`, made of the comments and values of `config.default.toml`.
///
/// A comment that begins with `# ` belongs to what follows it; a line that begins with `#` and a
/// key (`#url = "…"`) is a setting without a default, with an example.
pub(super) fn reference(defaults: &str) -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         <!-- Generated by `callboard config reference` from src/config.default.toml. -->\n",
    );
    let mut comment: Vec<&str> = Vec::new();
    let mut section = String::new();
    for line in defaults.lines() {
        let (setting, optional) = match line.strip_prefix('#') {
            Some(text) if text.is_empty() || text.starts_with(' ') => {
                comment.push(text.trim());
                continue;
            }
            Some(setting) => (setting, true),
            None => (line, false),
        };
        if let Some(name) = heading(setting) {
            let list = setting.starts_with("[[");
            section = if list { format!("{name}[0]") } else { name.to_owned() };
            let shown = if list { format!("[[{name}]]") } else { format!("[{name}]") };
            let _ = write!(out, "\n## `{shown}`\n\n{}", prose(&mut comment));
        } else if let Some((key, value)) = setting.split_once(" = ") {
            entry(&mut out, &section, &Setting { key, value, optional }, &mut comment);
        } else if line.trim().is_empty() && !comment.is_empty() {
            let _ = write!(out, "\n{}", prose(&mut comment));
        }
    }
    out
}

struct Setting<'a> {
    key: &'a str,
    value: &'a str,
    optional: bool,
}

fn entry(out: &mut String, section: &str, setting: &Setting<'_>, comment: &mut Vec<&str>) {
    let path = if section.is_empty() {
        setting.key.to_owned()
    } else {
        format!("{section}.{}", setting.key)
    };
    let variable: Vec<_> = super::tree::split_path(&path);
    let variable = variable.join("__").to_ascii_uppercase();
    let label = if setting.optional { "Example" } else { "Default" };
    let _ = writeln!(out, "\n### `{path}`\n\n{}", prose(comment).trim_end());
    let _ = writeln!(out, "\n{label}: `{}`", setting.value);
    let _ = writeln!(out, "\nEnvironment: `CALLBOARD__{variable}`");
}

fn heading(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.strip_suffix(']')?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

fn prose(comment: &mut Vec<&str>) -> String {
    if comment.is_empty() {
        return String::new();
    }
    let text = std::mem::take(comment).join("\n");
    format!("{}\n", text.trim())
}
