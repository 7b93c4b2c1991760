//! E-mail addresses and phone numbers.

use memchr::memmem;

use super::{find::Span, placeholder::Kind};

/// RFC 5321, section 4.5.3.1.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;
/// How far back a URL's `://` is looked for.
const LONGEST_USERINFO: usize = 256;

/// What looks like a top-level domain behind `@` and is none: units of systemd, files, and names
/// that exist in one network only.
const NO_DOMAINS: [&str; 36] = [
    "service",
    "socket",
    "timer",
    "mount",
    "automount",
    "target",
    "slice",
    "scope",
    "path",
    "device",
    "swap",
    "local",
    "localdomain",
    "internal",
    "lan",
    "intranet",
    "svc",
    "cluster",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "webp",
    "svg",
    "css",
    "js",
    "mjs",
    "ts",
    "json",
    "jar",
    "tgz",
    "gz",
    "log",
    "conf",
    "html",
    "java",
];
/// Names of algorithms and extensions of SSH have the form of addresses: `zlib@openssh.com`.
const SSH_DOMAINS: [&str; 4] = ["openssh.com", "libssh.org", "lysator.liu.se", "ssh.com"];

/// Reads the e-mail address around the `@` at `at`: the forms of RFC 5321 that are in use, without
/// quoted local parts and addresses in brackets.
pub(crate) fn email(text: &str, at: usize) -> Option<Span> {
    let head = &text[..at];
    let is_local =
        |char: &char| is_letter(*char) || char.is_ascii_digit() || "._%+-".contains(*char);
    let local: usize =
        head.chars().rev().take(LONGEST_LOCAL + 1).take_while(is_local).map(char::len_utf8).sum();
    let trimmed = head[at - local..].trim_start_matches(['.', '-', '%', '+', '_']);
    let start = at - trimmed.len();
    let domain = domain(&text[at + 1..])?;
    let end = at + 1 + domain.len();
    let bad_length = trimmed.is_empty() || trimmed.len() > LONGEST_LOCAL || trimmed.ends_with('.');
    if bad_length
        || trimmed == "git"
        || is_something_else(text, start, end)
        || is_object(trimmed, domain)
    {
        return None;
    }
    Some(Span::new(start..end, Kind::Email))
}

/// Letters of the scripts whose words have spaces between them and that are in use in addresses.
fn is_letter(char: char) -> bool {
    char.is_ascii_alphabetic() || (('\u{c0}'..='\u{24f}').contains(&char) && char.is_alphabetic())
}

/// The domain at the beginning of `rest`: labels, of which the last is made of letters.
fn domain(rest: &str) -> Option<&str> {
    let is_part =
        |char: &char| is_letter(*char) || char.is_ascii_digit() || matches!(char, '.' | '-');
    let length: usize =
        rest.chars().take(LONGEST_DOMAIN + 1).take_while(is_part).map(char::len_utf8).sum();
    let domain = rest[..length].split("..").next()?.trim_end_matches(['.', '-']);
    let (labels, top) = domain.rsplit_once('.')?;
    let is_top = (2..=24).contains(&top.len()) && top.chars().all(is_letter);
    let is_known = NO_DOMAINS.iter().any(|no| no.eq_ignore_ascii_case(top));
    let is_ssh = SSH_DOMAINS.iter().any(|ssh| ssh.eq_ignore_ascii_case(domain));
    let starts = labels.starts_with(|char: char| is_letter(char) || char.is_ascii_digit());
    let goes_on = rest[domain.len()..].starts_with(['@', '_', '(', '$']);
    (is_top && !is_known && !is_ssh && starts && !goes_on && length <= LONGEST_DOMAIN)
        .then_some(domain)
}

