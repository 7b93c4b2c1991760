//! Numbers that carry their own check: payment cards and IBANs.

use super::{
    find::{Span, long_runs},
    placeholder::Kind,
};

/// Nothing shorter is either.
const SHORTEST: usize = 13;
/// The least and the most digits of a card's number, ISO/IEC 7812-1.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;

/// Finds card numbers and IBANs.
pub(crate) fn find(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let class = |byte: u8| {
        byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b' ' | b'-')
    };
    for run in long_runs(bytes, SHORTEST, class) {
        let mut at = run.start;
        while at < run.end {
            let fresh =
                at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
            let span = match bytes[at] {
                b'3'..=b'6' | b'2' if fresh => card(text, at),
                b'A'..=b'Z' if fresh => iban(bytes, at),
                _ => None,
            };
            at = span.as_ref().map_or(at + 1, |span| span.range.end);
            found.extend(span);
        }
    }
}

/// How cards are printed in groups.
const GROUPINGS: [&[usize]; 5] =
    [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 1]];

/// Reads the card number at `at`: the prefix of an issuer and the check digit of ISO/IEC 7812-1,
/// in one run or in the groups that are printed on cards.
fn card(text: &str, at: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let run = digits_at(bytes, at);
    let (length, digits) = if CARD.contains(&run) {
        (run, bytes[at..at + run].to_vec())
    } else if run == 4 {
        GROUPINGS.iter().find_map(|grouping| grouped(bytes, at, grouping))?
    } else {
        return None;
    };
    let end = at + length;
    if !is_issued(&digits) || !luhn(&digits) || !stands_alone(text, at, end) {
        return None;
    }
    let is_other = length == digits.len() && is_identifier(&text[..at]);
    (!is_other).then(|| Span::new(at..end, Kind::Card))
}

fn digits_at(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().take(CARD.end() + 1).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Reads groups of digits with the same mark between all of them.
fn grouped(bytes: &[u8], at: usize, grouping: &[usize]) -> Option<(usize, Vec<u8>)> {
    let mark = *bytes.get(at + 4)?;
    let mut digits = Vec::with_capacity(19);
    let mut next = at;
    for (index, length) in grouping.iter().enumerate() {
        if index > 0 {
            if bytes.get(next) != Some(&mark) {
                return None;
            }
            next += 1;
        }
        if next >= bytes.len() || digits_at(bytes, next) != *length {
            return None;
        }
        digits.extend_from_slice(&bytes[next..next + length]);
        next += length;
    }
    // A dump goes on with more groups.
    let dump = |from: usize| {
        bytes.get(from) == Some(&mark)
            && bytes
                .get(from + 1..from + 5)
                .is_some_and(|group| group.iter().all(u8::is_ascii_hexdigit))
            && !bytes.get(from + 5).is_some_and(u8::is_ascii_alphanumeric)
    };
    let before = at.checked_sub(5).is_some_and(|start| {
        bytes[at - 1] == mark && bytes[start..at - 1].iter().all(u8::is_ascii_hexdigit)
    });
    let is_mark = matches!(mark, b' ' | b'-');
    (is_mark && !before && !(dump(next) && dump(next + 5))).then_some((next - at, digits))
}

/// The prefixes that the networks of cards issue, with the lengths of their numbers.
fn is_issued(digits: &[u8]) -> bool {
    let prefix = |length: usize| {
        digits[..length].iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    };
    let length = digits.len();
    match prefix(2) {
        // Visa
        40..=49 => matches!(length, 13 | 16 | 19),
        // Mastercard
        51..=55 => length == 16,
        22..=27 => length == 16 && (2221..=2720).contains(&prefix(4)),
        // American Express
        34 | 37 => length == 15,
        // Diners Club
        36 | 38 | 39 => (14..=19).contains(&length),
        30 => length == 14 && prefix(3) <= 305,
        // JCB
        35 => (16..=19).contains(&length) && (3528..=3589).contains(&prefix(4)),
        // Discover and UnionPay
        60 => (16..=19).contains(&length) && prefix(4) == 6011,
        62 | 65 => (16..=19).contains(&length),
        64 => (16..=19).contains(&length) && prefix(3) >= 644,
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B: every second digit from the right counts double.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit - b'0') << (index % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number is not a part of something longer: an id, a decimal, a date, a path of ids.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let part = |char: char| char.is_alphanumeric() || char == '_';
    let (before, after) = (&text[..start], &text[end..]);
    let mut back = before.chars().rev();
    let begins = match (back.next(), back.next()) {
        (Some('-' | '.' | '+' | '#' | '$' | '%' | '@'), _) => false,
        (Some(','), Some(next)) => !next.is_ascii_digit(),
        (Some(char), _) => !part(char),
        (None, _) => true,
    };
    let mut forth = after.chars();
    let ends = match (forth.next(), forth.next()) {
        (Some('.' | ',' | ':' | '-' | '/' | '@'), Some(next)) => !part(next),
        (Some(char), _) => !part(char),
        (None, _) => true,
    };
    begins && ends
}

/// Names before a number that is an identifier, a position or a time.
const IDENTIFIERS: [&str; 36] = [
    "task",
    "job",
    "tid",
    "pid",
    "us",
    "ns",
    "ms",
    "dur",
    "duration",
    "count",
    "id",
    "ids",
    "uid",
    "guid",
    "trace",
    "span",
    "block",
    "blk",
    "offset",
    "seq",
    "sequence",
    "xid",
    "zxid",
    "ts",
    "time",
    "timestamp",
    "nanos",
    "size",
    "bytes",
    "hash",
    "nonce",
    "serial",
    "inode",
    "node",
    "address",
    "key",
];

/// Whether the name in front, as in `trace_id=` or `block `, says that a number is no card.
fn is_identifier(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '=', ':', '"', '\'', '\\', '[', '(']);
    let name = before.len()
        - before.bytes().rev().take(32).take_while(|b| b.is_ascii_alphanumeric()).count();
    let word = &before[name..];
    IDENTIFIERS.iter().any(|known| known.eq_ignore_ascii_case(word))
        || word.ends_with("Id")
        || word.ends_with("ID")
}

