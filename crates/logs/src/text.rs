//! From bytes to text that is safe to store and show. Called by `ingest` and `record`.

use std::borrow::Cow;

/// Beginnings of files that are never logs: gzip, zip, zstd, xz, bzip2, ELF, PNG, PDF, SQLite.
const MAGIC: [&[u8]; 9] = [
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"BZh",
    b"\x7fELF",
    b"\x89PNG",
    b"%PDF-",
    b"SQLite format 3\0",
];

/// A few stray control bytes do not make a file binary.
const CONTROL_BYTES_ALLOWED: usize = 8;

/// Whether the beginning of a file shows that it is not text: a known magic number, or control
/// bytes in more than one place of twenty.
pub(crate) fn is_binary(head: &[u8]) -> bool {
    if MAGIC.iter().any(|magic| head.starts_with(magic)) {
        return true;
    }
    let control = head.iter().filter(|byte| is_control(**byte)).count();
    control > CONTROL_BYTES_ALLOWED && control > head.len() / 20
}

fn is_control(byte: u8) -> bool {
    // Tab, the line ends, form feed, backspace and escape (terminal colours) occur in logs.
    matches!(byte, 0..=7 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f)
}

/// The text of a line, and whether it held invalid UTF-8, which is replaced by U+FFFD. NUL bytes
/// are shown as `␀`: databases and terminals that meet the text later choke on the original.
pub(crate) fn decode(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    let (text, invalid) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (String::from_utf8_lossy(bytes), true),
    };
    if memchr::memchr(0, bytes).is_some() {
        return (Cow::Owned(text.replace('\0', "␀")), invalid);
    }
    (text, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_files_are_told_from_text() {
        assert!(is_binary(b"\x1f\x8b\x08\0"));
        assert!(is_binary(&[0; 100]));
        let utf16: Vec<u8> = "a line of text".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(is_binary(&utf16));
        assert!(!is_binary(b""));
        assert!(!is_binary(b"a stray \0 in a line\n"));
        assert!(!is_binary("\u{1b}[31mcolour\u{1b}[0m\täöü\r\n".as_bytes()));
        assert!(!is_binary(b"caf\xe9 in Latin-1\n"));
    }

    #[test]
    fn invalid_bytes_and_nul_are_replaced() {
        assert_eq!(decode(b"plain"), (Cow::Borrowed("plain"), false));
        assert_eq!(decode(b"caf\xe9"), (Cow::<str>::Owned("caf\u{fffd}".into()), true));
        assert_eq!(decode(b"a\0b"), (Cow::<str>::Owned("a␀b".into()), false));
    }
}
