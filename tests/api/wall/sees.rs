//! What a client sees of a call.

use std::fmt;

/// How many tokens each answer of the wall has.
pub(super) const TOKENS: usize = 60;

/// Which target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    First,
    Second,
    /// The log index, which answers turns when no model does.
    Index,
}

impl Who {
    /// The letter before the numbers of its tokens, and behind its providers' names.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Self::First => "a",
            Self::Second => "b",
            Self::Index => "i",
        }
    }

    /// The tokens of its answer: four letters each, which is one token by everybody's guess.
    pub(super) fn tokens(self) -> Vec<String> {
        (0..TOKENS).map(|number| format!("{}{number:02} ", self.letter())).collect()
    }
}

/// What a client sees of a call. What is none of this is a failure of the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// Every token of one answer, its end, its model and its usage.
    Whole(Who),
    /// The first tokens of an answer, taken back, and then every token of another.
    Restarted(Who),
    /// The first tokens of an answer, an error, and no sign of an end.
    Cut(usize),
    /// An error alone.
    Refused(&'static str),
    /// Something that nobody may see.
    Odd(String),
}

impl fmt::Display for Sees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |who: &Who| match who {
            Who::First => "the first target's answer, whole",
            Who::Second => "the second target's answer, whole",
            Who::Index => "the log index's answer",
        };
        match self {
            Self::Whole(who) => f.write_str(of(who)),
            Self::Restarted(who) => write!(f, "a partial, taken back; {}", of(who)),
            Self::Cut(tokens) => write!(f, "{tokens} tokens, then an error, no end"),
            Self::Refused(word) => write!(f, "the error `{word}`"),
            Self::Odd(what) => write!(f, "ODD: {what}"),
        }
    }
}

/// Whose tokens a text has, and how many of them; `None` when it is no beginning of any answer.
pub(super) fn whose(text: &str) -> Option<(Who, usize)> {
    for who in [Who::First, Who::Second] {
        let whole = who.tokens().concat();
        if !text.is_empty() && whole.starts_with(text) && text.len().is_multiple_of(4) {
            return Some((who, text.len() / 4));
        }
    }
    None
}
