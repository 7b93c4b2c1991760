//! Reading the journal, a piece at a time.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::record::{self, Entry, LONGEST_LINE};

/// Bytes that are read at once: some hundreds of records, and at least one of any length.
const PIECE: u64 = 1 << 20;
const _: () = assert!(PIECE > LONGEST_LINE as u64);

/// Which part of a segment to read, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// From here on; a line begins here.
    pub(super) from: u64,
    /// Up to here.
    pub(super) until: u64,
    /// Closed calls at most.
    pub(super) most: usize,
    /// Whether opened calls are wanted, too. They are when the run that opened them is over.
    pub(super) opened: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) entries: Vec<Entry>,
    /// Where to read on.
    pub(super) next: u64,
    /// Lines that were skipped because their checksum does not fit.
    pub(super) damaged: u64,
}

/// Reads a piece of a segment. What stands after the last line's end is torn: it is read once more
/// when more has been written, and skipped at the end of the span.
pub(super) fn read(path: &Path, span: Span) -> io::Result<Piece> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(span.from))?;
    file.take(span.until.saturating_sub(span.from).min(PIECE)).read_to_end(&mut bytes)?;
    let last = span.from + bytes.len() as u64 >= span.until || bytes.is_empty();
    let mut piece = Piece { next: span.from, ..Piece::default() };
    let (mut rest, mut closed) = (bytes.as_slice(), 0);
    while closed < span.most
        && let Some(end) = rest.iter().position(|byte| *byte == b'\n')
    {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        piece.next += end as u64 + 1;
        rest = after;
        if line.is_empty() || (!span.opened && record::is_opened(line)) {
            continue;
        }
        match record::decode(line) {
            Some(entry) => {
                closed += usize::from(matches!(entry, Entry::Closed(..)));
                piece.entries.push(entry);
            }
            None => piece.damaged += 1,
        }
    }
    let within_a_line = closed < span.most && !rest.is_empty();
    if within_a_line && (last || piece.next == span.from) {
        // The end of the span, or a stretch without any line's end that no record can have.
        piece.damaged += 1;
        piece.next += rest.len() as u64;
    }
    if bytes.is_empty() {
        // Shorter than it was said to be: nothing more will come.
        piece.next = span.until;
    }
    Ok(piece)
}
