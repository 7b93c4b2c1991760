#![expect(clippy::wildcard_enum_match_arm, reason = "tests look at the frames that they are about")]

use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::*;

fn head(max_bytes: usize) -> TurnHead {
    TurnHead {
        turn_id: TurnId::new(),
        conversation_id: ConversationId::new(),
        message_id: MessageId::new(),
        owner: UserId::new(),
        max_bytes,
        coalesce: Duration::from_millis(25),
    }
}

fn answer(log: &TurnLog, response: &str) -> TurnEvent {
    TurnEvent::Answered(Box::new(Answer {
        conversation_id: log.conversation_id(),
        turn_id: log.turn_id(),
        message_id: log.message_id(),
        response: response.to_owned(),
        citations: Vec::new(),
        suggestions: Vec::new(),
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        cost_usd: 0.0,
        provider: "p".into(),
        model: "m".into(),
        cached: false,
    }))
}

fn started() -> TurnEvent {
    TurnEvent::Started { model: "m".into(), provider: "p".into(), cached: false }
}

fn seq_of(frame: &ServerFrame) -> u64 {
    match frame {
        ServerFrame::StreamStart { seq, .. }
        | ServerFrame::Step { seq, .. }
        | ServerFrame::StreamRestart { seq, .. }
        | ServerFrame::StreamChunk { seq, .. }
        | ServerFrame::StreamEnd { seq, .. }
        | ServerFrame::Response { seq, .. } => *seq,
        other => panic!("not a frame of a turn: {other:?}"),
    }
}

/// What a reader that obeys the frames has on its screen.
fn screen<'a>(frames: impl IntoIterator<Item = &'a ServerFrame>) -> String {
    let mut text = String::new();
    for frame in frames {
        match frame {
            ServerFrame::StreamChunk { content, .. } => text.push_str(content),
            ServerFrame::StreamRestart { .. } => text.clear(),
            _ => {}
        }
    }
    text
}

/// A whole turn with a restart in it; the answer is `new`.
fn whole_turn(old: &[String], new: &[String]) -> Arc<TurnLog> {
    let log = TurnLog::new(head(1 << 20));
    log.append(started());
    for piece in old {
        log.append_text(piece).unwrap();
    }
    log.append(TurnEvent::Restarted { reason: "cut".into() });
    for piece in new {
        log.append_text(piece).unwrap();
    }
    let text = log.answer_text();
    log.append(answer(&log, &text));
    log
}

