//! Searches find what they should, in a stable order, and refuse what they cannot read.

use callboard_logs::SearchError;
use callboard_protocol::{ErrorCode, Level, LineId, LogSearch, SearchOrder, SourceId};

use crate::fixture::{Fixture, query};

const LOG: &str = "\
2026-11-20 10:00:00 INFO net.Server: listening on 10.0.0.1:8080
2026-11-20 10:05:00 WARN net.Server: connection refused by 10.0.0.7:22
2026-11-20 10:10:00 ERROR db.Pool: refused: connection limit
java.io.IOException: broken
\tat db.Pool.get(Pool.java:7)
2026-11-20 11:00:00 INFO net.Server: request 9f2c-11 done
";

fn found(q: &str) -> Vec<u64> {
    let page = Fixture::of(LOG).search(q);
    assert_eq!(page.matched, page.lines.len() as u64);
    page.lines.iter().map(|line| line.id.0).collect()
}

#[test]
fn words_phrases_and_exclusions() {
    assert_eq!(found(""), [4, 3, 2, 1]);
    assert_eq!(found("CONNECTION refused"), [3, 2]);
    assert_eq!(found("\"connection refused\""), [2]);
    assert_eq!(found("connection -limit"), [2]);
    assert_eq!(found("-connection"), [4, 1]);
    assert_eq!(found("listening OR (done request)"), [4, 1]);
    assert_eq!(found("nothing"), [0; 0]);
}

#[test]
fn identifiers_are_found_whole_in_part_and_by_their_pieces() {
    assert_eq!(found("10.0.0.1"), [1]);
    assert_eq!(found("10.0.0.1:8080"), [1]);
    assert_eq!(found("10.0.0"), [2, 1]);
    assert_eq!(found("9f2c-11"), [4]);
    assert_eq!(found("net.Server"), [4, 2, 1]);
    assert_eq!(found("exception"), [3]);
    assert_eq!(found("\"db.Pool.get(Pool.java:7)\""), [3]);
}

#[test]
fn levels_sources_and_times() {
    assert_eq!(found("level:error"), [3]);
    assert_eq!(found("level>=warn"), [3, 2]);
    assert_eq!(found("-level:info"), [3, 2]);
    assert_eq!(found("source:app refused"), [3, 2]);
    assert_eq!(found("source:other"), [0; 0]);
    let fixture = Fixture::of(LOG);
    let search = LogSearch {
        from: Some("2026-11-20T10:05:00Z".parse().unwrap()),
        to: Some("2026-11-20T11:00:00Z".parse().unwrap()),
        level: Some(Level::Error),
        ..query("")
    };
    assert_eq!(fixture.store.search(&search).unwrap().matched, 1);
    let search = LogSearch { level: None, ..search };
    assert_eq!(fixture.store.search(&search).unwrap().matched, 2);
    let search = LogSearch { source_id: Some(SourceId::new()), ..query("") };
    assert_eq!(fixture.store.search(&search).unwrap().matched, 0);
}

#[test]
fn the_best_comes_first_and_the_histogram_counts_all() {
    let fixture = Fixture::of(LOG);
    let search =
        LogSearch { order: SearchOrder::Best, limit: Some(1), ..query("refused OR limit") };
    let page = fixture.store.search(&search).unwrap();
    assert_eq!((page.matched, page.lines[0].id), (2, LineId(3)));
    assert_eq!(page.next_cursor, None);
    let page = fixture.search("");
    assert_eq!(page.histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 4);
    assert_eq!((page.bucket_ms, page.histogram.len()), (300_000, 13));
}

#[test]
fn pages_hold_every_line_once_even_while_lines_arrive() {
    let mut log: String =
        (0..40).map(|n| format!("2026-11-20 10:00:{:02} INFO tick\n", n / 10)).collect();
    log.push_str("2026-11-20 09:00:00 INFO early tick\n");
    let fixture = Fixture::of(&log);
    fixture.ingest("plain", "a tick without a time\n");
    let mut search = LogSearch { limit: Some(9), ..query("tick") };
    let mut seen = Vec::new();
    loop {
        let page = fixture.store.search(&search).unwrap();
        seen.extend(page.lines.iter().map(|line| line.id.0));
        fixture.ingest("later", &format!("2026-11-20 12:00:00 INFO tick {}\n", seen.len()));
        search.cursor = page.next_cursor;
        if search.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<u64> = (1..=40).rev().chain([41, 42]).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_line_stands_between_its_neighbours() {
    let fixture = Fixture::of(LOG);
    fixture.ingest("other", "another source\n");
    let context = fixture.store.context(LineId(3), 1, 500).unwrap();
    assert_eq!(context.before.iter().map(|line| line.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(context.line.id, LineId(3));
    assert!(context.line.text.ends_with("Pool.java:7)"));
    assert_eq!(context.after.iter().map(|line| line.id.0).collect::<Vec<_>>(), [4]);
    let alone = fixture.store.context(LineId(1), 0, 0).unwrap();
    assert!(alone.before.is_empty() && alone.after.is_empty());
    assert_eq!(fixture.store.line(LineId(5)).unwrap().source, "other");
}

#[test]
fn what_cannot_be_read_is_refused_with_a_code() {
    let fixture = Fixture::of(LOG);
    let code = |search: LogSearch| fixture.store.search(&search).unwrap_err().client_error();
    let error = code(query("a \"open"));
    assert_eq!(error.code, ErrorCode::InvalidQuery);
    assert_eq!(error.message, "column 3: this \" is not closed");
    for search in [
        LogSearch { limit: Some(0), ..query("") },
        LogSearch { limit: Some(501), ..query("") },
        LogSearch { cursor: Some("x".into()), ..query("") },
        LogSearch { cursor: Some("1.2".into()), order: SearchOrder::Best, ..query("") },
    ] {
        assert_eq!(code(search).code, ErrorCode::InvalidParameter);
    }
    let error = fixture.store.line(LineId(99)).unwrap_err();
    assert!(matches!(error, SearchError::LineNotFound(LineId(99))));
    assert_eq!(error.client_error().code, ErrorCode::LineNotFound);
}

#[test]
fn the_newest_are_found_wherever_they_stand() {
    // More lines than are looked at together, in no order of time, some without any.
    let line = |n: u64| {
        let second = n * 7_919 % 86_400;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("2026-11-20 {hour:02}:{minute:02}:{second:02} INFO line n{n}\n")
    };
    let fixture = Fixture::new();
    fixture.ingest("plain.log", &"no time at all\n".repeat(700));
    for part in 0..3 {
        let text: String = (part * 6_000..(part + 1) * 6_000).map(line).collect();
        fixture.ingest(&format!("{part}.log"), &text);
    }
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let search = LogSearch { limit: Some(500), cursor, ..query("") };
        let page = fixture.store.search(&search).unwrap();
        assert_eq!(page.matched, 18_700);
        pages.extend(page.lines.into_iter().map(|line| (line.timestamp, line.id)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages.len(), 18_700);
    assert!(pages.windows(2).all(|pair| pair[0] > pair[1]), "newest first, and none twice");
}
