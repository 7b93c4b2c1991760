//! Old lines leave the index, by the day on which they came in and by the room that all take; what is left
//! is as it was.

use std::{ops::ControlFlow, time::Duration};

use callboard_logs::{IngestOptions, KeepRule, LogsConfig, Retention, SourceNames};
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
    Retention { days, ..Retention::default() }
}

#[test]
fn lines_go_when_their_day_does_and_nothing_else_changes() {
    let fixture = Fixture::new();
    ingest(&fixture, "old.log", 3, 0..5);
    ingest(&fixture, "both.log", 3, 5..8);
    ingest(&fixture, "both.log", 1, 8..10);
    ingest(&fixture, "new.log", 1, 10..14);
    assert_eq!(fixture.store.retain(&Retention::default(), now()).unwrap(), 0);
    assert_eq!(fixture.store.retain(&days(4), now()).unwrap(), 0);
    let before = fixture.store.generation();
    assert_eq!(fixture.store.retain(&days(3), now()).unwrap(), 8);
    assert!(fixture.store.generation() > before, "answers from the cache would cite what is gone");
    assert_eq!(fixture.store.retain(&days(3), now()).unwrap(), 0);

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
    fixture.store.reindex(None, &mut go_on).unwrap();
    assert_eq!(fixture.search("").matched, 7);
    assert_eq!(fixture.store.retain(&days(1), now()).unwrap(), 6);
    assert_eq!(fixture.search("").matched, 1);
}

#[test]
fn an_index_of_before_keeps_its_lines_until_the_first_day_that_it_knows_is_over() {
    let fixture = Fixture::new();
    ingest(&fixture, "a.log", 2, 0..3);
    assert_eq!(fixture.store.retain(&days(3), now()).unwrap(), 0);
    assert_eq!(fixture.store.retain(&days(2), now()).unwrap(), 3);
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
    let keep = Retention { bytes: full.index_bytes / 2, ..Retention::default() };
    let gone = fixture.store.retain(&keep, now()).unwrap();
    assert!((9_000..13_000).contains(&gone), "{gone}");
    let left = fixture.store.stats();
    assert_eq!(left.lines, 20_000 - gone);
    let ids = fixture.search("").lines;
    assert!(ids.iter().all(|line| line.id.0 > gone && !line.text.is_empty()));
    // What is gone has not left the disk yet, and nothing more goes for it.
    assert_eq!(fixture.store.retain(&keep, now()).unwrap(), 0);
}

fn names(pattern: &str) -> SourceNames {
    SourceNames::parse(pattern).unwrap()
}

#[test]
fn sources_have_rules_of_their_own_and_of_what_is_held_nothing_goes() {
    let fixture = Fixture::new();
    for (days_ago, from) in [(5, 0), (3, 10), (1, 20)] {
        for (source, at) in [("audit.log", 0), ("web.log", 2), ("other.log", 4), ("court.log", 6)] {
            ingest(&fixture, source, days_ago, from + at..from + at + 2);
        }
    }
    let keep = Retention {
        rules: vec![
            KeepRule { sources: names("web*"), days: 2, mb: 0 },
            KeepRule { sources: names("audit*"), days: 0, mb: 0 },
        ],
        held: vec![names("c*.log")],
        ..days(4)
    };
    assert_eq!(fixture.store.retain(&keep, now()).unwrap(), 4 + 2);
    assert_eq!(fixture.store.retain(&keep, now()).unwrap(), 0);
    let fixture = fixture.reopened();
    let stats = fixture.store.stats();
    let lines = |name: &str| -> u64 {
        stats.sources.iter().filter(|source| source.name == name).map(|source| source.lines).sum()
    };
    let left = ["audit.log", "web.log", "other.log", "court.log"].map(lines);
    assert_eq!((left, stats.lines, stats.levels[0].count), ([6, 2, 4, 6], 18, 18));
    for (line, is_there) in
        [("n0", true), ("n2", false), ("n12", false), ("n14", true), ("n6", true)]
    {
        assert_eq!(fixture.search(line).matched, u64::from(is_there), "{line}");
    }
    // When it is no longer held it goes as the others.
    let keep = Retention { held: Vec::new(), ..keep };
    assert_eq!(fixture.store.retain(&keep, now()).unwrap(), 2);
    // Made anew it is the same, and a re-index that was broken off before brings nothing back.
    let mut stop = |_: &_| ControlFlow::Break(());
    fixture.store.reindex(None, &mut stop).unwrap();
    assert_eq!(fixture.store.retain(&days(2), now()).unwrap(), 8);
    fixture.store.reindex(None, &mut go_on).unwrap();
    assert_eq!((fixture.search("").matched, fixture.store.stats().lines), (8, 8));
}

#[test]
fn a_source_that_takes_too_much_room_loses_its_oldest_lines_and_others_none() {
    let fixture = Fixture::with(LogsConfig { commit_every_lines: 500, ..config() });
    let noise = |n: u64| format!("{:032x}", u128::from(n) * 0x9e37_79b9_7f4a_7c15_f39c);
    let text = |name: &str, lines: std::ops::Range<u64>| -> String {
        let line = |n: u64| {
            let noise = noise(n) + &noise(n * 7 + 1);
            format!("2026-11-20 10:00:00 INFO {name} {noise} n{n}\n")
        };
        lines.map(line).collect()
    };
    let (chatty, quiet) = (SourceId::new(), SourceId::new());
    for part in 0..8 {
        for (source, name, count) in [(quiet, "quiet.log", 100), (chatty, "chatty.log", 4_000)] {
            let options = IngestOptions::whole(source, name, now());
            let whole = text(name, 0..(part + 1) * count);
            fixture.store.ingest_reader(whole.as_bytes(), &options, &mut go_on).unwrap();
        }
    }
    assert!(!fixture.store.is_sparse());
    let rule = KeepRule { sources: names("chatty.log"), days: 0, mb: 1 };
    let keep = Retention { rules: vec![rule], ..Retention::default() };
    let gone = fixture.store.retain(&keep, now()).unwrap();
    let of = |name: &str| {
        let stats = fixture.store.stats();
        stats.sources.iter().find(|source| source.name == name).unwrap().lines
    };
    assert_eq!((of("quiet.log"), of("chatty.log")), (800, 32_000 - gone));
    assert!((20_000..31_500).contains(&gone), "{gone}");
    let search = |q: &str| fixture.search(q).matched;
    assert_eq!((search("source:chatty.log n0"), search("source:chatty.log n31999")), (0, 1));
    assert_eq!(fixture.store.retain(&keep, now()).unwrap(), 0, "it is within its bound");
    // The texts between those of the other source make room when the index is made anew.
    assert!(fixture.store.is_sparse());
    let before = fixture.store.stats().index_bytes;
    fixture.store.reindex(None, &mut go_on).unwrap();
    let after = fixture.store.stats().index_bytes;
    assert!(!fixture.store.is_sparse() && after < before * 2 / 3, "{before} to {after}");
    assert_eq!((of("quiet.log"), of("chatty.log")), (800, 32_000 - gone));
}
