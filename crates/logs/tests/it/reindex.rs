//! Making the index anew: nothing is lost or doubled, whatever happens meanwhile.

use std::ops::ControlFlow;

use callboard_logs::{FormatConfig, IngestError, LogStore, LogsConfig, Reread, SourceNames};
use callboard_protocol::{ErrorCode, Level, LineId, LogSearch, LogStats, TimeRange};

use crate::fixture::{Fixture, config, go_on, query};

/// Commits, and so steps of a re-index, of ten lines.
fn small() -> LogsConfig {
    LogsConfig { commit_every_lines: 10, ..config() }
}

fn text(from: usize, count: usize) -> String {
    let line = |n: usize| {
        let (minute, second) = (n / 60 % 60, n % 60);
        format!("2026-11-20 10:{minute:02}:{second:02} ERROR job {n} of user u{} failed\n", n % 7)
    };
    (from..from + count).map(line).collect()
}

/// All lines with everything that is known of them, by id.
fn all(fixture: &Fixture) -> Vec<String> {
    let mut lines = Vec::new();
    let mut search = LogSearch { limit: Some(500), ..query("") };
    loop {
        let page = fixture.store.search(&search).unwrap();
        let known = |line: &callboard_protocol::LogLine| {
            let callboard_protocol::LogLine { id, source, timestamp, level, text, .. } = line;
            format!("{:08} {source} {timestamp:?} {level:?} {text}", id.0)
        };
        lines.extend(page.lines.iter().map(known));
        search.cursor = page.next_cursor;
        if search.cursor.is_none() {
            lines.sort_unstable();
            return lines;
        }
    }
}

fn without_generation(stats: LogStats) -> LogStats {
    LogStats { generation: 0, index_bytes: 0, ..stats }
}

