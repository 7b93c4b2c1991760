//! Fields, patterns of words, and regular expressions in queries; counts by field; spans compared.

use callboard_logs::{FormatConfig, LogStore, LogsConfig, SearchError};
use callboard_protocol::{
    Change, CompareSearch, CountSearch, FacetSearch, HistogramSearch, LogCount, LogSearch,
    SearchOrder, Timestamp,
};

use crate::fixture::{Fixture, config, query};

const ACCESS: &str = "\
10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 10 \"-\" \"curl/8\"
10.0.0.2 - - [20/Nov/2026:10:01:00 +0000] \"POST /b HTTP/1.1\" 404 500 \"-\" \"curl/8\"
10.0.0.1 - - [20/Nov/2026:10:02:00 +0000] \"GET /c HTTP/1.1\" 502 30 \"-\" \"bot\"
";

const JSON: &str = "\
{\"time\":\"2026-11-20T11:00:00Z\",\"level\":\"info\",\"msg\":\"paid\",\"user\":{\"name\":\"ada\",\"id\":7},\"ms\":12}
{\"time\":\"2026-11-20T11:01:00Z\",\"level\":\"error\",\"msg\":\"refused\",\"user\":{\"name\":\"Adam\",\"id\":8},\"ms\":900}
{\"time\":\"2026-11-20T11:02:00Z\",\"level\":\"info\",\"msg\":\"timed out after 30 s\",\"ms\":30000}
";

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.ingest("access.log", ACCESS);
    fixture.ingest("pay.json", JSON);
    fixture.ingest("app.log", "2026-11-20 12:00:00 WARN slow took=51ms user=root\n");
    fixture
}

fn found(fixture: &Fixture, q: &str) -> Vec<u64> {
    let mut ids: Vec<u64> = fixture.search(q).lines.iter().map(|line| line.id.0).collect();
    ids.sort_unstable();
    let best = LogSearch { order: SearchOrder::Best, ..query(q) };
    assert_eq!(fixture.store.search(&best).unwrap().lines.len(), ids.len(), "{q}");
    ids
}

#[test]
fn fields_are_searched_by_value_range_and_likeness() {
    let fixture = fixture();
    for (q, ids) in [
        ("status>=500", &[3][..]),
        ("status:404", &[2]),
        ("status:[400 TO 599]", &[2, 3]),
        ("-status:200 source:access", &[2, 3]),
        ("method=post", &[2]),
        ("bytes:>100", &[2]),
        ("bytes>500", &[]),
        ("client=10.0.0.1 status=200", &[1]),
        ("user.id=7", &[4]),
        ("user.id>7", &[5]),
        ("user.name=ad*", &[4, 5]),
        ("user.name=ada", &[4]),
        ("user.name=\"ada\"", &[4]),
        ("user.name=*", &[4, 5]),
        ("user.name:*", &[4, 5]),
        ("ms>=900", &[5, 6]),
        ("ms<900 level:info", &[4]),
        ("took>50", &[7]),
        ("took>51", &[]),
        ("user=root", &[7]),
        ("user=root OR user.id=8", &[5, 7]),
        ("-user=root level>=warn", &[2, 3, 5]),
        ("none=7", &[]),
    ] {
        assert_eq!(found(&fixture, q), ids, "{q}");
    }
}

#[test]
fn words_and_lines_are_searched_by_what_they_look_like() {
    let fixture = fixture();
    for (q, ids) in [
        ("refus*", &[5][..]),
        ("*fused", &[5]),
        ("re?used", &[5]),
        ("10.0.0.*", &[1, 2, 3]),
        ("/time[d ]*out after \\d+/", &[6]),
        ("/\"POST \\/b/", &[2]),
        ("/^10\\.0\\.0\\.1 / status>=500", &[3]),
        ("-/HTTP.1/ level:info", &[4, 6]),
    ] {
        assert_eq!(found(&fixture, q), ids, "{q}");
    }
    for (q, problem) in [
        ("/(/", "column 1: this regular expression cannot be read: unclosed group"),
        ("a /x{1000000}/", "column 3: this regular expression is too large"),
        ("status:[400 499]", "column 1: a range is written as in status:[400 TO 499]"),
    ] {
        assert_eq!(fixture.store.search(&query(q)).unwrap_err().to_string(), problem, "{q}");
    }
}

#[test]
fn what_was_pasted_is_text() {
    let fixture = Fixture::of(
        "\
2026-11-20 10:00:00 x logname= uid=0 euid=0 tty=ssh rhost=1.2.3.4, done\n\
2026-11-20 10:00:01 x open /var/log/app.log failed: a=b=c path=/x\n",
    );
    for (q, ids) in [
        ("logname= uid=0 euid=0 tty=ssh rhost=1.2.3.4,", &[1][..]),
        ("open /var/log/app.log failed: a=b=c path=/x", &[2]),
        ("/var/log/", &[2]),
        ("failed:", &[2]),
        ("2026-11-20 10:00:01 x open", &[2]),
        ("2026-11-20", &[1, 2]),
        ("2026-11-19", &[]),
        ("\"2026-11-20 10:00:00 x logname\"", &[1]),
    ] {
        assert_eq!(found(&fixture, q), ids, "{q}");
    }
}

#[test]
fn a_query_that_reads_too_much_is_refused_and_a_narrower_one_is_not() {
    let fixture = Fixture::with(LogsConfig { scan_limit: 3, ..config() });
    fixture.ingest("access.log", ACCESS);
    fixture.ingest("pay.json", JSON);
    let asked = |q: &str| fixture.store.search(&query(q));
    assert!(matches!(asked("/HTTP.1/"), Err(SearchError::TooExpensive)));
    assert_eq!(asked("/HTTP.1/ POST").unwrap().matched, 1);
    // Whoever takes what there is gets it, and is told.
    let some = |q: &str| LogSearch { partial: true, limit: Some(1), ..query(q) };
    let page = fixture.store.search(&some("/HTTP.1/")).unwrap();
    assert!(page.partial && page.next_cursor.is_none() && page.matched <= 3, "{page:?}");
    assert!(page.lines.iter().all(|line| line.text.contains("HTTP/1")));
    assert!(!fixture.store.search(&some("/HTTP.1/ POST")).unwrap().partial);
    let q = "/HTTP.1/".to_owned();
    let count = CountSearch { q: q.clone(), partial: true, ..CountSearch::default() };
    let histogram = HistogramSearch { q: q.clone(), partial: true, ..HistogramSearch::default() };
    let facets = FacetSearch { q, partial: true, ..FacetSearch::default() };
    assert!(fixture.store.count(&count).unwrap().partial);
    assert!(fixture.store.histogram(&histogram).unwrap().partial);
    assert!(fixture.store.facets(&facets).unwrap().partial);
    let later = LogSearch { from: Some(at("2026-11-20T11:01:00Z")), ..query("/refus.d/") };
    assert_eq!(fixture.store.search(&later).unwrap().matched, 1);
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn groups(count: &LogCount) -> Vec<(&str, u64)> {
    count.groups.iter().map(|group| (group.value.as_str(), group.count)).collect()
}

#[test]
fn lines_are_counted_by_level_source_pattern_and_field() {
    let fixture = fixture();
    let count = |q: &str, by: &str| {
        let (q, by) = (q.to_owned(), Some(by.to_owned()));
        fixture.store.count(&CountSearch { q, by, ..CountSearch::default() }).unwrap()
    };
    assert_eq!(groups(&count("", "level")), [("info", 3), ("error", 2), ("warn", 2)]);
    let sources = count("", "source");
    assert_eq!(groups(&sources), [("access.log", 3), ("pay.json", 3), ("app.log", 1)]);
    let clients = count("source:access", "client");
    assert_eq!(groups(&clients), [("10.0.0.1", 2), ("10.0.0.2", 1)]);
    let users = count("", "user.name");
    assert_eq!(groups(&users), [("Adam", 1), ("ada", 1)]);
    assert_eq!((users.matched, users.counted, users.without, users.found), (7, 7, 5, 2));
    let patterns = count("", "pattern");
    assert_eq!(patterns.groups.iter().map(|group| group.count).sum::<u64>(), 7);
    let top =
        CountSearch { by: Some("status".to_owned()), limit: Some(1), ..CountSearch::default() };
    let top = fixture.store.count(&top).unwrap();
    assert_eq!((top.groups.len(), top.found), (1, 3));
    let none = CountSearch { by: Some(String::new()), ..CountSearch::default() };
    assert!(fixture.store.count(&none).is_err());
}

#[test]
fn a_histogram_tells_the_levels_of_each_slice() {
    let fixture = fixture();
    let search = HistogramSearch { slice_ms: Some(3_600_000), ..HistogramSearch::default() };
    let histogram = fixture.store.histogram(&search).unwrap();
    assert_eq!((histogram.matched, histogram.slice_ms), (7, 3_600_000));
    let counts: Vec<u64> = histogram.slices.iter().map(|slice| slice.count).collect();
    assert_eq!(counts, [3, 3, 1]);
    let levels: Vec<_> = histogram.slices[0]
        .levels
        .iter()
        .map(|count| (count.level.as_str(), count.count))
        .collect();
    assert_eq!(levels, [("info", 1), ("warn", 1), ("error", 1)]);
    let one = HistogramSearch { slices: Some(1), ..HistogramSearch::default() };
    assert_eq!(fixture.store.histogram(&one).unwrap().slices.len(), 1);
    let none = HistogramSearch { slices: Some(0), ..HistogramSearch::default() };
    assert!(fixture.store.histogram(&none).is_err());
}

#[test]
fn a_preview_tells_format_records_and_fields() {
    let store = Fixture::new().store;
    let java = "\
2026-11-20 10:00:00 ERROR pool: broken user=ada\n\
java.io.IOException: x\n\tat a.B.c(B.java:1)\n\
2026-11-20 10:00:01 INFO pool: fine\n";
    let preview = store.preview(java, at("2026-11-21T00:00:00Z"));
    assert_eq!((preview.format.as_str(), preview.confidence), ("text with timestamps", 1.0));
    assert_eq!((preview.records.len(), preview.more), (2, false));
    let first = &preview.records[0];
    assert_eq!((first.level.as_str(), first.text.lines().count()), ("error", 3));
    assert_eq!(first.message, "ERROR pool: broken user=ada");
    assert_eq!(first.fields["user"], "ada");
    let preview = store.preview(JSON, at("2026-11-21T00:00:00Z"));
    assert_eq!(
        (preview.format.as_str(), preview.records[1].message.as_str()),
        ("json lines", "refused")
    );
    assert_eq!(preview.records[1].fields["user.name"], "Adam");
    let mixed = store.preview(&format!("{JSON}no json\n"), at("2026-11-21T00:00:00Z"));
    assert!((mixed.confidence - 0.75).abs() < 1e-9, "{}", mixed.confidence);
    assert_eq!(store.preview("", at("2026-11-21T00:00:00Z")).confidence, 0.0);
    assert!(store.preview(&"x\n".repeat(1_000), at("2026-11-21T00:00:00Z")).more);
    assert_eq!(store.stats().lines, 0);
}

#[test]
fn a_format_of_ones_own_gives_time_level_and_fields() {
    let shop = FormatConfig {
        name: "shop".to_owned(),
        pattern:
            r"^#%{POSINT:order} %{TIMESTAMP_ISO8601:time} !%{WORD:level} %{GREEDYDATA:message}$"
                .to_owned(),
        sample: Some("#7 2026-11-20 10:00:00 !warn low".to_owned()),
        expect: [("order".to_owned(), "7".to_owned())].into(),
    };
    let bad = FormatConfig { sample: Some("else".to_owned()), ..shop.clone() };
    let folder = tempfile::tempdir().unwrap();
    let refused = LogStore::open(folder.path(), &LogsConfig { formats: vec![bad], ..config() });
    let refused = refused.err().unwrap().to_string();
    assert_eq!(refused, "logs.formats[0].pattern the pattern does not fit its sample");
    let fixture = Fixture::with(LogsConfig { formats: vec![shop], ..config() });
    let text = "#7 2026-11-20 10:00:00 !warn low\nof shelf 3\n#8 2026-11-20 10:01:00 !error out\n";
    assert_eq!(fixture.ingest("shop.log", text).format.as_deref(), Some("shop"));
    fixture.ingest("other.log", "2026-11-20 11:00:00 INFO order=9\n");
    let lines = fixture.search("order>=7 level>=warn").lines;
    let told: Vec<_> = lines.iter().map(|line| (line.id.0, line.text.as_str())).collect();
    assert_eq!(
        told,
        [
            (2, "#8 2026-11-20 10:01:00 !error out"),
            (1, "#7 2026-11-20 10:00:00 !warn low\nof shelf 3")
        ]
    );
    assert_eq!(lines[0].timestamp, Some(at("2026-11-20T10:01:00Z")));
    let by = Some("order".to_owned());
    let count = fixture.store.count(&CountSearch { by, ..CountSearch::default() }).unwrap();
    assert_eq!(groups(&count), [("7", 1), ("8", 1), ("9", 1)]);
    let preview = fixture.store.preview(text, at("2026-11-21T00:00:00Z"));
    assert_eq!((preview.format.as_str(), preview.records.len()), ("shop", 2));
    assert_eq!(preview.records[0].fields["order"], "7");
}

#[test]
fn two_spans_differ_in_their_patterns() {
    let line =
        |hour: u32, minute: u32, text: &str| format!("2026-11-20 {hour}:{minute:02}:00 {text}\n");
    let mut log = String::new();
    for minute in 0..30 {
        log += &line(10, minute, "INFO heartbeat ok");
        log += &line(10, minute, "INFO cache warmed");
    }
    for minute in 0..30 {
        log += &line(11, minute, "INFO heartbeat ok");
        log += &line(11, minute, "ERROR disk failed");
        if minute < 5 {
            log += &line(11, minute, "INFO cache warmed");
        }
    }
    let fixture = Fixture::of(&log);
    let (from, to) = (Some(at("2026-11-20T11:00:00Z")), Some(at("2026-11-20T12:00:00Z")));
    let search = CompareSearch { from, to, ..CompareSearch::default() };
    let compared = fixture.store.compare(&search).unwrap();
    assert_eq!((compared.matched_before, compared.matched_after), (60, 65));
    assert_eq!(compared.before.from, Some(at("2026-11-20T10:00:00Z")));
    let told: Vec<_> = compared
        .changes
        .iter()
        .map(|change| (change.template.as_str(), change.change, change.before, change.after))
        .collect();
    assert_eq!(
        told,
        [
            ("ERROR disk failed", Change::Appeared, 0, 30),
            ("INFO cache warmed", Change::Shrank, 30, 5),
        ]
    );
    let backwards = CompareSearch { from: to, to: from, ..CompareSearch::default() };
    assert!(fixture.store.compare(&backwards).is_err());
    assert!(Fixture::new().store.compare(&CompareSearch::default()).is_err());
}

#[test]
fn a_request_is_followed_through_programs_that_name_its_trace_in_their_own_ways() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fixture = Fixture::new();
    fixture.ingest(
        "proxy.log",
        &format!("2026-11-20T10:00:00Z INFO GET /pay traceparent=00-{trace}-00f067aa0ba902b7-01\n"),
    );
    fixture.ingest(
        "shop.json",
        &format!(
            "{{\"time\":\"2026-11-20T10:00:01Z\",\"msg\":\"pay\",\"traceId\":\"{trace}\"}}\n\
             {{\"time\":\"2026-11-20T10:00:02Z\",\"msg\":\"pay\",\"traceId\":\"another\"}}\n"
        ),
    );
    fixture.ingest(
        "bank.json",
        &format!("{{\"time\":\"2026-11-20T10:00:03Z\",\"trace\":{{\"id\":\"{trace}\"}}}}\n"),
    );
    fixture.ingest("app.log", "2026-11-20T10:00:04Z INFO no trace here\n");
    assert_eq!(found(&fixture, &format!("trace_id={trace}")), [1, 2, 4]);
    assert_eq!(found(&fixture, "trace_id=*"), [1, 2, 3, 4]);
    assert_eq!(found(&fixture, "traceId=another"), [3]);
    let by = CountSearch { by: Some("trace_id".into()), ..CountSearch::default() };
    let counted = fixture.store.count(&by).unwrap();
    assert_eq!((counted.groups[0].value.as_str(), counted.groups[0].count), (trace, 3));
    assert_eq!(counted.without, 1);
}
