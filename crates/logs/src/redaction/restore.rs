//! Maps a model's answer back: placeholders become the values that they stand for.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use secrecy::ExposeSecret as _;

use super::{
    placeholder::{Name, Scan, opens, scan},
    vault::Value,
};

/// Restores one answer that arrives in pieces. Made by [`Redactor::restorer`], for the values that
/// the redactor knew then.
///
/// A placeholder is restored also in lower case (`<email_1>`), with escaped underscores or brackets
/// (`<EMAIL\_1>`, `\<EMAIL_1\>`), in square brackets (`[EMAIL_1]`) and escaped for HTML
/// (`&lt;EMAIL_1&gt;`), wherever it stands: in quotes, in code, in a link. A name that the redactor
/// did not give out stays as it is, and so does a name without brackets, which could be anything.
///
/// What is restored is not looked at again. Text that is itself encoded, such as a tool call's
/// arguments in JSON, is decoded first and restored value by value.
///
/// [`Redactor::restorer`]: super::Redactor::restorer
#[derive(Clone, Default)]
pub struct Restorer {
    values: Arc<HashMap<Name, Value>>,
    /// What may be the beginning of a placeholder; shorter than the longest one.
    held: String,
}

impl fmt::Debug for Restorer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Restorer")
            .field("values", &self.values.len())
            .finish_non_exhaustive()
    }
}

impl Restorer {
    pub(crate) fn new(values: Arc<HashMap<Name, Value>>) -> Self {
        Self { values, held: String::new() }
    }

    /// Takes the next piece of an answer and gives what may be shown by now. Held back is only what
    /// may be the beginning of a placeholder: less than 24 bytes.
    pub fn push(&mut self, delta: &str) -> String {
        if self.values.is_empty() {
            return delta.to_owned();
        }
        let text = if self.held.is_empty() {
            Cow::Borrowed(delta)
        } else {
            Cow::Owned(std::mem::take(&mut self.held) + delta)
        };
        let mut shown = String::with_capacity(text.len());
        let rest = restore_into(&self.values, &text, &mut shown);
        self.held.push_str(rest);
        shown
    }

    /// Gives what was held back: the answer ended, and no placeholder came of it.
    #[must_use]
    pub fn finish(self) -> String {
        self.held
    }

    /// Restores a whole answer, or one that was stored.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        restore(&self.values, text)
    }
}

pub(crate) fn restore(values: &HashMap<Name, Value>, text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let rest = restore_into(values, text, &mut shown);
    shown.push_str(rest);
    shown
}

/// Appends `text` with its values and returns what may be the beginning of a placeholder.
fn restore_into<'t>(values: &HashMap<Name, Value>, text: &'t str, shown: &mut String) -> &'t str {
    let bytes = text.as_bytes();
    let (mut done, mut at) = (0, 0);
    while let Some(found) = bytes[at..].iter().position(|byte| opens(*byte)) {
        at += found;
        match scan(&bytes[at..]) {
            Scan::No => at += 1,
            Scan::Cut => {
                shown.push_str(&text[done..at]);
                return &text[at..];
            }
            Scan::Whole(length, name) => {
                if let Some(value) = values.get(&name) {
                    shown.push_str(&text[done..at]);
                    shown.push_str(value.expose_secret());
                    done = at + length;
                }
                at += length;
            }
        }
    }
    shown.push_str(&text[done..]);
    ""
}
