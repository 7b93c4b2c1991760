//! Logs that come in by the command line: what is indexed, what is skipped, and that nothing is
//! indexed twice.

use std::{collections::BTreeMap, io::Write as _, path::Path, process::Output};

use callboard_protocol::{Answer, LogLine, LogPage, LogStats};

use crate::{
    harness::{Client, Database, Launch, on_both_databases},
    ssh_log::{self, QUESTION, SshLog, with_query},
};

on_both_databases! { figures_and_citations_are_those_of_the_file }

/// What a command wrote on standard output.
fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command complained of.
fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Compares an answer with the log: the figures, and each cited line with its neighbours.
async fn check_answer(client: &Client, answer: &Answer, log: &SshLog) {
    let (worst, failures) = log.worst();
    let text = &answer.response;
    let matched = format!("**{} lines match**, of {} searched", log.failed(), log.lines.len());
    assert!(text.contains(&matched), "{matched}\n{text}");
    let winner = format!("**`{worst}`** occurs most often: in {} lines", failures.count);
    assert!(text.contains(&winner), "{winner}\n{text}");
    for (address, failures) in &log.failures {
        let row = format!("| `{address}` | {} |", failures.count);
        let row = text.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("no row {address} {failures:?}\n{text}"));
        let mut cited = row.split('[').skip(1).map(|rest| rest.split(']').next().unwrap());
        for index in [failures.first, failures.last] {
            let context = ssh_log::line(client, cited.next().unwrap()).await;
            assert_eq!(context.line.text, log.lines[index], "{row}");
        }
    }
    assert!(!answer.citations.is_empty());
    for citation in &answer.citations {
        let context = ssh_log::line(client, citation.line_id).await;
        let index = log.lines.iter().position(|line| *line == context.line.text).unwrap();
        assert!(log.lines[index].starts_with(&citation.excerpt));
        assert_eq!(context.line.timestamp, citation.timestamp);
        let neighbours =
            |lines: &[LogLine]| lines.iter().map(|l| l.text.clone()).collect::<Vec<_>>();
        let before = index.checked_sub(1).map(|before| log.lines[before].clone());
        assert_eq!(neighbours(&context.before), Vec::from_iter(before));
        let after = log.lines.get(index + 1).cloned();
        assert_eq!(neighbours(&context.after), Vec::from_iter(after));
    }
}

async fn figures_and_citations_are_those_of_the_file(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let (log, grown) = (SshLog::of(600), SshLog::of(650));
    let path = server.write("auth.log", log.text());
    assert!(server.ingest(&path).await.contains(": 600 lines, syslog\n"));
    let stats: LogStats = ada.get("/logs/stats").await;
    assert_eq!((stats.lines, stats.sources.len(), stats.sources[0].lines), (600, 1, 600));
    assert_eq!(stats.levels.iter().map(|level| level.count).sum::<u64>(), 600);

    let output = server.run(&["ask", "--json", QUESTION], "").await;
    assert!(output.status.success(), "{}", complaint(&output));
    let answer: Answer = serde_json::from_slice(&output.stdout).unwrap();
    check_answer(&ada, &answer, &log).await;

    assert!(server.ingest(&path).await.contains(": 0 lines, "), "indexed twice");
    assert_eq!(ada.get::<LogStats>("/logs/stats").await, stats);
    server.write("auth.log", grown.text());
    assert!(server.ingest(&path).await.contains(": 50 lines, syslog\n"));
    let output = server.run(&["ask", "--json", QUESTION], "").await;
    check_answer(&ada, &serde_json::from_slice(&output.stdout).unwrap(), &grown).await;

    // The ids in the first answer outlive the server.
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    for citation in &answer.citations {
        let context = ssh_log::line(&ada, citation.line_id).await;
        assert!(context.line.text.starts_with(&citation.excerpt));
    }
    assert!(server.ingest(&path).await.contains(": 0 lines, "));
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 650);
}

