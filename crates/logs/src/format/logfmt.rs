//! `time=2026-11-21T03:14:15Z level=info msg="started" port=8080`.

use callboard_protocol::{Level, Timestamp};

use super::{
    end_of_quoted, level,
    stamp::{self, Clock},
};

/// Pairs looked at: the timestamp and the level stand in front.
const PAIRS: usize = 16;

/// Timestamp and level of a line that starts with pairs, one of which is a timestamp or a level.
pub(super) fn read(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    let (mut timestamp, mut found, mut pairs) = (None, None, 0);
    let mut rest = line;
    while pairs < PAIRS {
        rest = rest.trim_ascii_start();
        let Some((key, value, after)) = pair(rest) else { break };
        rest = after;
        pairs += 1;
        match key {
            b"time" | b"ts" | b"timestamp" | b"t" | b"at" if timestamp.is_none() => {
                timestamp =
                    std::str::from_utf8(value).ok().and_then(|text| stamp::read_field(text, clock));
            }
            b"level" | b"lvl" | b"severity" => found = level::from_word(value),
            _ => {}
        }
    }
    let known = timestamp.is_some() || found.is_some();
    (pairs >= 2 && known).then_some((timestamp, found.unwrap_or(Level::Unknown)))
}

/// A key, its value without quotes, and what follows.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let is_key =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@');
    let key_len = text.iter().take(64).take_while(|byte| is_key(byte)).count();
    let value = text.get(key_len..)?.strip_prefix(b"=")?;
    if key_len == 0 {
        return None;
    }
    if let Some(quoted) = value.strip_prefix(b"\"") {
        let end = end_of_quoted(quoted)?;
        return Some((&text[..key_len], &quoted[..end], &quoted[end + 1..]));
    }
    let end = memchr::memchr(b' ', value).unwrap_or(value.len());
    Some((&text[..key_len], &value[..end], &value[end..]))
}
