//! Questions are answered from all matching lines, with counts that are right.

use callboard_logs::InvestigateOptions;
use callboard_protocol::{Evidence, Ranking};

use crate::fixture::{Fixture, now};

/// Attempts to sign in as sshd writes them: each leaves several lines, one of which says that it
/// failed.
const SSHD: &str = "\
Nov 19 10:00:01 gate sshd[10]: Invalid user eve from 192.0.2.7
Nov 19 10:00:01 gate sshd[10]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7
Nov 19 10:00:03 gate sshd[10]: Failed password for invalid user eve from 192.0.2.7 port 4001 ssh2
Nov 19 10:01:00 gate sshd[11]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.9  user=root
Nov 19 10:01:02 gate sshd[11]: Failed password for root from 192.0.2.9 port 4002 ssh2
Nov 19 10:01:09 gate sshd[11]: message repeated 5 times: [ Failed password for root from 192.0.2.9 port 4002 ssh2]
Nov 19 10:30:00 gate sshd[12]: Accepted password for ann from 192.0.2.20 port 4003 ssh2
Nov 19 11:00:00 gate sshd[13]: Failed password for root from 192.0.2.9 port 4004 ssh2
Nov 19 11:30:00 gate sshd[14]: error: Received disconnect from 192.0.2.9: 14: No more methods [preauth]
";

fn ask(fixture: &Fixture, question: &str) -> Evidence {
    fixture.store.investigate(question, &InvestigateOptions::at(now())).unwrap()
}

fn top(ranking: &Ranking) -> Vec<(&str, u64)> {
    ranking.top.iter().map(|value| (value.value.as_str(), value.lines)).collect()
}

#[test]
fn failed_sign_ins_are_counted_once_each() {
    let fixture = Fixture::of(SSHD);
    let evidence = ask(&fixture, "which IP addresses failed to log in most often, and when?");
    assert_eq!(evidence.searched.query, "\"Failed password\"");
    assert_eq!((evidence.searched.matched, evidence.searched.counted), (4, 4));
    let ips = &evidence.rankings[0];
    assert_eq!((ips.kind.as_str(), ips.distinct), ("IP addresses", 2));
    assert_eq!(top(ips), [("192.0.2.9", 3), ("192.0.2.7", 1)]);
    let worst = &ips.top[0];
    assert_eq!(worst.first_seen.unwrap().to_string(), "2026-11-19T10:01:02.000Z");
    assert_eq!(worst.last_seen.unwrap().to_string(), "2026-11-19T11:00:00.000Z");
    assert_eq!((worst.first_line.0, worst.last_line.0), (5, 8));
    for value in evidence.rankings.iter().flat_map(|ranking| &ranking.top) {
        for id in [value.first_line, value.last_line] {
            assert!(evidence.lines.iter().any(|line| line.id == id), "{id} is not among the lines");
        }
    }
    let reading = &evidence.searched.reading;
    assert!(reading.contains("lines with \"Failed password\""), "{reading}");
    let repeats = "1 line says that a message was repeated, 5 times in all: 8 events";
    assert!(reading.contains(repeats), "{reading}");
}

#[test]
fn each_source_is_read_by_the_words_that_it_has() {
    let fixture = Fixture::of(SSHD);
    let ftp = "Nov 19 12:00:00 box ftpd[7]: authentication failure; rhost=198.51.100.4 user=bob\n";
    fixture.ingest("ftp", ftp);
    let evidence = ask(&fixture, "which users had login failures?");
    assert_eq!(evidence.searched.matched, 5);
    assert_eq!(top(&evidence.rankings[0]), [("root", 3), ("bob", 1), ("eve", 1)]);
    assert_eq!(
        evidence.searched.query,
        "(\"Failed password\" source:app.log) OR (\"authentication failure\" source:ftp)"
    );
    let again = fixture.search(&evidence.searched.query);
    assert_eq!(again.matched, evidence.searched.matched);
}

