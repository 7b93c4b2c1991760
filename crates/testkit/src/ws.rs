//! A WebSocket client for tests: typed frames with a deadline, close codes, and the means to
//! break the protocol.

use std::{collections::BTreeMap, time::Duration};

use callboard_protocol::{ClientFrame, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest as _,
        handshake::client::Request,
        http::{HeaderName, HeaderValue},
        protocol::{
            CloseFrame,
            frame::{
                Frame, FrameHeader,
                coding::{Data, OpCode},
            },
        },
    },
};
use url::Url;

use crate::PATIENCE;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct WsTarget {
    url: String,
    headers: Vec<(&'static str, String)>,
    receive_buffer: Option<u32>,
}

/// The server did not open a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status of its reply.
    pub status: u16,
    /// The headers of its reply, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body of its reply.
    pub body: String,
}

/// How a socket was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The code of the close frame; `None` when there was no frame (a browser says 1006) or it
    /// held no code (1005).
    pub code: Option<u16>,
    /// The reason in the close frame.
    pub reason: String,
    /// Whether there was a close frame at all.
    pub clean: bool,
}

/// An open socket. It reads nothing by itself: a client that is not asked for a frame is a client
/// that has stopped reading.
#[derive(Debug)]
pub struct WsClient {
    socket: WebSocketStream<TcpStream>,
    deadline: Duration,
    subprotocol: Option<String>,
}

