//! What the tests of all wires have in common.

use callboard_providers::{
    Client, ProviderConfig, ProviderKind, ReplyEvent, StopReason, TokenUsage,
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::Head;

/// A head whose every text has to be escaped.
pub(super) fn head() -> Head<'static> {
    Head {
        id: "id-1",
        created: 1_700_000_000,
        model: "mo\"del",
        callboard: Some(r#"{"provider":"p","attempts":2}"#),
    }
}

pub(super) fn text(text: &str) -> ReplyEvent {
    ReplyEvent::Text(text.to_owned())
}

pub(super) fn thought(text: &str) -> ReplyEvent {
    ReplyEvent::Reasoning(text.to_owned())
}

pub(super) fn start(index: u32, id: &str, name: &str) -> ReplyEvent {
    ReplyEvent::ToolCallStart { index, id: id.to_owned(), name: name.to_owned(), signature: None }
}

pub(super) fn piece(index: u32, piece: &str) -> ReplyEvent {
    ReplyEvent::ToolCallArguments { index, piece: piece.to_owned() }
}

pub(super) fn finish(reason: StopReason) -> ReplyEvent {
    let usage = TokenUsage {
        input: 20,
        output: 9,
        cached_input: 5,
        cache_write: 2,
        ..TokenUsage::default()
    };
    ReplyEvent::Finish { reason, usage, model: "mo\"del".to_owned() }
}

/// An answer with everything in it.
pub(super) fn rich() -> Vec<ReplyEvent> {
    vec![
        thought("hm\n"),
        text("Hello, "),
        text("\"wörld\" \u{2028}\u{1}"),
        start(0, "call_a", "look"),
        piece(0, "{\"q\":"),
        piece(0, "\"x\\n\"}"),
        start(1, "call_b", "now"),
        piece(1, "{}"),
        finish(StopReason::ToolCalls),
    ]
}

/// Texts that are hard to carry, and pieces of all of Unicode, from a fixed seed.
pub(super) fn hard_texts() -> Vec<String> {
    let hard = [
        "\u{0}\u{1}\u{1f}\u{7f}",
        "data: [DONE]\n\n",
        "\r\n\r\nevent: error\r\n",
        "\\\"\\u0041\\",
        "\u{2028}\u{2029}\u{feff}\u{fffd}",
        "👩‍👩‍👧 \u{10ffff} ǆ",
        "</script><!--",
        " ",
    ];
    let mut texts: Vec<String> = hard.map(str::to_owned).into();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        // Xorshift: https://www.jstatsoft.org/article/view/v008i14
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let length = 1 + next() % 24;
        let text = (0..length).filter_map(|_| {
            let range = [0x30, 0x80, 0x800, 0x1_0000, 0x11_0000][(next() % 5) as usize];
            char::from_u32((next() % range) as u32)
        });
        texts.push(text.collect());
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// A body cut off after each of its bytes, and with each of them replaced.
pub(super) fn damaged(body: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..body.len()).map(|length| body.as_bytes()[..length].to_vec());
    let replaced = (0..body.len()).flat_map(move |place| {
        b"\"{]7,\\\xff".iter().map(move |byte| {
            let mut bytes = body.as_bytes().to_vec();
            bytes[place] = *byte;
            bytes
        })
    });
    cut.chain(replaced)
}

/// What the providers' own decoder of the wire reads from a reply, sent by a server over a socket.
/// The error is the name of its kind.
pub(super) async fn read_back(
    kind: ProviderKind,
    content_type: &str,
    body: Vec<u8>,
) -> Vec<Result<ReplyEvent, String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let serve = async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let mut length = 0;
        // The request ends with the end of its JSON.
        while !request[..length].ends_with(b"}") {
            length += socket.read(&mut request[length..]).await.unwrap();
        }
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&body).await.unwrap();
        socket
    };
    let config = ProviderConfig {
        name: "test".to_owned(),
        kind,
        base_url: Some(format!("http://{address}/v1")),
        model: "asked".to_owned(),
        ..ProviderConfig::default()
    };
    let client = Client::new(&config).unwrap();
    let request = callboard_providers::ChatRequest {
        messages: vec![callboard_providers::Message::user("x")],
        ..callboard_providers::ChatRequest::default()
    };
    let (_socket, reply) = tokio::join!(serve, client.chat(request));
    let events = reply.unwrap().map(|event| event.map_err(|error| error.kind.as_str().to_owned()));
    events.collect().await
}

/// Neighbouring pieces of the same kind as one: how an answer is cut is not part of it.
pub(super) fn joined(events: impl IntoIterator<Item = ReplyEvent>) -> Vec<ReplyEvent> {
    let mut all: Vec<ReplyEvent> = Vec::new();
    for event in events {
        match (all.last_mut(), &event) {
            (Some(ReplyEvent::Text(old)), ReplyEvent::Text(new))
            | (Some(ReplyEvent::Reasoning(old)), ReplyEvent::Reasoning(new)) => old.push_str(new),
            (
                Some(ReplyEvent::ToolCallArguments { index: same, piece: old }),
                ReplyEvent::ToolCallArguments { index, piece: new },
            ) if same == index => old.push_str(new),
            _ => all.push(event),
        }
    }
    all
}
