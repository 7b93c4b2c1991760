//! Finds the values of a kind in a line: addresses, users, paths. Called by `ranking`.

use std::{borrow::Cow, net::Ipv6Addr, sync::LazyLock};

use callboard_protocol::{Level, Timestamp};
use regex::Regex;
use time::UtcOffset;

use crate::format::stamp::{self, Clock};

/// What values are found in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) level: Level,
    /// The name of its source.
    pub(crate) source: &'a str,
    pub(crate) at: Option<Timestamp>,
}

/// A kind of value that questions ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Names of sources.
    Source,
    /// Days, in UTC.
    Day,
    /// Hours of the day, in UTC.
    Hour,
    /// IPv4 and IPv6 addresses.
    Ip,
    /// Names of users.
    User,
    /// Names or addresses of other machines.
    Host,
    /// HTTP statuses.
    Status,
    /// Paths of requests and files.
    Path,
    /// Ports.
    Port,
    /// Names of processes, as syslog has them.
    Process,
    /// Names of loggers and classes.
    Component,
    /// HDFS blocks.
    Block,
    /// Levels of lines.
    Level,
    /// What the line says, its numbers and addresses left out.
    Message,
}

impl Kind {
    /// How questions name it, as a regular expression over lower-case text; what it is called.
    const ASKED: [(Self, &'static str, &'static str); 14] = [
        (
            Self::Source,
            r"\b(log )?sources?\b|\blog ?files?\b|\b(what|which|whose|my|all) logs?\b|\blist( \w+)? logs\b",
            "log sources",
        ),
        (Self::Day, r"\b(which|what) (days?|dates?)\b", "days"),
        (Self::Hour, r"\b(which|what) hours?( of day)?\b|\btime of day\b", "hours of the day"),
        (Self::Ip, r"\bips?( address(es)?)?\b|\baddress(es)?\b", "IP addresses"),
        (Self::User, r"\busers?( ?names?)?\b|\baccounts?\b|\bwho\b", "users"),
        (Self::Host, r"\b(remote )?(hosts?|hostnames?|machines?|clients?)\b", "hosts"),
        (Self::Status, r"\b(http )?status( ?codes?|es)?\b|\bresponse codes?\b", "HTTP statuses"),
        (Self::Path, r"\b(paths?|urls?|endpoints?|pages|files)\b", "paths"),
        (Self::Port, r"\bports?\b", "ports"),
        (Self::Process, r"\bprocess(es)?\b|\bprograms?\b|\bservices?\b|\bdaemons?\b", "processes"),
        (
            Self::Component,
            r"\bcomponents?\b|\bclass(es)?\b|\bloggers?\b|\bmodules?\b",
            "components",
        ),
        (Self::Block, r"\bblocks?\b", "blocks"),
        (Self::Level, r"\b(log )?levels?\b|\bseverit(y|ies)\b", "levels"),
        (
            Self::Message,
            r"\b(kinds?|types?|sorts?) of (messages?|errors?|events?|lines?)\b|\bpatterns?\b|\btemplates?\b",
            "messages",
        ),
    ];

