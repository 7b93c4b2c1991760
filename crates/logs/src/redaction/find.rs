//! Looks through a text once per kind of anchor and hands each anchor to the file that knows what
//! may stand there.
//!
//! Clean text costs four fast passes and no allocation: one automaton for all prefixes and names;
//! `@` and `+`; long runs of digits and capitals; long runs of base64url.

use std::{ops::Range, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memchr2_iter;

use super::{armour, headers, keys, numbers, pairs, personal, placeholder::Kind, urls};

/// What to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
}

impl Span {
    pub(crate) const fn new(range: Range<usize>, kind: Kind) -> Self {
        Self { range, kind }
    }
}

/// What an anchor may begin.
#[derive(Clone, Copy)]
enum Anchor {
    Key(&'static keys::Vendor),
    Jwt,
    Armour,
    Url,
    /// The token of an `Authorization` header, wherever it stands.
    Scheme,
    /// A part of a name whose value may be a secret.
    Name,
}

struct Anchors {
    automaton: AhoCorasick,
    by_pattern: Vec<Anchor>,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(anchors);

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
fn anchors() -> Anchors {
    let fixed = [
        (keys::JWT_START, Anchor::Jwt),
        (armour::START, Anchor::Armour),
        (urls::START, Anchor::Url),
        ("bearer ", Anchor::Scheme),
        ("basic ", Anchor::Scheme),
    ];
    let names = pairs::STEMS.iter().map(|stem| (*stem, Anchor::Name));
    let vendors = keys::VENDORS.iter().map(|vendor| (vendor.prefix, Anchor::Key(vendor)));
    let (patterns, by_pattern): (Vec<_>, Vec<_>) = vendors.chain(fixed).chain(names).unzip();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .build(patterns)
        .expect("constant patterns");
    Anchors { automaton, by_pattern }
}

/// All that is to be replaced in `text`, in order, without overlaps.
pub(crate) fn find(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    anchored(text, &mut found);
    for at in memchr2_iter(b'@', b'+', text.as_bytes()) {
        found.extend(if text.as_bytes()[at] == b'@' {
            personal::email(text, at)
        } else {
            personal::phone(text, at)
        });
    }
    numbers::find(text, &mut found);
    keys::refresh_tokens(text, &mut found);
    merge(found)
}

fn anchored(text: &str, found: &mut Vec<Span>) {
    // Until where names and their values were read.
    let mut read = 0;
    // Until where the last span goes: what begins within it is a part of it.
    let mut taken = 0;
    for hit in ANCHORS.automaton.find_iter(text) {
        let range = hit.range();
        if range.start < taken {
            continue;
        }
        match ANCHORS.by_pattern[hit.pattern().as_usize()] {
            Anchor::Key(vendor) => found.extend(keys::key(text, range.start, vendor)),
            Anchor::Jwt => found.extend(keys::jwt(text, range.start)),
            Anchor::Armour => found.extend(armour::private_key(text, range.start)),
            Anchor::Url => found.extend(urls::password(text, range)),
            Anchor::Scheme => found.extend(headers::scheme(text, range)),
            Anchor::Name if range.start >= read => read = pairs::read(text, range, found),
            Anchor::Name => {}
        }
        taken = found.last().map_or(0, |span| span.range.end);
    }
}

/// Orders spans and joins those that overlap; the kind is that of the longest.
pub(crate) fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    if spans.len() < 2 {
        return spans;
    }
    spans.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let mut merged: Vec<(Span, usize)> = Vec::with_capacity(spans.len());
    for span in spans {
        let length = span.range.len();
        match merged.last_mut() {
            Some((last, longest)) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
                // Of two that are the same, the form of a value says more than its name.
                if length > *longest
                    || (length == *longest && matches!(span.kind, Kind::Key | Kind::Jwt))
                {
                    (last.kind, *longest) = (span.kind, length);
                }
            }
            _ => merged.push((span, length)),
        }
    }
    merged.into_iter().map(|(span, _)| span).collect()
}

/// The runs of bytes in `class` that are at least `least` long. Looks at every `least`-th byte
/// first, so text without such runs costs little.
pub(crate) fn long_runs(
    bytes: &[u8],
    least: usize,
    class: impl Fn(u8) -> bool,
) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        while let Some(probe) = at.checked_add(least - 1).filter(|probe| *probe < bytes.len()) {
            let back = bytes[at..=probe].iter().rev().take_while(|byte| class(**byte)).count();
            if back < least {
                // The byte before the run is none, so nothing long begins up to it.
                at = probe + 1 - back;
                if back == 0 {
                    at = probe + 1;
                }
                continue;
            }
            let more = bytes[probe + 1..].iter().take_while(|byte| class(**byte)).count();
            let run = at..probe + 1 + more;
            at = run.end + 1;
            return Some(run);
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_all_and_whole() {
        let runs = |text: &str| -> Vec<(usize, usize)> {
            let runs = long_runs(text.as_bytes(), 4, |byte| byte.is_ascii_digit());
            runs.map(|run| (run.start, run.end)).collect()
        };
        assert!(runs("").is_empty());
        assert!(runs("123").is_empty());
        assert_eq!(runs("1234"), [(0, 4)]);
        assert_eq!(runs("a123456"), [(1, 7)]);
        assert_eq!(runs("12 1234 123 12345"), [(3, 7), (12, 17)]);
        assert_eq!(runs("aaaaaaa1234a1234"), [(7, 11), (12, 16)]);
    }

    #[test]
    fn overlaps_are_joined() {
        let span = |range, kind| Span::new(range, kind);
        let merged = merge(vec![
            span(5..9, Kind::Secret),
            span(5..9, Kind::Key),
            span(0..3, Kind::Email),
            span(2..4, Kind::Phone),
        ]);
        assert_eq!(merged, [span(0..4, Kind::Email), span(5..9, Kind::Key)]);
    }
}
