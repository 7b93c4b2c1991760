use callboard_protocol::Timestamp;
use tokio::{io::AsyncReadExt as _, net::TcpListener, task::JoinHandle};
use tokio_tungstenite::accept_async;

use super::*;

/// A server that takes one socket and does as `work` says.
async fn server<Fut>(
    work: impl FnOnce(WebSocketStream<TcpStream>) -> Fut + Send + 'static,
) -> (WsTarget, JoinHandle<Fut::Output>)
where
    Fut: Future<Output: Send + 'static> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = WsTarget::new(&format!("ws://{}/ws", listener.local_addr().unwrap()));
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        work(accept_async(stream).await.unwrap()).await
    });
    (target, task)
}

#[tokio::test]
async fn frames_are_typed_both_ways() {
    let (target, task) = server(async |mut socket| {
        let asked = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
        for at in [1, 2] {
            let pong = ServerFrame::Pong { at: Timestamp::from_millis(at) };
            socket.send(Message::text(serde_json::to_string(&pong).unwrap())).await.unwrap();
        }
        asked
    })
    .await;
    let mut client = target.open().await.unwrap();
    client.send(&ClientFrame::Ping).await;
    let second = Timestamp::from_millis(2);
    let frames = client.next_until(|frame| *frame == ServerFrame::Pong { at: second }).await;
    assert_eq!(frames.len(), 2);
    assert_eq!(task.await.unwrap(), r#"{"type":"ping"}"#);
}

#[tokio::test]
async fn a_close_code_is_seen_and_so_is_its_absence() {
    let (target, _task) = server(async |mut socket| {
        let frame = CloseFrame { code: 4001.into(), reason: "slow".into() };
        socket.close(Some(frame)).await.unwrap();
        while socket.next().await.is_some() {}
    })
    .await;
    let closed = target.open().await.unwrap().closed().await;
    assert_eq!(closed, Closed { code: Some(4001), reason: "slow".to_owned(), clean: true });

    let (target, _task) = server(async |socket| drop(socket)).await;
    let closed = target.open().await.unwrap().closed().await;
    assert_eq!((closed.code, closed.clean), (None, false));
}

#[tokio::test]
async fn fragments_are_joined_by_a_server_that_can() {
    let (target, task) =
        server(async |mut socket| socket.next().await.unwrap().unwrap().to_string()).await;
    let mut client = target.open().await.unwrap();
    client.send_fragments(&[b"{\"type\"", b"", ":\"pi\u{fc}".as_bytes(), b"ng\"}"]).await;
    assert_eq!(task.await.unwrap(), "{\"type\":\"pi\u{fc}ng\"}");
}

#[tokio::test]
async fn the_protocol_can_be_broken() {
    for breach in 0..3 {
        let (target, task) = server(async |mut socket| socket.next().await.unwrap()).await;
        let mut client = target.open().await.unwrap();
        match breach {
            0 => client.send_fragments(&[b"\xff\xfe"]).await,
            1 => client.send_reserved_bit().await,
            // Opcode 3 is reserved.
            _ => client.send_bytes(b"\x83\x80\0\0\0\0").await,
        }
        assert!(task.await.unwrap().is_err(), "breach {breach}");
    }
}

#[tokio::test]
async fn a_refusal_shows_status_and_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = WsTarget::new(&format!("ws://{}/ws", listener.local_addr().unwrap()))
        .bearer("t")
        .origin("https://evil.example");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let read = stream.read(&mut request).await.unwrap();
        let reply = b"HTTP/1.1 403 Forbidden\r\nX-Request-Id: 7\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(reply).await.unwrap();
        String::from_utf8_lossy(&request[..read]).to_lowercase()
    });
    let refused = target.open().await.unwrap_err();
    assert_eq!((refused.status, refused.body.as_str()), (403, "no"));
    assert_eq!(refused.headers["x-request-id"], "7");
    let request = task.await.unwrap();
    assert!(request.contains("authorization: bearer t\r\n"), "{request}");
    assert!(request.contains("origin: https://evil.example\r\n"), "{request}");
}
