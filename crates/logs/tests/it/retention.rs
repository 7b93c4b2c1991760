//! Old lines leave the index, by the day on which they came in and by the room that all take; what is left
//! is as it was.

use std::{ops::ControlFlow, time::Duration};

use callboard_logs::{IngestOptions, LogsConfig, Retention};
use callboard_protocol::{LineId, SourceId, Timestamp};

use crate::fixture::{Fixture, config, go_on, now};

const DAY: Duration = Duration::from_secs(86_400);

/// Indexes lines as a source, so many days ago.
fn ingest(fixture: &Fixture, source: &str, days_ago: u32, lines: std::ops::Range<u32>) {
    let text: String =
        lines.map(|n| format!("2026-11-0{days_ago} 10:00:00 WARN line n{n}\n")).collect();
    let at = now().minus(DAY * days_ago);
    let options = IngestOptions::whole(SourceId::new(), source, at);
    fixture.store.ingest_reader(text.as_bytes(), &options, &mut go_on).unwrap();
}

fn days(days: u32) -> Retention {
    Retention { days, bytes: 0 }
}

#[test]
fn lines_go_when_their_day_does_and_nothing_else_changes() {
    let fixture = Fixture::new();
    ingest(&fixture, "old.log", 3, 0..5);
    ingest(&fixture, "both.log", 3, 5..8);
    ingest(&fixture, "both.log", 1, 8..10);
    ingest(&fixture, "new.log", 1, 10..14);
    assert_eq!(fixture.store.retain(Retention::default(), now()).unwrap(), 0);
    assert_eq!(fixture.store.retain(days(4), now()).unwrap(), 0);
    let before = fixture.store.generation();
    assert_eq!(fixture.store.retain(days(3), now()).unwrap(), 8);
    assert!(fixture.store.generation() > before, "answers from the cache would cite what is gone");
    assert_eq!(fixture.store.retain(days(3), now()).unwrap(), 0);

    let fixture = fixture.reopened();
    let ids: Vec<u64> = fixture.search("").lines.iter().map(|line| line.id.0).collect();
    assert_eq!(ids, [14, 13, 12, 11, 10, 9]);
    assert!(fixture.store.line(LineId(8)).is_err());
    assert_eq!(fixture.store.line(LineId(9)).unwrap().text, "2026-11-01 10:00:00 WARN line n8");
    assert_eq!(fixture.search("n3").matched, 0);
    let stats = fixture.store.stats();
    assert_eq!((stats.lines, stats.levels[0].count), (6, 6));
    let of = |name: &str| stats.sources.iter().find(|source| source.name == name).unwrap();
    assert_eq!((of("old.log").lines, of("old.log").covered.from), (0, None));
    assert_eq!(of("new.log").lines, 4);
    // What comes now has numbers of its own, and lines of before are not read again.
    ingest(&fixture, "later.log", 0, 20..21);
    assert_eq!(fixture.search("n20").lines[0].id, LineId(15));
    // And it can be made anew.
    fixture.store.reindex(&mut go_on).unwrap();
    assert_eq!(fixture.search("").matched, 7);
    assert_eq!(fixture.store.retain(days(1), now()).unwrap(), 6);
    assert_eq!(fixture.search("").matched, 1);
}

#[test]
fn an_index_of_before_keeps_its_lines_until_the_first_day_that_it_knows_is_over() {
    let fixture = Fixture::new();
    ingest(&fixture, "a.log", 2, 0..3);
    assert_eq!(fixture.store.retain(days(3), now()).unwrap(), 0);
    assert_eq!(fixture.store.retain(days(2), now()).unwrap(), 3);
    assert_eq!(fixture.store.stats().lines, 0);
}

#[test]
fn the_oldest_lines_make_room() {
    let fixture = Fixture::with(LogsConfig { commit_every_lines: 500, ..config() });
    let line = |n: u64| {
        format!("2026-11-20 10:00:00 INFO {:032x}{n}\n", u128::from(n) * 0x9e37_79b9_7f4a_7c15_f39c)
    };
    let text: String = (0..20_000).map(line).collect();
    let options = IngestOptions::whole(SourceId::new(), "a.log", Timestamp::from_millis(0));
    let mut on = |_: &_| ControlFlow::Continue(());
    fixture.store.ingest_reader(text.as_bytes(), &options, &mut on).unwrap();
    let full = fixture.store.stats();
    let keep = Retention { days: 0, bytes: full.index_bytes / 2 };
    let gone = fixture.store.retain(keep, now()).unwrap();
    assert!((9_000..13_000).contains(&gone), "{gone}");
    let left = fixture.store.stats();
    assert_eq!(left.lines, 20_000 - gone);
    let ids = fixture.search("").lines;
    assert!(ids.iter().all(|line| line.id.0 > gone && !line.text.is_empty()));
    // What is gone has not left the disk yet, and nothing more goes for it.
    assert_eq!(fixture.store.retain(keep, now()).unwrap(), 0);
}
