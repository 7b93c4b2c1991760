//! Lines as they come in.

use callboard_protocol::{
    ApiKeyCreated, ClientFrame, ErrorCode, LineId, LogTail, Role, ServerFrame, TailSearch,
};
use callboard_testkit::{PATIENCE, WsClient};
use futures_util::{Stream, StreamExt as _};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    harness::{A_WHILE, Client, Database, Launch, Server, read},
    ssh_log::with_query,
};

fn tail(client: &Client, query: &[(&str, &str)]) -> RequestBuilder {
    client.request(Method::GET, &with_query("/logs/tail", query))
}

/// The events of a stream.
struct Events<S> {
    stream: S,
    unread: String,
}

async fn open(
    request: RequestBuilder,
) -> Events<impl Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin> {
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    assert!(reply.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    Events { stream: reply.bytes_stream(), unread: String::new() }
}

impl<S: Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin> Events<S> {
    /// The id of the next event, and what it says.
    async fn next(&mut self) -> (String, LogTail) {
        let read = async {
            loop {
                if let Some((event, rest)) = self.unread.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.unread = rest;
                    if !event.starts_with(':') {
                        return event;
                    }
                    continue;
                }
                let piece = self.stream.next().await.expect("the stream goes on").unwrap();
                self.unread.push_str(std::str::from_utf8(&piece).unwrap());
            }
        };
        let event = timeout(PATIENCE, read).await.expect("an event comes");
        let mut lines = event.lines();
        let id = lines.next().unwrap().strip_prefix("id: ").unwrap().to_owned();
        assert_eq!(lines.next(), Some("event: lines"));
        let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
        (id, serde_json::from_str(data).unwrap())
    }

    async fn texts(&mut self) -> Vec<String> {
        self.next().await.1.lines.into_iter().map(|line| line.text).collect()
    }
}

async fn add(server: &Server, name: &str, text: &str) {
    let path = server.write(name, text);
    server.ingest(&path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_told_as_they_come_in_and_none_is_missed() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    add(&server, "a.log", "one ERROR\ntwo INFO\nthree ERROR\n").await;
    let mut all = open(tail(&ada, &[("lines", "2")])).await;
    assert_eq!(all.texts().await, ["two INFO", "three ERROR"]);
    let mut errors = open(tail(&ada, &[("q", "error"), ("lines", "0")])).await;
    assert_eq!(errors.texts().await, [""; 0]);
    add(&server, "b.log", "four INFO\n").await;
    let (seen, told) = all.next().await;
    assert_eq!((told.lines[0].text.as_str(), told.skipped), ("four INFO", 0));
    assert_eq!(seen, told.seen.to_string());
    // A client that went away comes back where it was.
    drop(all);
    add(&server, "c.log", "five ERROR\nsix INFO\n").await;
    assert_eq!(errors.texts().await, ["five ERROR"]);
    let back = tail(&ada, &[]).header("last-event-id", seen);
    let mut all = open(back).await;
    assert_eq!(all.texts().await, ["five ERROR", "six INFO"]);
    assert!(timeout(A_WHILE, errors.next()).await.is_err(), "nothing new, nothing told");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_lines_at_once_the_last_are_told() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let mut all = open(tail(&ada, &[])).await;
    assert_eq!(all.next().await.1.lines, []);
    let many: String = (0..2_000).map(|n| format!("line {n}\n")).collect();
    add(&server, "a.log", &many).await;
    let (mut told, mut skipped) = (0, 0);
    let mut last = String::new();
    while told + skipped < 2_000 {
        let (_, tail) = all.next().await;
        assert!(tail.lines.len() <= 500);
        told += tail.lines.len() as u64;
        skipped += tail.skipped;
        last.clone_from(&tail.lines.last().unwrap().text);
    }
    assert_eq!((told + skipped, last.as_str()), (2_000, "line 1999"));
    assert!(skipped > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_too_many_are_refused() {
    let server = Launch::on(Database::Sqlite).await.set("server.limits.tails=1").start().await;
    let ada = server.admin().await;
    for (query, code) in [
        (&[("q", "\"open")][..], ErrorCode::InvalidQuery),
        (&[("lines", "501")], ErrorCode::InvalidParameter),
        (&[("from", "2026-11-20")], ErrorCode::InvalidParameter),
    ] {
        let refused = ada.refused(tail(&ada, query)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, code), "{query:?}");
    }
    let refused = ada.refused(tail(&ada, &[]).header("last-event-id", "12")).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter));
    let open = open(tail(&ada, &[])).await;
    assert_eq!(ada.refused(tail(&ada, &[])).await.1, ErrorCode::Overloaded);
    drop(open);
    // Its place is free as soon as the server sees that it left.
    let again = async || tail(&ada, &[]).send().await.unwrap().status().is_success().then_some(());
    callboard_testkit::eventually_some(PATIENCE, again).await;
}

/// Starts a tail over a socket.
async fn start(socket: &mut WsClient, search: TailSearch, after: Option<LineId>) {
    socket.send(&ClientFrame::Tail { search, after }).await;
}

