//! Passwords in URLs: `scheme://user:password@host`, RFC 3986, section 3.2.1.

use std::ops::Range;

use super::{find::Span, placeholder::Kind, values};

/// What stands before the user.
pub(crate) const START: &str = "://";
/// The longest user, password and host that are looked at.
const LONGEST: usize = 512;

/// Reads the password of the URL whose `://` stands at `mark`. A password may contain `@`; one that
/// contains `/` is found when what is before the slash is no port.
pub(crate) fn password(text: &str, mark: Range<usize>) -> Option<Span> {
    let bytes = text.as_bytes();
    let start = mark.end;
    let rest = &bytes[start..bytes.len().min(start + LONGEST)];
    let stop =
        |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`');
    let rest = &rest[..rest.iter().position(stop).unwrap_or(rest.len())];
    let authority = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = authority.unwrap_or(rest.len());
    let colon = rest[..authority].iter().position(|byte| *byte == b':')?;
    let at_sign = |part: &[u8]| part.iter().rposition(|byte| *byte == b'@');
    let end = at_sign(&rest[..authority]).or_else(|| {
        let port = &rest[colon + 1..authority];
        let is_port = port.iter().all(u8::is_ascii_digit) || rest.starts_with(b"[");
        if is_port { None } else { at_sign(rest) }
    })?;
    let range = start + colon + 1..start + end;
    let value = text.get(range.clone())?;
    (colon < end && !values::is_exempt(value)).then(|| Span::new(range, Kind::Password))
}
