//! Why a file was left out of the index: what it is instead of text, and what to do about it.
//! Called by the job whose file was skipped.

use std::{fs::File, io::Read as _, path::Path};

use callboard_protocol::{ClientError, ErrorCode};

/// As many bytes as the longest beginning below has.
const HEAD_BYTES: u64 = 8;

/// Beginnings of files that people take for logs, what they are, and what makes text of them.
const KINDS: [(&[u8], &str, &str); 5] = [
    (b"PK\x03\x04", "compressed (zip)", "decompress it first, with `unzip`"),
    (b"\xfd7zXZ\0", "compressed (xz)", "decompress it first, with `xz -d`"),
    (b"\xff\xfe", "UTF-16", "convert it first, with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "UTF-16", "convert it first, with `iconv -f UTF-16 -t UTF-8`"),
    (b"LPKSHHRH", "a systemd journal", "export it first, with `journalctl -o short-iso --file`"),
];

/// The reason, from the file's beginning.
pub(super) fn reason(path: &Path) -> ClientError {
    let mut head = Vec::new();
    // One that cannot be read any more is described as far as it is known: it was not text.
    let opened = File::open(path).map(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    drop(opened);
    ClientError::new(ErrorCode::BinaryInput, of(&head))
}

fn of(head: &[u8]) -> String {
    match KINDS.iter().find(|(start, ..)| head.starts_with(start)) {
        Some((_, what, remedy)) => format!("the file is {what} and not text: {remedy}"),
        None => "the file is not text, and only text can be indexed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_says_what_to_do() {
        assert_eq!(
            of(b"\xfd7zXZ\0\0\0"),
            "the file is compressed (xz) and not text: decompress it first, with `xz -d`"
        );
        assert_eq!(of(b"\x7fELF"), "the file is not text, and only text can be indexed");
        assert!(KINDS.iter().all(|(start, ..)| start.len() as u64 <= HEAD_BYTES));
    }

    #[test]
    fn a_file_that_is_gone_was_still_not_text() {
        let gone = reason(Path::new("/nowhere/at/all"));
        assert_eq!(gone.code, ErrorCode::BinaryInput);
    }
}
