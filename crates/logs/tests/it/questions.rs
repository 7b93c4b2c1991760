//! Questions are read as people mean them: what they leave out, name, count and want shown.

use callboard_logs::InvestigateOptions;
use callboard_protocol::{Evidence, LineOrder};

use crate::fixture::{Fixture, now};

/// Four days of two machines. `gate` is attacked; `app` has faults, and a job that never says so.
const GATE: &str = "\
Nov 18 09:10:00 gate sshd[10]: Failed password for root from 192.0.2.7 port 4001 ssh2
Nov 18 09:20:00 gate sshd[11]: Failed password for root from 192.0.2.9 port 4002 ssh2
Nov 18 10:20:00 gate sshd[12]: Failed password for invalid user eve from 192.0.2.9 port 4003 ssh2
Nov 19 09:05:00 gate sshd[13]: Failed password for ann from 192.0.2.20 port 4004 ssh2
Nov 19 09:06:00 gate sshd[14]: Accepted password for ann from 192.0.2.20 port 4005 ssh2
Nov 19 09:07:00 gate sshd[15]: Failed password for root from 192.0.2.9 port 4006 ssh2
Nov 20 08:00:00 gate sshd[16]: Accepted password for bob from 192.0.2.21 port 4007 ssh2
";
const APP: &str = "\
2026-11-20 23:00:00 ERROR pool: connection refused by 10.0.0.5:5432
2026-11-21 01:30:00 ERROR worker: crashed with signal 11
2026-11-21 01:45:00 WARN pool: slow query
2026-11-21 02:00:00 INFO rotate: exited abnormally with [1]
2026-11-21 02:30:00 ERROR pool: timeout after 30 s
2026-11-21 04:00:00 ERROR pool: from a clock that is ahead
";

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.ingest("gate.log", GATE);
    fixture.ingest("app.log", APP);
    fixture
}

fn ask(fixture: &Fixture, question: &str) -> Evidence {
    fixture.store.investigate(question, &InvestigateOptions::at(now())).unwrap()
}

#[track_caller]
fn finds(fixture: &Fixture, question: &str, lines: u64) -> Evidence {
    let evidence = ask(fixture, question);
    assert_eq!(evidence.searched.matched, lines, "{question}: {:?}", evidence.searched);
    evidence
}

#[test]
fn what_is_excluded_is_not_found() {
    let fixture = fixture();
    let evidence = finds(&fixture, "failed logins not from 192.0.2.9", 2);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("without lines that have “192.0.2.9”"), "{reading}");
    finds(&fixture, "failed logins excluding root", 2);
    finds(&fixture, "failed logins except root and ann", 1);
    finds(&fixture, "errors but not timeouts", 3);
    finds(&fixture, "errors without \"clock that is ahead\"", 3);
    finds(&fixture, "errors -pool", 1);
    finds(&fixture, "everything not in gate.log", 6);
}

#[test]
fn times_narrow_each_other() {
    let fixture = fixture();
    finds(&fixture, "failed logins on Nov 18 between 09:00 and 10:00", 2);
    finds(&fixture, "failed logins between 9 and 10 on nov 19", 2);
    finds(&fixture, "failed logins on Nov 18", 3);
    finds(&fixture, "who logged in yesterday morning?", 1);
    finds(&fixture, "errors this morning", 3);
    let evidence = finds(&fixture, "errors in the last 2 hours", 2);
    assert!(evidence.searched.range.to.is_some(), "lines of the future are not of the last hours");
}

#[test]
fn a_day_without_a_year_is_of_the_latest_year_that_has_it() {
    let fixture = fixture();
    fixture.ingest("old.log", "2005-11-18 10:00:00 ERROR old: fault\n");
    finds(&fixture, "errors on november 18 in old.log", 1);
    finds(&fixture, "errors in november in old.log", 1);
    finds(&fixture, "failed logins on november 18", 3);
}

