//! What an answer has used until now: for the bill of one that is cut, or whose reader leaves.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::{TokenUsage, usage::estimate_tokens};

/// Written by the reader of a reply, read by whoever holds its stream.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    prompt_chars: usize,
    written_chars: AtomicUsize,
    said: Mutex<Option<TokenUsage>>,
}

impl Meter {
    /// For a prompt of so many characters.
    pub(crate) fn new(prompt_chars: usize) -> Self {
        Self { prompt_chars, ..Self::default() }
    }

    /// The model wrote so many characters more.
    pub(crate) fn wrote(&self, chars: usize) {
        self.written_chars.fetch_add(chars, Ordering::Relaxed);
    }

    /// The provider counted; a later count takes the place of an earlier one.
    pub(crate) fn say(&self, usage: TokenUsage) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
    }

    /// What the provider said.
    pub(crate) fn said(&self) -> Option<TokenUsage> {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the provider said, and a guess for what it has not.
    pub(crate) fn so_far(&self) -> TokenUsage {
        let written = estimate_tokens(self.written_chars.load(Ordering::Relaxed));
        match self.said() {
            // Anthropic counts what it read at the beginning, and what it wrote at the end.
            Some(said) => TokenUsage { output: said.output.max(written), estimated: true, ..said },
            None => TokenUsage { output: written, ..self.unread() },
        }
    }

    /// A guess for what was read.
    pub(crate) fn unread(&self) -> TokenUsage {
        let input = estimate_tokens(self.prompt_chars);
        TokenUsage { input, estimated: true, ..TokenUsage::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_completed_by_what_was_written() {
        let meter = Meter::new(40);
        meter.wrote(9);
        let guess = TokenUsage { input: 10, output: 3, estimated: true, ..TokenUsage::default() };
        assert_eq!(meter.so_far(), guess);
        meter.say(TokenUsage { input: 70, output: 1, cached_input: 50, ..TokenUsage::default() });
        let known = TokenUsage { input: 70, output: 3, cached_input: 50, ..guess };
        assert_eq!(meter.so_far(), known);
    }
}