    /// What it is called, in the plural.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::ASKED.iter().find(|(kind, ..)| *kind == self);
        found.map_or("values", |(.., name)| name)
    }

    /// The kinds that a question names, and where: no word names two.
    pub(crate) fn asked(question: &str) -> Vec<(Self, std::ops::Range<usize>)> {
        let mut unread = question.to_owned();
        let mut found: Vec<(Self, std::ops::Range<usize>)> = Vec::new();
        for ((kind, ..), pattern) in Self::ASKED.iter().zip(&*ASKED) {
            if let Some(range) = pattern.find(&unread).map(|found| found.range()) {
                unread.replace_range(range.clone(), &" ".repeat(range.len()));
                found.push((*kind, range));
            }
        }
        found.sort_by_key(|(_, range)| range.start);
        found
    }

    /// The different values in a line.
    pub(crate) fn values(self, line: Line<'_>) -> Vec<Cow<'_, str>> {
        let Line { text, level, source, at } = line;
        let stamp = |range: std::ops::Range<usize>| at.map(|at| at.to_string()[range].to_owned());
        let mut values: Vec<Cow<'_, str>> = match self {
            Self::Source => vec![Cow::Borrowed(source)],
            Self::Day => stamp(0..10).into_iter().map(Cow::Owned).collect(),
            Self::Hour => {
                stamp(11..13).into_iter().map(|hour| Cow::Owned(format!("{hour}:00"))).collect()
            }
            Self::Ip => ips(text),
            Self::User => captured(&USER, text),
            Self::Host => captured(&HOST, text),
            Self::Status => captured(&STATUS, text),
            Self::Path => captured(&PATH, text).into_iter().map(without_query).collect(),
            Self::Port => captured(&PORT, text),
            Self::Process => captured(&PROCESS, text),
            Self::Component => captured(&COMPONENT, text),
            Self::Block => captured(&BLOCK, text),
            Self::Level => vec![Cow::Borrowed(level.as_str())],
            Self::Message => vec![Cow::Owned(shape(text))],
        };
        values.retain(|value| !value.is_empty());
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// A constant expression.
#[expect(clippy::expect_used, reason = "all callers pass constants, and a test compiles them all")]
pub(crate) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static ASKED: LazyLock<Vec<Regex>> =
    LazyLock::new(|| Kind::ASKED.iter().map(|(_, asked, _)| pattern(asked)).collect());
static USER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\b(?:failed|accepted|postponed) \S+ for (?:invalid user |illegal user )?(\S*) from|\b(?:invalid|illegal) user (\S+)|\bfor user (\w[\w.@\\-]*)|\buser(?:name)?[=:]\s*"?(\w[\w.@\\-]*)|"user(?:_?name)?"\s*:\s*"([^"]+)"|^\S+ \S+ (\w[\w.@-]*) \[\d\d/"#,
    )
});
static HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\br?host(?:name)?"?[=:]\s*"?(\w[\w.-]*)|\b(?:from|client:|server:|peer) /?((?:[\w-]+\.)+[\w-]+)|^(\S+) \S+ \S+ \[\d\d/|(?:^|\s)/((?:\d{1,3}\.){3}\d{1,3}):\d"#,
    )
});
static STATUS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"" ([1-5]\d\d)(?: |$)|(?i)\bstatus(?:_?code)?["=: ]+([1-5]\d\d)\b"#)
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#""(?:GET|POST|PUT|DELETE|HEAD|PATCH|OPTIONS) ([^\s"]+)|(?:^|[\s"'=(:])(/[A-Za-z_][\w.@%+~/-]*)"#,
    )
});
static PORT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\bport[ =:]+(\d{1,5})\b|\b\d+\.\d+\.\d+\.\d+:(\d{1,5})\b"));
static PROCESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:^|\s)([A-Za-z][\w./-]*)(?:\([^)\s]*\))?\[\d+\]:|^\w{3} [ \d]\d [\d:]{8} \S+ ([a-z][\w./-]*):",
    )
});
static COMPONENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:INFO|WARN|WARNING|ERROR|DEBUG|TRACE|FATAL)\s+([\w.$]+):|:([A-Za-z$][\w$]*)@\d+\]",
    )
});
static BLOCK: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b(blk_-?\d+)"));

/// The first group of each match that took part.
fn captured<'t>(pattern: &Regex, text: &'t str) -> Vec<Cow<'t, str>> {
    pattern
        .captures_iter(text)
        .filter_map(|found| found.iter().skip(1).flatten().next())
        .map(|group| Cow::Borrowed(group.as_str().trim_end_matches(['.', ','])))
        .collect()
}

fn without_query(path: Cow<'_, str>) -> Cow<'_, str> {
    match path.split_once('?') {
        Some((path, _)) => Cow::Owned(path.to_owned()),
        None => path,
    }
}

fn ips(text: &str) -> Vec<Cow<'_, str>> {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    text.split(|c: char| !c.is_ascii() || !is_part(c as u8))
        .map(|word| word.trim_matches(['.', ':']))
        .filter_map(|word| {
            // `10.0.0.1:22` holds an address and a port.
            let address = word.split(':').next().unwrap_or_default();
            let is_v4 = address.len() >= 7 && address.parse::<std::net::Ipv4Addr>().is_ok();
            if is_v4 {
                return Some(Cow::Borrowed(address));
            }
            let colons = memchr::memchr_iter(b':', word.as_bytes()).count();
            (colons >= 3 && word.parse::<Ipv6Addr>().is_ok()).then_some(Cow::Borrowed(word))
        })
        .collect()
}

/// Longest shape that is kept, in characters.
const MAX_SHAPE: usize = 160;

