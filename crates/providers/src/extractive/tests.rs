use std::sync::Arc;

use callboard_protocol::{
    Bucket, Level, LevelCount, LineId, LineOrder, LogLine, Ranking, SearchedEvidence, SourceId,
    TimeRange, Timestamp, ValueCount, Wanted,
};
use futures_util::StreamExt as _;
use pulldown_cmark::{Event, Options, Parser, Tag};

use super::*;
use crate::cite;

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn line(id: u64, text: &str) -> LogLine {
    LogLine {
        id: LineId(id),
        source_id: SourceId(Default::default()),
        source: "OpenSSH_2k.log".to_owned(),
        timestamp: at("2015-12-10T06:55:48Z"),
        level: Level::Error,
        text: text.to_owned(),
        truncated: false,
        pattern: None,
    }
}

fn value(value: &str, lines: u64, first: u64, last: u64) -> ValueCount {
    ValueCount {
        value: value.to_owned(),
        lines,
        first_seen: at("2015-12-10T06:55:48Z"),
        last_seen: at("2015-12-10T11:04:45Z"),
        first_line: LineId(first),
        last_line: LineId(last),
    }
}

fn sign_ins() -> Evidence {
    let bucket = |hour: u32, count| Bucket {
        start: at(&format!("2015-12-10T{hour:02}:00:00Z")).unwrap(),
        count,
    };
    Evidence {
        searched: SearchedEvidence {
            query: "\"failed password\"".to_owned(),
            reading: "failed sign-ins".to_owned(),
            left_out: Vec::new(),
            range: TimeRange::default(),
            covered: TimeRange { from: at("2015-12-10T06:55:48Z"), to: at("2015-12-10T11:04:45Z") },
            matched: 520,
            searched: 2_000,
            counted: 520,
        },
        rankings: vec![Ranking {
            kind: "IP addresses".to_owned(),
            distinct: 2,
            top: vec![value("183.62.140.253", 286, 1, 2), value("187.141.143.180", 80, 3, 9)],
        }],
        histogram: vec![bucket(9, 120), bucket(10, 0), bucket(11, 30)],
        bucket_ms: 3_600_000,
        levels: vec![
            LevelCount { level: Level::Error, count: 500 },
            LevelCount { level: Level::Info, count: 20 },
        ],
        lines: vec![
            line(1, "Failed password for root from 183.62.140.253 port 1"),
            line(2, "Failed password for root from 183.62.140.253 port 2"),
            line(3, "Failed password for root from 187.141.143.180 port 3"),
        ],
        order: LineOrder::Best,
        wanted: Wanted::default(),
        generation: 1,
    }
}

async fn read(evidence: Option<Evidence>) -> (String, callboard_protocol::Usage, usize) {
    let request = CompletionRequest {
        question: "which IP addresses failed?".to_owned(),
        evidence: evidence.map(Arc::new),
        ..CompletionRequest::default()
    };
    let mut stream = answer(&request, "extractive".to_owned());
    let mut text = String::new();
    let mut deltas = 0;
    loop {
        match stream.next().await.unwrap().unwrap() {
            ReplyEvent::Text(delta) => {
                deltas += 1;
                text.push_str(&delta);
            }
            ReplyEvent::Finish { reason, usage, model } => {
                assert_eq!((reason, model.as_str()), (StopReason::Stop, "extractive"));
                assert!(stream.next().await.is_none());
                return (text, usage.into(), deltas);
            }
            other @ (ReplyEvent::Reasoning(_)
            | ReplyEvent::ReasoningSignature(_)
            | ReplyEvent::ToolCallStart { .. }
            | ReplyEvent::ToolCallArguments { .. }) => panic!("{other:?}"),
        }
    }
}

fn parse(markdown: &str) -> Vec<Event<'_>> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES).collect()
}

#[tokio::test]
async fn an_answer_ranks_dates_cites_and_says_that_no_model_took_part() {
    let (text, usage, deltas) = read(Some(sign_ins())).await;
    let expected = "\
I read the question as “failed sign-ins”: **520 lines match**, of 2,000 searched, between \
2015-12-10 06:55:48 and 11:04:45 UTC.

Of the IP addresses, **`183.62.140.253`** occurs most often: in 286 lines (55 %).

| IP addresses | Lines | First seen (UTC) | Last seen (UTC) |
|---|---:|---|---|
| `183.62.140.253` | 286 | 2015-12-10 06:55:48 [L1] | 2015-12-10 11:04:45 [L2] |
| `187.141.143.180` | 80 | 2015-12-10 06:55:48 [L3] | 2015-12-10 11:04:45 |

**When:** the busiest stretch was between 2015-12-10 09:00 and 10:00 UTC, with 120 of the \
matching lines (23 %).

**Levels:** 500 error, 20 info.

**Lines that fit best**, from `OpenSSH_2k.log`:

- [L1] `Failed password for root from 183.62.140.253 port 1`
- [L2] `Failed password for root from 183.62.140.253 port 2`
- [L3] `Failed password for root from 187.141.143.180 port 3`

Searched for `\"failed password\"` over all times (2,000 lines).

*This answer was put together from the log index alone, without a language model.*
";
    assert_eq!(text, expected);
    assert_eq!(usage.input_tokens, 4);
    assert_eq!(usage.output_tokens, text.split_whitespace().count() as u64);
    assert!(deltas > 10, "it streams in small pieces: {deltas}");
}

