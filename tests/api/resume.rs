//! A connection that is lost, and one that comes back.

use callboard_protocol::{ClientFrame, ServerFrame, TurnId};
use callboard_testkit::{FakeVendor, Reply};

use crate::{
    chat::{accepted, rest_of_turn, screen},
    harness::{Database, Launch, fresh},
};

fn seq_of(frame: &ServerFrame) -> Option<u64> {
    match frame {
        ServerFrame::StreamStart { seq, .. }
        | ServerFrame::Step { seq, .. }
        | ServerFrame::StreamRestart { seq, .. }
        | ServerFrame::StreamChunk { seq, .. }
        | ServerFrame::StreamEnd { seq, .. }
        | ServerFrame::Response { seq, .. } => Some(*seq),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_after_any_seq_misses_nothing_and_gets_nothing_twice() {
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::tokens(24));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("session.coalesce_ms=0").start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send(&ClientFrame::Message(fresh("count"))).await;
    let (_, turn_id) = accepted(&mut socket).await;
    let whole = rest_of_turn(&mut socket).await;
    let text = screen(&whole);
    let last = whole.iter().filter_map(seq_of).max().unwrap();
    assert!(last > 20, "the turn has many places to lose the connection at: {last}");
    for after_seq in 0..=last {
        let mut back = ada.connect().await;
        back.send(&ClientFrame::Resume { turn_id, after_seq }).await;
        assert_eq!(back.next().await, ServerFrame::Resumed { turn_id, recovered: true });
        let seen_before: Vec<ServerFrame> = whole
            .iter()
            .take_while(|frame| seq_of(frame).is_none_or(|seq| seq <= after_seq))
            .cloned()
            .collect();
        let seen_after = if after_seq < last { rest_of_turn(&mut back).await } else { Vec::new() };
        assert!(seen_after.iter().filter_map(seq_of).all(|seq| seq > after_seq));
        let mut seen = seen_before;
        // A frame of joined pieces that was cut by the loss comes again from where it was cut.
        let places: Vec<u64> = seen.iter().filter_map(seq_of).collect();
        if places.last().copied().unwrap_or(0) == after_seq {
            seen.extend(seen_after);
            assert_eq!(screen(&seen), text, "lost after {after_seq}");
        }
        back.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_nobody_knows_is_not_recovered() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    let turn_id = TurnId::new();
    socket.send(&ClientFrame::Resume { turn_id, after_seq: 3 }).await;
    assert_eq!(socket.next().await, ServerFrame::Resumed { turn_id, recovered: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_its_id() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let mut socket = ada.socket().open().await.unwrap();
    let ServerFrame::Connected { session_id, user, protocol, .. } = socket.next().await else {
        panic!("the first frame greets");
    };
    assert_eq!((user.username.as_str(), protocol), ("ada", callboard_protocol::PROTOCOL_VERSION));
    socket.abort();
    let url = server.url(&format!("/ws/assistant/{session_id}")).replacen("http", "ws", 1);
    let again = callboard_testkit::WsTarget::new(&url).bearer(&ada.token);
    let hello = again.open().await.unwrap().next().await;
    assert!(matches!(hello, ServerFrame::Connected { session_id: id, .. } if id == session_id));
}
