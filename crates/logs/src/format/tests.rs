//! Layouts are found in samples, and heads are read from their lines.

use callboard_protocol::Level;
use proptest::prelude::*;
use time::UtcOffset;

use super::*;

fn clock() -> Clock {
    Clock { reference: "2026-11-21T03:00:00Z".parse().unwrap(), zone: UtcOffset::UTC }
}

fn detect(lines: &[&str]) -> Layout {
    Layout::detect(lines.iter().map(|line| line.as_bytes()), &clock())
}

/// The name of the layout of one line, and what it says.
fn read(line: &str) -> (&'static str, String, Level) {
    let layout = detect(&[line]);
    let head = layout.head(line.as_bytes(), &clock());
    assert!(head.starts_record);
    (layout.name(), head.timestamp.map(|at| at.to_string()).unwrap_or_default(), head.level)
}

#[test]
fn json_lines_of_many_loggers_are_read() {
    let at = "2026-11-21T03:14:15.926Z".to_owned();
    for (line, level) in [
        (
            r#"{"name":"app","level":50,"time":"2026-11-21T03:14:15.926Z","msg":"x","v":0}"#,
            Level::Error,
        ),
        (r#"{"level":30,"time":1795230855926,"pid":7,"msg":"pino"}"#, Level::Info),
        (r#"{"level":"warn","ts":1795230855.926,"caller":"a.go:7","msg":"zap"}"#, Level::Warn),
        (r#"{"level":"warning","msg":"logrus","time":"2026-11-21T03:14:15.926Z"}"#, Level::Warn),
        (
            r#"{"@timestamp":"2026-11-21T03:14:15.926Z","log.level":"ERROR","message":"ecs"}"#,
            Level::Error,
        ),
        (
            r#"{"@timestamp":"2026-11-21T03:14:15.926Z","log":{"level":"fatal"},"message":"ecs"}"#,
            Level::Fatal,
        ),
        (
            r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"INFO","fields":{"message":"our own"},"target":"x"}"#,
            Level::Info,
        ),
        (
            r#"{"version":"1.1","short_message":"gelf","timestamp":1795230855.926,"level":3}"#,
            Level::Error,
        ),
        (
            r#"{"log":"WARN: from docker\n","stream":"stderr","time":"2026-11-21T03:14:15.926Z"}"#,
            Level::Warn,
        ),
    ] {
        assert_eq!(read(line), ("json lines", at.clone(), level), "{line}");
    }
}

#[test]
fn a_json_line_that_was_cut_keeps_its_timestamp() {
    let line = r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"ERROR","message":"very lo"#;
    assert_eq!(read(line), ("json lines", "2026-11-21T03:14:15.926Z".into(), Level::Error));
}

/// A line, the name of its format, its timestamp and its level.
type Example = (&'static str, &'static str, &'static str, Level);

const EXAMPLES: [Example; 15] = [
    (
        "time=2026-11-21T03:14:15Z level=error msg=\"no \\\" way\" port=1",
        "logfmt",
        "2026-11-21T03:14:15.000Z",
        Level::Error,
    ),
    (
        "<165>1 2003-10-11T22:14:15.003Z host app - ID47 - message",
        "syslog (RFC 5424)",
        "2003-10-11T22:14:15.003Z",
        Level::Notice,
    ),
    (
        "1 2003-10-11T22:14:15.003Z host app 1 - - ERROR: no",
        "syslog (RFC 5424)",
        "2003-10-11T22:14:15.003Z",
        Level::Error,
    ),
    (
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
        "syslog",
        "2026-10-11T22:14:15.000Z",
        Level::Fatal,
    ),
    (
        "Jun  9 06:06:01 combo sshd[7]: error: no",
        "syslog",
        "2026-06-09T06:06:01.000Z",
        Level::Error,
    ),
    (
        "10.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] \"GET /a\\\"b HTTP/1.0\" 503 2326",
        "web server access log",
        "2000-10-10T20:55:36.000Z",
        Level::Error,
    ),
    (
        "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 404 0 \"-\" \"curl/8\"",
        "web server access log",
        "2000-10-10T20:55:36.000Z",
        Level::Warn,
    ),
    (
        "[Sun Dec 04 04:47:44 2005] [error] child in error state 6",
        "apache error log",
        "2005-12-04T04:47:44.000Z",
        Level::Error,
    ),
    (
        "[Fri Sep 09 10:42:29.902022 2011] [core:warn] [pid 35708] x",
        "apache error log",
        "2011-09-09T10:42:29.902Z",
        Level::Warn,
    ),
    (
        "2026/11/21 03:14:15 [crit] 7#7: *1 connect() failed",
        "nginx error log",
        "2026-11-21T03:14:15.000Z",
        Level::Fatal,
    ),
    (
        "2015-07-29 17:41:44,747 - WARN  [main:Q@774] - late",
        "text with timestamps",
        "2015-07-29T17:41:44.747Z",
        Level::Warn,
    ),
    (
        "17/06/09 20:10:40 INFO executor.Backend: ok",
        "text with timestamps",
        "2017-06-09T20:10:40.000Z",
        Level::Info,
    ),
    (
        "081109 203615 148 INFO dfs.DataNode: ok",
        "text with timestamps",
        "2008-11-09T20:36:15.000Z",
        Level::Info,
    ),
    (
        "ERROR 2026-11-21 03:14:15 it broke",
        "text with timestamps",
        "2026-11-21T03:14:15.000Z",
        Level::Error,
    ),
    ("no time, but error: it broke", "text", "", Level::Error),
];

#[test]
fn the_other_formats_are_read() {
    for (line, name, at, level) in EXAMPLES {
        assert_eq!(read(line), (name, at.to_owned(), level), "{line}");
    }
}

#[test]
fn the_layout_is_that_of_most_lines() {
    let layout = detect(&[
        "starting up",
        "2026-11-21 03:14:15 INFO one",
        "java.lang.IllegalStateException: no",
        "\tat a.b.C(D.java:7)",
        "2026-11-21 03:14:16 INFO two",
    ]);
    assert_eq!((layout.name(), layout.joins), ("text with timestamps", true));
    let head = layout.head(b"java.lang.IllegalStateException: no", &clock());
    assert_eq!((head.timestamp, head.starts_record), (None, false));
}

#[test]
fn few_timestamps_do_not_make_the_other_lines_continuations() {
    let layout = detect(&["a", "b", "c", "2026-11-21 03:14:15 INFO one"]);
    assert!(!layout.joins);
    assert!(layout.head(b"d", &clock()).starts_record);
}

proptest! {
    #[test]
    fn no_bytes_make_a_layout_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let layout = Layout::detect(std::iter::once(&bytes[..]), &clock());
        layout.head(&bytes, &clock());
        level::from_text(&bytes);
    }

    #[test]
    fn nor_do_mangled_lines(prefix in 0_usize..9, cut in 0_usize..80, junk in "[ -~]{0,20}") {
        let lines = [
            "{\"time\":\"2026-11-21T03:14:15Z\",\"level\":30,\"log\":{\"level\":\"x\"}}",
            "time=2026-11-21T03:14:15Z level=error msg=\"no \\\" way\" port=1",
            "<165>1 2003-10-11T22:14:15.003Z host app - ID47 - message",
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            "10.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 503 2326",
            "[Sun Dec 04 04:47:44 2005] [error] child in error state 6",
            "2026/11/21 03:14:15 [crit] 7#7: *1 connect() failed",
            "17/06/09 20:10:40 INFO executor.Backend: ok",
            "1763694855.926 something",
        ];
        let line = lines[prefix];
        let line = format!("{}{junk}", &line[..cut.min(line.len())]);
        let layout = Layout::detect(std::iter::once(line.as_bytes()), &clock());
        layout.head(line.as_bytes(), &clock());
    }
}