#[test]
fn lines_keep_their_ids_places_and_times() {
    let fixture = Fixture::with(small());
    fixture.ingest("a.log", &text(0, 73));
    fixture.ingest("b.log", &text(500, 25));
    let (before, stats) = (all(&fixture), fixture.store.stats());
    let context = fixture.store.context(LineId(75), 5, 5).unwrap();
    let mut steps = Vec::new();
    let done = fixture.store.reindex(None, &mut |progress| {
        steps.push((progress.lines, progress.lines_total));
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().unwrap().lines, 98);
    assert_eq!((steps[0], steps.len()), ((10, Some(98)), 11));
    assert_eq!(all(&fixture), before);
    let now = fixture.store.stats();
    assert!(now.generation > stats.generation, "what was cached is not trusted");
    assert_eq!(without_generation(now), without_generation(stats));
    assert_eq!(fixture.store.context(LineId(75), 5, 5).unwrap(), context);
    let again = fixture.reopened();
    assert_eq!(all(&again), before);
    again.ingest("a.log", &text(900, 1));
    assert_eq!(all(&again).len(), 99);
}

#[test]
fn lines_that_come_meanwhile_come_along_and_readers_see_the_old_one_until_then() {
    let fixture = Fixture::with(small());
    fixture.write(text(0, 60));
    fixture.whole().unwrap();
    let mut more = 60;
    let done = fixture.store.reindex(None, &mut |progress| {
        if more < 90 {
            more += 3;
            fixture.write(text(0, more));
            fixture.whole().unwrap();
            assert_eq!(fixture.search("failed").matched, more as u64);
            assert!(progress.lines < more as u64);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().unwrap().lines, 90);
    assert_eq!(all(&fixture).len(), 90);
    // Its offsets came along, too.
    fixture.write(text(0, 91));
    assert_eq!(fixture.whole().unwrap().lines, 1);
    assert_eq!(all(&fixture).len(), 91);
}

#[test]
fn one_that_is_broken_off_goes_on_where_it_was_and_can_be_forgotten() {
    let fixture = Fixture::with(small());
    fixture.ingest("a.log", &text(0, 100));
    let before = all(&fixture);
    let stop_at = |fixture: &Fixture, lines: u64| {
        let mut last = 0;
        let stop = fixture.store.reindex(None, &mut |progress| {
            last = progress.lines;
            if last >= lines { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(stop.unwrap(), None);
        last
    };
    assert_eq!(stop_at(&fixture, 30), 30);
    assert_eq!(all(&fixture), before);
    // As after a crash.
    let fixture = fixture.reopened();
    let mut first = None;
    fixture
        .store
        .reindex(None, &mut |progress| {
            first.get_or_insert(progress.lines);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(first.unwrap() > 30, "{first:?}");
    assert_eq!(all(&fixture), before);

    let fixture = Fixture::with(small());
    fixture.ingest("a.log", &text(0, 100));
    assert_eq!(stop_at(&fixture, 20), 20);
    fixture.store.discard_reindex().unwrap();
    fixture.store.discard_reindex().unwrap();
    assert_eq!(stop_at(&fixture, 1), 10, "it begins anew");
}

/// A merge of segments writes into the folder of its index, and goes on behind the commits.
#[test]
fn merges_that_still_run_do_not_keep_a_folder() {
    let fixture = Fixture::with(LogsConfig { commit_every_lines: 2_000, ..config() });
    fixture.ingest("a.log", &text(0, 20_000));
    // Segments are merged by eights.
    let mut left = 8;
    let stop = fixture.store.reindex(None, &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stop.unwrap(), None);
    fixture.store.discard_reindex().unwrap();
    assert_eq!(fixture.indexes(), 1, "after it is discarded");
    fixture.store.reindex(None, &mut go_on).unwrap();
    assert_eq!(fixture.indexes(), 1, "after the switch");
}

#[test]
fn it_is_made_by_one_at_a_time() {
    let fixture = Fixture::with(small());
    fixture.ingest("a.log", &text(0, 30));
    let other = fixture.store.clone();
    let done = fixture.store.reindex(None, &mut |_| {
        let refused = other.reindex(None, &mut go_on).unwrap_err();
        assert!(matches!(refused, IngestError::Remaking), "{refused}");
        assert_eq!(refused.client_error().code, ErrorCode::Conflict);
        assert!(other.discard_reindex().is_err());
        ControlFlow::Continue(())
    });
    done.unwrap();
}

#[test]
fn an_empty_index_is_made_anew_too() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.reindex(None, &mut go_on).unwrap().unwrap().lines, 0);
    fixture.ingest("a.log", &text(0, 3));
    assert_eq!(all(&fixture).len(), 3);
    assert!(!fixture.store.is_outdated());
}

/// Lines of a shop whose format is not known, and those of another program.
fn of_a_shop() -> String {
    let line = |n: u32| format!("[{n}] <21/11/2026 03:1{n}:00> !careful! order {n}\n");
    (0..5).map(line).collect()
}

fn shop() -> FormatConfig {
    serde_json::from_value(serde_json::json!({
        "name": "shop",
        "pattern": r"^\[\d+\] <(?P<timestamp>[^>]+)> !(?P<level>\w+)! (?P<message>.*)$",
    }))
    .unwrap()
}

#[test]
fn lines_are_read_anew_as_the_formats_are_now_and_only_those_that_are_meant() {
    let fixture = Fixture::new();
    fixture.ingest(
        "shop.log",
        &of_a_shop().replace("careful", "warn").replace("21/11/2026 ", "2026-11-21T"),
    );
    fixture.ingest("other.log", &text(0, 3));
    let unread = all(&fixture);
    assert_eq!(fixture.search("level:warn").matched, 0);
    let Fixture { folder, store, source } = fixture;
    drop(store);
    let config = LogsConfig { formats: vec![shop()], ..config() };
    let store = LogStore::open(&folder.path().join("index"), &config).unwrap();
    let fixture = Fixture { folder, store, source };

    let reread = |names: &str, range: TimeRange| {
        let which = Reread { sources: Some(SourceNames::parse(names).unwrap()), range };
        fixture.store.reindex(Some(&which), &mut go_on).unwrap().unwrap();
    };
    reread("other*", TimeRange::default());
    assert_eq!(all(&fixture), unread);
    reread("shop*", TimeRange::default());
    assert_eq!(fixture.search("level:warn").matched, 5);
    let stats = fixture.store.stats();
    let shop = stats.sources.iter().find(|source| source.name == "shop.log").unwrap();
    let first = "2026-11-21T03:10:00Z".parse().unwrap();
    assert_eq!((shop.lines, shop.covered.from), (5, Some(first)));
    let count =
        |level: Level| stats.levels.iter().find(|one| one.level == level).map(|one| one.count);
    assert_eq!((count(Level::Warn), count(Level::Error)), (Some(5), Some(3)));
    assert_eq!(all(&fixture).len(), 8, "and none is lost");
    assert_eq!(all(&fixture.reopened()).len(), 8);
}

#[test]
fn of_a_span_only_its_lines_are_read_anew_and_what_says_nothing_stays() {
    let fixture = Fixture::new();
    // Levels that the first version of a program wrote, in lines that are known to be of another time.
    fixture.ingest("app.log", &text(0, 60));
    let before = all(&fixture);
    let from = "2026-11-20T10:00:30Z".parse().unwrap();
    let range = TimeRange { from: Some(from), to: None };
    let which = Reread { sources: None, range };
    assert_eq!(fixture.store.reindex(Some(&which), &mut go_on).unwrap().unwrap().lines, 60);
    assert_eq!(all(&fixture), before);
}

#[test]
fn what_was_broken_off_for_other_lines_begins_anew() {
    let fixture = Fixture::with(small());
    fixture.ingest("a.log", &text(0, 100));
    let first = |which: Option<&Reread>| {
        let mut lines = 0;
        let stopped = fixture.store.reindex(which, &mut |progress| {
            lines = progress.lines;
            ControlFlow::Break(())
        });
        assert_eq!(stopped.unwrap(), None);
        lines
    };
    let all_of_them = Reread::default();
    assert_eq!((first(None), first(None)), (10, 20));
    assert_eq!((first(Some(&all_of_them)), first(Some(&all_of_them)), first(None)), (10, 20, 10));
}
