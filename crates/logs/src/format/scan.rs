//! A cursor over bytes, for the readers of timestamps and headers. Nothing here panics: what does
//! not fit is `None`, and the caller drops the cursor.

use time::Month;

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const WEEKDAYS: [&[u8; 3]; 7] = [b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun"];

/// The bytes, and how far they are read.
#[derive(Clone)]
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    pub(crate) fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// Takes one `byte` if it is there.
    pub(crate) fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }

    /// One space or more.
    pub(crate) fn spaces(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Takes `word` if it is there.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let there = self.rest().starts_with(word.as_bytes());
        if there {
            self.at += word.len();
        }
        there
    }

    /// Everything up to a space or the end, at least one byte.
    pub(crate) fn token(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let len = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        self.at += len;
        (len > 0).then(|| &rest[..len])
    }

    /// A number of exactly `count` digits, at most nine.
    pub(crate) fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + count)?;
        let number = digits.iter().try_fold(0_u32, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        })?;
        self.at += count;
        Some(number)
    }

    /// A number of one to `most` digits, at most nine.
    pub(crate) fn number(&mut self, most: usize) -> Option<u32> {
        let digits = self.rest().iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 { None } else { self.digits(digits) }
    }

    /// A number, and of how many digits it is.
    pub(crate) fn long_number(&mut self) -> Option<(i64, usize)> {
        let digits = self.rest().iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.rest()[..digits]).ok()?;
        let number = text.parse().ok()?;
        self.at += digits;
        Some((number, digits))
    }

    /// A fraction of a second after one of `marks`, in nanoseconds; zero if there is none.
    pub(crate) fn fraction(&mut self, marks: &[u8]) -> u32 {
        let mut ahead = self.clone();
        if ahead.one_of(marks).is_none() {
            return 0;
        }
        let digits = ahead.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return 0;
        }
        let nanos = ahead.rest()[..digits]
            .iter()
            .chain(std::iter::repeat(&b'0'))
            .take(9)
            .fold(0, |nanos, byte| nanos * 10 + u32::from(byte - b'0'));
        ahead.at += digits;
        *self = ahead;
        nanos
    }

    /// `Jan` to `Dec`.
    pub(crate) fn month(&mut self) -> Option<Month> {
        let index = self.name(&MONTHS)?;
        Month::try_from(u8::try_from(index + 1).ok()?).ok()
    }

    /// `Mon` to `Sun`.
    pub(crate) fn weekday(&mut self) -> Option<()> {
        self.name(&WEEKDAYS).map(|_| ())
    }

    fn name(&mut self, names: &[&[u8; 3]]) -> Option<usize> {
        let name = self.bytes.get(self.at..self.at + 3)?;
        let index = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        self.at += 3;
        Some(index)
    }
}
