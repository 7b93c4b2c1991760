//! Cuts a byte stream into lines, with a bound on the memory that a line takes.
//!
//! Called by `ingest`. Invariants: a line's bytes are at most `max_line_bytes`; what is longer is
//! skipped up to the line's end and reported as cut; `end` counts every byte read, so that a later
//! reader that starts there sees exactly the lines after.

use std::io::{self, ErrorKind, Read};

/// Enough that a read of a file is worth its call.
const READ_BYTES: usize = 256 * 1024;

/// One line, without its line feed and the carriage return before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawLine<'a> {
    /// Its bytes, cut at the longest line allowed.
    pub(crate) bytes: &'a [u8],
    /// The offset of the first byte after it, its line feed included.
    pub(crate) end: u64,
    /// Whether a line feed ended it; false only for the last of the stream.
    pub(crate) terminated: bool,
    /// Whether bytes were left out.
    pub(crate) cut: bool,
}

/// Reads lines. Not an iterator: a line borrows the reader's buffer.
pub(crate) struct LineReader<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read from the stream and not yet given out.
    start: usize,
    filled: usize,
    /// The offset in the stream of `buffer[start]`.
    offset: u64,
    /// The beginning of a line that is too long, kept while its rest is skipped.
    head: Vec<u8>,
    max_line: usize,
    at_end: bool,
}

/// Where the next line lies.
struct Found {
    from: usize,
    len: usize,
    terminated: bool,
    cut: bool,
}

impl<R: Read> LineReader<R> {
    /// Starts at the stream's present position, which is `offset` bytes into the source.
    pub(crate) fn new(reader: R, offset: u64, max_line: usize) -> Self {
        let buffer = vec![0; READ_BYTES.max(max_line + 2)];
        let head = Vec::new();
        Self { reader, buffer, start: 0, filled: 0, offset, head, max_line, at_end: false }
    }

    /// The next line; none at the end of the stream.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let Some(found) = self.find()? else { return Ok(None) };
        let held = if found.cut {
            &self.head[..]
        } else {
            &self.buffer[found.from..found.from + found.len]
        };
        let bytes = match held {
            [line @ .., b'\r'] if found.terminated && !found.cut => line,
            line => line,
        };
        let (end, terminated) = (self.offset, found.terminated);
        if found.cut || bytes.len() > self.max_line {
            let bytes = whole_characters(&bytes[..bytes.len().min(self.max_line)]);
            return Ok(Some(RawLine { bytes, end, terminated, cut: true }));
        }
        Ok(Some(RawLine { bytes, end, terminated, cut: false }))
    }

    fn find(&mut self) -> io::Result<Option<Found>> {
        loop {
            let unread = &self.buffer[self.start..self.filled];
            if let Some(len) = memchr::memchr(b'\n', unread) {
                let from = self.consume(len + 1);
                return Ok(Some(Found { from, len, terminated: true, cut: false }));
            }
            if unread.len() > self.max_line + 1 {
                self.head.clear();
                self.head.extend_from_slice(&unread[..self.max_line]);
                let terminated = self.skip_line()?;
                return Ok(Some(Found { from: 0, len: 0, terminated, cut: true }));
            }
            if self.at_end {
                let len = unread.len();
                let from = self.consume(len);
                return Ok((len > 0).then_some(Found { from, len, terminated: false, cut: false }));
            }
            self.fill()?;
        }
    }

    /// Skips to the line feed or the end; whether there was a line feed.
    fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            let unread = &self.buffer[self.start..self.filled];
            if let Some(len) = memchr::memchr(b'\n', unread) {
                self.consume(len + 1);
                return Ok(true);
            }
            self.consume(unread.len());
            if self.at_end {
                return Ok(false);
            }
            self.fill()?;
        }
    }

    /// Marks bytes as given out; returns where they start in the buffer.
    fn consume(&mut self, len: usize) -> usize {
        let from = self.start;
        self.start += len;
        self.offset += len as u64;
        from
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

/// Leaves out a character that the cut fell into, so that it does not count as invalid UTF-8.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives out its bytes a few at a time, and is interrupted in between.
    struct Trickle<'a>(&'a [u8], usize, bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(bytes: &[u8], max: usize) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let mut reader = LineReader::new(Trickle(bytes, 7, false), 0, max);
        let mut all = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            all.push((line.bytes.to_vec(), line.end, line.terminated, line.cut));
        }
        assert_eq!(reader.offset, bytes.len() as u64);
        all
    }

    #[test]
    fn lines_end_at_line_feeds_and_lose_carriage_returns() {
        assert_eq!(
            lines(b"one\r\n\ntwo\rthree\nlast", 1000),
            [
                (b"one".to_vec(), 5, true, false),
                (b"".to_vec(), 6, true, false),
                (b"two\rthree".to_vec(), 16, true, false),
                (b"last".to_vec(), 20, false, false),
            ]
        );
        assert!(lines(b"", 1000).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut bytes = vec![b'x'; 1 << 20];
        bytes.extend_from_slice(b"\nshort\n");
        let lines = lines(&bytes, 1024);
        assert_eq!(lines[0], (vec![b'x'; 1024], (1 << 20) + 1, true, true));
        assert_eq!(lines[1], (b"short".to_vec(), (1 << 20) + 7, true, false));
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        let text = "ä".repeat(400_000);
        let lines = lines(text.as_bytes(), 301);
        assert_eq!(lines, [("ä".repeat(150).into_bytes(), 800_000, false, true)]);
    }

    #[test]
    fn an_error_of_the_stream_is_passed_on() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let mut reader = LineReader::new(Broken, 0, 100);
        assert_eq!(reader.next_line().unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    proptest! {
        #[test]
        fn joined_lines_are_the_stream(text in "[ab\n]{0,400}") {
            let mut joined = Vec::new();
            for (bytes, _, terminated, cut) in lines(text.as_bytes(), 500) {
                prop_assert!(!cut);
                joined.extend_from_slice(&bytes);
                if terminated { joined.push(b'\n') }
            }
            prop_assert_eq!(joined, text.as_bytes());
        }

        #[test]
        fn no_line_is_over_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            for (line, ..) in lines(&bytes, 300) {
                prop_assert!(line.len() <= 300);
            }
        }
    }
}
