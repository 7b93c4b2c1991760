//! The patterns of lines: counted, found again, and kept.

use callboard_logs::SearchError;
use callboard_protocol::{Level, PatternId, PatternOrder, PatternPage, PatternSearch};

use crate::fixture::{Fixture, go_on, query};

/// Two patterns that come all the time, one that comes more and more, and one that is new.
fn log() -> String {
    let mut log = String::new();
    for n in 0..300 {
        let (minute, second) = (n / 60, n % 60);
        let at = format!("2026-11-20 10:{minute:02}:{second:02}");
        let user = ["ada", "bob", "eve", "joe", "kim", "lee", "max", "tom"][n % 8];
        log += &format!("{at} INFO session opened for user {user}\n");
        if n % 3 == 0 {
            log += &format!("{at} WARN request {n} took {n} ms\n");
        }
        if n % 100 == 0 || n > 250 {
            log += &format!("{at} ERROR pool: connection to 10.0.0.{} lost\n", n % 200);
        }
        if n > 280 {
            log += &format!("{at} ERROR disk sda{n} is full\n");
        }
    }
    log
}

fn patterns(fixture: &Fixture, search: &PatternSearch) -> PatternPage {
    fixture.store.patterns(search).unwrap()
}

fn told(page: &PatternPage) -> Vec<(&str, u64)> {
    page.patterns.iter().map(|one| (one.template.as_str(), one.count)).collect()
}

#[test]
fn lines_are_counted_by_what_they_have_in_common() {
    let fixture = Fixture::of(&log());
    let page = patterns(&fixture, &PatternSearch::default());
    assert_eq!(
        told(&page),
        [
            ("INFO session opened for user <*>", 300),
            ("WARN request <*> took <*> ms", 100),
            ("ERROR pool: connection to <*> lost", 52),
            ("ERROR disk <*> is full", 19),
        ]
    );
    assert_eq!((page.found, page.matched), (4, 471));
    let [session, _, lost, _] = &page.patterns[..] else { panic!("{page:?}") };
    assert_eq!(session.trend.len(), 30);
    assert_eq!(session.trend.iter().sum::<u64>(), 300);
    assert!((0.8..1.2).contains(&session.change), "{}", session.change);
    assert_eq!(session.levels[0].level, Level::Info);
    assert!(lost.change > 5.0, "{}", lost.change);
    assert_eq!(lost.seen.from, Some("2026-11-20T10:00:00Z".parse().unwrap()));
    assert!(lost.example.text.ends_with("connection to 10.0.0.99 lost"), "{:?}", lost.example);
    assert_eq!(fixture.store.stats().patterns, 4);
}

#[test]
fn rising_and_new_ones_come_first_when_asked_for() {
    let fixture = Fixture::of(&log());
    let first = |order| {
        let page = patterns(&fixture, &PatternSearch { order, limit: Some(1), ..search("") });
        assert_eq!(page.found, 4);
        page.patterns[0].template.clone()
    };
    assert_eq!(first(PatternOrder::Rising), "ERROR pool: connection to <*> lost");
    assert_eq!(first(PatternOrder::Newest), "ERROR disk <*> is full");
}

fn search(q: &str) -> PatternSearch {
    PatternSearch { q: q.to_owned(), ..PatternSearch::default() }
}

#[test]
fn of_some_lines_alone() {
    let fixture = Fixture::of(&log());
    let page = patterns(&fixture, &PatternSearch { level: Some(Level::Error), ..search("-disk") });
    assert_eq!(told(&page), [("ERROR pool: connection to <*> lost", 52)]);
    let hour = PatternSearch {
        from: Some("2026-11-20T10:00:00Z".parse().unwrap()),
        to: Some("2026-11-20T10:00:30Z".parse().unwrap()),
        ..search("session")
    };
    let page = patterns(&fixture, &hour);
    assert_eq!(told(&page), [("INFO session opened for user <*>", 30)]);
    assert_eq!((page.span.from, page.slice_ms), (hour.from, 1_000));
    assert_eq!(page.patterns[0].trend, [1; 30]);
    assert_eq!(told(&patterns(&fixture, &search("nothing"))), []);
}

#[test]
fn the_lines_of_a_pattern_are_found_by_its_id() {
    let fixture = Fixture::of(&log());
    let page = patterns(&fixture, &search("session"));
    let id = page.patterns[0].id;
    let found = fixture.search(&format!("pattern:{id}"));
    assert_eq!(found.matched, 300);
    assert!(found.lines.iter().all(|line| line.pattern == Some(id)));
    assert_eq!(fixture.search(&format!("-pattern:{id} level:info")).matched, 0);
    assert_eq!(fixture.search(&format!("pattern:{}", PatternId(99))).matched, 0);
    for bad in ["pattern:", "pattern:12", "pattern:Px", "pattern:P-1"] {
        let error = fixture.store.search(&query(bad)).unwrap_err();
        assert!(matches!(error, SearchError::InvalidQuery { column: 1, .. }), "{bad}: {error}");
    }
}

#[test]
fn they_are_kept_over_a_restart_and_a_re_index() {
    let fixture = Fixture::of(&log());
    let before = patterns(&fixture, &PatternSearch::default());
    let fixture = fixture.reopened();
    assert_eq!(told(&patterns(&fixture, &PatternSearch::default())), told(&before));
    // Another instance of a known one, and something new.
    fixture.ingest(
        "b.log",
        "2026-11-20 11:00:00 INFO session opened for user zoe\n2026-11-20 11:00:01 something new came in\n",
    );
    let after = patterns(&fixture, &PatternSearch::default());
    assert_eq!((after.patterns[0].id, after.patterns[0].count), (before.patterns[0].id, 301));
    assert_eq!(after.found, 5);
    fixture.store.reindex(None, &mut go_on).unwrap();
    assert_eq!(told(&patterns(&fixture, &PatternSearch::default())), told(&after));
}

#[test]
fn limits_are_kept() {
    let fixture = Fixture::of("one\n");
    for limit in [0, 501] {
        let asked = PatternSearch { limit: Some(limit), ..search("") };
        let error = fixture.store.patterns(&asked).unwrap_err();
        assert!(matches!(error, SearchError::InvalidParameter(_)));
    }
    let page = patterns(&fixture, &search(""));
    assert_eq!((page.slice_ms, page.patterns[0].trend.clone()), (0, vec![0; 30]));
}