/// A principal of Kerberos, the user of a URL, a place of scp, the id of a message.
fn is_something_else(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let scp = bytes[end..].starts_with(b":/") || bytes[end..].starts_with(b":~");
    let before = start.checked_sub(1).map(|index| bytes[index]);
    let from = start.saturating_sub(LONGEST_USERINFO);
    let lead = &bytes[from..start];
    let word =
        lead.iter().rposition(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<'));
    let word = &lead[word.map_or(0, |space| space + 1)..];
    let in_url = memmem::rfind(word, b"://").is_some_and(|mark| {
        !word[mark + 3..].iter().any(|byte| matches!(byte, b'/' | b'?' | b'#'))
    });
    let lead = &lead[lead.len().saturating_sub(14)..];
    let message = b"message-id";
    let is_id = lead.windows(message.len()).any(|part| part.eq_ignore_ascii_case(message));
    scp || before == Some(b'/') || in_url || is_id
}

/// `Main@1b6d3586.run`, an object of Java, and `host/name@REALM.ORG`, a principal.
fn is_object(local: &str, domain: &str) -> bool {
    let label = domain.split('.').next().unwrap_or_default().as_bytes();
    let is_hash = (5..=16).contains(&label.len())
        && label.iter().all(u8::is_ascii_hexdigit)
        && label.iter().any(u8::is_ascii_digit);
    let upper = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = |text: &str| text.bytes().any(|byte| byte.is_ascii_lowercase());
    (is_hash && upper(local)) || (upper(domain) && !lower(domain) && lower(local))
}

/// The most digits of a number, ITU-T E.164.
const MOST_DIGITS: usize = 15;

/// Reads the phone number whose `+` stands at `at`: in the international form of ITU-T E.123, with
/// an assigned country code; ten digits or more if nothing separates them.
pub(crate) fn phone(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).map(|index| bytes[index]);
    if before
        .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'_' | b'.' | b'/' | b'-'))
    {
        return None;
    }
    let groups = groups(&bytes[at + 1..])?;
    let digits = &groups.digits;
    let code = country_code(digits)?;
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%');
    let end = at + 1 + groups.length;
    let decimal =
        matches!(&bytes[end..], [b'.' | b':' | b'-' | b'/', next, ..] if next.is_ascii_digit());
    let fits = match digits[..code] {
        [b'1'] => digits.len() == 11 && digits[1] >= b'2' && digits[4] >= b'2',
        [b'7'] => digits.len() == 11,
        _ => digits.len() >= if groups.count > 1 { 8 } else { 10 },
    };
    // A separated number has its country code by itself, or nothing after the plus is separated.
    let parted = groups.count == 1 || groups.first == code || groups.first > 4;
    (fits && parted && !groups.is_address && !decimal && !bytes.get(end).is_some_and(goes_on))
        .then(|| Span::new(at..end, Kind::Phone))
}

/// Digits and how they were grouped.
struct Groups {
    digits: Vec<u8>,
    count: usize,
    /// The length of the first group.
    first: usize,
    /// Bytes from the first digit to the last.
    length: usize,
    /// Four groups of up to three digits with full stops between.
    is_address: bool,
}

fn groups(bytes: &[u8]) -> Option<Groups> {
    let mut groups =
        Groups { digits: Vec::new(), count: 0, first: 0, length: 0, is_address: false };
    let (mut at, mut dots, mut longest) = (0, 0, 0);
    loop {
        let run =
            bytes[at..].iter().take(MOST_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        let next = bytes.get(at + run).copied();
        // After a space may stand something else: an address, a time, a word.
        let other = groups.count > 0
            && (matches!(
                (next, bytes.get(at + run + 1)),
                (Some(b'.' | b':' | b'/'), Some(b'0'..=b'9'))
            ) && bytes[at - 1] == b' '
                || next.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_'));
        let single = run == 1 && groups.count > 1;
        if run == 0 || other || single || groups.digits.len() + run > MOST_DIGITS {
            break;
        }
        groups.digits.extend_from_slice(&bytes[at..at + run]);
        groups.count += 1;
        groups.length = at + run;
        longest = longest.max(run);
        if groups.count == 1 {
            groups.first = run;
        }
        let Some(gap) = gap(&bytes[at + run..]) else { break };
        dots += usize::from(next == Some(b'.'));
        at += run + gap;
    }
    groups.is_address = dots >= 3 && longest <= 3;
    (!groups.digits.is_empty() && groups.digits.len() <= MOST_DIGITS).then_some(groups)
}

/// The length of what separates two groups: a mark, or brackets and a space, as in `+49 (0) 30`.
fn gap(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b' ', b'(', b'0', b')', b' ', ..] => Some(5),
        [b'(', b'0', b')', ..] => Some(3),
        [b' ', b'(', ..] | [b')', b' ' | b'-', ..] => Some(2),
        [b' ' | b'-' | b'.' | b'(' | b')', ..] => Some(1),
        _ => None,
    }
}

/// The length of the country code at the beginning of a number, from the list of ITU-T E.164.
fn country_code(digits: &[u8]) -> Option<usize> {
    let digit = |index: usize| digits.get(index).copied();
    match (digit(0)?, digit(1)?, digit(2)?) {
        (b'1' | b'7', ..) => Some(1),
        (b'2', b'0' | b'7', _)
        | (b'3', b'0'..=b'4' | b'6' | b'9', _)
        | (b'4', b'0' | b'1' | b'3'..=b'9', _)
        | (b'5', b'1'..=b'8', _)
        | (b'6', b'0'..=b'6', _)
        | (b'8', b'1' | b'2' | b'4' | b'6', _)
        | (b'9', b'0'..=b'5' | b'8', _) => Some(2),
        (b'2', b'1'..=b'6' | b'9', _)
        | (b'3', b'5' | b'7' | b'8', _)
        | (b'4', b'2', _)
        | (b'5', b'0' | b'9', _)
        | (b'6', b'7'..=b'9', _)
        | (b'8', b'0' | b'5' | b'7' | b'8', _)
        | (b'9', b'6' | b'7' | b'9', _) => Some(3),
        _ => None,
    }
}
