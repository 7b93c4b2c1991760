//! A provider whose tokens say when they were written, so that a reader knows how old they are.
//!
//! Every answer waits for [`Stamped::release`], so that all watchers are there before it begins.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval},
};

/// The largest request that is read: a short question has a small prompt.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// A running provider; it ends when it is dropped.
pub(crate) struct Stamped {
    base_url: String,
    clock: Instant,
    released: Arc<Semaphore>,
    _server: JoinSet<()>,
}

impl Stamped {
    /// Its answers have `count` tokens, one every `pause`.
    pub(crate) async fn start(count: u32, pause: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let (clock, released) = (Instant::now(), Arc::new(Semaphore::new(0)));
        let mut server = JoinSet::new();
        let gate = Arc::clone(&released);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let gate = Arc::clone(&gate);
                // A server that hangs up ends its connection, and nothing else.
                connections
                    .spawn(async move { drop(serve(stream, &gate, clock, (count, pause)).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { base_url, clock, released, _server: server })
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The stamps are microseconds since this instant.
    pub(crate) fn clock(&self) -> Instant {
        self.clock
    }

    /// Lets one answer begin.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }
}

/// Answers one request.
async fn serve(
    mut stream: TcpStream,
    gate: &Semaphore,
    clock: Instant,
    (count, pause): (u32, Duration),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    read_request(&mut stream).await?;
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
        )
        .await?;
    gate.acquire().await.map_err(io::Error::other)?.forget();
    let mut ticks = interval(pause);
    for _ in 0..count {
        ticks.tick().await;
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{} \"}}}}]}}\n\n",
            clock.elapsed().as_micros()
        );
        stream.write_all(event.as_bytes()).await?;
    }
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
               data: [DONE]\n\n";
    stream.write_all(end.as_bytes()).await?;
    stream.shutdown().await
}

/// Reads a request to its end; what it asks does not matter.
async fn read_request(stream: &mut TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        if bytes.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0_usize);
    request.len() >= end + 4 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        assert!(!is_whole(b"POST / HTTP/1.1\r\n"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{"));
        assert!(is_whole(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"));
    }

    #[tokio::test]
    async fn an_answer_waits_and_its_tokens_are_stamped_in_order() {
        let vendor = Stamped::start(5, Duration::from_millis(1)).await.unwrap();
        let url = format!("{}/chat/completions", vendor.base_url());
        let reply = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
        let before = vendor.clock().elapsed().as_micros();
        vendor.release();
        let text = reply.text().await.unwrap();
        let contents = text.split("\"content\":\"").skip(1);
        let stamps = contents.map(|rest| rest.split(' ').next().unwrap().parse().unwrap());
        let stamps: Vec<u128> = stamps.collect();
        assert_eq!(stamps.len(), 5);
        assert!(before <= stamps[0] && stamps.is_sorted(), "{before} {stamps:?}");
        assert!(text.ends_with("[DONE]\n\n"));
    }
}
