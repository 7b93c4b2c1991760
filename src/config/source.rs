//! Where settings come from: a file, the environment, flags; read, bounded, and merged.
//!
//! Later ones win: built-in defaults, file, environment, flags. Every problem is noted with its
//! place and the reading goes on, so that one run reports all of them.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    error::ConfigError,
    tree::{self, Node, Origin, Value, join_path, secret_of_file_key, split_path, table_from_toml},
};

/// A configuration is a few kilobytes; a larger file is the wrong file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The same for one variable, one flag, or a file that holds one secret.
const MAX_VALUE_BYTES: usize = 64 * 1024;

const PREFIX: &str = "CALLBOARD__";
/// Looked for when no file is named; the first one is taken.
const USUAL_FILES: [&str; 2] = ["callboard.toml", "/etc/callboard/callboard.toml"];

/// Where to read the settings from. Tests make their own; the program takes [`Self::of_process`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The configuration file, which must exist when it is set.
    pub(crate) file: Option<PathBuf>,
    /// The environment; only names that begin with `CALLBOARD__` matter.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The flags, in the order in which they were given.
    pub(crate) overrides: Vec<Override>,
}

impl Sources {
    /// The named file, or the first of `./callboard.toml` and `/etc/callboard/callboard.toml` that
    /// exists; the environment of this process; and the flags.
    #[must_use]
    pub(crate) fn of_process(file: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let usual = || USUAL_FILES.iter().map(PathBuf::from).find(|path| path.exists());
        // This is the one place that reads the environment.
        Self { file: file.or_else(usual), environment: std::env::vars_os().collect(), overrides }
    }
}

/// A setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    key: String,
    value: String,
    flag: String,
}

impl Override {
    /// What a flag with a name of its own stands for: `--listen` for `server.listen`.
    pub(crate) fn new(flag: &str, key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.into(), flag: flag.to_owned() }
    }
}

impl std::str::FromStr for Override {
    type Err = String;

    /// The argument of `--set`: `section.key=value`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let key = key.trim();
                Ok(Self::new(&format!("--set {key}"), key, value))
            }
            _ => Err("give it as section.key=value".to_owned()),
        }
    }
}

/// The built-in defaults as a tree. They are part of the program and parse: a test sees to it.
pub(super) fn defaults(text: &str) -> Node {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let mut table = table_from_toml(table.get_ref(), &|_| Origin::Default);
    // An empty list that `CALLBOARD__PROVIDERS__0__…` can grow: TOML has no way to write it beside
    // the example of an entry.
    let empty = || Node::new(Value::List(Vec::new()), Origin::Default);
    for list in ["providers", "models"] {
        table.entry(list.to_owned()).or_insert_with(empty);
    }
    Node::new(Value::Table(table), Origin::Default)
}

/// Merges all sources over `defaults`.
pub(super) fn read(sources: &Sources, defaults: &Node, errors: &mut Vec<ConfigError>) -> Node {
    let mut tree = defaults.clone();
    if let Some(path) = &sources.file
        && let Some(mut file) = read_file(path, errors)
    {
        resolve_secrets(&mut file, &mut Vec::new(), errors);
        tree.merge(file);
    }
    for (path, value, origin) in variables(&sources.environment, errors) {
        set(&mut tree, path, &value, origin, errors);
    }
    for flag in &sources.overrides {
        let origin = Origin::Flag(flag.flag.clone());
        set(&mut tree, split_path(&flag.key), &flag.value, origin, errors);
    }
    tree
}

fn set(
    tree: &mut Node,
    mut path: Vec<String>,
    value: &str,
    origin: Origin,
    errors: &mut Vec<ConfigError>,
) {
    let key = join_path(&path);
    let mut fail = |problem: String| {
        errors.push(ConfigError { key: key.clone(), problem, origin: Some(origin.clone()) });
    };
    if value.len() > MAX_VALUE_BYTES {
        return fail(format!("is longer than {MAX_VALUE_BYTES} bytes"));
    }
    let secret = path.last().and_then(|last| secret_of_file_key(last)).map(str::to_owned);
    if let Some(secret) = secret {
        if value.is_empty() {
            return; // a variable that is set to nothing counts as not set
        }
        let content = match read_secret(Path::new(value)) {
            Ok(content) => content,
            Err(problem) => return fail(problem),
        };
        path.pop();
        path.push(secret);
        return match tree.set(&path, &content, &origin) {
            Ok(()) => {}
            Err(problem) => fail(problem),
        };
    }
    if let Err(problem) = tree.set(&path, value, &origin) {
        fail(problem);
    }
}