impl WsTarget {
    /// `ws://host:port/path`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: Vec::new(), receive_buffer: None }
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With this `Cookie` header.
    #[must_use]
    pub fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie.to_owned())
    }

    /// As a page of this origin.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.header("origin", origin.to_owned())
    }

    /// Offering these subprotocols, such as `callboard, bearer.TOKEN`.
    #[must_use]
    pub fn subprotocol(self, offered: &str) -> Self {
        self.header("sec-websocket-protocol", offered.to_owned())
    }

    /// With any other header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With so small a receive buffer in the kernel that a client which stops reading is soon
    /// felt by the server.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Opens the socket.
    ///
    /// # Errors
    /// When the server answers, but does not open it.
    ///
    /// # Panics
    /// When the server cannot be reached, or breaks the protocol.
    pub async fn open(&self) -> Result<WsClient, Refused> {
        let connect = async { client_async(self.request(), self.connect().await).await };
        let opened = timeout(PATIENCE, connect).await.expect("the handshake takes no time");
        let (socket, response) = match opened {
            Ok(opened) => opened,
            Err(tungstenite::Error::Http(response)) => {
                let headers = response.headers().iter().map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                });
                return Err(Refused {
                    status: response.status().as_u16(),
                    headers: headers.collect(),
                    body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                        .into_owned(),
                });
            }
            Err(error) => panic!("no handshake with {}: {error}", self.url),
        };
        let subprotocol = response.headers().get("sec-websocket-protocol");
        let subprotocol = subprotocol.map(|value| value.to_str().unwrap().to_owned());
        Ok(WsClient { socket, deadline: PATIENCE, subprotocol })
    }

    fn request(&self) -> Request {
        let mut request = self.url.as_str().into_client_request().unwrap();
        for (name, value) in &self.headers {
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        request
    }

    async fn connect(&self) -> TcpStream {
        let url = Url::parse(&self.url).unwrap();
        let target = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
        let address = lookup_host(target).await.unwrap().next().unwrap();
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl WsClient {
    /// Waits for frames no longer than this, instead of [`PATIENCE`].
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &ClientFrame) {
        self.send_text(&serde_json::to_string(frame).unwrap()).await;
    }

    /// Sends a text message, whatever it says.
    pub async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.send_message(Message::binary(bytes.to_vec())).await;
    }

    /// Sends a ping of the protocol; the pong is taken note of nowhere.
    pub async fn send_protocol_ping(&mut self) {
        self.send_message(Message::Ping(Vec::new().into())).await;
    }

    /// Sends a text message in frames: a first, continuations, and a last. The parts need not be
    /// valid UTF-8, nor the whole.
    pub async fn send_fragments(&mut self, parts: &[&[u8]]) {
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.iter().enumerate() {
            let data = if index == 0 { Data::Text } else { Data::Continue };
            self.send_frame(OpCode::Data(data), part, index == last).await;
        }
    }

    /// Sends one frame as it is; `is_final` is its FIN bit.
    pub async fn send_frame(&mut self, opcode: OpCode, payload: &[u8], is_final: bool) {
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        let frame = Frame::from_payload(header, payload.to_vec().into());
        self.send_message(Message::Frame(frame)).await;
    }

    /// Sends one frame with its first reserved bit set, which no extension has allowed.
    pub async fn send_reserved_bit(&mut self) {
        let header = FrameHeader {
            is_final: true,
            rsv1: true,
            opcode: OpCode::Data(Data::Text),
            ..FrameHeader::default()
        };
        let frame = Frame::from_payload(header, b"{}".to_vec().into());
        self.send_message(Message::Frame(frame)).await;
    }

    /// Writes bytes to the connection, below the protocol.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let write = self.socket.get_mut().write_all(bytes);
        timeout(self.deadline, write).await.expect("the server reads").unwrap();
    }

    async fn send_message(&mut self, message: Message) {
        let sent = timeout(self.deadline, self.socket.send(message)).await;
        sent.expect("the server reads").expect("the socket is open");
    }

    /// Tries to send a text message; `false` when the socket is closed or the server does not
    /// read within the deadline.
    pub async fn try_send_text(&mut self, text: &str) -> bool {
        let sent = timeout(self.deadline, self.socket.send(Message::text(text))).await;
        matches!(sent, Ok(Ok(())))
    }

    /// The next frame.
    ///
    /// # Panics
    /// When none comes in time, when the socket is closed, or when it is no frame of ours.
    pub async fn next(&mut self) -> ServerFrame {
        let text = self.next_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next text message.
    ///
    /// # Panics
    /// When none comes in time, or the socket is closed.
    pub async fn next_text(&mut self) -> String {
        match self.next_or_closed().await {
            Ok(text) => text,
            Err(closed) => panic!("waited for a frame, and the socket was closed: {closed:?}"),
        }
    }

    /// Frames up to and with the first for which `last` holds.
    ///
    /// # Panics
    /// As [`WsClient::next`], and after 100,000 frames.
    pub async fn next_until(
        &mut self,
        mut last: impl FnMut(&ServerFrame) -> bool,
    ) -> Vec<ServerFrame> {
        let mut frames = Vec::new();
        while frames.len() < 100_000 {
            frames.push(self.next().await);
            if frames.last().is_some_and(&mut last) {
                return frames;
            }
        }
        panic!("100,000 frames came, and not the one that was waited for");
    }

    /// The next frame that `pick` takes; the others are dropped.
    ///
    /// # Panics
    /// As [`WsClient::next_until`].
    pub async fn find<T>(&mut self, mut pick: impl FnMut(ServerFrame) -> Option<T>) -> T {
        for _ in 0..100_000 {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
        panic!("100,000 frames came, and not the one that was waited for");
    }

    /// Whether nothing comes within `time`. A test that asks this takes that long: use it only
    /// where silence is the behaviour.
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.socket.next()).await.is_err()
    }

    /// Reads until the socket is closed, and tells how.
    ///
    /// # Panics
    /// When it is not closed in time.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Err(closed) = self.next_or_closed().await {
                return closed;
            }
        }
    }

    /// Closes the socket with this code, and tells what the server answers.
    pub async fn close(mut self, code: u16) -> Closed {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
        self.send_message(Message::Close(Some(frame))).await;
        self.closed().await
    }

    /// Breaks the connection without a word, as a network does.
    pub fn abort(self) {
        let _ = self.socket.get_ref().set_zero_linger();
    }

    async fn next_or_closed(&mut self) -> Result<String, Closed> {
        loop {
            let next = timeout(self.deadline, self.socket.next()).await;
            let next = next.unwrap_or_else(|_| panic!("nothing came in {:?}", self.deadline));
            match next {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                    panic!("the server sends text only")
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    return Err(Closed {
                        code: frame.as_ref().map(|frame| frame.code.into()),
                        reason: frame.map_or_else(String::new, |frame| frame.reason.to_string()),
                        clean: true,
                    });
                }
                None | Some(Err(_)) => {
                    return Err(Closed { code: None, reason: String::new(), clean: false });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