/// Countries and the lengths of their IBANs, from the registry of ISO 13616.
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 \
DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 \
IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 \
MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 \
SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// Reads the IBAN at `at`, in one run or in groups of four: a country, its length, and the check of
/// ISO 7064, MOD 97-10.
fn iban(bytes: &[u8], at: usize) -> Option<Span> {
    let head = bytes.get(at..at + 4)?;
    if !head[1].is_ascii_uppercase() || !head[2..].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let wanted: usize = IBANS.split(' ').find_map(|entry| {
        let (country, length) = entry.split_at(2);
        (country.as_bytes() == &head[..2]).then(|| length.parse().ok())?
    })?;
    let grouped = bytes.get(at + 4) == Some(&b' ');
    let mut code = Vec::with_capacity(wanted);
    let mut end = at;
    while code.len() < wanted {
        if grouped && !code.is_empty() && code.len().is_multiple_of(4) {
            end += usize::from(bytes.get(end) == Some(&b' '));
        }
        let byte = *bytes.get(end)?;
        if !byte.is_ascii_uppercase() && !byte.is_ascii_digit() {
            return None;
        }
        code.push(byte);
        end += 1;
    }
    let goes_on = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (!goes_on && mod_97(&code) == 1).then(|| Span::new(at..end, Kind::Iban))
}

/// The remainder of the number that the code is with its first four characters last and letters as
/// 10 to 35.
fn mod_97(code: &[u8]) -> u32 {
    let (head, rest) = code.split_at(4);
    rest.iter().chain(head).fold(0, |sum, byte| {
        let value = u32::from(*byte);
        if byte.is_ascii_digit() {
            (sum * 10 + value - u32::from(b'0')) % 97
        } else {
            (sum * 100 + value - u32::from(b'A') + 10) % 97
        }
    })
}