/// `CALLBOARD__SERVER__LISTEN` is `server.listen`. Sorted: the order of an environment is chance,
/// and a list entry's number must come after the ones before it.
fn variables(
    environment: &[(OsString, OsString)],
    errors: &mut Vec<ConfigError>,
) -> Vec<(Vec<String>, String, Origin)> {
    let mut found = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let origin = Origin::Variable(name.to_owned());
        let path: Vec<_> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        let problem = match value.to_str() {
            Some(_) if path.iter().any(String::is_empty) => {
                "is misnamed: it must be CALLBOARD__SECTION__KEY"
            }
            Some(value) => {
                found.push((path, value.to_owned(), origin));
                continue;
            }
            None => "is not valid UTF-8",
        };
        let key = join_path(&path);
        errors.push(ConfigError { key, problem: problem.to_owned(), origin: Some(origin) });
    }
    let in_order = |path: &[String]| -> Vec<(usize, String)> {
        path.iter().map(|step| (step.parse().unwrap_or(0), step.clone())).collect()
    };
    found.sort_by_cached_key(|(path, ..)| in_order(path));
    found
}

fn read_file(path: &Path, errors: &mut Vec<ConfigError>) -> Option<Node> {
    let fail = |problem: String| ConfigError { key: String::new(), problem, origin: None };
    let text = match read_bounded(path, MAX_FILE_BYTES) {
        Ok(text) => text,
        Err(problem) => {
            errors.push(fail(format!("configuration file {}: {problem}", tree::shown(path))));
            return None;
        }
    };
    let shared = Arc::new(path.to_owned());
    let origin = |offset: usize| {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Origin::File(Arc::clone(&shared), line)
    };
    let (table, syntax) = toml::de::DeTable::parse_recoverable(&text);
    errors.extend(syntax.iter().map(|error| {
        let place = error.span().map(|span| origin(span.start));
        let mut error = fail(format!("is not TOML: {}", error.message()));
        error.origin = place.or_else(|| Some(origin(0)));
        error
    }));
    let table = table_from_toml(table.get_ref(), &origin);
    Some(Node::new(Value::Table(table), origin(0)))
}

/// Puts the content of a `…_file` in the place of the secret, everywhere below `node`.
fn resolve_secrets(node: &mut Node, path: &mut Vec<String>, errors: &mut Vec<ConfigError>) {
    match &mut node.value {
        Value::List(list) => {
            for (index, entry) in list.iter_mut().enumerate() {
                path.push(index.to_string());
                resolve_secrets(entry, path, errors);
                path.pop();
            }
        }
        Value::Table(table) => {
            let keys: Vec<_> = table.keys().cloned().collect();
            for key in keys {
                path.push(key.clone());
                if let Some(secret) = secret_of_file_key(&key) {
                    if let Err(error) = resolve_secret(table, &key, secret) {
                        errors.push(ConfigError { key: join_path(path), ..error });
                    }
                } else if let Some(below) = table.get_mut(&key) {
                    resolve_secrets(below, path, errors);
                }
                path.pop();
            }
        }
        Value::Untyped(_)
        | Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Bool(_) => {}
    }
}

fn resolve_secret(table: &mut tree::Table, key: &str, secret: &str) -> Result<(), ConfigError> {
    let Some(node) = table.remove(key) else { return Ok(()) };
    let origin = node.origin;
    let fail = |problem: String| {
        Err(ConfigError { key: String::new(), problem, origin: Some(origin.clone()) })
    };
    let Value::Text(file) = node.value else {
        return fail("must be the path of a file".to_owned());
    };
    if table.contains_key(secret) {
        return fail(format!("is set together with `{secret}`; set one of them"));
    }
    match read_secret(Path::new(&file)) {
        Ok(content) => {
            table.insert(secret.to_owned(), Node::new(Value::Text(content), origin));
            Ok(())
        }
        Err(problem) => fail(problem),
    }
}

/// The secret in a file, without the newline that editors put behind it.
fn read_secret(path: &Path) -> Result<String, String> {
    let content = read_bounded(path, MAX_VALUE_BYTES as u64)
        .map_err(|problem| format!("names the file {}: {problem}", tree::shown(path)))?;
    let secret = content.trim();
    if secret.is_empty() {
        return Err(format!("names the file {}, which is empty", tree::shown(path)));
    }
    Ok(secret.to_owned())
}

fn read_bounded(path: &Path, limit: u64) -> Result<String, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("is larger than {limit} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}
