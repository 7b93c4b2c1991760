//! The load generator: connections that ask one question after the other.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    http::{Chunks, Length, head},
    upstream::PACED,
};

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is asked, and with what key.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) key: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The whole answer in one piece.
    Whole,
    /// The whole answer in one piece, which the gateway has in its cache.
    Kept,
    /// A stream, as fast as it comes.
    Stream,
    /// A stream of one token after the other.
    Paced,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// Until its first token was there.
    pub(crate) first: Duration,
    /// Until its end.
    pub(crate) whole: Duration,
    /// Tokens that came, in their order.
    pub(crate) tokens: u32,
}

/// A connection.
pub(crate) struct Asker {
    stream: TcpStream,
    request: Vec<u8>,
    streamed: bool,
    bytes: Vec<u8>,
}

impl Asker {
    pub(crate) async fn open(target: &Target, ask: Ask) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.address).await?;
        stream.set_nodelay(true)?;
        let streamed = matches!(ask, Ask::Stream | Ask::Paced);
        let manner = if ask == Ask::Paced { PACED } else { "quickly" };
        let cache = if ask == Ask::Kept { "use" } else { "off" };
        let body = format!(
            "{{\"model\":\"fake-1\",\"stream\":{streamed},\"messages\":[{{\"role\":\"system\",\
             \"content\":\"You are brief.\"}},{{\"role\":\"user\",\"content\":\"Count {manner}, \
             please.\"}}],\"callboard\":{{\"cache\":{{\"mode\":\"{cache}\"}}}}}}"
        );
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            target.address,
            target.key,
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), streamed, bytes: Vec::new() })
    }

    /// Asks once, and reads the answer to its end.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<Answered> {
        let answered = timeout(PATIENCE, self.exchange()).await;
        answered.context("an answer did not come to its end")?
    }

    async fn exchange(&mut self) -> anyhow::Result<Answered> {
        let asked = Instant::now();
        self.stream.write_all(&self.request).await?;
        self.bytes.clear();
        let head = loop {
            self.more().await?;
            if let Some(head) = head(&self.bytes) {
                break head;
            }
        };
        let refused = || String::from_utf8_lossy(&self.bytes).into_owned();
        ensure!(self.bytes.starts_with(b"HTTP/1.1 200 "), "refused: {}", refused());
        self.bytes.drain(..head.end);
        match head.body {
            Length::Known(length) => self.whole(asked, length).await,
            Length::Chunked => self.chunks(asked).await,
        }
    }

    async fn whole(&mut self, asked: Instant, length: usize) -> anyhow::Result<Answered> {
        ensure!(!self.streamed, "a stream was asked for");
        while self.bytes.len() < length {
            self.more().await?;
        }
        let whole = asked.elapsed();
        let content = memmem::find(&self.bytes, b"\"content\":\"").context("no content")? + 11;
        let tokens = in_order(self.bytes[content..].split(|byte| *byte == b' '));
        Ok(Answered { first: whole, whole, tokens })
    }

    async fn chunks(&mut self, asked: Instant) -> anyhow::Result<Answered> {
        let (mut chunks, mut first) = (Chunks::default(), None);
        let token = memmem::Finder::new(b"\"content\":\"t");
        loop {
            let taken = chunks.take(&self.bytes).context("a chunk cannot be read")?;
            self.bytes.drain(..taken);
            if first.is_none() && token.find(&chunks.body).is_some() {
                first = Some(asked.elapsed());
            }
            if chunks.ended {
                break;
            }
            self.more().await?;
        }
        let whole = asked.elapsed();
        ensure!(chunks.body.ends_with(b"data: [DONE]\n\n"), "a stream broke off");
        let places = token.find_iter(&chunks.body).map(|place| &chunks.body[place + 11..]);
        let contents = places.filter_map(|rest| rest.split(|byte| *byte == b' ').next());
        let tokens = in_order(contents);
        Ok(Answered { first: first.context("no token came")?, whole, tokens })
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.bytes).await? > 0, "the connection was closed");
        Ok(())
    }
}

/// How many of `t0`, `t1`, … there are, as long as they come in their order.
fn in_order<'a>(contents: impl Iterator<Item = &'a [u8]>) -> u32 {
    let number = |content: &[u8]| -> Option<u32> {
        std::str::from_utf8(content.strip_prefix(b"t")?).ok()?.parse().ok()
    };
    let mut expected = 0;
    for content in contents {
        if number(content) != Some(expected) {
            break;
        }
        expected += 1;
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::upstream::Upstream;

    #[tokio::test]
    async fn every_token_of_an_answer_is_counted_on_a_connection_that_is_kept() {
        let upstream = Upstream::start(7, Duration::from_millis(1)).await.unwrap();
        let target = Target { address: upstream.address.clone(), key: String::new() };
        for ask in [Ask::Whole, Ask::Kept, Ask::Stream, Ask::Paced] {
            let mut asker = Asker::open(&target, ask).await.unwrap();
            for _ in 0..3 {
                let answered = asker.ask().await.unwrap();
                assert_eq!(answered.tokens, 7, "{ask:?}");
                assert!(answered.first <= answered.whole);
            }
        }
    }

    #[test]
    fn tokens_that_are_missing_are_not_counted() {
        let count = |text: &str| in_order(text.as_bytes().split(|byte| *byte == b' '));
        assert_eq!(count("t0 t1 t2 \"}"), 3);
        assert_eq!(count("t0 t2 t3"), 1);
        assert_eq!(count(""), 0);
    }
}
