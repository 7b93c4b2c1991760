//! What is unusual: conditions at one moment, and at every moment of the past.

use std::time::Duration;

use callboard_logs::Evaluated;
use callboard_protocol::{
    AlertCondition, AlertPreview, AnomalySearch, ErrorCode, Finding, SpikeBy, Timestamp,
};

use crate::fixture::Fixture;

/// Lines a minute apart, so many of each text.
struct Log(Vec<(i64, String)>);

const NOON: &str = "2026-11-20T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

/// So many minutes after noon.
fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_millis(noon().as_millis() + minutes * 60_000)
}

impl Log {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// So many lines within one minute.
    fn at(mut self, minutes: i64, count: usize, text: &str) -> Self {
        for second in 0..count {
            let at = minute(minutes).as_millis() + i64::try_from(second).unwrap() % 60 * 1_000;
            self.0.push((at, text.to_owned()));
        }
        self
    }

    fn index(mut self) -> Fixture {
        self.0.sort();
        let line = |(at, text): &(i64, String)| format!("{} {text}\n", Timestamp::from_millis(*at));
        Fixture::of(&self.0.iter().map(line).collect::<String>())
    }
}

fn found(fixture: &Fixture, condition: &AlertCondition, at: Timestamp) -> Vec<Finding> {
    let evaluated = fixture.store.evaluate(condition, at).unwrap();
    let Evaluated::Found(findings) = evaluated else { unreachable!("{evaluated:?}") };
    findings
}

fn waits(fixture: &Fixture, condition: &AlertCondition, at: Timestamp) -> &'static str {
    let evaluated = fixture.store.evaluate(condition, at).unwrap();
    let Evaluated::Waiting(why) = evaluated else { unreachable!("{evaluated:?}") };
    why
}

fn threshold(at_least: u64) -> AlertCondition {
    AlertCondition::Threshold { q: "level:error".into(), window_s: 300, at_least }
}

fn absence(by_source: bool) -> AlertCondition {
    AlertCondition::Absence { q: String::new(), window_s: 600, by_source }
}

fn spike(by: SpikeBy) -> AlertCondition {
    AlertCondition::Spike { q: String::new(), window_s: 600, factor: 3.0, at_least: 10, by }
}

#[test]
fn too_many_lines_in_a_window_are_found() {
    let fixture = Log::new()
        .at(0, 3, "ERROR disk full")
        .at(2, 4, "ERROR disk full")
        .at(3, 9, "INFO ok")
        .index();
    let all = found(&fixture, &threshold(7), minute(5));
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].count, all[0].key.as_str()), (7, ""));
    assert_eq!(all[0].summary, "7 lines in 5 min; 7 are too many");
    let example = fixture.store.line(all[0].example.unwrap()).unwrap();
    assert_eq!(example.text, "2026-11-20T12:02:03.000Z ERROR disk full");
    assert_eq!(found(&fixture, &threshold(8), minute(5)), []);
    assert_eq!(found(&fixture, &threshold(7), minute(6)), [], "the first have left the window");
    assert_eq!(found(&fixture, &threshold(4), minute(2)), [], "the later are yet to come");
}

#[test]
fn silence_is_found_of_everything_and_of_a_source() {
    let fixture = Log::new().at(0, 1, "INFO a").at(25, 1, "INFO b").index();
    fixture.ingest("other.log", &format!("{} INFO other\n", minute(20)));
    assert_eq!(found(&fixture, &absence(false), minute(5)), []);
    assert_eq!(found(&fixture, &absence(false), minute(15))[0].summary, "no line in 10 min");
    let silent = found(&fixture, &absence(true), minute(31));
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert_eq!(silent[0].key, "other.log");
    assert_eq!(silent[0].summary, "no line from other.log in 10 min");
    assert!(silent[0].example.is_some(), "its last line");
    let a_week_on = minute(60 + 8 * 24 * 60);
    assert_eq!(found(&fixture, &absence(true), a_week_on), [], "it is known no more");
    let empty = Fixture::new();
    assert_eq!(waits(&empty, &absence(false), noon()), "There are no lines yet.");
}

/// Ten lines at noon for three days, and on the fourth forty of one kind among them.
fn days() -> Fixture {
    let mut log = Log::new().at(-4 * 24 * 60, 1, "INFO hello world");
    for day in 1..=3 {
        log = log.at(-day * 24 * 60, 5, "WARN slow answer took 7 ms").at(
            -day * 24 * 60,
            5,
            "INFO hello world",
        );
    }
    log.at(0, 40, "WARN slow answer took 8 ms").at(1, 5, "INFO hello world").index()
}

#[test]
fn a_spike_is_held_against_the_same_time_of_the_days_before() {
    let fixture = days();
    let all = found(&fixture, &spike(SpikeBy::All), minute(5));
    assert_eq!((all[0].count, all[0].expected), (45, Some(10.0)));
    assert_eq!(all[0].summary, "45 lines in 10 min; on other days 10 at this time");
    let levels = found(&fixture, &spike(SpikeBy::Level), minute(5));
    assert_eq!(levels.len(), 1, "{levels:?}");
    assert_eq!((levels[0].key.as_str(), levels[0].count), ("warn", 40));
    let patterns = found(&fixture, &spike(SpikeBy::Pattern), minute(5));
    assert_eq!(patterns.len(), 1, "{patterns:?}");
    assert!(patterns[0].key.starts_with('P') && patterns[0].summary.contains("slow answer took"));
    let first_day = minute(-3 * 24 * 60 - 12 * 60);
    assert!(waits(&fixture, &spike(SpikeBy::All), first_day).contains("no day before"));
}