#[test]
fn a_time_of_day_is_of_the_latest_day_with_lines() {
    let fixture = Fixture::of(SSHD);
    let evidence = ask(&fixture, "what happened between 11:00 and 12:00?");
    assert_eq!(evidence.searched.matched, 2);
    assert_eq!(evidence.searched.range.from.unwrap().to_string(), "2026-11-19T11:00:00.000Z");
    assert!(evidence.searched.reading.contains("latest day with lines"));
    let today = ask(&fixture, "errors today");
    assert_eq!(today.searched.matched, 0);
    assert!(today.searched.reading.contains("the newest line is of 2026-11-19T11:30"));
    assert!(today.lines.is_empty() && today.histogram.is_empty());
}

#[test]
fn levels_are_asked_for_by_their_names() {
    let fixture = Fixture::of(SSHD);
    let evidence = ask(&fixture, "which errors happened?");
    assert_eq!((evidence.searched.query.as_str(), evidence.searched.matched), ("level>=error", 1));
    assert_eq!(evidence.rankings[0].kind, "messages");
    assert_eq!(ask(&fixture, "how many warnings were there?").searched.matched, 0);
}

#[test]
fn lines_without_levels_are_searched_for_the_words_of_errors() {
    let fixture = Fixture::of("job 1 done\njob 2 failed with code 7\n");
    let evidence = ask(&fixture, "any errors?");
    assert_eq!(evidence.searched.matched, 1);
    assert!(evidence.searched.reading.contains("by their words"), "{}", evidence.searched.reading);
}

#[test]
fn words_must_all_occur_or_else_any() {
    let fixture = Fixture::of(SSHD);
    assert_eq!(ask(&fixture, "failed logins of root").searched.matched, 3);
    assert_eq!(ask(&fixture, "failed logins of root or eve").searched.matched, 4);
    let evidence = ask(&fixture, "failed logins, suspiciously");
    assert_eq!(evidence.searched.matched, 4);
    let reading = &evidence.searched.reading;
    assert!(reading.contains("no line has “suspiciously”, left out"), "{reading}");
    let evidence = ask(&fixture, "disconnects or preauth methods, oddly");
    assert!(evidence.searched.matched >= 1);
    let quoted = ask(&fixture, "how often \"No more methods\"?");
    assert_eq!(
        (quoted.searched.query.as_str(), quoted.searched.matched),
        ("\"No more methods\"", 1)
    );
}

#[test]
fn an_address_is_never_left_out() {
    let fixture = Fixture::of(SSHD);
    assert_eq!(ask(&fixture, "failed logins for 10.0.0.99").searched.matched, 0);
    assert_eq!(ask(&fixture, "failed logins for 192.0.2.7").searched.matched, 1);
    let successful = ask(&fixture, "was there a successful login from 192.0.2.9?");
    assert_eq!(successful.searched.matched, 0, "{:?}", successful.searched);
}

#[test]
fn a_summary_covers_everything() {
    let fixture = Fixture::of(SSHD);
    let evidence = ask(&fixture, "summarise");
    assert_eq!((evidence.searched.matched, evidence.searched.searched), (9, 9));
    assert_eq!(evidence.histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 9);
    assert_eq!(evidence.levels.iter().map(|level| level.count).sum::<u64>(), 9);
    assert_eq!(evidence.generation, fixture.store.generation());
    assert_eq!(evidence.searched.covered.from.unwrap().to_string(), "2026-11-19T10:00:01.000Z");
}

#[test]
fn an_empty_index_has_no_evidence() {
    let fixture = Fixture::new();
    let evidence = ask(&fixture, "which IP addresses failed to log in yesterday?");
    assert_eq!((evidence.searched.matched, evidence.searched.searched), (0, 0));
    assert!(evidence.rankings.is_empty() && evidence.lines.is_empty());
}

#[test]
fn counting_stops_at_its_limit_and_says_so() {
    let mut config = crate::fixture::config();
    config.count_limit = 10;
    let fixture = Fixture::with(config);
    fixture.ingest("app.log", &"tick from 10.0.0.1\n".repeat(50));
    let evidence = ask(&fixture, "which ip addresses tick?");
    assert_eq!((evidence.searched.matched, evidence.searched.counted), (50, 10));
    assert_eq!(top(&evidence.rankings[0]), [("10.0.0.1", 10)]);
}
