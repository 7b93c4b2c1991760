//! Keys and tokens that can be told by their own form: by a vendor's prefix, or as a JSON web token.
//!
//! The prefixes are those that the vendors document for the scanners of secrets.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    find::{Span, long_runs},
    placeholder::Kind,
};

/// The bytes of a key's body.
#[derive(Clone, Copy)]
enum Body {
    Hex,
    Alphanumeric,
    /// Letters, digits, `-` and `_`.
    Base64Url,
    /// The same and `.`, `=`, `/` and `+`.
    Wide,
}

impl Body {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Base64Url => is_base64url(byte),
            Self::Wide => is_base64url(byte) || matches!(byte, b'.' | b'=' | b'/' | b'+'),
        }
    }
}

pub(crate) const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// A form of key.
pub(crate) struct Vendor {
    pub(crate) prefix: &'static str,
    body: Body,
    least: usize,
    most: usize,
    /// Whether the body must have a digit, an upper-case and a lower-case letter, because words
    /// could follow the prefix.
    mixed: bool,
    /// Whether the prefix stays.
    keeps_prefix: bool,
}

/// The longest body that is looked at.
const LONGEST: usize = 256;

const fn vendor(prefix: &'static str, body: Body, (least, most): (usize, usize)) -> Vendor {
    Vendor { prefix, body, least, most, mixed: false, keeps_prefix: false }
}

const fn mixed(prefix: &'static str, body: Body, least: usize) -> Vendor {
    Vendor { mixed: true, ..vendor(prefix, body, (least, LONGEST)) }
}

const fn after(prefix: &'static str, body: Body, (least, most): (usize, usize)) -> Vendor {
    Vendor { keeps_prefix: true, ..vendor(prefix, body, (least, most)) }
}

use Body::{Alphanumeric, Base64Url, Hex, Wide};

pub(crate) static VENDORS: [Vendor; 66] = [
    // OpenAI, Anthropic, OpenRouter, and those that took the form over
    mixed("sk-", Base64Url, 20),
    vendor("sk-proj-", Base64Url, (20, LONGEST)),
    vendor("sk-svcacct-", Base64Url, (20, LONGEST)),
    vendor("sk-admin-", Base64Url, (20, LONGEST)),
    vendor("sk-ant-", Base64Url, (20, LONGEST)),
    vendor("sk-or-v1-", Hex, (32, LONGEST)),
    // other providers of models
    vendor("gsk_", Alphanumeric, (32, LONGEST)),
    vendor("xai-", Alphanumeric, (40, LONGEST)),
    vendor("pplx-", Alphanumeric, (32, LONGEST)),
    vendor("hf_", Alphanumeric, (30, LONGEST)),
    vendor("r8_", Alphanumeric, (37, 40)),
    // Google
    vendor("AIza", Base64Url, (35, 35)),
    vendor("GOCSPX-", Base64Url, (28, 28)),
    mixed("ya29.", Base64Url, 20),
    // Amazon
    vendor("AKIA", Alphanumeric, (16, 16)),
    vendor("ASIA", Alphanumeric, (16, 16)),
    // GitHub, GitLab, Atlassian
    vendor("ghp_", Alphanumeric, (36, LONGEST)),
    vendor("gho_", Alphanumeric, (36, LONGEST)),
    vendor("ghu_", Alphanumeric, (36, LONGEST)),
    vendor("ghs_", Wide, (36, LONGEST)),
    vendor("ghr_", Alphanumeric, (36, LONGEST)),
    vendor("github_pat_", Base64Url, (40, LONGEST)),
    vendor("glpat-", Wide, (20, LONGEST)),
    vendor("gldt-", Base64Url, (20, LONGEST)),
    vendor("glrt-", Wide, (20, LONGEST)),
    vendor("glptt-", Base64Url, (20, LONGEST)),
    mixed("glcbt-", Base64Url, 20),
    mixed("ATATT3", Wide, 40),
    // Slack
    vendor("xoxa-", Base64Url, (10, LONGEST)),
    vendor("xoxb-", Base64Url, (10, LONGEST)),
    vendor("xoxe-", Base64Url, (10, LONGEST)),
    vendor("xoxp-", Base64Url, (10, LONGEST)),
    vendor("xoxr-", Base64Url, (10, LONGEST)),
    vendor("xoxs-", Base64Url, (10, LONGEST)),
    vendor("xoxe.", Wide, (20, LONGEST)),
    mixed("xapp-", Base64Url, 20),
    after("hooks.slack.com/services/", Wide, (20, LONGEST)),
    // Stripe
    vendor("sk_live_", Alphanumeric, (16, LONGEST)),
    vendor("rk_live_", Alphanumeric, (16, LONGEST)),
    vendor("sk_test_", Alphanumeric, (16, LONGEST)),
    vendor("rk_test_", Alphanumeric, (16, LONGEST)),
    vendor("whsec_", Wide, (20, LONGEST)),
    // registries of packages and images
    vendor("npm_", Alphanumeric, (36, 36)),
    vendor("pypi-", Base64Url, (50, LONGEST)),
    vendor("dckr_pat_", Base64Url, (20, LONGEST)),
    // mail and telephony; a Twilio key is SK and 32 hexadecimal digits
    mixed("SG.", Wide, 60),
    vendor("SK", Hex, (32, 32)),
    // clouds and tools
    vendor("dop_v1_", Hex, (64, 64)),
    vendor("doo_v1_", Hex, (64, 64)),
    vendor("dor_v1_", Hex, (64, 64)),
    mixed("hvs.", Base64Url, 20),
    mixed("hvb.", Base64Url, 20),
    vendor("dapi", Hex, (32, 32)),
    vendor("shpat_", Hex, (32, 32)),
    vendor("shpss_", Hex, (32, 32)),
    vendor("shpca_", Hex, (32, 32)),
    vendor("lin_api_", Alphanumeric, (32, LONGEST)),
    vendor("ntn_", Alphanumeric, (40, LONGEST)),
    vendor("glsa_", Base64Url, (32, LONGEST)),
    vendor("NRAK-", Alphanumeric, (27, 27)),
    vendor("PMAK-", Base64Url, (40, LONGEST)),
    vendor("AGE-SECRET-KEY-1", Alphanumeric, (58, 58)),
    // Azure's connection strings
    after("AccountKey=", Wide, (40, LONGEST)),
    after("SharedAccessKey=", Wide, (40, LONGEST)),
    // our own: API keys, and the token of the setup link
    mixed("cb_", Base64Url, 20),
    after("/setup#", Base64Url, (43, 43)),
];

