//! Values of several pieces: amounts with their unit, dates, lists.

use super::pieces::{Kind, Piece};

/// The longest date behind its month: day, time, zone, year.
const MAX_DATE_TOKENS: usize = 5;

/// So many values, one after the other, are a list.
const MIN_LIST: usize = 3;

/// `6.3 KB` is one value.
pub(super) fn units(pieces: &mut Vec<Piece<'_>>) {
    let mut at = 0;
    while at + 2 < pieces.len() {
        if pieces[at].is_value() && is_space(pieces, at + 1) && is_unit(pieces[at + 2].text) {
            pieces.drain(at + 1..at + 3);
        }
        at += 1;
    }
}

/// `Sat Jun 18 02:08:12 2005` is one value, and so is `Jun 18 02:08:12`.
pub(super) fn dates(pieces: &mut Vec<Piece<'_>>) {
    let mut at = 0;
    while at < pieces.len() {
        if is_month(pieces[at].text)
            && let Some(end) = date_end(pieces, at)
        {
            let has_day = at >= 2 && is_space(pieces, at - 1) && is_day(pieces[at - 2].text);
            let start = if has_day { at - 2 } else { at };
            pieces[start].kind = Kind::Value;
            pieces.drain(start + 1..=end);
            at = start;
        }
        at += 1;
    }
}

/// The last piece of the date whose month stands at `month`; a date has a day and a time, or a year.
fn date_end(pieces: &[Piece<'_>], month: usize) -> Option<usize> {
    let mut end = month;
    for nth in 0..MAX_DATE_TOKENS {
        let Some(next) = pieces.get(end + 2).filter(|_| is_space(pieces, end + 1)) else { break };
        // The zone stands between the time and the year.
        if next.is_value() || (nth == 2 && is_zone(next.text)) {
            end += 2;
        } else {
            break;
        }
    }
    (end >= month + 4).then_some(end)
}

/// Three values or more, with spaces or commas between them, are one value: the list may be longer
/// the next time.
pub(super) fn lists(pieces: &mut Vec<Piece<'_>>) {
    let mut at = 0;
    while at < pieces.len() {
        let (mut end, mut values) = (at, 1);
        while pieces[at].is_value()
            && let Some(next) = next_in_list(pieces, end)
        {
            (end, values) = (next, values + 1);
        }
        if values >= MIN_LIST {
            pieces.drain(at + 1..=end);
        }
        at += 1;
    }
}

fn next_in_list(pieces: &[Piece<'_>], at: usize) -> Option<usize> {
    let comma = usize::from(pieces.get(at + 1)?.text == ",");
    let space = usize::from(is_space(pieces, at + 1 + comma));
    let next = at + 1 + comma + space;
    (comma + space > 0 && pieces.get(next)?.is_value()).then_some(next)
}

fn is_space(pieces: &[Piece<'_>], at: usize) -> bool {
    pieces.get(at).is_some_and(|piece| piece.text == " ")
}

fn is_unit(text: &str) -> bool {
    let units = ["B", "KB", "MB", "GB", "TB", "kB", "KiB", "MiB", "GiB", "TiB"];
    units.contains(&text)
}

fn is_month(text: &str) -> bool {
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    months.contains(&text)
}

fn is_day(text: &str) -> bool {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&text)
}

fn is_zone(text: &str) -> bool {
    (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}
