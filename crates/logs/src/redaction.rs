//! Takes secrets and personal data out of a prompt before it leaves for a provider that is not
//! trusted, and puts them back into the answer.
//!
//! Called by whoever sends prompts: one [`Redactor`] per turn or request, one [`Restorer`] per
//! answer. The way of a text: `find` looks for anchors and hands each to the file that knows what
//! may stand there, `vault` names the values, `placeholder` is the form of the names, `restore`
//! is the way back. Invariants:
//!
//! - Restoring what was redacted gives the text as it was, whatever stood in it.
//! - Text that has the form of a placeholder is never mapped to a value.
//! - Redacting again, with another redactor, finds nothing more.
//! - Addresses, host names, user names and numbers of log lines stay: they are what is asked about.
//! - The time grows with the length of the text; every look around an anchor is bounded.
//! - No value is in any `Debug`; values are overwritten when the last of redactor and restorers goes.

mod armour;
mod find;
mod headers;
mod keys;
mod names;
mod numbers;
mod pairs;
mod personal;
mod placeholder;
mod restore;
mod urls;
mod values;
mod vault;

use std::{borrow::Cow, fmt, fmt::Write as _, ops::Range, sync::Arc};

pub use self::restore::Restorer;
use self::{
    find::{Span, find, merge},
    placeholder::{Kind, Name},
    vault::Vault,
};

/// How often a text is looked through until nothing more is found. A placeholder is a boundary
/// that the value was not, so a second look may find more; a third hardly ever does.
const MAX_PASSES: usize = 8;

/// Replaces secrets and personal data by placeholders such as `<EMAIL_1>`: the same value has the
/// same placeholder in all texts that one redactor saw.
///
/// Meant for what people and logs wrote, and for answers that were restored. Its own output must not
/// come back to the same redactor: a placeholder in a text is taken for text, and gets another
/// placeholder when it is already in use, so that it survives.
#[derive(Default)]
pub struct Redactor {
    vault: Vault,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.counts()).finish()
    }
}

impl Redactor {
    /// A redactor that knows no values yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The text with placeholders; borrowed when there was nothing to replace.
    ///
    /// At most 4,096 values of 64 KiB each, 4 MiB together, have placeholders of their own. Beyond
    /// that a value becomes `<EMAIL_REDACTED>` (by its kind), which is not restored.
    pub fn redact<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let written = placeholder::all(text);
        let mut spans = find(text);
        for (range, name) in &written {
            if !self.vault.reserve(*name) {
                spans.push(Span::new(range.clone(), Kind::Literal));
            }
        }
        let spans = widen(merge(spans), &written);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = self.replace(text, &spans, Cow::Borrowed);
        for _ in 1..MAX_PASSES {
            let ours = placeholder::all(&redacted);
            let spans = widen(find(&redacted), &ours);
            if spans.is_empty() {
                break;
            }
            // What a later pass takes out may contain what an earlier one put in.
            let restorer = self.restorer();
            redacted = self.replace(&redacted, &spans, |value| restorer.restore(value).into());
        }
        Cow::Owned(redacted)
    }

    /// The way back, for one answer, with the values found until now.
    #[must_use]
    pub fn restorer(&self) -> Restorer {
        Restorer::new(Arc::new(self.vault.values().clone()))
    }

    /// Restores a whole answer.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        restore::restore(self.vault.values(), text)
    }

    /// Whether nothing was replaced, so that nothing has to be restored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vault.counts().all(|(_, count)| count == 0)
    }

    /// How many different values of each kind were found, for metrics and the audit log: only the
    /// kinds of which there are any, by the names `api_key`, `jwt`, `private_key`, `password`,
    /// `secret`, `cookie`, `email`, `card`, `iban` and `phone`. Values beyond the bounds count each
    /// time.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.vault.counts();
        let found = counts.filter(|(kind, count)| *kind != Kind::Literal && *count > 0);
        found.map(|(kind, count)| (kind.label(), count))
    }

    fn replace<'t>(
        &mut self,
        text: &'t str,
        spans: &[Span],
        original: impl Fn(&'t str) -> Cow<'t, str>,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for span in spans {
            out.push_str(&text[done..span.range.start]);
            let value = original(&text[span.range.clone()]);
            // Writing to a string does not fail.
            let _ = match self.vault.name_of(span.kind, &value) {
                Some(name) => write!(out, "{name}"),
                None => write!(out, "<{}_REDACTED>", span.kind.name()),
            };
            done = span.range.end;
        }
        out.push_str(&text[done..]);
        out
    }
}

/// Lets no span end within a placeholder, and drops those that are nothing but one.
fn widen(mut spans: Vec<Span>, names: &[(Range<usize>, Name)]) -> Vec<Span> {
    for span in &mut spans {
        let first = names.partition_point(|(range, _)| range.end <= span.range.start);
        for (range, _) in &names[first..] {
            if range.start >= span.range.end {
                break;
            }
            span.range = span.range.start.min(range.start)..span.range.end.max(range.end);
        }
    }
    spans.retain(|span| {
        let same = names.binary_search_by_key(&span.range.start, |(range, _)| range.start);
        let is_name = same.is_ok_and(|index| names[index].0 == span.range);
        span.kind == Kind::Literal || !is_name
    });
    merge(spans)
}
