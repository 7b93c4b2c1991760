//! Puts JSON together piece by piece, without a tree in between: a token costs the escaping of its
//! text and the copying of what stands around it.

use std::fmt::{Display, Write as _};

use bytes::{BufMut as _, BytesMut};

/// Text that is JSON already.
pub(super) fn raw(out: &mut BytesMut, json: &str) {
    out.put_slice(json.as_bytes());
}

/// A number.
pub(super) fn number(out: &mut BytesMut, number: impl Display) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a BytesMut takes everything");
}

/// A string, with its quotes.
pub(super) fn string(out: &mut BytesMut, text: &str) {
    out.reserve(text.len() + 2);
    let written = serde_json::to_writer(out.writer(), text);
    debug_assert!(written.is_ok(), "a BytesMut takes everything");
}

/// A string, or `null`.
pub(super) fn optional(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => raw(out, "null"),
    }
}

/// The arguments of a call as an object, not as its text. The answer may have been cut in the
/// middle of them: what cannot be read is the empty object.
pub(super) fn object(out: &mut BytesMut, arguments: &str) {
    let arguments = arguments.trim();
    let whole = arguments.starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok();
    raw(out, if whole { arguments } else { "{}" });
}
