//! What a program said: a line without its time, its host, and the wrapping of its logger.
//!
//! Read from the line alone, whatever its source. What is no message is left in it rather than
//! taken out too much: the miner sees by itself what varies.

use callboard_protocol::Timestamp;
use time::UtcOffset;

use super::{
    end_of_quoted,
    scan::Scan,
    stamp::{self, Clock, StampKind},
};

/// Where loggers put the message of a JSON line, with the quotes around it.
const JSON_KEYS: [&str; 4] = [r#""message":"#, r#""msg":"#, r#""short_message":"#, r#""log":"#];

/// As far as the message of a JSON line or of pairs is looked for.
const WITHIN: usize = 8 * 1024;

/// The message in the first line of a record; all of the line when nothing else is known of it.
pub(crate) fn message(record: &str) -> &str {
    let line = record.lines().next().unwrap_or_default();
    let head = &line[..line.floor_char_boundary(WITHIN)];
    let found = if head.starts_with('{') {
        in_json(head)
    } else if let Some(at) = memchr::memmem::find(head.as_bytes(), br#" msg=""#) {
        quoted(head, at + r#" msg=""#.len())
    } else {
        None
    };
    found.filter(|message| !message.trim().is_empty()).unwrap_or_else(|| after_head(line))
}

fn in_json(head: &str) -> Option<&str> {
    JSON_KEYS.iter().find_map(|key| {
        let mut places = memchr::memmem::find_iter(head.as_bytes(), key);
        places.find_map(|at| {
            let after = at + key.len();
            let space = head.get(after..)?.bytes().take_while(u8::is_ascii_whitespace).count();
            let open = after + space;
            (head.as_bytes().get(open) == Some(&b'"')).then(|| quoted(head, open + 1)).flatten()
        })
    })
}

/// Up to the quote that ends it; to the end, when the line was cut.
fn quoted(text: &str, from: usize) -> Option<&str> {
    let rest = text.get(from..)?;
    let end = end_of_quoted(rest.as_bytes()).unwrap_or(rest.len());
    rest.get(..end)
}

/// Behind the timestamp, and behind the host of syslog.
fn after_head(line: &str) -> &str {
    let clock = Clock { reference: Timestamp::from_millis(0), zone: UtcOffset::UTC };
    let behind = behind_priority(line);
    let body = behind.unwrap_or(line);
    let Some((kind, word, end)) = stamp::find(body.as_bytes(), &clock) else { return line };
    let rest = body.get(end..).unwrap_or(body);
    let is_syslog = behind.is_some() || (word == 0 && kind == StampKind::Bsd);
    let rest = if is_syslog { behind_host(rest) } else { rest };
    // `[2026-11-21 03:14:15] - message`; a bracket that opens belongs to the message.
    rest.trim_start_matches([' ', '\t', ']', ')', '-', ',', ':', '|'])
}

/// Behind `<34>`.
fn behind_priority(line: &str) -> Option<&str> {
    let mut scan = Scan::new(line.as_bytes());
    scan.byte(b'<')?;
    scan.number(3)?;
    scan.byte(b'>')?;
    line.get(scan.at()..)
}

/// `host app[123]: message`, or `host app 123 ID47 - message` (RFC 5424), without the host.
fn behind_host(rest: &str) -> &str {
    let mut scan = Scan::new(rest.as_bytes());
    if scan.byte(b' ').is_none() || scan.token().is_none() {
        return rest;
    }
    rest.get(scan.at()..).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::message;

    #[test]
    fn the_message_stands_behind_time_host_and_wrapping() {
        let cases = [
            ("Jun 14 15:16:01 combo sshd[19939]: auth failure", "sshd[19939]: auth failure"),
            ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "su: 'su root' failed"),
            ("2026-11-21 03:14:15,926 INFO db.Pool - connected", "INFO db.Pool - connected"),
            ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child", "[error] mod_jk child"),
            ("081109 203615 148 INFO dfs.DataNode: done", "148 INFO dfs.DataNode: done"),
            (r#"{"time":"2026-11-21T03:14:15Z","msg":"took 3 \"s\"","n":1}"#, r#"took 3 \"s\""#),
            (r#"{"level":"info", "message": "started"}"#, "started"),
            (r#"{"msg":"cut in mid"#, "cut in mid"),
            (r#"{"msg":5}"#, r#"{"msg":5}"#),
            (r#"ts=1763694855.926 level=warn msg="slow query" ms=51"#, "slow query"),
            ("no head at all", "no head at all"),
            ("first\n2026-11-21 03:14:15 second", "first"),
            ("", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(message(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_one(text in r#"[ -~äöü\n"\\{}]{0,200}"#) {
            prop_assert!(text.contains(message(&text)));
        }
    }
}