#[test]
fn numbers_limit_what_is_shown() {
    let fixture = fixture();
    let evidence = finds(&fixture, "top 1 ip addresses with failed passwords", 5);
    assert_eq!((evidence.wanted.values, evidence.rankings[0].top.len()), (Some(1), 1));
    assert_eq!(evidence.rankings[0].top[0].value, "192.0.2.9");
    assert_eq!((evidence.rankings[0].distinct, evidence.rankings[0].top[0].lines), (3, 3));
    let evidence = finds(&fixture, "last 2 failed logins", 5);
    assert_eq!((evidence.wanted.lines, evidence.order), (Some(2), LineOrder::Newest));
    assert_eq!(evidence.lines[0].id.0, 6);
    let evidence = finds(&fixture, "when did 192.0.2.9 first fail to log in?", 3);
    assert_eq!((evidence.order, evidence.lines[0].id.0), (LineOrder::Oldest, 2));
    let evidence = finds(&fixture, "first 3 lines", 13);
    let ids: Vec<u64> = evidence.lines[..3].iter().map(|line| line.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn counts_over_time_have_the_width_that_was_asked_for() {
    let fixture = fixture();
    let evidence = finds(&fixture, "failed logins per day", 5);
    let counts: Vec<u64> = evidence.histogram.iter().map(|bucket| bucket.count).collect();
    assert_eq!((evidence.bucket_ms, counts), (86_400_000, vec![3, 2]));
    assert!(evidence.wanted.over_time);
    let evidence = finds(&fixture, "lines per second", 13);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("wider slices"), "{reading}");
}

#[test]
fn attempts_are_failed_and_successful_ones() {
    let fixture = fixture();
    finds(&fixture, "how many times did 192.0.2.9 try to log in as root?", 2);
    finds(&fixture, "login attempts by ann", 2);
    finds(&fixture, "who could not log in?", 5);
    finds(&fixture, "who logged in?", 2);
}

#[test]
fn who_failed_and_then_did_not_is_asked_for_as_one() {
    let fixture = fixture();
    let evidence = finds(&fixture, "which users failed but then logged in?", 2);
    assert_eq!(evidence.rankings[0].kind, "users");
    let top: Vec<&str> = evidence.rankings[0].top.iter().map(|top| top.value.as_str()).collect();
    assert_eq!(top, ["ann"]);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("only the 1 users that have both in this order"), "{reading}");
    let before = Fixture::of(
        "Nov 19 09:00:00 gate sshd[1]: Accepted password for ann from 192.0.2.20 port 1 ssh2\n\
         Nov 19 09:01:00 gate sshd[2]: Failed password for ann from 192.0.2.20 port 2 ssh2\n",
    );
    finds(&before, "which users failed but then logged in?", 0);
}

#[test]
fn a_log_may_be_named() {
    let fixture = fixture();
    fixture.ingest("callboard", "2026-11-21 02:45:00 ERROR turn: no provider\n");
    finds(&fixture, "errors in callboard's own log in the last hour", 1);
    finds(&fixture, "errors in app.log", 4);
    let evidence = finds(&fixture, "errors in today.log", 0);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("no line at all has “today.log”"), "{reading}");
    assert!(reading.contains("“gate.log”, “app.log” and “callboard”"), "{reading}");
    let evidence = finds(&fixture, "what logs do you have?", 14);
    assert_eq!(
        (evidence.rankings[0].kind.as_str(), evidence.rankings[0].distinct),
        ("log sources", 3)
    );
}

#[test]
fn names_hold_and_what_they_leave_out_is_said() {
    let fixture = fixture();
    let evidence = finds(&fixture, "failed logins for mallory", 0);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("no line at all has “mallory”"), "{reading}");
    assert!(reading.contains("without that, 5 lines would match"), "{reading}");
    let evidence = finds(&fixture, "rotate errors", 1);
    assert_eq!(
        evidence.lines[0].text,
        "2026-11-21 02:00:00 INFO rotate: exited abnormally with [1]"
    );
    finds(&fixture, "slow errors", 1);
    finds(&fixture, "failed logins of eve or ann", 2);
    finds(&fixture, "failed logins of eve and ann", 2);
    finds(&fixture, "failed logins of root and 192.0.2.9", 2);
}

#[test]
fn words_are_found_in_their_other_forms() {
    let fixture = fixture();
    finds(&fixture, "any crash?", 1);
    finds(&fixture, "crashes", 1);
    finds(&fixture, "which workers crashed?", 1);
    finds(&fixture, "queries of the pools", 1);
}
