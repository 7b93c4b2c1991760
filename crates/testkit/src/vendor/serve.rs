//! One connection of the fake provider.

use std::{future::pending, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

use super::{
    RecordedRequest, Shared,
    billing::Billed,
    embeddings::embeddings,
    http,
    reply::{End, Kind, Stream, Tokens},
    speak::{Piece, Speak, speaker},
    wire::VendorWire,
};

/// How often a stalled stream with pings sends one.
const PING_EVERY: Duration = Duration::from_millis(20);

/// Why a connection ends: the script demands it, or the client has left.
enum Ended {
    Script,
    Left,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
    /// Tokens of the present answer that were sent.
    written: u64,
}

/// A request on its wire.
struct Asked {
    request: RecordedRequest,
    wire: VendorWire,
    model: String,
}

/// Serves requests on `stream` until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let (reader, writer) = stream.into_split();
    let mut connection = Connection { reader, writer, shared, written: 0 };
    let mut rest = Vec::new();
    while let Ok(Some(request)) = http::read_request(&mut connection.reader, &mut rest).await {
        let (number, reply) = connection.shared.accept(&request);
        let wire = request.wire();
        let asked = Asked { wire, model: wire.model_of(&request), request };
        connection.written = 0;
        let (ended, billed) = connection.reply(&asked, &reply.kind).await;
        if let Some(billed) = billed {
            let asked = asked.model;
            connection.shared.bill(Billed { request: number, wire, asked, ..billed });
        }
        let left = matches!(ended, Err(Ended::Left));
        connection.shared.count(|counts| {
            if left {
                counts.left += 1;
            } else {
                counts.finished += 1;
            }
        });
        if ended.is_err() {
            return;
        }
    }
}

impl Connection {
    /// Replies; gives also what is billed for it.
    async fn reply(&mut self, asked: &Asked, kind: &Kind) -> (Result<(), Ended>, Option<Billed>) {
        match kind {
            Kind::Stream(_) if is_embeddings(asked.wire) => {
                let (json, billed) = embeddings(asked.wire, &asked.request, &asked.model);
                let sent = self.whole(200, &[], &json.to_string()).await;
                let billed = sent.is_ok().then_some(billed);
                (sent, billed)
            }
            Kind::Stream(stream) => {
                let mut speaker = speaker(asked.wire);
                let ended = if asked.wire.wants_stream(&asked.request) {
                    self.stream(stream, &mut *speaker).await
                } else {
                    self.at_once(stream, &*speaker).await
                };
                let complete = ended.is_ok();
                let billed = complete || self.written > 0 || stream.bills_prompt;
                let billed = billed.then(|| Billed::of_stream(stream, self.written, complete));
                (ended, billed)
            }
            Kind::Whole { status, headers, body } => {
                let sent = self.whole(*status, headers, body).await;
                let billed = if sent.is_ok() { Billed::of_body(body) } else { None };
                (sent, billed)
            }
            Kind::Fault { fault, headers } => {
                let (status, body) = fault.told(asked.wire);
                (self.whole(status, headers, &body.to_string()).await, None)
            }
            Kind::Reset => (self.reset().await, None),
            Kind::Silent => (self.unless_left(pending::<()>()).await, None),
        }
    }

    async fn reset(&mut self) -> Result<(), Ended> {
        self.gate().await?;
        self.reader.as_ref().set_zero_linger()?;
        Err(Ended::Script)
    }

    /// A reply that is not streamed.
    async fn whole(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<(), Ended> {
        self.gate().await?;
        let head = whole_head(status, headers, body.len());
        self.write(format!("{head}{body}").as_bytes()).await
    }

    /// An answer that is not streamed, with the faults of one that is.
    async fn at_once(&mut self, stream: &Stream, speaker: &dyn Speak) -> Result<(), Ended> {
        self.gate().await?;
        if matches!(stream.tokens, Tokens::Endless) {
            return self.unless_left(pending::<()>()).await;
        }
        self.unless_left(sleep(stream.first_after)).await?;
        let body = match &stream.end {
            End::ErrorAfter(_, error) => serde_json::json!({"error": error}).to_string(),
            End::Whole | End::CutAfter(_) | End::StallAfter(_) => speaker.whole(stream).to_string(),
        };
        let head = whole_head(200, &stream.headers, body.len());
        match stream.end {
            End::Whole => {
                self.write(format!("{head}{body}").as_bytes()).await?;
                self.written = stream.usage.map_or(0, |(_, output)| output);
                Ok(())
            }
            End::ErrorAfter(..) => {
                self.write(format!("{head}{body}").as_bytes()).await?;
                Err(Ended::Script)
            }
            End::CutAfter(_) | End::StallAfter(_) => {
                let half = &body[..body.floor_char_boundary(body.len() / 2)];
                self.write(format!("{head}{half}").as_bytes()).await?;
                if matches!(stream.end, End::StallAfter(_)) {
                    self.unless_left(pending::<()>()).await?;
                }
                Err(Ended::Script)
            }
        }
    }

    async fn stream(&mut self, stream: &Stream, speaker: &mut dyn Speak) -> Result<(), Ended> {
        if stream.gate_after == 0 {
            self.gate().await?;
        }
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-cache\r\n\
             Transfer-Encoding: chunked\r\n",
            speaker.content_type()
        );
        for (name, value) in &stream.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.write(format!("{head}\r\n").as_bytes()).await?;
        self.chunked(stream, &speaker.begin(stream)).await?;
        if stream.first_after > Duration::ZERO {
            self.pass(stream, speaker, stream.first_after).await?;
        }
        for thought in &stream.reasoning {
            self.piece(stream, speaker, Piece::Reasoning(thought)).await?;
        }
        let mut index = 0;
        while let Some(token) = stream.token(index) {
            if index > 0 && index == stream.gate_after {
                self.gate().await?;
            }
            self.end_early(stream, speaker, index).await?;
            if stream.malformed_at == Some(index) {
                self.chunked(stream, &speaker.malformed(stream)).await?;
            }
            if stream.pings {
                self.chunked(stream, &speaker.ping(stream)).await?;
            }
            self.piece(stream, speaker, Piece::Text(&token)).await?;
            if stream.delay > Duration::ZERO {
                self.pass(stream, speaker, stream.delay).await?;
            }
            index += 1;
        }
        if index > 0 && index == stream.gate_after {
            self.gate().await?;
        }
        self.end_early(stream, speaker, index).await?;
        for (place, call) in stream.calls.iter().enumerate() {
            self.piece(stream, speaker, Piece::Call(place, call)).await?;
        }
        let finish = speaker.finish(stream);
        self.chunked(stream, &finish).await?;
        self.close_stream(stream, speaker).await
    }

