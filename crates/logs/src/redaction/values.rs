//! What stands after a name: where a value begins and ends, and which values are none.

use std::ops::Range;

/// How a value is joined to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    /// `name=value`, `name:value`, `"name": "value"`: written by a machine.
    Tight,
    /// `name: value` without quotes, which may as well be a sentence.
    Loose,
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    pub(crate) joint: Joint,
    /// The quote around it and how many backslashes escape that.
    quote: Option<(u8, usize)>,
    /// Whether it was cut off at the limit.
    cut: bool,
}

/// White space within a line, at most this many bytes, may stand around `=` and `:`.
const MOST_SPACES: usize = 4;

/// Reads the value after the name that ends at `end`; of a value without end only `most` bytes.
pub(crate) fn after(text: &str, end: usize, most: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    let (quoted_name, at) = closing_quote(bytes, end);
    let spaced = at + spaces(&bytes[at..]);
    let (joint_length, colon) = joint(&bytes[spaced..])?;
    let value = spaced + joint_length;
    let start = value + spaces(&bytes[value..]);
    let loose = colon && !quoted_name && start > value;
    let mut found = at_start(text, start, most)?;
    if loose && found.joint == Joint::Tight && found.range.start == start {
        found.joint = Joint::Loose;
    }
    Some(found)
}

/// Passes the quote after a name, which may be escaped: `"name"`, `\"name\"`.
fn closing_quote(bytes: &[u8], at: usize) -> (bool, usize) {
    let slashes = bytes[at..].iter().take(3).take_while(|byte| **byte == b'\\').count();
    match bytes.get(at + slashes) {
        Some(b'"' | b'\'' | b'`') => (true, at + slashes + 1),
        _ => (false, at),
    }
}