#[test]
fn what_is_like_no_line_before_is_found_once() {
    let fixture = Log::new()
        .at(0, 3, "INFO request 1 served")
        .at(20, 2, "INFO request 2 served")
        .at(21, 1, "ERROR cannot allocate memory")
        .index();
    let new = AlertCondition::NewPattern { q: String::new(), window_s: 600 };
    let findings = found(&fixture, &new, minute(25));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].summary.contains("cannot allocate memory"), "{findings:?}");
    assert!(findings[0].summary.ends_with("in 10 min; none before"));
    assert_eq!(found(&fixture, &new, minute(40)), []);
    assert!(waits(&fixture, &new, minute(5)).contains("no lines before"));
    let only = AlertCondition::NewPattern { q: "served OR level:info".into(), window_s: 600 };
    assert_eq!(found(&fixture, &only, minute(25)), []);
}

#[test]
fn anomalies_are_all_of_it() {
    let fixture = days();
    let search = AnomalySearch { to: Some(minute(10)), window_s: Some(600), ..Default::default() };
    let unusual = fixture.store.anomalies(&search, minute(10_000)).unwrap();
    assert_eq!((unusual.from, unusual.to, unusual.days), (noon(), minute(10), 4));
    assert_eq!((unusual.levels.len(), unusual.patterns.len()), (1, 1));
    assert_eq!((unusual.new_patterns.len(), unusual.silent_sources.len()), (0, 0));
}

/// What the outlook says is what an evaluation at that moment would have found.
#[test]
fn the_outlook_agrees_with_the_moments() {
    let fixture = days();
    fixture.ingest("other.log", &format!("{} INFO other\n", minute(-30)));
    for condition in [
        threshold(1),
        AlertCondition::Threshold { q: "slow".into(), window_s: 600, at_least: 5 },
        absence(false),
        absence(true),
        spike(SpikeBy::All),
        spike(SpikeBy::Level),
        spike(SpikeBy::Pattern),
    ] {
        let (from, to) = (minute(-90), minute(90));
        let preview = AlertPreview { condition: condition.clone(), from: Some(from), to: Some(to) };
        let outlook = fixture.store.outlook(&preview, minute(10_000)).unwrap();
        assert_eq!(outlook.step_s, 60);
        for at in -89..=90 {
            let mut now: Vec<String> =
                found(&fixture, &condition, minute(at)).into_iter().map(|of| of.key).collect();
            let told = outlook
                .times
                .iter()
                .filter(|time| time.from <= minute(at) && minute(at) <= time.to);
            let mut told: Vec<String> = told.map(|time| time.finding.key.clone()).collect();
            now.sort();
            told.sort();
            assert_eq!(told, now, "{condition:?} at {at}: {outlook:?}");
        }
    }
}

#[test]
fn the_outlook_counts_how_often() {
    let log = (0..6).fold(Log::new().at(-5_000, 1, "INFO old"), |log, day| {
        log.at(day * 24 * 60, 5, "ERROR it broke").at(day * 24 * 60 + 1, 9, "ERROR it broke")
    });
    let fixture = log.index();
    let end = minute(6 * 24 * 60);
    let preview = AlertPreview { condition: threshold(10), from: None, to: None };
    let outlook = fixture.store.outlook(&preview, end).unwrap();
    assert_eq!((outlook.fired, outlook.times.len()), (6, 6));
    assert_eq!(outlook.times[0].finding.count, 14, "at its most");
    assert!(outlook.times[0].from > outlook.times[1].from, "the last first");
    let new = AlertCondition::NewPattern { q: String::new(), window_s: 60 };
    let preview = AlertPreview { condition: new, from: None, to: None };
    let outlook = fixture.store.outlook(&preview, end).unwrap();
    assert_eq!(outlook.fired, 1, "{outlook:?}");
    assert!(outlook.times[0].from.since(noon()) < Duration::from_secs(60));
}

#[test]
fn what_is_wrong_with_a_condition_is_said() {
    let fixture = Fixture::new();
    let bad = [
        (AlertCondition::Threshold { q: String::new(), window_s: 59, at_least: 1 }, "60 to 86,400"),
        (AlertCondition::Threshold { q: String::new(), window_s: 60, at_least: 0 }, "at_least"),
        (AlertCondition::NewPattern { q: "(".into(), window_s: 60 }, "column"),
        (
            AlertCondition::Spike {
                q: String::new(),
                window_s: 60,
                factor: f64::NAN,
                at_least: 1,
                by: SpikeBy::All,
            },
            "factor",
        ),
    ];
    for (condition, why) in bad {
        let error = fixture.store.evaluate(&condition, noon()).unwrap_err().client_error();
        assert!(error.message.contains(why), "{error:?}");
        let preview = AlertPreview { condition, from: None, to: None };
        let same = fixture.store.outlook(&preview, noon()).unwrap_err().client_error();
        assert_eq!(same, error);
    }
    for (from, to) in [(noon(), noon()), (minute(-32 * 24 * 60), noon())] {
        let preview = AlertPreview { condition: threshold(1), from: Some(from), to: Some(to) };
        let error = fixture.store.outlook(&preview, noon()).unwrap_err().client_error();
        assert_eq!(error.code, ErrorCode::InvalidParameter);
    }
}