/// The texts of the next frame of a tail, how many were left out, and the last line it looked at.
async fn told(socket: &mut WsClient) -> (Vec<String>, u64, LineId) {
    let tail = socket.find(|frame| match frame {
        ServerFrame::Tail { lines, skipped, seen } => {
            Some((lines.into_iter().map(|line| line.text).collect(), skipped, seen))
        }
        _ => None,
    });
    tail.await
}

fn search(q: &str, lines: u32) -> TailSearch {
    TailSearch { q: q.to_owned(), lines: Some(lines), ..TailSearch::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_tells_lines_and_waits_when_it_is_paused() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    server.admin().await;
    let vic = server.user("vic", Role::VIEWER).await;
    add(&server, "a.log", "one ERROR\ntwo INFO\nthree ERROR\n").await;
    let mut socket = vic.connect().await;
    start(&mut socket, search("error", 1), None).await;
    assert_eq!(told(&mut socket).await.0, ["three ERROR"]);
    add(&server, "b.log", "four INFO\nfive ERROR\n").await;
    let (texts, skipped, seen) = told(&mut socket).await;
    assert_eq!((texts.as_slice(), skipped), (&["five ERROR".to_owned()][..], 0));

    socket.send(&ClientFrame::TailPause { on: true }).await;
    socket.send(&ClientFrame::Ping).await;
    socket.next_until(|frame| matches!(frame, ServerFrame::Pong { .. })).await;
    add(&server, "c.log", "six ERROR\n").await;
    assert!(socket.is_silent_for(A_WHILE).await, "while it waits");
    socket.send(&ClientFrame::TailPause { on: false }).await;
    assert_eq!(told(&mut socket).await.0, ["six ERROR"], "and then nothing is missed");

    // Another takes its place; one that is ended tells no more.
    start(&mut socket, search("info", 0), None).await;
    assert_eq!(told(&mut socket).await.0, [""; 0]);
    add(&server, "d.log", "seven ERROR\neight INFO\n").await;
    assert_eq!(told(&mut socket).await.0, ["eight INFO"]);
    socket.send(&ClientFrame::TailEnd).await;
    add(&server, "e.log", "nine INFO\n").await;
    assert!(socket.is_silent_for(A_WHILE).await, "when it is ended");

    // A client that was away goes on behind what it saw.
    let mut socket = vic.connect().await;
    start(&mut socket, search("error", 0), Some(seen)).await;
    assert_eq!(told(&mut socket).await.0, ["six ERROR", "seven ERROR"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_tail_is_told_over_its_socket() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let mut socket = ada.connect().await;
    let code = async |socket: &mut WsClient| {
        let code = socket.find(|frame| match frame {
            ServerFrame::Error { code, .. } => Some(code),
            _ => None,
        });
        code.await
    };
    start(&mut socket, search("\"open", 0), None).await;
    assert_eq!(code(&mut socket).await, ErrorCode::InvalidQuery);
    start(&mut socket, search("", 501), None).await;
    assert_eq!(code(&mut socket).await, ErrorCode::InvalidParameter);
    socket.send(&ClientFrame::TailPause { on: true }).await;
    assert_eq!(code(&mut socket).await, ErrorCode::Conflict, "there is none");
    socket.send_text(r#"{"type":"tail","search":{"to":"2026-11-20"}}"#).await;
    assert_eq!(code(&mut socket).await, ErrorCode::InvalidJson);
    // The socket goes on.
    add(&server, "a.log", "one\n").await;
    start(&mut socket, search("", 1), None).await;
    assert_eq!(told(&mut socket).await.0, ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_with_the_key_or_the_sign_in_that_opened_it() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let admin = server.admin().await;
    add(&server, "a.log", "one ERROR\n").await;
    let vic = server.user("vic", Role::VIEWER).await;
    let key = json!({ "name": "tail", "scopes": ["logs_read"] });
    let key: ApiKeyCreated = read(vic.request(Method::POST, "/keys").json(&key)).await;
    let by_key = reqwest::Client::new().get(server.url("/api/v1/logs/tail?lines=1"));
    let by_key = by_key.bearer_auth(&key.secret).send().await.unwrap();
    let by_token = tail(&vic, &[("lines", "1")]).send().await.unwrap();
    let ends = async |mut stream: reqwest::Response| {
        let read = async { while stream.chunk().await.unwrap().is_some() {} };
        timeout(PATIENCE, read).await.expect("the stream ends");
    };
    let path = format!("/keys/{}", key.key.id);
    assert_eq!(by_key.status(), StatusCode::OK);
    vic.request(Method::DELETE, &path).send().await.unwrap();
    ends(by_key).await;
    assert_eq!(by_token.status(), StatusCode::OK);
    let path = format!("/admin/users/{}/sessions", vic.user.id);
    admin.request(Method::DELETE, &path).send().await.unwrap();
    ends(by_token).await;
}