/// The length of `=`, `:`, `=>` or `:=`, and whether it is a mere colon.
fn joint(bytes: &[u8]) -> Option<(usize, bool)> {
    match bytes {
        [b'=', b'=', ..] | [b':', b':', ..] | [b':', b'/', b'/', ..] => None,
        [b'=', b'>', ..] | [b':', b'=', ..] => Some((2, false)),
        [b'=', ..] => Some((1, false)),
        [b':', ..] => Some((1, true)),
        _ => None,
    }
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take(MOST_SPACES).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Reads the value that begins at `start`, quoted or bare.
pub(crate) fn at_start(text: &str, start: usize, most: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    // A list or an object of one: the value is inside.
    let open =
        bytes[start..].iter().take(2).take_while(|b| matches!(b, b'[' | b'(' | b'{')).count();
    let start = start + open;
    let slashes = bytes[start..].iter().take(3).take_while(|byte| **byte == b'\\').count();
    match bytes.get(start + slashes) {
        Some(quote @ (b'"' | b'\'' | b'`')) => {
            quoted(text, start + slashes + 1, (*quote, slashes), most)
        }
        Some(_) if slashes == 0 => bare(text, start, most).filter(|found| {
            // `{name}` in a template.
            open == 0 || bytes[start - 1] != b'{' || bytes.get(found.range.end) != Some(&b'}')
        }),
        _ => None,
    }
}

/// Until the same quote behind as many backslashes; a line's end ends it as well.
fn quoted(text: &str, start: usize, (quote, slashes): (u8, usize), most: usize) -> Option<Found> {
    let bytes = &text.as_bytes()[start..];
    let (mut at, mut run) = (0, 0);
    while at < bytes.len().min(most) {
        match bytes[at] {
            byte if byte == quote && (run == slashes || (slashes == 0 && run % 2 == 0)) => {
                let range = start..start + at - slashes.min(run);
                let quote = Some((quote, slashes));
                return Some(Found { range, joint: Joint::Tight, quote, cut: false });
            }
            b'\n' => break,
            b'\\' => run += 1,
            _ => run = 0,
        }
        at += 1;
    }
    let found = cut(text, start, (at, at >= most));
    found.map(|found| Found { quote: Some((quote, slashes)), ..found })
}

/// Until white space or a mark that separates values.
fn bare(text: &str, start: usize, most: usize) -> Option<Found> {
    let bytes = &text.as_bytes()[start..];
    let length = bytes.iter().take(most).take_while(|byte| !ends_bare(**byte)).count();
    let cut_off = length >= most;
    let length =
        if cut_off { length } else { text[start..start + length].trim_end_matches('.').len() };
    cut(text, start, (length, cut_off))
}

fn cut(text: &str, start: usize, (mut length, cut): (usize, bool)) -> Option<Found> {
    while !text.is_char_boundary(start + length) {
        length -= 1;
    }
    let range = start..start + length;
    (length > 0).then_some(Found { range, joint: Joint::Tight, quote: None, cut })
}

const fn ends_bare(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(
            byte,
            b',' | b';'
                | b'&'
                | b'"'
                | b'\''
                | b'`'
                | b')'
                | b']'
                | b'}'
                | b'<'
                | b'>'
                | b'|'
                | b'\\'
        )
}

/// Extends a value that was cut off to its end, however far that is: it is a secret, and none of it
/// may stay. What it covers is not read again, so this costs each byte once.
pub(crate) fn whole(text: &str, found: Found) -> Range<usize> {
    let start = found.range.start;
    let all = match found.quote {
        _ if !found.cut => None,
        Some(quote) => quoted(text, start, quote, text.len()),
        None => bare(text, start, text.len()),
    };
    all.map_or(found.range, |all| all.range)
}

/// Words that stand where a value was, or say what became of it.
const NO_VALUES: [&str; 56] = [
    "null",
    "none",
    "nil",
    "nan",
    "undefined",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "0",
    "1",
    "n/a",
    "na",
    "empty",
    "unset",
    "set",
    "redacted",
    "masked",
    "filtered",
    "hidden",
    "protected",
    "removed",
    "omitted",
    "secret",
    "sanitized",
    "encrypted",
    "object",
    "string",
    "str",
    "text",
    "bytes",
    "required",
    "optional",
    "missing",
    "invalid",
    "incorrect",
    "expired",
    "wrong",
    "failed",
    "failure",
    "ok",
    "success",
    "valid",
    "changed",
    "rejected",
    "accepted",
    "denied",
    "unknown",
    "default",
    "not",
    "is",
    "was",
    "must",
    "too",
];

/// Whether a value is none: empty, masked, a truth value, or a place for a value.
pub(crate) fn is_exempt(value: &str) -> bool {
    let value = value.trim();
    let bare = value.trim_matches(|char| matches!(char, '[' | ']' | '(' | ')' | '{' | '}'));
    bare.is_empty()
        || NO_VALUES.iter().any(|word| bare.eq_ignore_ascii_case(word))
        || is_mask(value)
        || is_place(value)
}

/// `****`, `xxxx`, `…`, and values of which a part is masked.
fn is_mask(value: &str) -> bool {
    let dots = |char| matches!(char, '*' | '•' | '.' | '…' | '-' | '#' | '_' | '?');
    value.starts_with("***")
        || value.ends_with("***")
        || value.chars().all(dots)
        || (value.len() >= 3 && value.chars().all(|char| matches!(char, 'x' | 'X')))
}

/// `${NAME}`, `$NAME`, `$(…)`, `{{…}}`, `%s`, `%(name)s`, `%NAME%`, `<name>`, `:name`.
fn is_place(value: &str) -> bool {
    let name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match value.as_bytes() {
        [b'$', b'{' | b'(', ..] | [b'{', b'{', ..] | [b'%', b'(' | b'{', ..] => true,
        [b'$', ..] => name(&value[1..]) && !value[1..].starts_with(|c: char| c.is_ascii_digit()),
        [b'<', .., b'>'] => true,
        [b'%', .., b'%'] => name(&value[1..value.len() - 1]),
        [b'%', ..] => value.len() <= 4 && letters(value[1..].trim_start_matches(['+', '#'])),
        _ => false,
    }
}

/// Whether a value is a path in a file system, which names a secret but is none.
pub(crate) fn is_path(value: &str) -> bool {
    let rest = value.strip_prefix("file:").or_else(|| value.strip_prefix('~')).unwrap_or(value);
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-');
    let drive =
        matches!(value.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    let rooted = rest.starts_with('/') || rest.starts_with("./") || rest.starts_with("../");
    let short = rest.split('/').all(|part| part.len() <= 32) && rest.len() != 40;
    drive || (rooted && short && rest.bytes().all(plain))
}

/// Whether a value looks like made by a machine: `least` bytes or more, letters and digits, and no
/// number in hexadecimal.
pub(crate) fn is_random(value: &str, least: usize) -> bool {
    let has = |class: fn(&u8) -> bool| value.as_bytes().iter().any(class);
    value.len() >= least
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !has(u8::is_ascii_whitespace)
        && !value.starts_with("0x")
}
