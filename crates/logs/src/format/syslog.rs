//! Syslog, as RFC 3164 describes it and as RFC 5424 defines it; files lack the priority.

use callboard_protocol::{Level, Timestamp};

use super::{
    level,
    scan::Scan,
    stamp::{self, Clock, StampKind},
};

/// `<34>1 2003-10-11T22:14:15.003Z host app 123 ID47 - message`.
pub(super) fn read_5424(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    let mut scan = Scan::new(line);
    let severity = priority(&mut scan);
    scan.byte(b'1')?;
    scan.byte(b' ')?;
    let at = if scan.word("- ") {
        severity?;
        None
    } else {
        let (at, len) = stamp::read(StampKind::Iso, scan.rest(), clock)?;
        scan = Scan::new(scan.rest().get(len..)?);
        scan.byte(b' ')?;
        Some(at)
    };
    // Host, application, process, message id: each a word or a dash.
    for _ in 0..4 {
        scan.token()?;
        scan.byte(b' ')?;
    }
    let level = severity.unwrap_or_else(|| level::from_text(scan.rest()));
    Some((at, level))
}

/// `<34>Oct 11 22:14:15 host app[123]: message`.
pub(super) fn read_3164(line: &[u8], clock: &Clock) -> Option<(Option<Timestamp>, Level)> {
    let mut scan = Scan::new(line);
    let severity = priority(&mut scan);
    let kind = match scan.peek() {
        Some(byte) if byte.is_ascii_digit() && severity.is_some() => StampKind::Iso,
        _ => StampKind::Bsd,
    };
    let (at, len) = stamp::read(kind, scan.rest(), clock)?;
    let message = &scan.rest()[len..];
    // What the message itself says is finer than the priority of its facility's default.
    let level = match (level::from_text(message), severity) {
        (Level::Unknown, Some(level)) => level,
        (level, _) => level,
    };
    Some((Some(at), level))
}

/// `<34>`: the level of its severity.
fn priority(scan: &mut Scan<'_>) -> Option<Level> {
    let mut ahead = scan.clone();
    ahead.byte(b'<')?;
    let priority = ahead.number(3).filter(|priority| *priority <= 191)?;
    ahead.byte(b'>')?;
    *scan = ahead;
    Some(level::from_severity(priority % 8))
}
