//! The form of a placeholder: `<EMAIL_1>`.
//!
//! One grammar for both ways. What the redactor takes for a placeholder that somebody wrote, and
//! what the restorer takes for one that a model copied, is the same set of texts, so nothing that
//! stood in a prompt can be mistaken for a secret in the answer.

use std::{fmt, ops::Range};

use memchr::memchr3_iter;

/// The greatest number of a placeholder, per kind.
pub(crate) const MAX_NUMBER: u16 = 9_999;
/// The digits of [`MAX_NUMBER`].
const MAX_DIGITS: usize = 4;

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An API key or access token that its prefix gives away.
    Key,
    /// A JSON web token, RFC 7519.
    Jwt,
    /// A private key in a text armour, RFC 7468.
    Pem,
    Password,
    /// The value of a name such as `client_secret` or `token`.
    Secret,
    Cookie,
    Email,
    /// The number of a payment card.
    Card,
    Iban,
    Phone,
    /// Text of the form of a placeholder that is already in use for something else.
    Literal,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Key,
        Self::Jwt,
        Self::Pem,
        Self::Password,
        Self::Secret,
        Self::Cookie,
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Phone,
        Self::Literal,
    ];

    /// As it stands in a placeholder. None begins with another.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Key => "KEY",
            Self::Jwt => "JWT",
            Self::Pem => "PEM",
            Self::Password => "PASSWORD",
            Self::Secret => "SECRET",
            Self::Cookie => "COOKIE",
            Self::Email => "EMAIL",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Phone => "PHONE",
            Self::Literal => "LITERAL",
        }
    }

    /// As it stands in metrics and in the audit log.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Key => "api_key",
            Self::Jwt => "jwt",
            Self::Pem => "private_key",
            Self::Password => "password",
            Self::Secret => "secret",
            Self::Cookie => "cookie",
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Phone => "phone",
            Self::Literal => "literal",
        }
    }
}

/// A placeholder's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    /// From 1 to [`MAX_NUMBER`].
    pub(crate) number: u16,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}_{}>", self.kind.name(), self.number)
    }
}

/// What stands at the beginning of some text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// No placeholder, whatever follows.
    No,
    /// All of the text could be the beginning of a placeholder.
    Cut,
    /// A placeholder of this many bytes.
    Whole(usize, Name),
}

/// The brackets that a model puts around a name: ours; ours escaped for Markdown; a footnote's; and
/// ours escaped for HTML. No opening one begins with another.
const BRACKETS: [(&str, &str); 4] = [("<", ">"), ("\\<", "\\>"), ("[", "]"), ("&lt;", "&gt;")];

/// Whether a placeholder may begin with this byte.
pub(crate) const fn opens(byte: u8) -> bool {
    matches!(byte, b'<' | b'\\' | b'[' | b'&')
}

/// Reads a placeholder at the beginning of `text`, in any of the forms in which models copy it:
/// upper or lower case, four kinds of brackets, and `\_` for `_`.
pub(crate) fn scan(text: &[u8]) -> Scan {
    for (open, close) in BRACKETS {
        match eat(text, open) {
            Step::Past(rest) => return scan_name(text, rest, close),
            Step::Cut => return Scan::Cut,
            Step::Other => {}
        }
    }
    Scan::No
}

fn scan_name(text: &[u8], inside: &[u8], close: &str) -> Scan {
    let mut cut = false;
    for kind in Kind::ALL {
        match eat(inside, kind.name()) {
            Step::Past(rest) => return scan_number(text, rest, (kind, close)),
            Step::Cut => cut = true,
            Step::Other => {}
        }
    }
    if cut { Scan::Cut } else { Scan::No }
}

fn scan_number(text: &[u8], rest: &[u8], (kind, close): (Kind, &str)) -> Scan {
    let rest = match (eat(rest, "_"), eat(rest, "\\_")) {
        (Step::Past(rest), _) | (_, Step::Past(rest)) => rest,
        (Step::Cut, _) | (_, Step::Cut) => return Scan::Cut,
        (Step::Other, Step::Other) => return Scan::No,
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (written, rest) = rest.split_at(digits);
    if digits > MAX_DIGITS || written.first() == Some(&b'0') {
        return Scan::No;
    }
    if rest.is_empty() {
        return Scan::Cut;
    }
    match eat(rest, close) {
        Step::Past(rest) if digits > 0 => {
            let number = written.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
            Scan::Whole(text.len() - rest.len(), Name { kind, number })
        }
        Step::Cut if digits > 0 => Scan::Cut,
        Step::Past(_) | Step::Cut | Step::Other => Scan::No,
    }
}

enum Step<'t> {
    Past(&'t [u8]),
    /// The text ends within the word.
    Cut,
    Other,
}

fn eat<'t>(text: &'t [u8], word: &str) -> Step<'t> {
    let word = word.as_bytes();
    let length = text.len().min(word.len());
    let (start, rest) = text.split_at(length);
    if !start.eq_ignore_ascii_case(&word[..length]) {
        Step::Other
    } else if length == word.len() {
        Step::Past(rest)
    } else {
        Step::Cut
    }
}

/// All placeholders in `text`, from left to right. They cannot overlap, because none contains a
/// byte that opens one but as its opening.
pub(crate) fn all(text: &str) -> Vec<(Range<usize>, Name)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for at in memchr3_iter(b'<', b'[', b'&', bytes) {
        let escaped = at > 0 && bytes[at] == b'<' && bytes[at - 1] == b'\\';
        for start in [at - usize::from(escaped), at] {
            if let Scan::Whole(length, name) = scan(&bytes[start..]) {
                found.push((start..start + length, name));
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Option<String> {
        match scan(text.as_bytes()) {
            Scan::Whole(length, name) if length == text.len() => Some(name.to_string()),
            Scan::Whole(..) | Scan::Cut | Scan::No => None,
        }
    }

    #[test]
    fn the_forms_that_models_write_are_read() {
        for form in [
            "<EMAIL_1>",
            "<email_1>",
            "<EMAIL\\_1>",
            "\\<EMAIL_1\\>",
            "\\<EMAIL\\_1\\>",
            "[EMAIL_1]",
            "&lt;EMAIL_1&gt;",
        ] {
            assert_eq!(whole(form).as_deref(), Some("<EMAIL_1>"), "{form}");
            for end in 1..form.len() {
                assert_eq!(scan(&form.as_bytes()[..end]), Scan::Cut, "{form} until {end}");
            }
        }
    }

    #[test]
    fn other_forms_are_text() {
        for form in [
            "<EMAIL_0>",
            "<EMAIL_01>",
            "<EMAIL_12345>",
            "<EMAIL_>",
            "<EMAIL1>",
            "<EMAIL_1",
            "EMAIL_1",
            "<MAIL_1>",
            "\\<EMAIL_1>",
            "<EMAIL_1]",
            "< EMAIL_1>",
            "<EMAIL_REDACTED>",
            "<EMAIL__1>",
        ] {
            assert_eq!(whole(form), None, "{form}");
        }
        assert_eq!(scan(b"<EMAIL_x"), Scan::No);
        assert_eq!(scan(b"<b"), Scan::No);
        assert_eq!(scan(b"&amp;"), Scan::No);
    }

    #[test]
    fn no_name_begins_with_another() {
        for one in Kind::ALL {
            let begins = |other: &Kind| other.name().starts_with(one.name());
            assert_eq!(Kind::ALL.iter().filter(|other| begins(other)).count(), 1);
        }
        assert_eq!(MAX_NUMBER.to_string().len(), MAX_DIGITS);
    }
}