const TRACE: &str = "\
2026-11-20 03:00:00 INFO started
2026-11-20 03:00:01 ERROR request failed
java.lang.IllegalStateException: pool is empty
\tat org.example.Pool.take(Pool.java:42)
\tat org.example.Server.serve(Server.java:7)
Caused by: java.net.ConnectException: refused
\t... 3 more
2026-11-20 03:00:02 INFO next
";

/// Files that a folder of logs may hold, and the end of the line that `ingest` prints of each.
fn odd_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut noise = 7_u32;
    let mut byte = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let binary: Vec<u8> = (0..4096).map(|_| byte()).collect();
    let long = format!("{}\nshort after it\n", "long ".repeat(200_000));
    vec![
        ("binary", binary, ": skipped: the file is not text"),
        ("crlf.log", b"first of two\r\n\r\nsecond of two\r\n".to_vec(), ": 2 lines, text"),
        ("deep/er/nested.log", b"far below\n".to_vec(), ": 1 lines, text"),
        ("empty.log", Vec::new(), ": 0 lines, no format"),
        (
            "latin1.log",
            b"the caf\xe9 closed\nthe bar did not\n".to_vec(),
            ": 2 lines, text (1 lines with invalid UTF-8)",
        ),
        ("long.log", long.into_bytes(), ": 2 lines, text (1 lines cut at the longest allowed)"),
        ("no-end.log", b"a last line without an end".to_vec(), ": 1 lines, text"),
        ("nul.log", b"a\0b is one line\nplain is two\n".to_vec(), ": 2 lines, text"),
        ("trace.log", TRACE.into(), ": 3 lines, "),
    ]
}

