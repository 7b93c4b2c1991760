//! The WebSocket itself: the handshake, the protocol, the limits.

use callboard_protocol::{ClientFrame, ErrorCode, ServerFrame, SystemKind};
use callboard_testkit::{FakeVendor, WsTarget};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::harness::{A_WHILE, Database, Launch, fresh};

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_opened_for_those_who_may_and_from_our_own_pages() {
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.set("server.allowed_origins=[\"https://ops.example.org\"]").start().await;
    let ada = server.admin().await;
    let url = server.url("/ws/assistant").replacen("http", "ws", 1);
    let status = async |target: WsTarget| target.open().await.err().map_or(101, |r| r.status);
    assert_eq!(status(WsTarget::new(&url)).await, 401);
    assert_eq!(status(WsTarget::new(&url).bearer("nonsense")).await, 401);
    assert_eq!(status(ada.socket().origin("https://evil.example.org")).await, 403);
    assert_eq!(status(ada.socket().origin("null")).await, 403);
    assert_eq!(status(ada.socket().origin("https://ops.example.org")).await, 101);
    assert_eq!(status(ada.socket().origin(server.url("").trim_end_matches('/'))).await, 101);
    let bad_id = WsTarget::new(&format!("{url}/not-an-id")).bearer(&ada.token);
    assert_eq!(status(bad_id).await, 400);
    let cookie = format!("callboard_access={}", ada.token);
    assert_eq!(status(WsTarget::new(&url).cookie(&cookie)).await, 403, "a cookie needs an Origin");
    let ours = WsTarget::new(&url).cookie(&cookie).origin(server.url("").trim_end_matches('/'));
    assert_eq!(status(ours).await, 101);
    let plain = reqwest::Client::new().get(server.url("/ws/assistant")).bearer_auth(&ada.token);
    assert_eq!(plain.send().await.unwrap().status(), 400, "not an upgrade");
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_are_joined_and_violations_have_their_codes() {
    let launch = Launch::on(Database::Sqlite).await.set("session.max_message_bytes=1000");
    let server = launch.start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    socket.send_fragments(&[b"{\"type\":", b"\"pi", b"ng\"}"]).await;
    assert!(matches!(socket.next().await, ServerFrame::Pong { .. }));
    socket.send_protocol_ping().await;
    for (text, code) in [
        ("{\"type\":\"launch\"}", ErrorCode::UnknownFrame),
        ("{\"type\":\"cancel\",\"turn_id\":\"x\"}", ErrorCode::InvalidJson),
        ("not json", ErrorCode::InvalidJson),
        ("", ErrorCode::InvalidJson),
        ("[[[[[[[[", ErrorCode::InvalidJson),
    ] {
        socket.send_text(text).await;
        let said = socket.next().await;
        assert!(
            matches!(said, ServerFrame::Error { code: c, .. } if c == code),
            "{text}: {said:?}"
        );
    }
    assert_eq!(socket.close(1000).await.code, Some(1000));

    let mut socket = ada.connect().await;
    socket.send_fragments(&[b"\"\xc3", b"\""]).await;
    assert_eq!(socket.closed().await.code, Some(1007));
    let mut socket = ada.connect().await;
    socket.send_text(&"x".repeat(1_001)).await;
    assert_eq!(socket.closed().await.code, Some(1009));
    let mut socket = ada.connect().await;
    socket.send_fragments(&[&[b'x'; 600], &[b'x'; 600]]).await;
    assert_eq!(socket.closed().await.code, Some(1009));
    let mut socket = ada.connect().await;
    socket.send_reserved_bit().await;
    assert_eq!(socket.closed().await.code, Some(1002));
    let mut socket = ada.connect().await;
    socket.send_binary(b"\0").await;
    assert_eq!(socket.closed().await.code, Some(1003));
    let mut socket = ada.connect().await;
    socket.send_frame(OpCode::Control(Control::Ping), &[0; 126], true).await;
    assert_eq!(socket.closed().await.code, Some(1002));
    let mut socket = ada.connect().await;
    socket.send_frame(OpCode::Control(Control::Close), &1005u16.to_be_bytes(), true).await;
    assert_eq!(socket.closed().await.code, Some(1002));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_is_closed_and_one_that_pings_is_not() {
    let launch = Launch::on(Database::Sqlite).await.set("session.heartbeat_s=1");
    let server = launch.start().await;
    let ada = server.admin().await;
    let mut silent = ada.connect().await;
    let mut lively = ada.connect().await;
    let closed = tokio::spawn(async move { silent.closed().await });
    while !closed.is_finished() {
        lively.send(&ClientFrame::Ping).await;
        assert!(matches!(lively.next().await, ServerFrame::Pong { .. }));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(closed.await.unwrap().code, Some(4002));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_sockets_and_too_many_frames_are_refused() {
    let launch = Launch::on(Database::Sqlite).await.set("session.max_per_user=3");
    let launch = launch.set("session.frame_burst=5").set("session.frames_per_second=1");
    let server = launch.start().await;
    let ada = server.admin().await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(ada.connect().await);
    }
    let refused = ada.socket().open().await.unwrap_err();
    assert_eq!(refused.status, 429);
    assert!(refused.body.contains("too_many_connections"), "{}", refused.body);
    drop(sockets.pop());
    callboard_testkit::eventually_some(callboard_testkit::PATIENCE, async || {
        ada.socket().open().await.ok()
    })
    .await;

    let mut flood = sockets.pop().unwrap();
    let mut limited = 0;
    for _ in 0..9 {
        flood.send(&ClientFrame::Ping).await;
        match flood.next().await {
            ServerFrame::Error { code: ErrorCode::RateLimited, retry_after_ms, .. } => {
                assert!(retry_after_ms.is_some());
                limited += 1;
            }
            frame => assert!(matches!(frame, ServerFrame::Pong { .. }), "{frame:?}"),
        }
    }
    assert!(limited >= 3, "{limited}");
    while flood.try_send_text("{\"type\":\"ping\"}").await {
        tokio::task::yield_now().await;
    }
    assert_eq!(flood.closed().await.code, Some(4501));
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_and_presence_reach_the_other_watchers() {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let conversation_id = ada.ask(&fresh("hello?")).await.conversation_id;
    let mut one = ada.connect().await;
    let mut two = ada.connect().await;
    for socket in [&mut one, &mut two] {
        socket.send(&ClientFrame::Subscribe { conversation_id }).await;
        socket.next_until(|frame| matches!(frame, ServerFrame::Subscribed { .. })).await;
    }
    let both = ServerFrame::Presence { conversation_id, watching: 2 };
    one.next_until(|frame| *frame == both).await;
    one.send(&ClientFrame::Typing { conversation_id, on: true }).await;
    two.next_until(|frame| matches!(frame, ServerFrame::Typing { on: true, .. })).await;
    one.send(&ClientFrame::Mode { mode: "pirate".into() }).await;
    one.next_until(|frame| {
        matches!(frame, ServerFrame::Error { code: ErrorCode::UnknownMode, .. })
    })
    .await;
    one.send(&ClientFrame::Mode { mode: "oracle".into() }).await;
    one.next_until(|frame| matches!(frame, ServerFrame::System { .. })).await;
    one.send(&ClientFrame::Unsubscribe { conversation_id }).await;
    let alone = ServerFrame::Presence { conversation_id, watching: 1 };
    two.next_until(|frame| *frame == alone).await;
    two.send(&ClientFrame::Typing { conversation_id, on: true }).await;
    assert!(one.is_silent_for(A_WHILE).await, "it watches no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_on_the_open_socket_and_its_end_closes_it() {
    let launch = Launch::on(Database::Sqlite).await.set("auth.access_token_s=10");
    let server = launch.set("session.heartbeat_s=40").start().await;
    let ada = server.admin().await;
    let bob = server.user("bob", callboard_protocol::Role::VIEWER).await;
    let mut socket = ada.connect().await;
    socket.next_until(|frame| matches!(frame, ServerFrame::System { .. })).await;
    socket.send(&ClientFrame::Auth { token: "nonsense".into() }).await;
    let said = socket.next().await;
    assert!(matches!(said, ServerFrame::Error { code: ErrorCode::InvalidToken, .. }), "{said:?}");
    let fresh = server.sign_in("ada").await;
    socket.send(&ClientFrame::Auth { token: fresh.token.clone() }).await;
    socket
        .next_until(|frame| {
            matches!(frame, ServerFrame::System { kind: SystemKind::AuthRenewed, .. })
        })
        .await;
    socket.send(&ClientFrame::Auth { token: bob.token.clone() }).await;
    let refused = socket.find(|frame| match frame {
        ServerFrame::Error { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(refused.await, ErrorCode::InvalidToken, "another user's token");
    assert_eq!(socket.closed().await.code, Some(4500), "when the token has ended");
}
