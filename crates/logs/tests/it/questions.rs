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
    finds(&fixture, "any crash?", 2);
    finds(&fixture, "crashes", 2);
    finds(&fixture, "which workers crashed?", 1);
    finds(&fixture, "queries of the pools", 1);
}

#[test]
fn but_and_neither_leave_out_too() {
    let fixture = fixture();
    finds(&fixture, "everything but failed logins in gate.log", 2);
    finds(&fixture, "all but errors in app.log", 2);
    finds(&fixture, "gate lines that are not failed passwords", 2);
    finds(&fixture, "failed logins neither for root nor ann", 1);
    finds(&fixture, "failed logins from everywhere except 192.0.2.7 and 192.0.2.9", 1);
    finds(&fixture, "failed logins that are not from client 192.0.2.9", 2);
    let evidence = ask(&fixture, "which users never failed to log in?");
    let left_out = &evidence.searched.left_out;
    assert!(left_out.iter().any(|word| word == "never"), "{left_out:?}");
}

#[test]
fn the_subject_of_a_yes_or_no_question_is_never_left_out() {
    let fixture = fixture();
    finds(&fixture, "has root ever logged in?", 0);
    finds(&fixture, "did ann log in successfully?", 1);
    finds(&fixture, "who logged in successfully?", 2);
    finds(&fixture, "did anyone get in?", 2);
    finds(&fixture, "did worker fail to log in?", 0);
}

#[test]
fn times_are_bounded_by_the_day_that_they_name() {
    let fixture = fixture();
    finds(&fixture, "failed logins after nov 18", 2);
    finds(&fixture, "failed logins before nov 19", 3);
    finds(&fixture, "failed logins after 09:15 on nov 18", 2);
    finds(&fixture, "failed logins before 09:15 on nov 18", 1);
    finds(&fixture, "failed logins since 09:15 on nov 18", 4);
    finds(&fixture, "failed logins on nov 18 at 9am", 2);
    finds(&fixture, "failed logins on nov 18 at 9 o'clock", 2);
    finds(&fixture, "failed logins on 18 november at 9", 2);
}

#[test]
fn days_hours_and_the_rarest_are_counted() {
    let fixture = fixture();
    let evidence = finds(&fixture, "which day had the most failed logins?", 5);
    let top = &evidence.rankings[0];
    assert_eq!((top.kind.as_str(), top.top[0].value.as_str()), ("days", "2026-11-18"));
    let evidence = finds(&fixture, "at what hour of the day do most failed logins happen?", 5);
    let top = &evidence.rankings[0];
    assert_eq!((top.kind.as_str(), top.top[0].value.as_str()), ("hours of the day", "09:00"));
    let evidence = finds(&fixture, "which address failed least often to log in?", 5);
    assert!(evidence.wanted.fewest);
    assert_eq!(
        (evidence.rankings[0].top[0].value.as_str(), evidence.rankings[0].top[0].lines),
        ("192.0.2.20", 1)
    );
}

#[test]
fn sessions_of_su_are_no_sign_ins() {
    let fixture = Fixture::of(
        "Nov 19 09:00:00 box su(pam_unix)[1]: session opened for user news by (uid=0)\n\
         Nov 19 09:01:00 box sshd(pam_unix)[2]: session opened for user ann by (uid=500)\n",
    );
    finds(&fixture, "who logged in?", 1);
    finds(&fixture, "did news log in?", 0);
}

#[test]
fn the_servers_own_log_is_searched_only_by_its_name() {
    let fixture = fixture();
    fixture.ingest("callboard", "2026-11-21 02:45:00 ERROR turn: no provider\n");
    let options = InvestigateOptions { own: Some("callboard"), ..InvestigateOptions::at(now()) };
    let ask = |question| fixture.store.investigate(question, &options).unwrap().searched;
    let others = ask("any errors?");
    assert_eq!((others.matched, others.searched), (4, 13));
    assert!(others.reading.contains("without the server's own log"), "{}", others.reading);
    assert_eq!(ask("any errors in callboard's own log?").matched, 1);
    let alone = Fixture::new();
    alone.ingest("callboard", "2026-11-21 02:45:00 ERROR turn: no provider\n");
    assert_eq!(alone.store.investigate("any errors?", &options).unwrap().searched.matched, 1);
}

#[test]
fn what_is_not_understood_finds_nothing_and_is_said() {
    let fixture = fixture();
    for question in ["hello", "wie viele anmeldungen?", "ログイン失敗"] {
        let evidence = finds(&fixture, question, 0);
        assert!(!evidence.searched.left_out.is_empty(), "{question}");
    }
    let evidence = finds(&fixture, "failed logins, suspiciously", 5);
    assert_eq!(evidence.searched.left_out, ["suspiciously"]);
    finds(&fixture, "exceptions", 0);
    finds(&fixture, "failed logins 7", 5);
}