/// The texts of each source, by the end of its name, in the order of the source.
async fn texts(client: &Client, folder: &Path) -> BTreeMap<String, Vec<LogLine>> {
    let stats: LogStats = client.get("/logs/stats").await;
    let mut texts = BTreeMap::new();
    for source in stats.sources {
        let mut lines = ssh_log::lines_of(client, source.id, None).await.lines;
        assert_eq!(lines.len() as u64, source.lines);
        lines.sort_by_key(|line| line.id);
        let name = Path::new(&source.name).strip_prefix(folder).unwrap();
        texts.insert(name.to_str().unwrap().to_owned(), lines);
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_indexed_whatever_is_in_it() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let folder = server.folder().join("logs");
    for (name, content, _) in odd_files() {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let printed = server.ingest(&folder).await;
    assert!(printed.ends_with("1 of 9 files was skipped: binary\n"), "{printed}");
    for (name, _, end) in odd_files() {
        let line = printed.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(&format!("{name}{end}")), "{line}");
    }

    let found = texts(&ada, &folder.canonicalize().unwrap()).await;
    let text = |name: &str| found[name].iter().map(|line| line.text.as_str()).collect::<Vec<_>>();
    assert_eq!(text("crlf.log"), ["first of two", "second of two"]);
    assert_eq!(text("deep/er/nested.log"), ["far below"]);
    assert_eq!(text("latin1.log"), ["the caf\u{fffd} closed", "the bar did not"]);
    assert_eq!(text("no-end.log"), ["a last line without an end"]);
    assert_eq!(text("nul.log"), ["a␀b is one line", "plain is two"]);
    assert_eq!(text("long.log")[1], "short after it");
    let long = &found["long.log"][0];
    assert!(long.truncated && (60_000..=65_536).contains(&long.text.len()), "{}", long.text.len());
    let records: Vec<&str> = text("trace.log");
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].lines().count(), 6);
    assert!(records[1].ends_with("... 3 more"));
    assert!(!found.values().flatten().any(|line| line.source.ends_with("binary")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_error_and_the_rest_is_indexed() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let good = server.write("good.log", "one line\n");
    let missing = server.run(&["ingest", "nowhere.log"], "").await;
    assert_eq!(missing.status.code(), Some(1));
    let why = complaint(&missing);
    assert!(why.contains("cannot read nowhere.log: No such file"), "{why}");
    assert!(said(&missing).is_empty());

    // One of several: a name that is no UTF-8, beside a file that can be read.
    let folder = server.folder().join("mixed");
    std::fs::create_dir(&folder).unwrap();
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"b\xff.log");
    std::fs::write(folder.join(name), "cannot be named\n").unwrap();
    std::fs::rename(&good, folder.join("good.log")).unwrap();
    let mixed = server.run(&["ingest", "mixed"], "").await;
    assert_eq!(mixed.status.code(), Some(1), "{}", said(&mixed));
    assert!(said(&mixed).contains("good.log: 1 lines"), "{}", said(&mixed));
    let why = complaint(&mixed);
    assert!(why.contains("1 of 2 files failed") && !why.contains("panicked"), "{why}");

    // Neither a file nor a folder.
    let made = std::process::Command::new("mkfifo").arg(server.folder().join("pipe")).status();
    assert!(made.unwrap().success());
    let pipe = server.run(&["ingest", "pipe"], "").await;
    assert_eq!(pipe.status.code(), Some(1));
    assert!(said(&pipe).contains("is not a file"), "{}", said(&pipe));
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_indexed_is_never_called_done() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let folder = server.folder().join("logs");
    std::fs::create_dir_all(folder.join("empty/deeper")).unwrap();
    let xz = b"\xfd7zXZ\0\x01";
    for name in ["one.log.xz", "two.log.xz"] {
        std::fs::write(folder.join(name), xz).unwrap();
    }
    let ingest = async |paths: &[&str]| server.run(&[&["ingest"], paths].concat(), "").await;
    // The only one that was named.
    let alone = ingest(&["logs/one.log.xz"]).await;
    assert_eq!(alone.status.code(), Some(1), "{}", said(&alone));
    let why = complaint(&alone);
    assert!(why.contains("one.log.xz was skipped: ") && why.contains("xz"), "{why}");
    // All of several.
    let all = ingest(&["logs"]).await;
    assert_eq!(all.status.code(), Some(1), "{}", said(&all));
    assert!(complaint(&all).contains("all 2 files were skipped"), "{}", complaint(&all));
    // A folder without files, alone and beside others.
    let empty = ingest(&["logs/empty"]).await;
    assert_eq!(empty.status.code(), Some(1), "{}", said(&empty));
    assert!(complaint(&empty).contains("logs/empty holds no files"), "{}", complaint(&empty));
    std::fs::write(folder.join("good.log"), "one line\n").unwrap();
    let some = ingest(&["logs/empty", "logs"]).await;
    assert!(some.status.success(), "{}", complaint(&some));
    assert!(complaint(&some).contains("logs/empty holds no files"), "{}", complaint(&some));
    let printed = said(&some);
    assert!(printed.contains("good.log: 1 lines"), "{printed}");
    let names = "2 of 3 files were skipped: one.log.xz, two.log.xz\n";
    assert!(printed.ends_with(names), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_logs_are_read_as_what_is_in_them() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"2026-11-21 03:14:15 INFO rotated line\n2026-11-21 03:14:16 INFO another\n")
        .unwrap();
    let whole = gzip.finish().unwrap();
    let path = server.write("app.log.1.gz", &whole);
    assert!(server.ingest(&path).await.contains("2 lines"));
    let page: LogPage = ada.get(&with_query("/logs/search", &[("q", "rotated")])).await;
    assert_eq!(page.lines[0].source, path.to_str().unwrap());

    server.write("cut.log.gz", &whole[..whole.len() - 9]);
    let cut = server.run(&["ingest", "cut.log.gz"], "").await;
    assert_eq!(cut.status.code(), Some(1), "{}", said(&cut));
    let why = said(&cut);
    assert!(why.contains("cannot be read to its end"), "{why}");
}