    async fn piece(
        &mut self,
        stream: &Stream,
        speaker: &mut dyn Speak,
        piece: Piece<'_>,
    ) -> Result<(), Ended> {
        let text = speaker.piece(stream, piece);
        self.chunked(stream, &text).await?;
        self.written += 1;
        Ok(())
    }

    /// The word for the end, unless the script leaves it out, and the end of the body.
    async fn close_stream(&mut self, stream: &Stream, speaker: &dyn Speak) -> Result<(), Ended> {
        if stream.done {
            self.chunked(stream, &speaker.done(stream)).await?;
        }
        if stream.lingers {
            self.unless_left(pending::<()>()).await?;
        }
        self.write(b"0\r\n\r\n").await
    }

    async fn end_early(
        &mut self,
        stream: &Stream,
        speaker: &dyn Speak,
        index: usize,
    ) -> Result<(), Ended> {
        match &stream.end {
            End::CutAfter(count) if *count == index => Err(Ended::Script),
            End::StallAfter(count) if *count == index => {
                self.pass(stream, speaker, Duration::MAX).await
            }
            End::ErrorAfter(count, error) if *count == index => {
                self.chunked(stream, &speaker.error(stream, error)).await?;
                self.close_stream(stream, speaker).await?;
                Err(Ended::Script)
            }
            End::Whole | End::CutAfter(_) | End::StallAfter(_) | End::ErrorAfter(..) => Ok(()),
        }
    }

    async fn chunked(&mut self, stream: &Stream, text: &str) -> Result<(), Ended> {
        for part in text.as_bytes().chunks(stream.write_bytes) {
            let mut bytes = format!("{:x}\r\n", part.len()).into_bytes();
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
            self.write(&bytes).await?;
        }
        Ok(())
    }

    /// Lets time pass; a client that leaves meanwhile is noticed.
    async fn pass(
        &mut self,
        stream: &Stream,
        speaker: &dyn Speak,
        time: Duration,
    ) -> Result<(), Ended> {
        if !stream.pings {
            return self.unless_left(sleep(time)).await;
        }
        let mut left = time;
        while left > Duration::ZERO {
            let step = left.min(PING_EVERY);
            self.unless_left(sleep(step)).await?;
            self.chunked(stream, &speaker.ping(stream)).await?;
            left -= step;
        }
        Ok(())
    }

    /// Waits while the gate is closed.
    async fn gate(&mut self) -> Result<(), Ended> {
        let mut held = self.shared.held.subscribe();
        if !*held.borrow() {
            return Ok(());
        }
        self.shared.count(|counts| counts.held += 1);
        let opened = self.unless_left(async { held.wait_for(|held| !held).await.is_ok() }).await;
        self.shared.count(|counts| counts.held -= 1);
        opened.map(|_| ())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let mut byte = [0];
        tokio::select! {
            biased;
            // A client sends nothing while it waits for a reply: what is read here is its end.
            _ = self.reader.read(&mut byte) => Err(Ended::Left),
            written = self.writer.write_all(bytes) => Ok(written?),
        }
    }

    async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        let mut byte = [0];
        tokio::select! {
            _ = self.reader.read(&mut byte) => Err(Ended::Left),
            value = work => Ok(value),
        }
    }
}

fn is_embeddings(wire: VendorWire) -> bool {
    match wire {
        VendorWire::OpenAiEmbeddings
        | VendorWire::OllamaEmbeddings
        | VendorWire::GeminiEmbeddings => true,
        VendorWire::OpenAi
        | VendorWire::Responses
        | VendorWire::Anthropic
        | VendorWire::Ollama
        | VendorWire::Gemini
        | VendorWire::Azure => false,
    }
}

fn whole_head(status: u16, headers: &[(String, String)], length: usize) -> String {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has = |sought| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(sought));
    if !has("content-type") {
        head.push_str("Content-Type: application/json\r\n");
    }
    if !has("content-length") {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head + "\r\n"
}
