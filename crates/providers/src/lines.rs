//! A push parser for JSON lines: bytes in, lines out. Used by `reply`, for Ollama.
//!
//! Bytes may be split anywhere. A line is bounded; a longer one is dropped, and the parser goes on
//! with the next.

use std::collections::VecDeque;

use memchr::memchr;

/// Real lines have a few hundred bytes; one that is a thousand times longer is a fault.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// The parser.
#[derive(Debug)]
pub(crate) struct Decoder {
    max_bytes: usize,
    line: Vec<u8>,
    too_long: bool,
    lines: VecDeque<String>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(MAX_LINE_BYTES)
    }
}

impl Decoder {
    fn with_limit(max_bytes: usize) -> Self {
        Self { max_bytes, line: Vec::new(), too_long: false, lines: VecDeque::new() }
    }

    /// Reads more bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The next whole line; never a blank one.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    /// The body has ended: a line without its end counts all the same.
    pub(crate) fn finish(&mut self) {
        self.end_line();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > self.max_bytes {
            self.too_long = true;
            self.line = Vec::new();
        } else if !self.too_long {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            tracing::debug!(max_bytes = self.max_bytes, "dropped a line over the bound");
        } else if !line.trim_ascii().is_empty() {
            self.lines.push_back(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<String> {
        for chunk in chunks {
            decoder.push(chunk);
        }
        decoder.finish();
        std::iter::from_fn(|| decoder.next_line()).collect()
    }

    #[test]
    fn lines_end_in_lf_or_cr_and_lf_and_blank_ones_are_none() {
        let lines = decode(&mut Decoder::default(), &[b"a\r\n\n  \nb\nc"]);
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_line_over_the_bound_is_dropped_and_the_next_is_read() {
        let mut decoder = Decoder::with_limit(4);
        assert_eq!(decode(&mut decoder, &[b"a\n12", b"345\nbb", b"b\n"]), ["a", "bbb"]);
        let mut decoder = Decoder::with_limit(64);
        for _ in 0..100 {
            decoder.push(&[b'x'; 60]);
            assert!(decoder.line.capacity() <= 128);
        }
        assert_eq!(decode(&mut decoder, &[b"\na"]), ["a"]);
    }

    proptest! {
        #[test]
        fn it_reads_the_same_however_the_bytes_are_split(
            text in "[a\u{e9}\u{1f600}\r\n ]{0,60}",
            cuts in prop::collection::vec(0usize..240, 0..20),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let whole = decode(&mut Decoder::default(), &[bytes]);
            prop_assert_eq!(decode(&mut Decoder::default(), &parts), whole);
        }
    }
}
