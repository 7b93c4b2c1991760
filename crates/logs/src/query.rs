//! The log query language: what people type, what links carry, and what `investigate` writes.
//!
//! ```text
//! refused 10.0.0.1        both words
//! "connection refused"    the words in this order
//! -debug  -"keep alive"   without them
//! a OR b                  either; OR binds closer than standing side by side
//! (a b) OR c              grouped
//! level:error level>=warn of this level, at least of this level
//! source:auth.log         from the source of this name, or whose name contains it
//! pattern:P12             instances of this pattern
//! refus* *fused re?used    a word that begins, ends or looks like this
//! /time[d ]*out after \d+/  lines that the regular expression matches
//! status>=500 user.id=7   the field has such a value; name=ad*, trace_id=* (there is one),
//!                         bytes:[100 TO 200]
//! 2026-11-21 03:14:15     lines of that second, or that name it; a date alone: of that day
//! ```
//!
//! A word with punctuation inside (`10.0.0.1`, `blk_-42`) is the phrase of its parts. Anything else
//! with a colon (`sshd:auth`) is a word. Read by [`parse`], turned into a search by [`compile`],
//! and printed back by `Display` so that it reads the same.

mod compile;
mod excludable;
mod field;
mod parse;
mod verified;

use std::fmt;

use callboard_protocol::Level;

use crate::mining::PatternId;

pub(crate) use compile::Compiler;
pub(crate) use field::{FieldClause, Order, Test};
pub(crate) use parse::parse;
pub(crate) use verified::Allowance;

/// A query, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    /// A word, or several parts in this order.
    Text(String),
    /// One of these levels, in ascending order.
    Level(Vec<Level>),
    /// A source whose name contains this.
    Source(String),
    /// An instance of this pattern.
    Pattern(PatternId),
    /// A word that looks like this: `*` stands for anything, `?` for one character.
    Like(String),
    /// A line that this regular expression matches.
    Regex(String),
    /// A field with such a value.
    Field(FieldClause),
    /// Not this.
    Not(Box<Clause>),
    /// All of these; everything if there are none.
    All(Vec<Clause>),
    /// At least one of these.
    Any(Vec<Clause>),
}

impl Clause {
    /// Text, as a word or a phrase.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Of this level or a graver one.
    pub(crate) fn at_least(least: Level) -> Self {
        Self::Level(Level::ALL.into_iter().filter(|level| *level >= least).collect())
    }

    /// All of these, without empty ones and needless groups.
    pub(crate) fn all(clauses: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for clause in clauses {
            if let Self::All(inner) = clause {
                flat.extend(inner);
            } else {
                flat.push(clause);
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::All(flat) }
    }

    /// Any of these, without needless groups.
    pub(crate) fn any(clauses: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for clause in clauses {
            if let Self::Any(inner) = clause {
                flat.extend(inner);
            } else {
                flat.push(clause);
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::Any(flat) }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_text(f, text),
            Self::Level(levels) => write_levels(f, levels),
            Self::Source(name) => {
                f.write_str("source:")?;
                write_text(f, name)
            }
            Self::Pattern(id) => write!(f, "pattern:P{}", id.0),
            Self::Like(pattern) => f.write_str(pattern),
            Self::Regex(pattern) => write!(f, "/{}/", pattern.replace('/', "\\/")),
            Self::Field(field) => field.fmt(f),
            Self::Not(clause) if matches!(**clause, Self::Not(_)) => write!(f, "-({clause})"),
            Self::Not(clause) => {
                f.write_str("-")?;
                grouped(f, clause)
            }
            Self::All(clauses) => join(f, clauses, " "),
            Self::Any(clauses) => join(f, clauses, " OR "),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, clauses: &[Clause], between: &str) -> fmt::Result {
    for (index, clause) in clauses.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        grouped(f, clause)?;
    }
    Ok(())
}

/// In parentheses, if it is more than one.
fn grouped(f: &mut fmt::Formatter<'_>, clause: &Clause) -> fmt::Result {
    match clause {
        Clause::All(_) | Clause::Any(_) => write!(f, "({clause})"),
        Clause::Text(_)
        | Clause::Level(_)
        | Clause::Source(_)
        | Clause::Pattern(_)
        | Clause::Like(_)
        | Clause::Regex(_)
        | Clause::Field(_)
        | Clause::Not(_) => write!(f, "{clause}"),
    }
}

/// In quotes, unless it would read the same without.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/'))
            && text != "OR"
            && !text.starts_with('/')
            && !text.is_empty();
    if plain { f.write_str(text) } else { write!(f, "\"{}\"", text.replace('"', " ")) }
}

fn write_levels(f: &mut fmt::Formatter<'_>, levels: &[Level]) -> fmt::Result {
    match levels {
        [one] => write!(f, "level:{}", one.as_str()),
        [least, .., Level::Fatal] => write!(f, "level>={}", least.as_str()),
        levels => {
            let names: Vec<String> =
                levels.iter().map(|level| format!("level:{}", level.as_str())).collect();
            write!(f, "({})", names.join(" OR "))
        }
    }
}

#[cfg(test)]
mod tests;
