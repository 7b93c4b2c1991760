//! Cuts a message into pieces: values, words, and what stands between them.

use super::{joined, values};

/// What a piece is, by its own looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, an address, a path: a value, whatever stands around it.
    Value,
    /// A value or a name: `ssh2`, `a.example.org`.
    Doubtful,
    /// A word.
    Word,
    /// A space, or a delimiter.
    Joint,
}

/// A piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

impl<'a> Piece<'a> {
    fn joint(text: &'a str) -> Self {
        Self { text, kind: Kind::Joint }
    }

    fn value(text: &'a str) -> Self {
        Self { text, kind: Kind::Value }
    }

    pub(super) fn is_value(&self) -> bool {
        self.kind == Kind::Value
    }
}

/// Puts all pieces of `text` into `pieces`; any run of white space is one space.
pub(super) fn cut<'a>(text: &'a str, pieces: &mut Vec<Piece<'a>>) {
    pieces.clear();
    for token in text.split_ascii_whitespace() {
        if !pieces.is_empty() {
            pieces.push(Piece::joint(" "));
        }
        cut_token(token, pieces);
    }
    joined::units(pieces);
    joined::dates(pieces);
    joined::lists(pieces);
}

fn cut_token<'a>(token: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let mut rest = token;
    // Brackets on their own, with nothing in them, hold a value that is missing here; those behind a
    // word are the sign of a function.
    if let Some(behind) = rest.strip_prefix("()").filter(|_| !pieces.is_empty()) {
        pieces.extend([Piece::joint("("), Piece::value(""), Piece::joint(")")]);
        rest = behind;
    }
    while let Some(first) = rest.bytes().next() {
        if let Some(len) = values::with_delimiters(rest) {
            let (value, behind) = rest.split_at(len);
            pieces.push(Piece::value(value));
            rest = behind;
        } else if is_delimiter(first) {
            let (delimiter, behind) = rest.split_at(1);
            pieces.push(Piece::joint(delimiter));
            rest = behind;
        } else {
            let end = rest.bytes().position(is_delimiter).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(end);
            push_run(run, pieces);
            rest = behind;
        }
    }
}

/// A run of characters without delimiters; what ends a sentence does not belong to its last word.
fn push_run<'a>(run: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let body = run.trim_end_matches(['.', '!', '?', '%', '*', '#', '&']);
    let (body, end) = if body.is_empty() { (run, "") } else { run.split_at(body.len()) };
    pieces.push(Piece { text: body, kind: values::kind(body) });
    if !end.is_empty() {
        pieces.push(Piece::joint(end));
    }
}

/// Ends a run wherever it stands.
fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'=' | b':'
            | b','
            | b';'
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'<'
            | b'>'
            | b'"'
            | b'\''
            | b'`'
            | b'|'
    )
}
