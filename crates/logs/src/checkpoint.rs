//! Which file it was, and how far it was read. Names do not identify a log file: it is renamed when
//! it is rotated, and another one takes its name. Its first bytes do.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// As many bytes as a fingerprint covers.
pub(crate) const FINGERPRINT_BYTES: usize = 1024;

/// The file system's name for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// None where the file system has no such names.
    #[cfg(unix)]
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// None where the file system has no such names.
    #[cfg(not(unix))]
    pub(crate) fn of(_: &std::fs::Metadata) -> Option<Self> {
        None
    }
}

/// The first bytes of a file, as many as there were at first sight, at most 1024.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    len: usize,
    sha256: String,
}

impl Fingerprint {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether these bytes begin with those that it covers.
    pub(crate) fn begins(&self, head: &Head) -> bool {
        let len = self.len;
        len > 0 && head.bytes.len() >= len && digest(&head.bytes[..len]) == self.sha256
    }

    /// Whether that says that it is the same file. A few bytes, such as the banner that a program
    /// prints at each start, say little when the file has grown.
    pub(crate) fn tells(&self, head: &Head) -> bool {
        (self.len == FINGERPRINT_BYTES || head.bytes.len() == self.len) && self.begins(head)
    }
}

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) offset: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) file: Option<FileId>,
}

impl Checkpoint {
    /// Whether these bytes begin with those of the file.
    pub(crate) fn begins(&self, head: &Head) -> bool {
        self.fingerprint.begins(head)
    }

    /// Whether this is about the file that starts with these bytes.
    pub(crate) fn is_of(&self, head: &Head, file: Option<FileId>) -> bool {
        if !self.begins(head) {
            return false;
        }
        // Otherwise it must also be the same file to the file system.
        let telling = self.fingerprint.tells(head);
        let other_file = matches!((self.file, file), (Some(known), Some(this)) if known != this);
        telling || !other_file
    }
}

/// The beginning of a file as it is now.
pub(crate) struct Head {
    bytes: Vec<u8>,
}

impl Head {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes[..bytes.len().min(FINGERPRINT_BYTES)].to_vec() }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint { len: self.bytes.len(), sha256: digest(&self.bytes) }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> Option<FileId> {
        Some(FileId { device: 1, inode })
    }

    fn checkpoint(bytes: &[u8], file: Option<FileId>) -> Checkpoint {
        Checkpoint { offset: 7, fingerprint: Head::new(bytes).fingerprint(), file }
    }

    #[test]
    fn a_file_is_known_by_its_first_bytes_when_it_has_grown() {
        let known = checkpoint(b"first line\n", file(1));
        assert!(known.is_of(&Head::new(b"first line\nsecond line\n"), file(1)));
        assert!(!known.is_of(&Head::new(b"other line\nsecond line\n"), file(1)));
        assert!(!known.is_of(&Head::new(b"first"), file(1)));
        assert!(!checkpoint(b"", file(1)).is_of(&Head::new(b"anything"), file(1)));
    }

    #[test]
    fn a_renamed_or_copied_file_is_the_same_if_its_bytes_tell() {
        let long = vec![b'x'; 2000];
        assert!(checkpoint(&long, file(1)).is_of(&Head::new(&long), file(2)));
        assert!(checkpoint(b"banner\n", file(1)).is_of(&Head::new(b"banner\n"), file(2)));
        assert!(!checkpoint(b"banner\n", file(1)).is_of(&Head::new(b"banner\nmore\n"), file(2)));
        assert!(checkpoint(b"banner\n", None).is_of(&Head::new(b"banner\nmore\n"), file(2)));
    }
}
