//! One connection of the fake provider.

use std::{future::pending, io, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::sleep,
};

use super::{
    Shared, http,
    reply::{End, Kind, Stream, Tokens},
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
}

/// Serves requests on `stream` until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let (reader, writer) = stream.into_split();
    let mut connection = Connection { reader, writer, shared };
    let mut rest = Vec::new();
    while let Ok(Some(request)) = http::read_request(&mut connection.reader, &mut rest).await {
        let reply = connection.shared.accept(request);
        let ended = connection.reply(&reply.kind).await;
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
    async fn reply(&mut self, kind: &Kind) -> Result<(), Ended> {
        match kind {
            Kind::Stream(stream) => {
                if stream.gate_after == 0 {
                    self.gate().await?;
                }
                self.stream(stream).await
            }
            Kind::Whole { status, headers, body } => {
                self.gate().await?;
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let has =
                    |sought| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(sought));
                if !has("content-type") {
                    head.push_str("Content-Type: application/json\r\n");
                }
                if !has("content-length") {
                    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                head.push_str(&format!("\r\n{body}"));
                self.write(head.as_bytes()).await
            }
            Kind::Reset => {
                self.gate().await?;
                self.reader.as_ref().set_zero_linger()?;
                Err(Ended::Script)
            }
            Kind::Silent => self.unless_left(pending::<()>()).await,
        }
    }

    async fn stream(&mut self, stream: &Stream) -> Result<(), Ended> {
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
              Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await?;
        if stream.role_chunk {
            self.chunk(stream, &json!({"role": "assistant", "content": null}), None).await?;
        }
        if stream.first_after > Duration::ZERO {
            self.pass(stream, stream.first_after).await?;
        }
        let mut index = 0;
        while let Some(token) = stream.token(index) {
            if index > 0 && index == stream.gate_after {
                self.gate().await?;
            }
            self.end_early(stream, index).await?;
            if stream.malformed_at == Some(index) {
                self.event(stream, "{\"choices\": [{\"delta\": {\"content\": \"").await?;
            }
            if stream.pings {
                self.comment(stream).await?;
            }
            self.chunk(stream, &json!({"content": token}), None).await?;
            if stream.delay > Duration::ZERO {
                self.pass(stream, stream.delay).await?;
            }
            index += 1;
        }
        if index > 0 && index == stream.gate_after {
            self.gate().await?;
        }
        self.end_early(stream, index).await?;
        if let Some(reason) = &stream.finish {
            self.chunk(stream, &json!({}), Some(reason)).await?;
        }
        if let Some((input, output)) = stream.usage {
            let usage = json!({"id": "fake", "object": "chat.completion.chunk", "choices": [],
                "model": stream.model, "usage": {"prompt_tokens": input,
                "completion_tokens": output, "total_tokens": input + output}});
            self.event(stream, &usage.to_string()).await?;
        }
        self.close_stream(stream).await
    }

    /// `[DONE]`, unless the script leaves it out, and the end of the body.
    async fn close_stream(&mut self, stream: &Stream) -> Result<(), Ended> {
        if stream.done {
            self.event(stream, "[DONE]").await?;
        }
        self.write(b"0\r\n\r\n").await
    }

    async fn end_early(&mut self, stream: &Stream, index: usize) -> Result<(), Ended> {
        match &stream.end {
            End::CutAfter(count) if *count == index => Err(Ended::Script),
            End::StallAfter(count) if *count == index => self.pass(stream, Duration::MAX).await,
            End::ErrorAfter(count, error) if *count == index => {
                let error = json!({"id": "fake", "error": error, "choices": []});
                self.event(stream, &error.to_string()).await?;
                self.close_stream(stream).await?;
                Err(Ended::Script)
            }
            End::Whole | End::CutAfter(_) | End::StallAfter(_) | End::ErrorAfter(..) => Ok(()),
        }
    }

    async fn chunk(
        &mut self,
        stream: &Stream,
        delta: &Value,
        finish: Option<&str>,
    ) -> Result<(), Ended> {
        let chunk = json!({"id": "fake", "object": "chat.completion.chunk",
            "model": stream.model, "system_fingerprint": null,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
        self.event(stream, &chunk.to_string()).await
    }

    async fn event(&mut self, stream: &Stream, data: &str) -> Result<(), Ended> {
        self.chunked(stream, &format!("data: {data}{0}{0}", stream.newline)).await
    }

    async fn comment(&mut self, stream: &Stream) -> Result<(), Ended> {
        self.chunked(stream, &format!(": still here{0}{0}", stream.newline)).await
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
    async fn pass(&mut self, stream: &Stream, time: Duration) -> Result<(), Ended> {
        if !stream.pings {
            return self.unless_left(sleep(time)).await;
        }
        let mut left = time;
        while left > Duration::ZERO {
            let step = left.min(PING_EVERY);
            self.unless_left(sleep(step)).await?;
            self.comment(stream).await?;
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

impl Stream {
    fn token(&self, index: usize) -> Option<String> {
        match &self.tokens {
            Tokens::These(tokens) => tokens.get(index).cloned(),
            Tokens::Endless => Some(format!("t{index} ")),
        }
    }
}
