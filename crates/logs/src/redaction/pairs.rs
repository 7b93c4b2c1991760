//! Names and their values: `password=…`, `"api_key": "…"`, `client_secret: …`, `--token …`.

use std::ops::Range;

use super::{
    find::Span,
    headers,
    names::{Class, class_of},
    placeholder::Kind,
    values::{self, Found, Joint, is_exempt, is_path, is_random},
};

/// Parts of the names that stand before secrets.
pub(crate) const STEMS: [&str; 13] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "auth",
    "cookie",
    "credential",
    "sess",
    "sid",
    "connect.sid",
    "callboard_",
    "passwort",
];

/// The longest part of a name on either side of its stem.
const LONGEST_SIDE: usize = 64;
/// How much of a value is read to tell whether it is one.
const LONGEST_LOOK: usize = 256;

/// Reads the name around `stem` and the value behind it. Gives the end of what need not be read
/// again: the name, or all cookies.
pub(crate) fn read(text: &str, stem: Range<usize>, found: &mut Vec<Span>) -> usize {
    let bytes = text.as_bytes();
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let left = bytes[..stem.start].iter().rev().take(LONGEST_SIDE).take_while(is_part).count();
    let right = bytes[stem.end..].iter().take(LONGEST_SIDE).take_while(is_part).count();
    let name = stem.start - left..stem.end + right;
    let end = name.end;
    let Some(class) = class_of(&text[name.clone()]) else { return end };
    match class {
        Class::Authorization => found.extend(headers::authorization(text, end)),
        Class::Cookies => return headers::cookies(text, end, found),
        Class::Password
        | Class::Strong
        | Class::Weak
        | Class::Doubtful
        | Class::Session
        | Class::DoubtfulSession => {
            let value = value(text, &name).filter(|value| is_secret(text, (&name, class), value));
            let kind = kind_of(class);
            found.extend(value.map(|value| Span::new(values::whole(text, value), kind)));
        }
    }
    end
}

const fn kind_of(class: Class) -> Kind {
    match class {
        Class::Password => Kind::Password,
        Class::Session | Class::DoubtfulSession | Class::Cookies => Kind::Cookie,
        Class::Strong | Class::Weak | Class::Doubtful | Class::Authorization => Kind::Secret,
    }
}

/// The value of a name: behind `=` or `:`, in an element, or after an option of a command.
fn value(text: &str, name: &Range<usize>) -> Option<Found> {
    let bytes = text.as_bytes();
    let after = bytes.get(name.end).copied();
    if after == Some(b'>') && name.start > 0 && bytes[name.start - 1] == b'<' {
        return values::at_start(text, name.end + 1, LONGEST_LOOK);
    }
    if after == Some(b' ') && text[name.clone()].starts_with("--") {
        let value = values::at_start(text, name.end + 1, LONGEST_LOOK);
        return value.filter(|value| !text[value.range.clone()].starts_with('-'));
    }
    values::after(text, name.end, LONGEST_LOOK)
}

fn is_secret(text: &str, (name, class): (&Range<usize>, Class), found: &Found) -> bool {
    let value = &text[found.range.clone()];
    if is_exempt(value) || value.ends_with("()") || value.ends_with('(') {
        return false;
    }
    let lead = text[..name.start].trim_end_matches(' ');
    let name = &text[name.clone()];
    let loose = found.joint == Joint::Loose;
    let number = value.bytes().all(|byte| byte.is_ascii_digit());
    match class {
        Class::Password => !(is_path(value) && name.to_ascii_lowercase().ends_with("pwd")),
        Class::Strong => !is_path(value),
        Class::Weak => {
            !number
                && !is_path(value)
                && !is_object(value)
                && (!loose || (is_random(value, 8) && !ends_with_word(lead, "unexpected")))
        }
        Class::Doubtful => is_random(value, 8) && !is_path(value) && !is_address(value),
        Class::Session => !number && !loose,
        Class::DoubtfulSession => {
            is_random(value, 16) && !is_uuid(value) && !value.starts_with("S-1-")
        }
        Class::Authorization | Class::Cookies => false,
    }
}

/// A parser's message, `unexpected token: x1`, is about another kind of token.
fn ends_with_word(lead: &str, word: &str) -> bool {
    let start = lead.len().checked_sub(word.len());
    start.and_then(|start| lead.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(word))
}

/// The name of an object of Kubernetes, `namespace/name`: what `secret=` means there.
fn is_object(value: &str) -> bool {
    let is_name = |part: &str| {
        let lower = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.');
        !part.is_empty() && part.bytes().all(|byte| lower(byte) || byte.is_ascii_digit())
    };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    digits <= 6
        && value.split_once('/').is_some_and(|(space, name)| is_name(space) && is_name(name))
}

/// `host:port`, `10.0.0.1`, `user@host`.
fn is_address(value: &str) -> bool {
    value.parse::<std::net::IpAddr>().is_ok()
        || value.parse::<std::net::SocketAddr>().is_ok()
        || value.contains("://")
        || value.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

fn is_uuid(value: &str) -> bool {
    uuid::Uuid::try_parse(value).is_ok()
}