/// What a line says, with its timestamp left out and a star for what varies: numbers, addresses,
/// identifiers with digits.
pub(crate) fn shape(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let message = message_of_json(line);
    let message = message.as_deref().unwrap_or_else(|| without_stamp(line));
    let mut shape = String::new();
    let mut rest = message;
    while let Some(first) = rest.chars().next().filter(|_| shape.len() < MAX_SHAPE) {
        let in_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
        if !in_word(first) {
            shape.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let len = rest.find(|c: char| !in_word(c)).unwrap_or(rest.len());
        let word = &rest[..len];
        let kept = word.trim_end_matches('.');
        if varies(kept) {
            shape.push('*');
            shape.push_str(&word[kept.len()..]);
        } else {
            shape.push_str(word);
        }
        rest = &rest[len..];
    }
    let end = shape.floor_char_boundary(MAX_SHAPE);
    shape.truncate(end);
    shape
}

/// Whether a word is a value rather than a name.
fn varies(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let first = word.trim_start_matches(['-', '/', '.', ':']).bytes().next();
    digits >= 3 || first.is_some_and(|byte| byte.is_ascii_digit())
}

/// The part of a line after its timestamp.
fn without_stamp(line: &str) -> &str {
    let clock = Clock { reference: Timestamp::from_millis(0), zone: UtcOffset::UTC };
    let end = stamp::find(line.as_bytes(), &clock).map_or(0, |(_, _, end)| end);
    let message = line.get(end..).unwrap_or(line);
    message.trim_start_matches([' ', ']', '-', ',', ':', '\t'])
}

/// The message of a JSON line, where loggers put it.
fn message_of_json(line: &str) -> Option<String> {
    if !line.starts_with('{') {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = [value.get("fields"), Some(&value)];
    let keys = ["message", "msg", "short_message", "log"];
    let found = fields
        .into_iter()
        .flatten()
        .find_map(|object| keys.iter().find_map(|key| object.get(key)?.as_str()))?;
    Some(found.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Kind; 14] = [
        Kind::Source,
        Kind::Day,
        Kind::Hour,
        Kind::Ip,
        Kind::User,
        Kind::Host,
        Kind::Status,
        Kind::Path,
        Kind::Port,
        Kind::Process,
        Kind::Component,
        Kind::Block,
        Kind::Level,
        Kind::Message,
    ];

    fn line(text: &str) -> Line<'_> {
        Line { text, level: Level::Info, source: "app.log", at: None }
    }

    #[test]
    fn values_are_found_where_logs_put_them() {
        let sshd = "Jan  2 03:04:05 gate sshd[77]: Failed password for invalid user eve from 192.0.2.7 port 4242 ssh2";
        let access = "192.0.2.9 - bob [10/Oct/2000:13:55:36 -0700] \"GET /cart?id=7 HTTP/1.1\" 503 12 \"-\" \"curl\"";
        for (kind, text, expected) in [
            (Kind::Ip, sshd, vec!["192.0.2.7"]),
            (Kind::User, sshd, vec!["eve"]),
            (Kind::Host, sshd, vec!["192.0.2.7"]),
            (Kind::Port, sshd, vec!["4242"]),
            (Kind::Process, sshd, vec!["sshd"]),
            (Kind::Ip, access, vec!["192.0.2.9"]),
            (Kind::User, access, vec!["bob"]),
            (Kind::Status, access, vec!["503"]),
            (Kind::Path, access, vec!["/cart"]),
            (
                Kind::User,
                "pam: authentication failure; logname= uid=0 ruser= rhost=a.example user=root",
                vec!["root"],
            ),
            (
                Kind::Host,
                "pam: authentication failure; ruser= rhost=a.example user=root",
                vec!["a.example"],
            ),
            (Kind::User, "session opened for user news by (uid=0)", vec!["news"]),
            (Kind::User, "check pass; user unknown", vec![]),
            (
                Kind::Ip,
                "at 12:00:01 from [2001:db8::1] and 10.0.0.1:80, 10.0.0.1.",
                vec!["10.0.0.1", "2001:db8::1"],
            ),
            (Kind::Ip, "version 1.2.3 at 0.0.999.1 12:00:01", vec![]),
            (Kind::Block, "deleting blk_-17 and blk_42", vec!["blk_-17", "blk_42"]),
            (
                Kind::Component,
                "081109 203615 148 INFO dfs.DataNode$PacketResponder: x",
                vec!["dfs.DataNode$PacketResponder"],
            ),
            (Kind::Process, "Jun  9 06:06:20 combo kernel: klogd started", vec!["kernel"]),
        ] {
            assert_eq!(kind.values(line(text)), expected, "{kind:?} in {text}");
        }
    }

    #[test]
    fn questions_name_kinds_in_their_order() {
        let kinds = |question| -> Vec<Kind> {
            Kind::asked(question).into_iter().map(|(kind, _)| kind).collect()
        };
        assert_eq!(kinds("which users and ip addresses failed"), [Kind::User, Kind::Ip]);
        assert_eq!(kinds("what status codes per path"), [Kind::Status, Kind::Path]);
        assert!(kinds("what happened").is_empty());
        assert_eq!(kinds("what logs do you have"), [Kind::Source]);
        assert_eq!(kinds("which log files name most files"), [Kind::Source, Kind::Path]);
    }

    #[test]
    fn a_shape_leaves_out_what_varies() {
        for (text, expected) in [
            (
                "[Sun Dec 04 04:47:44 2005] [error] mod_jk child init 1 -2",
                "[error] mod_jk child init * *",
            ),
            (
                "Jan  2 03:04:05 gate sshd[77]: Failed password for root from 192.0.2.7 port 4242 ssh2",
                "gate sshd[*]: Failed password for root from * port * ssh2",
            ),
            (
                "081109 203615 148 INFO dfs.DataNode: got blk_-17123 of 10.0.0.1:50010.",
                "* INFO dfs.DataNode: got * of *:*.",
            ),
            (
                "{\"time\":\"2026-11-21T03:14:15Z\",\"fields\":{\"message\":\"took 17 ms\"}}",
                "took * ms",
            ),
        ] {
            assert_eq!(shape(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_line_can_be_read(text in "\\PC{0,300}") {
            for kind in ALL {
                for value in kind.values(line(&text)) {
                    prop_assert!(!value.is_empty());
                }
            }
        }
    }
}
