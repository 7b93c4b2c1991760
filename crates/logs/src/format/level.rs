//! Levels as logs write them. Called by the layouts of `format` and by `query`.

use callboard_protocol::Level;

/// The level that a word names, in any case.
pub(crate) fn from_word(word: &[u8]) -> Option<Level> {
    const NAMES: [(&[u8], Level); 25] = [
        (b"info", Level::Info),
        (b"error", Level::Error),
        (b"warn", Level::Warn),
        (b"debug", Level::Debug),
        (b"warning", Level::Warn),
        (b"notice", Level::Notice),
        (b"err", Level::Error),
        (b"fatal", Level::Fatal),
        (b"trace", Level::Trace),
        (b"critical", Level::Fatal),
        (b"crit", Level::Fatal),
        (b"alert", Level::Fatal),
        (b"emerg", Level::Fatal),
        (b"emergency", Level::Fatal),
        (b"panic", Level::Fatal),
        (b"dpanic", Level::Fatal),
        (b"severe", Level::Error),
        (b"information", Level::Info),
        (b"informational", Level::Info),
        (b"verbose", Level::Debug),
        (b"fine", Level::Debug),
        (b"finer", Level::Trace),
        (b"finest", Level::Trace),
        (b"log", Level::Info),
        (b"config", Level::Debug),
    ];
    if !(3..=13).contains(&word.len()) {
        return None;
    }
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// The level of a syslog severity, 0 to 7.
pub(crate) fn from_severity(severity: u32) -> Level {
    match severity {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warn,
        5 => Level::Notice,
        6 => Level::Info,
        7 => Level::Debug,
        _ => Level::Unknown,
    }
}

/// The level of a number in a structured line: bunyan and pino count 10, 20 … 60, GELF has the
/// severities of syslog.
pub(crate) fn from_number(number: u64) -> Level {
    match number {
        0..=7 => from_severity(u32::try_from(number).unwrap_or(u32::MAX)),
        10..20 => Level::Trace,
        20..30 => Level::Debug,
        30..40 => Level::Info,
        40..50 => Level::Warn,
        50..60 => Level::Error,
        60..=100 => Level::Fatal,
        _ => Level::Unknown,
    }
}

/// The level of an HTTP status.
pub(crate) fn from_status(status: u32) -> Level {
    match status {
        100..=399 => Level::Info,
        400..=499 => Level::Warn,
        500..=599 => Level::Error,
        _ => Level::Unknown,
    }
}

/// The level that the text after a timestamp names: in capitals, in brackets, or before a colon
/// among its first words. Ordinary words (`an error occurred`) do not count.
pub(crate) fn from_text(text: &[u8]) -> Level {
    const WORDS: usize = 12;
    const WITHIN: usize = 192;
    let head = &text[..text.len().min(WITHIN)];
    let mut at = 0;
    for _ in 0..WORDS {
        while head.get(at).is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            at += 1;
        }
        let start = at;
        while head.get(at).is_some_and(u8::is_ascii_alphanumeric) {
            at += 1;
        }
        let word = &head[start..at];
        if word.is_empty() {
            break;
        }
        let before = start.checked_sub(1).map(|index| head[index]);
        let after = head.get(at).copied();
        if let Some(level) = from_word(word).filter(|_| names_a_level(word, before, after)) {
            return level;
        }
    }
    Level::Unknown
}

/// Whether a word that is the name of a level stands there as a level.
fn names_a_level(word: &[u8], before: Option<u8>, after: Option<u8>) -> bool {
    let bracketed = matches!((before, after), (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>')))
        || (after == Some(b']') && before == Some(b':'))
        || (before == Some(b'=') || (before == Some(b'"') && after == Some(b'"')));
    // `error:` at the start of a message, and not `foo.error:` or `some/error:`.
    let colon = after == Some(b':') && matches!(before, None | Some(b' ' | b'[' | b'\t'));
    let apart = |byte: Option<u8>| !matches!(byte, Some(b'_' | b'-' | b'.' | b'/'));
    let capitals = word.iter().all(u8::is_ascii_uppercase) && apart(before) && apart(after);
    let ordinary = [b"log".as_slice(), b"config", b"fine"];
    let is_ordinary = ordinary.iter().any(|known| known.eq_ignore_ascii_case(word));
    bracketed || (!is_ordinary && (colon || capitals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_where_logs_put_them() {
        for (text, level) in [
            (" INFO dfs.DataNode$PacketResponder: terminating", Level::Info),
            ("148 WARN dfs.FSDataset: Unexpected error", Level::Warn),
            (" - ERROR [main:QuorumPeer] - Unexpected", Level::Error),
            ("] [notice] workerEnv.init() ok", Level::Notice),
            ("[core:error] [pid 1] AH00126", Level::Error),
            ("LabSZ sshd[24200]: error: Received disconnect", Level::Error),
            ("LabSZ sshd[24200]: fatal: Write failed", Level::Fatal),
            ("ERROR:root:message", Level::Error),
            ("host app: level=warning msg=x", Level::Warn),
            ("ip-10-0-0-1 kernel: an error occurred", Level::Unknown),
            ("host CRON[123]: (root) CMD (error-report)", Level::Unknown),
            ("sshd: no error here", Level::Unknown),
            ("", Level::Unknown),
        ] {
            assert_eq!(from_text(text.as_bytes()), level, "{text}");
        }
    }

    #[test]
    fn numbers_and_statuses_have_levels() {
        assert_eq!(from_number(50), Level::Error);
        assert_eq!(from_number(3), Level::Error);
        assert_eq!(from_number(8), Level::Unknown);
        assert_eq!(from_status(503), Level::Error);
        assert_eq!(from_status(404), Level::Warn);
        assert_eq!(from_status(200), Level::Info);
        assert_eq!(from_status(42), Level::Unknown);
    }
}
