//! What can be wrong with a configuration, told so that the user finds the place.

use std::fmt;

use super::tree::Origin;

/// One thing that is wrong: the key, what is wrong with it, and where it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The full key, `providers[0].api_key`; empty when a whole file cannot be read.
    pub(crate) key: String,
    /// What is wrong, to be read after the key.
    pub(crate) problem: String,
    /// Where it was set; `None` when the problem already names the place.
    pub(crate) origin: Option<Origin>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "error" } else { "errors" };
        write!(f, "{} {noun} in the configuration:", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// `; did you mean …?` when one of `known` is near, else the list of them if it is short.
pub(super) fn suggestion<S: AsRef<str>>(wrong: &str, known: &[S]) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::jaro_winkler(wrong, known.as_ref()), known.as_ref()))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, name)) = near {
        return format!("; did you mean `{name}`?");
    }
    if known.is_empty() || known.len() > 24 {
        return String::new();
    }
    let names: Vec<_> = known.iter().map(|known| format!("`{}`", known.as_ref())).collect();
    format!("; known here: {}", names.join(", "))
}