/// Reads the key of `vendor` whose prefix, in upper or lower case, stands at `at`.
pub(crate) fn key(text: &str, at: usize, vendor: &Vendor) -> Option<Span> {
    let bytes = text.as_bytes();
    let start = at + vendor.prefix.len();
    let glued = !vendor.keeps_prefix && at > 0 && is_base64url(bytes[at - 1]);
    if glued || &bytes[at..start] != vendor.prefix.as_bytes() {
        return None;
    }
    let most = vendor.most.saturating_add(1);
    let length =
        bytes[start..].iter().take(most).take_while(|byte| vendor.body.has(**byte)).count();
    let body = &text[start..start + length];
    // A sentence ends with a full stop, a key does not.
    let body = body.trim_end_matches('.');
    // A body longer than an exact one belongs to something else, one of LONGEST goes on as a key.
    let too_long = body.len() > vendor.most && vendor.most < LONGEST;
    if body.len() < vendor.least || too_long || (vendor.mixed && !is_mixed(body)) {
        return None;
    }
    let end = if length > vendor.most {
        start + length + tail(&bytes[start + length..], vendor.body)
    } else {
        start + body.len()
    };
    let first = if vendor.keeps_prefix { start } else { at };
    Some(Span::new(first..end, Kind::Key))
}

/// The rest of a body that is longer than any key; the limit keeps a text of prefixes cheap.
fn tail(bytes: &[u8], body: Body) -> usize {
    bytes.iter().take(64 * LONGEST).take_while(|byte| body.has(**byte)).count()
}

fn is_mixed(body: &str) -> bool {
    let has = |class: fn(&u8) -> bool| body.as_bytes().iter().any(class);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// How every JSON web token begins: `{"` in base64url.
pub(crate) const JWT_START: &str = "eyJ";
/// The longest header that is decoded.
const LONGEST_HEADER: usize = 4_096;
/// The longest other part.
const LONGEST_PART: usize = 32 << 10;

/// Reads a JSON web token at `at`: parts of base64url of which the first is a JSON object with
/// `alg`; three of them signed (RFC 7515, section 7.1), five encrypted (RFC 7516).
pub(crate) fn jwt(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    if !text[at..].starts_with(JWT_START) || (at > 0 && is_base64url(bytes[at - 1])) {
        return None;
    }
    let header = part(bytes, at, LONGEST_HEADER)?;
    let payload = part(bytes, header.end + 1, LONGEST_PART)
        .filter(|_| bytes.get(header.end) == Some(&b'.'))?;
    let mut end = payload.end;
    let decoded = URL_SAFE_NO_PAD.decode(&bytes[header]).ok()?;
    let decoded: serde_json::Value = serde_json::from_slice(&decoded).ok()?;
    decoded.get("alg")?.as_str()?;
    let mut parts = 2;
    while parts < 5 && bytes.get(end) == Some(&b'.') {
        let Some(next) = part(bytes, end + 1, LONGEST_PART) else { break };
        end = next.end;
        parts += 1;
    }
    (parts >= 3).then(|| Span::new(at..end, Kind::Jwt))
}

fn part(bytes: &[u8], start: usize, most: usize) -> Option<Range<usize>> {
    let rest = bytes.get(start..)?;
    let length = rest.iter().take(most).take_while(|byte| is_base64url(**byte)).count();
    (length > 0).then_some(start..start + length)
}

/// The bytes of a refresh token: 32 hexadecimal digits, a full stop, 43 of base64url.
const REFRESH: (usize, usize) = (32, 43);

/// Finds Callboard's own refresh tokens, which have no prefix: the id of their family, a full stop,
/// and 32 random bytes.
pub(crate) fn refresh_tokens(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let (family, random) = REFRESH;
    let length = family + 1 + random;
    for run in long_runs(bytes, length, |byte| is_base64url(byte) || byte == b'.') {
        let mut start = run.start;
        for piece in text[run].split('.') {
            let (at, dot) = (start, start + piece.len());
            start = dot + 1;
            let end = at + length;
            let fits = piece.len() == family
                && piece.bytes().all(|byte| byte.is_ascii_hexdigit())
                && bytes
                    .get(dot + 1..end)
                    .is_some_and(|rest| rest.iter().all(|b| is_base64url(*b)))
                && !bytes.get(end).is_some_and(|byte| is_base64url(*byte));
            if fits {
                found.push(Span::new(at..end, Kind::Key));
            }
        }
    }
}
