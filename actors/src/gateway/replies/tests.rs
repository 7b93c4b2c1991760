use callboard_providers::{Schema, TokenUsage};

use super::*;

fn finish(reason: StopReason) -> ReplyEvent {
    ReplyEvent::Finish { reason, usage: TokenUsage::default(), model: "m".to_owned() }
}

fn text(text: &str) -> ReplyEvent {
    ReplyEvent::Text(text.to_owned())
}

fn call(arguments: &str) -> [ReplyEvent; 2] {
    let (id, name) = ("1".to_owned(), "look".to_owned());
    [
        ReplyEvent::ToolCallStart { index: 0, id, name, signature: None },
        ReplyEvent::ToolCallArguments { index: 0, piece: arguments.to_owned() },
    ]
}

#[test]
fn what_is_whole_and_says_something_is_kept() {
    let (plain, json) = (ResponseFormat::Text, ResponseFormat::Json);
    let [start, arguments] = call("{\"q\":1}");
    let [_, broken] = call("{\"q\":");
    for (events, format, kept) in [
        (vec![text("yes"), finish(StopReason::Stop)], &plain, true),
        (vec![text("{\"a\":"), text("1}"), finish(StopReason::Stop)], &json, true),
        (vec![start.clone(), arguments, finish(StopReason::ToolCalls)], &json, true),
        (vec![start.clone(), finish(StopReason::ToolCalls)], &plain, true),
        (vec![start, broken, finish(StopReason::ToolCalls)], &plain, false),
        (vec![text("yes")], &plain, false),
        (vec![text(" "), finish(StopReason::Stop)], &plain, false),
        (vec![finish(StopReason::Stop)], &plain, false),
        (vec![text("ye"), finish(StopReason::Length)], &plain, false),
        (vec![text("I cannot"), finish(StopReason::ContentFilter)], &plain, false),
        (vec![text("{\"a\":"), finish(StopReason::Stop)], &json, false),
    ] {
        assert_eq!(is_worth_keeping(format, &events), kept, "{events:?}");
    }
    let schema = Schema::parse("{}").unwrap();
    let form = ResponseFormat::Schema { name: "n".to_owned(), schema, strict: None };
    assert!(!is_worth_keeping(&form, &[text("no JSON"), finish(StopReason::Stop)]));
}

fn written() -> (Arc<ReplyLog>, LogWriter) {
    let log = Arc::new(ReplyLog::default());
    let writer = LogWriter::new(Arc::clone(&log));
    (log, writer)
}

fn begin(writer: &LogWriter) {
    let (provider, model) = ("p".to_owned(), "m".to_owned());
    writer.begin(LogHead { provider, model, attempts: Vec::new(), age: None });
}

#[tokio::test]
async fn whoever_joins_late_reads_all_of_it() {
    let (log, writer) = written();
    let mut first = log.join().unwrap();
    let begun = first.begun();
    begin(&writer);
    assert_eq!(begun.await.unwrap().provider, "p");
    writer.append(text("a"));
    assert_eq!(first.next().await.unwrap().unwrap(), text("a"));
    let late = log.join().unwrap();
    let (end, all) = tokio::join!(
        async {
            writer.append(finish(StopReason::Stop));
            writer.end(Ok(()));
        },
        late.collect::<Vec<_>>()
    );
    let () = end;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, [text("a"), finish(StopReason::Stop)]);
    assert_eq!(first.next().await.unwrap().unwrap(), finish(StopReason::Stop));
    assert!(first.next().await.is_none() && first.next().await.is_none());
}

#[tokio::test]
async fn a_log_without_readers_is_given_up() {
    let (log, writer) = written();
    let (one, other) = (log.join().unwrap(), log.join().unwrap());
    drop(one);
    assert!(!log.abandoned().is_cancelled());
    drop(other);
    assert!(log.abandoned().is_cancelled() && log.join().is_none());
    drop(writer);
}

#[tokio::test]
async fn a_writer_that_is_lost_ends_the_log_with_an_error() {
    let (log, writer) = written();
    let mut reader = log.join().unwrap();
    begin(&writer);
    writer.append(text("a"));
    drop(writer);
    assert!(reader.begun().await.is_ok(), "it had begun");
    assert!(reader.next().await.unwrap().is_ok());
    assert!(reader.next().await.unwrap().is_err() && reader.next().await.is_none());
}
