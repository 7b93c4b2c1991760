//! The log tokenizer: whole identifiers and their parts, in lower case.
//!
//! `from 10.0.0.1:22` gives `from`, `10`, `0`, `0`, `1`, `22`, and at the position of the `10`
//! also `10.0.0.1:22`. `IOException` gives `ioexception`, and at the same position also `exception`
//! (pieces shorter than three letters are left out). The parts have consecutive positions, so that a phrase of parts finds any
//! stretch of text; the whole makes a rare identifier weigh what it should. Used by the index when
//! writing, and by `query` to cut words and phrases the same way.
//!
//! When a line was written is no part of its words: nearly every line would have its own, and time is
//! searched as time. So the index leaves out the first date and time of day of a line.

use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::format::stamp::span;

/// The name under which the index knows it.
pub(crate) const NAME: &str = "log";

/// Tokens are cut here; identifiers that are longer are indexed by their parts alone.
const MAX_TOKEN_BYTES: usize = 128;

/// Shorter pieces of a word in mixed case say nothing.
const MIN_PIECE_BYTES: usize = 3;

/// Cuts log text into tokens.
#[derive(Clone, Default)]
pub(crate) struct LogTokenizer {
    token: Token,
    /// Whether the text is a line, which says when it was written.
    of_line: bool,
}

impl LogTokenizer {
    /// What the index cuts lines with.
    pub(crate) fn of_lines() -> Self {
        Self { of_line: true, ..Self::default() }
    }
}

impl Tokenizer for LogTokenizer {
    type TokenStream<'a> = LogTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> LogTokens<'a> {
        self.token.reset();
        let stamp = if self.of_line { span::first(text).unwrap_or_default() } else { 0..0 };
        LogTokens { text, at: 0, stamp, parts: 0, run: None, pieces: 0..0, token: &mut self.token }
    }
}

/// The parts of a text, without the wholes and the pieces.
pub(crate) fn parts(text: &str) -> Vec<String> {
    let mut tokenizer = LogTokenizer::default();
    let mut tokens = tokenizer.token_stream(text);
    let mut parts = Vec::new();
    while let Some(token) = tokens.next() {
        // At each position the part comes first.
        if token.position == parts.len() {
            parts.push(token.text.clone());
        }
    }
    parts
}

/// The tokens of one text.
pub(crate) struct LogTokens<'a> {
    text: &'a str,
    at: usize,
    /// What is left out.
    stamp: Range<usize>,
    /// Parts given out so far.
    parts: usize,
    /// The identifier that is being read.
    run: Option<Run>,
    /// What is left of a part in mixed case, to be given out in pieces.
    pieces: Range<usize>,
    token: &'a mut Token,
}

struct Run {
    start: usize,
    /// After its last part: trailing joiners do not belong to it.
    end: usize,
    first_part: usize,
    parts: usize,
}

enum Class {
    /// A letter or a digit.
    Part,
    /// May stand between the parts of an identifier.
    Joiner,
    /// Ends an identifier.
    Other,
}

impl LogTokens<'_> {
    /// The class of the next character and its length; none at the end.
    fn class(&self) -> Option<(Class, usize)> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte.is_ascii() {
            let class = match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => Class::Part,
                b'.' | b'_' | b'-' | b'/' | b':' | b'@' | b'$' | b'+' | b'~' | b'#' => {
                    Class::Joiner
                }
                _ => Class::Other,
            };
            return Some((class, 1));
        }
        let character = self.text[self.at..].chars().next()?;
        let class = if character.is_alphanumeric() { Class::Part } else { Class::Other };
        Some((class, character.len_utf8()))
    }

    fn emit_part(&mut self) {
        let start = self.at;
        while let Some((Class::Part, len)) = self.class() {
            self.at += len;
        }
        self.set_token(start, self.at);
        self.token.position = self.parts;
        self.token.position_length = 1;
        let first = Run { start, end: start, first_part: self.parts, parts: 0 };
        let run = self.run.get_or_insert(first);
        run.end = self.at;
        run.parts += 1;
        self.parts += 1;
        let part = &self.text.as_bytes()[start..self.at];
        let is_mixed = part.len() <= MAX_TOKEN_BYTES && piece_len(part) < part.len();
        self.pieces = if is_mixed { start..self.at } else { 0..0 };
    }

    /// The next piece of the part that was given out last.
    fn emit_piece(&mut self) -> bool {
        while !self.pieces.is_empty() {
            let start = self.pieces.start;
            let end = start + piece_len(&self.text.as_bytes()[self.pieces.clone()]);
            self.pieces.start = end;
            if end - start >= MIN_PIECE_BYTES {
                self.set_token(start, end);
                return true;
            }
        }
        false
    }

    /// Whether the identifier that just ended deserves a token of its own.
    fn emit_whole(&mut self) -> bool {
        let Some(run) = self.run.take() else { return false };
        let whole = &self.text.as_bytes()[run.start..run.end];
        if run.parts < 2 || whole.len() > MAX_TOKEN_BYTES || is_time(whole) {
            return false;
        }
        self.set_token(run.start, run.end);
        self.token.position = run.first_part;
        self.token.position_length = run.parts;
        true
    }

    fn set_token(&mut self, start: usize, end: usize) {
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.text.clear();
        let text =
            &self.text[start..self.text.floor_char_boundary(end.min(start + MAX_TOKEN_BYTES))];
        if text.is_ascii() {
            self.token.text.push_str(text);
            self.token.text.make_ascii_lowercase();
        } else {
            self.token.text.extend(text.chars().flat_map(char::to_lowercase));
        }
    }
}

