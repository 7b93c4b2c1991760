//! Private keys in a text armour: RFC 7468, the older PEM of RFC 1421, OpenSSH, and OpenPGP's.

use memchr::memmem;

use super::{find::Span, placeholder::Kind, vault::MAX_VALUE_BYTES};

/// How a block begins.
pub(crate) const START: &str = "-----BEGIN ";
const END: &str = "-----END ";
/// The longest label, such as `OPENSSH PRIVATE KEY`.
const LONGEST_LABEL: usize = 48;
/// A word of base64 in a block that has no end is at least this long, unless it ends a line.
const LONG_WORD: usize = 16;

/// Reads the private key whose block begins at `at`: until its end, or, if the end is missing, as
/// long as it looks like base64. Its lines may be separated by `\n` in two bytes, as in JSON.
pub(crate) fn private_key(text: &str, at: usize) -> Option<Span> {
    let label_at = at + START.len();
    let start = text.get(at..label_at).filter(|start| *start == START).map(|_| label_at)?;
    let label = label(text, start)?;
    if !label.ends_with("PRIVATE KEY") && !label.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let body = start + label.len() + 5;
    let end = closed(text, body).unwrap_or_else(|| unclosed(text, body));
    Some(Span::new(at..end, Kind::Pem))
}

/// The label from `start` until five dashes.
fn label(text: &str, start: usize) -> Option<&str> {
    let bytes = &text.as_bytes()[start..];
    let is_label = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    let length = bytes.iter().take(LONGEST_LABEL).take_while(|byte| is_label(byte)).count();
    bytes[length..].starts_with(b"-----").then(|| &text[start..start + length])
}

/// The end of a block that has one; another block's beginning comes first if it has not.
fn closed(text: &str, body: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let window = &bytes[body..bytes.len().min(body + MAX_VALUE_BYTES)];
    let dashes = memmem::find_iter(window, "-----").find(|found| {
        let rest = &window[*found..];
        rest.starts_with(END.as_bytes()) || rest.starts_with(START.as_bytes())
    })?;
    let end = body + dashes;
    let label_at = end + END.len();
    let label =
        text.get(end..label_at).filter(|start| *start == END).and_then(|_| label(text, label_at));
    label.map(|label| label_at + label.len() + 5)
}

/// The end of what looks like the body of a block: words of base64, and header lines.
fn unclosed(text: &str, body: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = body;
    loop {
        let start = end + gap(&bytes[end..]);
        let line = bytes[start..].iter().take_while(|byte| !is_break(**byte)).count();
        if ["Proc-Type:", "DEK-Info:", "Version:", "Comment:"]
            .iter()
            .any(|h| text[start..].starts_with(h))
        {
            end = start + line;
            continue;
        }
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        let word = bytes[start..].iter().take_while(|byte| is_word(byte)).count();
        if word == 0 || (word < LONG_WORD && word < line) {
            return end;
        }
        end = start + word;
    }
}

/// White space, and its escapes in two bytes.
fn gap(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..) {
            Some([b'\\', b'n' | b'r' | b't', ..]) => at += 2,
            Some([b' ' | b'\n' | b'\r' | b'\t', ..]) => at += 1,
            _ => return at,
        }
    }
}

const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | b'\\' | b'"')
}
