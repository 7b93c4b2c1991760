//! Credentials in HTTP headers: `Authorization` (RFC 9110, section 11.6.2) and `Cookie` and
//! `Set-Cookie` (RFC 6265).

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memchr2;

use super::{
    find::Span,
    placeholder::Kind,
    values::{is_exempt, is_random},
};

/// The longest line that is looked at, and the longest token.
const LONGEST: usize = 16 << 10;
/// The longest token that a scheme without its header is looked at for.
const LONGEST_BARE: usize = 8 << 10;
/// Schemes with one token behind them.
const TOKEN_SCHEMES: [&str; 9] =
    ["Bearer", "Basic", "Token", "ApiKey", "Negotiate", "NTLM", "Bot", "Key", "DPoP"];

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b':' | b'%')
}

fn token(text: &str, start: usize, most: usize) -> Range<usize> {
    let bytes = &text.as_bytes()[start..];
    let length = bytes.iter().take(most).take_while(|byte| is_token(**byte)).count();
    start..start + text[start..start + length].trim_end_matches(['.', ':']).len()
}

/// Reads the value of the header whose name ends at `end`.
pub(crate) fn authorization(text: &str, end: usize) -> Option<Span> {
    let value = header(text, end)?;
    let words = &text[value.clone()];
    let scheme = words.split(' ').next().unwrap_or_default();
    let rest = value.start + scheme.len() + 1;
    let found = if TOKEN_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        let spaces = text.get(rest..value.end)?.len() - text[rest..value.end].trim_start().len();
        token(text, rest + spaces, LONGEST)
    } else if rest < value.end && is_scheme(scheme) {
        // Parameters, as of Digest or AWS4-HMAC-SHA256.
        rest..value.end
    } else {
        token(text, value.start, LONGEST)
    };
    let credential = &text[found.clone()];
    let plain = credential.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_one =
        !is_exempt(credential) && credential.len() >= 4 && !(plain && credential.len() < 16);
    is_one.then(|| Span::new(found, Kind::Secret))
}

/// Whether parameters follow this scheme.
fn is_scheme(word: &str) -> bool {
    ["digest", "aws4-", "hawk", "oauth", "signature", "sharedkey", "mac"].iter().any(|scheme| {
        word.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// Reads the token after `Bearer ` or `Basic ` where no header's name was.
pub(crate) fn scheme(text: &str, scheme: Range<usize>) -> Option<Span> {
    let bytes = text.as_bytes();
    if scheme.start > 0 && bytes[scheme.start - 1].is_ascii_alphanumeric() {
        return None;
    }
    let found = token(text, scheme.end, LONGEST_BARE);
    let credential = &text[found.clone()];
    let is_basic = bytes[scheme.start].eq_ignore_ascii_case(&b'b')
        && bytes[scheme.start + 1].eq_ignore_ascii_case(&b'a');
    let is_one =
        if is_basic { is_user_and_password(credential) } else { is_random(credential, 16) };
    is_one.then(|| Span::new(found, Kind::Secret))
}

/// Whether base64 of `user:password`, RFC 7617.
fn is_user_and_password(credential: &str) -> bool {
    let decoded = STANDARD.decode(credential).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.is_some_and(|decoded| decoded.contains(':') && !decoded.contains(char::is_control))
}

/// Reads the values of all cookies after the header's name, which ends at `end`, as long as they are
/// written as cookies are. Gives the end of what was read.
pub(crate) fn cookies(text: &str, end: usize, found: &mut Vec<Span>) -> usize {
    let Some(header) = header(text, end) else { return end };
    let mut start = header.start;
    for cookie in text[header.clone()].split(';') {
        let at = start + cookie.len() - cookie.trim_start().len();
        start += cookie.len() + 1;
        let word = cookie.trim_start().split([' ', ',', '<', '\t']).next().unwrap_or_default();
        let is_last = word.len() < cookie.trim().len();
        if let Some((name, value)) = word.split_once('=') {
            let value_at = at + name.len() + 1;
            if !is_attribute(name) && !is_exempt(value) && value.len() >= 4 {
                found.push(Span::new(value_at..value_at + value.len(), Kind::Cookie));
            }
        }
        // A date in `Expires` has spaces, too.
        if is_last && !word.split('=').next().is_some_and(is_attribute) {
            return at + word.len();
        }
    }
    header.end
}

/// RFC 6265, section 5.2.
fn is_attribute(name: &str) -> bool {
    ["expires", "max-age", "domain", "path", "samesite", "priority", "version"]
        .iter()
        .any(|attribute| attribute.eq_ignore_ascii_case(name))
}

/// The value of a header: behind `:`, `=` or both with quotes, until the quote or the line ends.
fn header(text: &str, end: usize) -> Option<Range<usize>> {
    let rest = &text[end..];
    let after = rest.trim_start_matches(['\\', '"', '\'', ' ']);
    let after = after.strip_prefix(':').or_else(|| after.strip_prefix('='))?;
    let value = after.trim_start_matches([' ', '\\', '"', '\'', '[']);
    let start = text.len() - value.len();
    let bytes = &value.as_bytes()[..value.len().min(LONGEST)];
    let line = memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
    let mut length = if is_digest(value) { line } else { quote(bytes, line) };
    while !value.is_char_boundary(length) {
        length -= 1;
    }
    (length > 0).then_some(start..start + length)
}

/// A Digest header has quotes of its own.
fn is_digest(value: &str) -> bool {
    value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("digest "))
}

fn quote(bytes: &[u8], line: usize) -> usize {
    memchr2(b'"', b'\'', &bytes[..line]).map_or(line, |quote| {
        let slashes = bytes[..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        quote - slashes
    })
}