/// Whether an identifier is a date or a time of day. Nearly every line has one of its own, and
/// nobody searches for it as a word.
fn is_time(whole: &[u8]) -> bool {
    let digits = whole.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!((digits, whole.get(digits)), (2 | 4, Some(b'-' | b'/' | b':')))
}

/// The length of the first word of a word in mixed case: `Packet` of `PacketResponder`, `IO` of
/// `IOException`. Cuts only between ASCII letters.
fn piece_len(part: &[u8]) -> usize {
    (1..part.len())
        .find(|at| {
            let (before, this) = (part[at - 1], part[*at]);
            let starts_word = before.is_ascii_lowercase() && this.is_ascii_uppercase();
            let ends_capitals = before.is_ascii_uppercase()
                && this.is_ascii_uppercase()
                && part.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            starts_word || ends_capitals
        })
        .unwrap_or(part.len())
}

impl TokenStream for LogTokens<'_> {
    fn advance(&mut self) -> bool {
        if self.emit_piece() {
            return true;
        }
        loop {
            if self.at == self.stamp.start && !self.stamp.is_empty() {
                let is_whole = self.emit_whole();
                self.at = self.stamp.end;
                self.stamp = 0..0;
                if is_whole {
                    return true;
                }
            }
            match self.class() {
                Some((Class::Part, _)) => {
                    self.emit_part();
                    return true;
                }
                Some((Class::Joiner, len)) => self.at += len,
                Some((Class::Other, len)) => {
                    if self.emit_whole() {
                        return true;
                    }
                    self.at += len;
                }
                None => return self.emit_whole(),
            }
        }
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<(String, usize)> {
        let mut tokenizer = LogTokenizer::default();
        let mut stream = tokenizer.token_stream(text);
        let mut tokens = Vec::new();
        while let Some(token) = stream.next() {
            tokens.push((token.text.clone(), token.position));
        }
        tokens
    }

    #[test]
    fn identifiers_are_indexed_whole_and_in_parts() {
        let expected = [
            ("from", 0),
            ("10", 1),
            ("0", 2),
            ("0", 3),
            ("1", 4),
            ("22", 5),
            ("10.0.0.1:22", 1),
            ("blk", 6),
            ("1608999687919862906", 7),
            ("blk_-1608999687919862906", 6),
            ("end", 8),
        ]
        .map(|(text, position)| (text.to_owned(), position));
        assert_eq!(tokens("From 10.0.0.1:22, blk_-1608999687919862906. End."), expected);
    }

    #[test]
    fn paths_names_and_pairs_are_cut_as_people_read_them() {
        let wholes = |text: &str| -> Vec<String> {
            let mut tokenizer = LogTokenizer::default();
            let mut stream = tokenizer.token_stream(text);
            let mut wholes = Vec::new();
            while let Some(token) = stream.next() {
                if token.position_length > 1 {
                    wholes.push(token.text.clone());
                }
            }
            wholes
        };
        assert_eq!(
            wholes("/etc/httpd/conf/workers2.properties"),
            ["etc/httpd/conf/workers2.properties"]
        );
        assert_eq!(wholes("user=root rhost=a.example.org"), ["a.example.org"]);
        assert_eq!(wholes("dfs.DataNode$PacketResponder: x"), ["dfs.datanode$packetresponder"]);
        assert_eq!(wholes("\"request_id\":\"9f2c-11\""), ["request_id", "9f2c-11"]);
        assert!(wholes("error: no").is_empty());
        assert!(wholes("2026-11-21T03:14:15.926Z 17/06/09 20:10:40").is_empty());
    }

    #[test]
    fn words_in_mixed_case_are_found_by_their_pieces() {
        let expected = [
            ("java", 0),
            ("io", 1),
            ("ioexception", 2),
            ("exception", 2),
            ("java.io.ioexception", 0),
        ]
        .map(|(text, position)| (text.to_owned(), position));
        assert_eq!(tokens("java.io.IOException"), expected);
        assert_eq!(
            parts("OutOfMemoryError PacketResponder"),
            ["outofmemoryerror", "packetresponder"]
        );
        assert_eq!(tokens("PacketResponder").len(), 3);
        assert_eq!(tokens("ERROR Error error").len(), 3);
    }

    #[test]
    fn when_a_line_was_written_is_no_part_of_its_words() {
        let words = |line: &str| {
            let mut tokenizer = LogTokenizer::of_lines();
            let mut stream = tokenizer.token_stream(line);
            let mut words = Vec::new();
            while let Some(token) = stream.next() {
                words.push((token.text.clone(), token.position));
            }
            words
        };
        assert_eq!(words("2026-11-21 03:14:15.926 disk full"), tokens("disk full"));
        assert_eq!(words("a.b-2026-11-21T03:14:15Z/c"), tokens("a.b /c"));
        assert_eq!(words("at 2026-11-21 03:14:15 till 03:20"), tokens("at till 03:20"));
    }

    #[test]
    fn other_scripts_are_words_too() {
        assert_eq!(parts("Ошибка: ÄÖ “quoted” \u{fffd}x"), ["ошибка", "äö", "quoted", "x"]);
    }

    #[test]
    fn tokens_are_bounded() {
        let tokens = tokens(&format!("{}.{}", "ä".repeat(500), "b".repeat(500)));
        assert_eq!(tokens.len(), 2);
        assert!(tokens.iter().all(|(text, _)| text.len() <= MAX_TOKEN_BYTES));
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_a_panic(text in "\\PC{0,200}") {
            for (token, position) in tokens(&text) {
                prop_assert!(!token.is_empty());
                prop_assert!(position <= text.len());
            }
        }
    }
}