#[tokio::test]
async fn only_lines_of_the_evidence_are_cited() {
    let evidence = sign_ins();
    let (text, ..) = read(Some(evidence.clone())).await;
    let cited = cite(&text, &evidence.lines);
    let ids: Vec<u64> = cited.citations.iter().map(|citation| citation.line_id.0).collect();
    // Line 9 ends a ranking, and stands in no list of lines.
    assert_eq!((ids, cited.unsupported), (vec![1, 2, 3], vec![]));
}

#[tokio::test]
async fn a_limit_that_was_reached_is_told() {
    let mut evidence = sign_ins();
    evidence.searched.counted = 300;
    let (text, ..) = read(Some(evidence)).await;
    assert!(text.contains("only 300 of the 520 matching lines were counted"), "{text}");
    assert!(text.contains("286 lines (95 % of those counted)"), "{text}");
}

#[tokio::test]
async fn a_tie_names_no_winner() {
    let mut evidence = sign_ins();
    evidence.rankings[0].top[1].lines = 286;
    let (text, ..) = read(Some(evidence.clone())).await;
    assert!(text.contains("All 2 IP addresses occur equally often, in 286 lines each."), "{text}");
    evidence.rankings[0].distinct = 40;
    let (text, ..) = read(Some(evidence)).await;
    assert!(
        text.contains("At least 2 IP addresses share the first place, with 286 lines each."),
        "{text}"
    );
    assert!(text.contains("There are 40 different IP addresses; these are the first 2:"), "{text}");
}

#[tokio::test]
async fn what_the_question_wants_shown_is_shown() {
    let mut evidence = sign_ins();
    evidence.wanted = Wanted { values: Some(1), over_time: true, ..Wanted::default() };
    let (text, ..) = read(Some(evidence.clone())).await;
    assert!(
        text.contains("these are the first 1:") && !text.contains("187.141.143.180` |"),
        "{text}"
    );
    assert!(text.contains("| between 2015-12-10 09:00 and 10:00 UTC | 120 |"), "{text}");
    evidence.wanted = Wanted { lines: Some(2), ..Wanted::default() };
    evidence.order = LineOrder::Oldest;
    let (text, ..) = read(Some(evidence)).await;
    let lines = text.find("**The earliest lines**, from `OpenSSH_2k.log`").unwrap();
    assert!(lines < text.find("Of the IP addresses").unwrap(), "{text}");
    assert!(text.contains("- [L2] ") && !text.contains("- [L3] "), "{text}");
}

#[tokio::test]
async fn what_was_left_out_is_never_cut() {
    let mut evidence = sign_ins();
    evidence.searched.reading = format!("{}; left out", "lines with many words ".repeat(30));
    let (text, ..) = read(Some(evidence)).await;
    assert!(text.contains("; left out”"), "{text}");
}

#[tokio::test]
async fn nothing_found_says_what_was_searched_and_how_to_widen_it() {
    let mut evidence = sign_ins();
    evidence.searched.matched = 0;
    evidence.searched.query = "level:error".to_owned();
    evidence.searched.range.from = at("2026-11-21T02:00:00Z");
    let (text, ..) = read(Some(evidence.clone())).await;
    assert!(text.contains("**no line matches**"), "{text}");
    assert!(text.contains("`level:error` since 2026-11-21 02:00:00 UTC (2,000 lines)"), "{text}");
    assert!(text.contains("longer span of time") && text.contains("all levels"), "{text}");
    evidence.searched.range.from = None;
    evidence.searched.searched = 0;
    let (text, ..) = read(Some(evidence)).await;
    assert!(text.contains("Nothing is indexed yet"), "{text}");
}

#[tokio::test]
async fn without_evidence_it_says_what_it_can_answer() {
    let (text, ..) = read(None).await;
    assert!(text.contains("only answer questions about the indexed logs"), "{text}");
}

#[tokio::test]
async fn hostile_log_text_neither_acts_nor_forges_citations() {
    let hostile = "<img src=x onerror=alert(1)> | [L3] ![a](http://evil) ``` \n\n# Heading \
        [L999](javascript:x) `[L2]` www.evil.example";
    let mut evidence = sign_ins();
    evidence.rankings[0].top[0] = value(hostile, 286, 1, 1);
    evidence.rankings[0].kind = "users <b>".to_owned();
    evidence.searched.reading = hostile.to_owned();
    evidence.searched.query = hostile.to_owned();
    evidence.lines = vec![line(1, hostile)];
    evidence.lines[0].source = hostile.to_owned();
    let (text, ..) = read(Some(evidence.clone())).await;
    let events = parse(&text);
    let acts = |event: &&Event<'_>| {
        matches!(
            event,
            Event::Html(_)
                | Event::InlineHtml(_)
                | Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::Heading { .. })
        )
    };
    assert_eq!(events.iter().find(acts), None, "{text}");
    let is_cell = |event: &&Event<'_>| matches!(event, Event::Start(Tag::TableCell));
    let cells = events.iter().filter(is_cell).count();
    assert_eq!(cells, 4 + 2 * 4, "{text}");
    let cited = cite(&text, &evidence.lines);
    assert_eq!(cited.citations.len(), 1);
    assert_eq!(cited.unsupported, []);
}

#[test]
fn the_next_questions_follow_from_the_evidence() {
    let mut evidence = sign_ins();
    assert_eq!(
        suggestions(&evidence),
        [
            "What else is logged about 183.62.140.253?",
            "What else happened between 2015-12-10 09:00 and 10:00 UTC?",
            "Which errors came most often?",
        ]
    );
    evidence.searched.matched = 0;
    assert_eq!(suggestions(&evidence), ["Which errors came most often?"]);
}
