//! A push parser for server-sent events: bytes in, events out. Used by `reply`.
//!
//! Bytes may be split anywhere. An event is bounded; a larger one is dropped, and the parser goes
//! on with the next.

use std::collections::VecDeque;

use memchr::memchr2;

/// Real chunks have a few hundred bytes; one that is a thousand times larger is a fault.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The `event:` field; empty for most.
    pub(crate) name: String,
    /// The `data:` fields, joined by newlines.
    pub(crate) data: String,
}

/// The parser.
#[derive(Debug)]
pub(crate) struct Decoder {
    max_bytes: usize,
    /// The line that has begun, as far as it is kept.
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// Nothing was read yet: a byte order mark may stand here.
    at_start: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// The event that has begun is over the bound.
    too_large: bool,
    events: VecDeque<Event>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT_BYTES)
    }
}

impl Decoder {
    fn with_limit(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            name: String::new(),
            data: Vec::new(),
            has_data: false,
            too_large: false,
            events: VecDeque::new(),
        }
    }

    /// Reads more bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes);
                return;
            };
            self.keep(&bytes[..end]);
            self.after_cr = bytes[end] == b'\r';
            self.end_line();
            bytes = &bytes[end + 1..];
        }
    }

    /// The next whole event.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The body has ended: an event that lacks only its blank line counts all the same, since
    /// some servers leave the last one out.
    pub(crate) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.line.len() + self.data.len() + bytes.len() > self.max_bytes {
            self.too_large = true;
        } else if !self.too_large {
            self.line.extend_from_slice(bytes);
        }
        if self.too_large && self.line.is_empty() && !bytes.is_empty() {
            // Its content is lost, but it must not look like the blank line that ends an event.
            self.line.push(b':');
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        if line.is_empty() {
            self.end_event();
        } else if !self.too_large {
            self.read_field(&line);
        }
        line.clear();
        self.line = line;
    }

    fn read_field(&mut self, line: &[u8]) {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            // Comments (an empty name), `id`, `retry` and whatever else there may be.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let data = std::mem::take(&mut self.data);
        let name = std::mem::take(&mut self.name);
        if std::mem::take(&mut self.too_large) {
            tracing::debug!(max_bytes = self.max_bytes, "dropped an event over the bound");
        } else if self.has_data {
            let data = String::from_utf8(data)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            self.events.push_back(Event { name, data });
        }
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut decoder = Decoder::default();
        for chunk in chunks {
            decoder.push(chunk);
        }
        decoder.finish();
        events(&mut decoder)
    }

    fn events(decoder: &mut Decoder) -> Vec<(String, String)> {
        std::iter::from_fn(|| decoder.next_event()).map(|event| (event.name, event.data)).collect()
    }

    fn data(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|text| (String::new(), (*text).to_owned())).collect()
    }

    #[test]
    fn comments_and_other_fields_are_no_events() {
        let text = b": ping\n\nid: 7\nretry: 10\n\ndata: a\n: in between\ndata:b\nfoo\n\n";
        assert_eq!(decode(&[text]), data(&["a\nb"]));
    }

    #[test]
    fn all_line_ends_are_read() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["data: a", "", "data: b", "", ""].join(end);
            assert_eq!(decode(&[text.as_bytes()]), data(&["a", "b"]), "{end:?}");
        }
    }

    #[test]
    fn an_event_has_a_name() {
        let expected = vec![("error".to_owned(), "x".to_owned())];
        assert_eq!(decode(&[b"event: error\ndata: x\n\n"]), expected);
    }

    #[test]
    fn the_last_event_may_lack_its_blank_line() {
        assert_eq!(decode(&[b"data: a\n\ndata: b"]), data(&["a", "b"]));
        assert_eq!(decode(&[b"data: a\n"]), data(&["a"]));
    }

    #[test]
    fn an_event_over_the_bound_is_dropped_and_the_next_is_read() {
        for big in
            ["data: 0123456789abcdef\n", "data: 01234567\ndata: 89abc\n", ":0123456789abcdef\n"]
        {
            let mut decoder = Decoder::with_limit(16);
            decoder.push(format!("data: a\n\n{big}\ndata: b\n\n").as_bytes());
            assert_eq!(events(&mut decoder), data(&["a", "b"]), "{big}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut decoder = Decoder::with_limit(1_024);
        for _ in 0..1_000 {
            decoder.push(&[b'x'; 1_000]);
        }
        assert!(decoder.line.capacity() <= 2_048);
        decoder.push(b"\n\ndata: a\n\n");
        assert_eq!(events(&mut decoder), data(&["a"]));
    }

    proptest! {
        #[test]
        fn it_reads_the_same_however_the_bytes_are_split(
            lines in prop::collection::vec("(data: ?|event: |: |)[a-z\u{e9}\u{1f600} ]{0,6}", 0..12),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]), 12),
            cuts in prop::collection::vec(0usize..200, 0..20),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(a, b)| [a.as_str(), b]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&parts), decode(&[bytes]));
        }

        #[test]
        fn no_bytes_make_it_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut decoder = Decoder::with_limit(48);
            for part in &parts {
                decoder.push(part);
                prop_assert!(decoder.line.len() <= 48 + 1 && decoder.data.len() <= 48);
            }
            decoder.finish();
        }
    }
}
