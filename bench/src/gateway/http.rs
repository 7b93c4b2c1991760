//! As much HTTP/1.1 as the fast upstream and the load generator need of a peer that is known: they
//! share a core, and a real client or server on it would be measured instead of the gateway.

use memchr::memmem;

/// A message whose head is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Where its body begins.
    pub(crate) end: usize,
    /// How long that is.
    pub(crate) body: Length,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(usize),
    Chunked,
}

/// Reads a head; none while it is not whole.
pub(crate) fn head(message: &[u8]) -> Option<Head> {
    let end = memmem::find(message, b"\r\n\r\n")? + 4;
    let mut body = Length::Known(0);
    for line in message[..end].split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            body = Length::Known(length?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            body = Length::Chunked;
        }
    }
    Some(Head { end, body })
}

/// Takes chunks apart.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// What was in them.
    pub(crate) body: Vec<u8>,
    /// The last one has come.
    pub(crate) ended: bool,
}

impl Chunks {
    /// Takes the whole chunks at the beginning of `bytes`, and says how much that is; none when it
    /// is no chunk.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while !self.ended {
            let Some(line) = memmem::find(&bytes[at..], b"\r\n") else { break };
            let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
            let size = usize::from_str_radix(size, 16).ok()?;
            let (begin, end) = (at + line + 2, at + line + 2 + size);
            if bytes.len() < end + 2 {
                break;
            }
            self.body.extend_from_slice(&bytes[begin..end]);
            self.ended = size == 0;
            at = end + 2;
        }
        Some(at)
    }
}

/// A body as one chunk.
pub(crate) fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_its_body_is() {
        assert_eq!(head(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n"), None);
        let known = head(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!(known, Head { end: 38, body: Length::Known(2) });
        let chunked = head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(chunked.body, Length::Chunked);
    }

    #[test]
    fn chunks_are_taken_whole_wherever_the_bytes_are_split() {
        let bytes = format!("{}{}0\r\n\r\n", chunk("one"), chunk("and two"));
        for split in 0..bytes.len() {
            let (mut chunks, mut rest) = (Chunks::default(), Vec::new());
            for part in [&bytes[..split], &bytes[split..]] {
                rest.extend_from_slice(part.as_bytes());
                let taken = chunks.take(&rest).unwrap();
                rest.drain(..taken);
            }
            assert_eq!((chunks.body.as_slice(), chunks.ended), (&b"oneand two"[..], true));
        }
        assert_eq!(Chunks::default().take(b"no chunk\r\n"), None);
    }
}
