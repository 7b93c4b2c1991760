//! What a chunk looks like: a header, and packed behind it the numbers, the lengths and the texts of
//! its lines.

use std::io;

use callboard_protocol::LineId;

/// "CBC1".
const MAGIC: [u8; 4] = *b"CBC1";

/// The magic; the length of the packed part; a CRC-32; the first and the last line, little endian. The
/// checksum is of the packed part and of those two.
pub(super) const HEADER_BYTES: usize = 28;

/// The fastest level gains a twentieth of the time of indexing, and packs a tenth worse.
const LEVEL: i32 = 3;

/// A chunk is unpacked only up to this: a record may be of 64 MiB, and one chunk holds one such.
const MOST_BYTES: usize = 80 << 20;

/// Where a chunk stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(super) offset: u64,
    /// Of what is packed.
    pub(super) len: u32,
    crc: u32,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Lines in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    ids: Vec<u64>,
    /// Where each text ends.
    ends: Vec<usize>,
    text: String,
}

impl Frame {
    pub(super) fn read(header: &[u8; HEADER_BYTES], offset: u64) -> io::Result<Self> {
        if header[..4] != MAGIC {
            return Err(damaged());
        }
        let word =
            |at: usize| header[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let id = |at: usize| header[at..].first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        Ok(Self { offset, len: word(4), crc: word(8), first: id(12), last: id(20) })
    }

    /// The offset of what comes after it.
    pub(super) fn end(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + u64::from(self.len)
    }

    pub(super) fn unpack(&self, packed: &[u8]) -> io::Result<Chunk> {
        if crc(self.first, self.last, packed) != self.crc {
            return Err(damaged());
        }
        let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
        let size =
            size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MOST_BYTES);
        let body = zstd::bulk::decompress(packed, size.ok_or_else(damaged)?)?;
        Chunk::read(&body, self.first).ok_or_else(damaged)
    }
}

impl Chunk {
    /// Adds a line whose number is greater than all before.
    pub(super) fn push(&mut self, id: LineId, text: &str) {
        self.ids.push(id.0);
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
        self.text.clear();
    }

    pub(super) fn append(&mut self, other: &Self) {
        for (id, text) in other.lines() {
            self.push(LineId(id), text);
        }
    }

    /// How many lines.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of text.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The place of a line.
    pub(crate) fn find(&self, id: LineId) -> Option<usize> {
        self.ids.binary_search(&id.0).ok()
    }

    /// The text of the line at a place that was found.
    pub(crate) fn nth(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }

    fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        self.ids.iter().zip(0..).map(|(id, at)| (*id, self.nth(at)))
    }

    /// Its lines from the `from`th on, packed behind a header; none when there are no such.
    pub(super) fn pack(&self, from: usize, offset: u64) -> io::Result<Option<(Frame, Vec<u8>)>> {
        let (Some(ids), Some(ends)) = (self.ids.get(from..), self.ends.get(from..)) else {
            return Ok(None);
        };
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(None) };
        let start = from.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut body = Vec::with_capacity(self.text.len() - start + ids.len() * 4 + 8);
        write_number(&mut body, ids.len() as u64);
        let (mut id_before, mut end_before) = (*first, start);
        for (id, end) in ids.iter().zip(ends) {
            write_number(&mut body, id - id_before);
            write_number(&mut body, (end - end_before) as u64);
            (id_before, end_before) = (*id, *end);
        }
        body.extend_from_slice(&self.text.as_bytes()[start..]);
        let packed = zstd::bulk::compress(&body, LEVEL)?;
        let len = u32::try_from(packed.len()).map_err(io::Error::other)?;
        let crc = crc(*first, *last, &packed);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&first.to_le_bytes());
        bytes.extend_from_slice(&last.to_le_bytes());
        bytes.extend_from_slice(&packed);
        Ok(Some((Frame { offset, len, crc, first: *first, last: *last }, bytes)))
    }

    fn read(mut body: &[u8], first: u64) -> Option<Self> {
        let count = usize::try_from(read_number(&mut body)?).ok()?;
        // Each line takes two bytes of the body at least.
        if count > body.len() / 2 {
            return None;
        }
        let (mut ids, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut id, mut end) = (first, 0_usize);
        for _ in 0..count {
            id = id.checked_add(read_number(&mut body)?)?;
            end = end.checked_add(usize::try_from(read_number(&mut body)?).ok()?)?;
            ids.push(id);
            ends.push(end);
        }
        let text = String::from_utf8(body.to_vec()).ok()?;
        let fits = ends.last().is_none_or(|last| *last == text.len());
        let whole = ends.iter().all(|end| text.is_char_boundary(*end));
        (fits && whole).then_some(Self { ids, ends, text })
    }
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunk of the log index is damaged")
}

fn crc(first: u64, last: u64, packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first.to_le_bytes());
    hasher.update(&last.to_le_bytes());
    hasher.update(packed);
    hasher.finalize()
}

/// LEB128.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
