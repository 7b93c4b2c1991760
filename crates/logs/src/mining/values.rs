//! What is a value by its looks alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::pieces::Kind;

/// The letters behind a number that are its unit: `5ms`, `12MiB`.
const MAX_UNIT: usize = 3;

/// Shorter words of the letters a to f, such as `dead` or `feed`, are words.
const MIN_HEX: usize = 6;

/// A word with this many digits is no name: `session4711`.
const MANY_DIGITS: usize = 3;

/// The length of the value that `rest` begins with, if it is one that may hold delimiters: an address
/// of the web, an IP address with its port, one of IPv6, or a time of day.
pub(super) fn with_delimiters(rest: &str) -> Option<usize> {
    if let Some(len) = web_address(rest) {
        return Some(len);
    }
    // Java writes addresses with a slash before them.
    let body = rest.strip_prefix('/').unwrap_or(rest);
    let slash = rest.len() - body.len();
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let end = body.bytes().position(|byte| !is_part(byte)).unwrap_or(body.len());
    if body[end..]
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-/".contains(&byte))
    {
        return None;
    }
    let run = body[..end].trim_end_matches([':', '.']);
    let is_whole =
        is_endpoint(run) || is_time(run) || (run.len() > 2 && run.parse::<Ipv6Addr>().is_ok());
    is_whole.then_some(slash + run.len())
}

fn web_address(rest: &str) -> Option<usize> {
    let scheme = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+.".contains(byte))
        .count();
    if scheme < 2 || !rest[scheme..].starts_with("://") {
        return None;
    }
    let ends = |byte: u8| b"\"'<>,;)]}|".contains(&byte);
    Some(rest.bytes().position(ends).unwrap_or(rest.len()))
}

/// An IPv4 address and its port.
fn is_endpoint(run: &str) -> bool {
    let parts = run.split_once(':');
    parts
        .is_some_and(|(host, port)| host.parse::<Ipv4Addr>().is_ok() && port.parse::<u16>().is_ok())
}

/// `hh:mm:ss`, with fractions or without.
fn is_time(run: &str) -> bool {
    let is_number = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    run.split(':').count() == 3 && run.split(':').all(is_number)
}

/// What a run of characters without delimiters is.
pub(super) fn kind(run: &str) -> Kind {
    let bytes = run.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters =
        bytes.iter().filter(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()).count();
    if letters == 0 {
        return if digits == 0 { Kind::Joint } else { Kind::Value };
    }
    if is_path(bytes) || is_mailbox(run) {
        return Kind::Value;
    }
    if digits == 0 {
        return if bytes.contains(&b'.') { Kind::Doubtful } else { Kind::Word };
    }
    let is_value = is_hex(bytes)
        || has_unit(bytes)
        || has_number(run)
        || digits >= MANY_DIGITS
        || digits >= letters;
    if is_value { Kind::Value } else { Kind::Doubtful }
}

/// A path of files: absolute, relative, or with two separators.
fn is_path(bytes: &[u8]) -> bool {
    let separators = bytes.iter().filter(|byte| b"/\\".contains(byte)).count();
    let begins = matches!(bytes.first(), Some(b'/' | b'~' | b'.'));
    separators >= 2 || (separators == 1 && begins && bytes.len() > 2)
}

fn is_mailbox(run: &str) -> bool {
    run.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// `0x1f`, or a long number of base 16, as of a hash or a UUID. There is a digit in it.
fn is_hex(bytes: &[u8]) -> bool {
    let prefixed = bytes.len() > 2 && bytes[0] == b'0' && bytes[1].eq_ignore_ascii_case(&b'x');
    let plain = bytes.len() >= MIN_HEX
        && bytes.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    prefixed || plain
}

/// A number with a unit behind it.
fn has_unit(bytes: &[u8]) -> bool {
    let number = bytes.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let unit = &bytes[number..];
    number > 0 && unit.len() <= MAX_UNIT && unit.iter().all(u8::is_ascii_alphabetic)
}

/// An identifier of which a part is a number: `blk_38865`, `task-1.0`.
fn has_number(run: &str) -> bool {
    let mut parts = run.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.clone().count() > 1 && parts.any(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}