async fn read_all(log: &Arc<TurnLog>, after: u64) -> Vec<ServerFrame> {
    log.follow(after).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_late_gets_everything_joined() {
    let log = whole_turn(&["a".into(), "b".into()], &["c".into(), "d".into(), "e".into()]);
    let frames = read_all(&log, 0).await;
    let seqs: Vec<u64> = frames.iter().map(seq_of).collect();
    assert_eq!(seqs, [1, 3, 4, 7, 8]);
    assert_eq!(screen(&frames), "cde");
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_comes_at_once_and_later_ones_in_one_frame_per_interval() {
    let log = TurnLog::new(head(1 << 20));
    let mut frames = Box::pin(log.follow(0));
    assert!(frames.next().now_or_never().is_none(), "nothing is there yet");
    let begun = Instant::now();
    log.append_text("one ").unwrap();
    let first = frames.next().await.unwrap();
    assert_eq!((screen([&first]).as_str(), begun.elapsed()), ("one ", Duration::ZERO));
    for piece in ["two ", "three ", "four"] {
        log.append_text(piece).unwrap();
    }
    let second = frames.next().await.unwrap();
    assert_eq!(screen([&second]), "two three four");
    assert_eq!(begun.elapsed(), Duration::from_millis(25));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_is_not_waited_for() {
    let log = TurnLog::new(head(1 << 20));
    let mut frames = Box::pin(log.follow(0));
    let begun = Instant::now();
    log.append_text("one ").unwrap();
    assert!(frames.next().await.is_some());
    log.append_text("two").unwrap();
    let writer = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        log.append(answer(&log, "one two"));
    };
    let (rest, ()) = futures_util::future::join(frames.collect::<Vec<_>>(), writer).await;
    assert_eq!(screen(&rest), "two");
    assert_eq!(begun.elapsed(), Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_back_at_any_seq_misses_nothing() {
    let pieces: Vec<String> = (0..20).map(|n| format!("piece {n}, ")).collect();
    let log = whole_turn(&pieces[..5], &pieces[5..]);
    let length = log.state.lock().entries.len() as u64;
    for lost_at in 0..=length {
        let mut seen = Vec::new();
        let mut at = 0;
        while at < lost_at {
            let frame = log.read(at).unwrap();
            at = seq_of(&frame);
            seen.push(frame);
        }
        seen.extend(read_all(&log, at).await);
        assert_eq!(screen(&seen), pieces[5..].concat(), "lost after {lost_at}");
        assert!(matches!(seen.last(), Some(ServerFrame::Response { .. })) || at == length);
        assert!(seen.iter().map(seq_of).is_sorted_by(|a, b| a < b));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_holds_a_bounded_piece_of_a_long_answer() {
    let log = TurnLog::new(head(1 << 20));
    for _ in 0..1_000 {
        log.append_text(&"x".repeat(100)).unwrap();
    }
    log.append(answer(&log, ""));
    let frames = read_all(&log, 0).await;
    assert_eq!(screen(&frames).len(), 100_000);
    let longest = frames.iter().map(|frame| screen([frame]).len()).max().unwrap();
    assert!(longest <= MAX_CHUNK_BYTES, "{longest}");
}

#[test]
fn an_answer_that_is_too_long_keeps_what_fits_on_a_character() {
    let log = TurnLog::new(head(5));
    assert_eq!(log.append_text("abc"), Ok(()));
    assert_eq!(log.append_text("düe"), Err(Full));
    assert_eq!(log.answer_text(), "abcd", "ü would be cut in two");
    assert_eq!(log.append_text("x"), Ok(()));
    assert_eq!(log.append_text("x"), Err(Full));
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end() {
    let log = TurnLog::new(head(100));
    log.append(TurnEvent::Failed(ErrorCode::Timeout.into()));
    log.append_text("late").unwrap();
    log.append(answer(&log, "late"));
    assert_eq!(log.ended().await, Ended::Failed(ErrorCode::Timeout.into()));
    let frames = read_all(&log, 0).await;
    assert_eq!(frames.len(), 1);
    assert!(matches!(frames[0], ServerFrame::Error { turn_id: Some(_), .. }));
    assert!(read_all(&log, 99).await.is_empty(), "a place beyond the end");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_costs_nobody_anything() {
    let log = TurnLog::new(head(1 << 20));
    let mut still = Box::pin(log.follow(0));
    log.append_text("a").unwrap();
    assert!(still.next().await.is_some());
    for _ in 0..10_000 {
        log.append_text("b").unwrap();
    }
    log.append(answer(&log, ""));
    assert_eq!(screen(&read_all(&log, 0).await).len(), 10_001, "another reader is at the end");
    let rest: Vec<_> = still.collect().await;
    assert_eq!(rest.len(), 2, "the one that stood still gets the rest in one frame, and the end");
}

proptest! {
    #[test]
    fn any_pieces_read_from_any_place_give_the_same_text(
        old in prop::collection::vec("[a-zäö☃]{0,9}", 0..20),
        new in prop::collection::vec("[a-zäö☃]{0,9}", 0..20),
        stops in prop::collection::vec(0u64..50, 0..5),
    ) {
        let log = whole_turn(&old, &new);
        let mut seen = Vec::new();
        let mut at = 0;
        while let Some(frame) = log.read(at) {
            at = seq_of(&frame);
            seen.push(frame);
            // A connection lost here reads on from the seq that it saw last.
            if stops.contains(&at) {
                prop_assert!(log.read(at) == log.read(at));
            }
        }
        prop_assert_eq!(screen(&seen), new.concat());
    }
}
