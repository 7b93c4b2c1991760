//! GELF 1.1, Graylog's format: an object of JSON, packed or not, and over UDP in up to 128 chunks.

use std::{
    collections::{HashMap, VecDeque},
    io::Read as _,
    time::Duration,
};

use callboard_protocol::Timestamp;
use flate2::read::{GzDecoder, ZlibDecoder};
use serde_json::{Map, Value};

use super::{PushError, Pushed, named};

/// A message is at most so long when unpacked.
const MOST_BYTES: u64 = 1 << 20;

/// Messages that may be in pieces at once; the oldest is given up for the next.
const MOST_OPEN: usize = 256;

/// The pieces of a message come within this; the format says 5 seconds.
const PATIENCE: Duration = Duration::from_secs(5);

const CHUNK_MAGIC: [u8; 2] = [0x1e, 0x0f];
const CHUNK_HEADER: usize = 12;
const MOST_CHUNKS: usize = 128;

/// Reads a message.
///
/// # Errors
/// When it is none, or too long.
pub fn record(bytes: &[u8]) -> Result<Pushed, PushError> {
    let unpacked = match bytes {
        [0x1f, 0x8b, ..] => unpack(GzDecoder::new(bytes))?,
        [0x78, second, ..] if (0x7800 + u32::from(*second)) % 31 == 0 => {
            unpack(ZlibDecoder::new(bytes))?
        }
        _ => bytes.to_vec(),
    };
    let message: Map<String, Value> = serde_json::from_slice(&unpacked)
        .map_err(|error| PushError::new(format!("the message is no object: {error}")))?;
    if !message.get("short_message").is_some_and(Value::is_string) {
        return Err(PushError::new("the message has no short_message"));
    }
    let source = named([message.get("host").and_then(Value::as_str)], "gelf");
    Ok(Pushed { source, text: Value::Object(message).to_string() })
}

fn unpack(packed: impl std::io::Read) -> Result<Vec<u8>, PushError> {
    let mut bytes = Vec::new();
    let read = packed.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| PushError::new(format!("the message cannot be unpacked: {error}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(PushError::new(format!("the message unpacks to more than {MOST_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Joins messages that come in pieces.
#[derive(Default)]
pub struct Chunks {
    open: HashMap<[u8; 8], Pieces>,
    /// The oldest first.
    order: VecDeque<([u8; 8], Timestamp)>,
}

struct Pieces {
    parts: Vec<Option<Vec<u8>>>,
    missing: usize,
}

impl Chunks {
    /// Takes a datagram; gives out the message that is whole with it.
    ///
    /// # Errors
    /// When it is a piece of nothing.
    pub fn take(&mut self, datagram: &[u8], now: Timestamp) -> Result<Option<Vec<u8>>, PushError> {
        if !datagram.starts_with(&CHUNK_MAGIC) {
            return Ok(Some(datagram.to_vec()));
        }
        let header: Option<&[u8; CHUNK_HEADER]> = datagram.first_chunk();
        let Some([_, _, id @ .., number, count]) = header else {
            return Err(PushError::new("a piece is shorter than its header"));
        };
        let (number, count) = (usize::from(*number), usize::from(*count));
        if count == 0 || count > MOST_CHUNKS || number >= count {
            return Err(PushError::new(format!("a piece says that it is {number} of {count}")));
        }
        self.forget(now);
        if !self.open.contains_key(id) {
            self.open.insert(*id, Pieces { parts: vec![None; count], missing: count });
            self.order.push_back((*id, now));
        }
        let Some(pieces) = self.open.get_mut(id) else { return Ok(None) };
        match pieces.parts.get_mut(number) {
            Some(slot @ None) => {
                *slot = Some(datagram[CHUNK_HEADER..].to_vec());
                pieces.missing -= 1;
            }
            Some(Some(_)) => {}
            None => return Err(PushError::new("pieces of one message differ in their count")),
        }
        if pieces.missing > 0 {
            return Ok(None);
        }
        self.order.retain(|(known, _)| known != id);
        let whole = self.open.remove(id).map(|pieces| pieces.parts);
        Ok(whole.map(|parts| parts.into_iter().flatten().flatten().collect()))
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((id, begun)) = self.order.front().copied() {
            let is_late = begun.plus(PATIENCE) < now;
            if !is_late && self.order.len() < MOST_OPEN {
                return;
            }
            self.order.pop_front();
            self.open.remove(&id);
        }
    }
}
