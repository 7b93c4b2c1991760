//! What programs push: from the bytes of a protocol to lines that read like those of a file.
//!
//! A record comes out as text, the same text that a file would hold: a line as it was sent, or JSON
//! when the protocol sends fields. What stands beside a line, its time and its labels, is put into it
//! where it does not say so itself. So what was pushed is found, mined and cited like everything else,
//! and can be made anew from itself.
//!
//! Every decoder takes any bytes; what it gives out is bounded by what it was given.

pub mod elastic;
mod fields;
pub mod gelf;
pub mod journal;
pub mod loki;
pub mod otlp;
pub mod syslog;

use std::borrow::Cow;

/// Names of sources are cut to this.
const LONGEST_NAME: usize = 200;

/// A record, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The name of its source.
    pub source: String,
    /// Its text; of several lines when the program said so.
    pub text: String,
}

/// Why something pushed cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PushError(pub String);

impl PushError {
    fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// Plain lines or lines of JSON, each of them a record; those without anything are left out.
#[must_use]
pub fn lines(source: &str, body: &[u8]) -> Vec<Pushed> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let text = |line: &[u8]| String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
    lines.map(|line| Pushed { source: source.to_owned(), text: text(line) }).collect()
}

/// A name for a source: without control characters, and not too long.
#[must_use]
pub fn name(name: &str) -> Cow<'_, str> {
    let name = name.trim();
    let cut = &name[..name.floor_char_boundary(LONGEST_NAME)];
    if cut.chars().any(char::is_control) {
        return Cow::Owned(cut.chars().filter(|c| !c.is_control()).collect());
    }
    Cow::Borrowed(cut)
}

/// The first of these that says anything.
fn named<'a>(candidates: impl IntoIterator<Item = Option<&'a str>>, otherwise: &str) -> String {
    let mut known = candidates.into_iter().flatten().map(name);
    let found = known.find(|name| !name.is_empty());
    found.map_or_else(|| otherwise.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests;
