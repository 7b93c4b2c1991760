//! A provider that is as fast as one can be: its answers are rendered beforehand, and written
//! without looking at more of a request than whether it wants a stream, and at what pace.

use std::{io, sync::Arc, time::Duration};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinSet, yield_now},
    time::{MissedTickBehavior, interval},
};

use super::http::{Length, chunk, head};

/// Stands in a question whose answer is to come token by token, instead of all at once.
pub(crate) const PACED: &str = "slowly";

/// The largest request that is read.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// What it says, ready to be written.
struct Answers {
    whole: Vec<u8>,
    head: Vec<u8>,
    tokens: Vec<Vec<u8>>,
    /// All tokens but the first.
    rest: Vec<u8>,
    end: Vec<u8>,
    pace: Duration,
}

/// A running one; it ends when it is dropped.
pub(crate) struct Upstream {
    /// Its address, `127.0.0.1:PORT`.
    pub(crate) address: String,
    _server: JoinSet<()>,
}

impl Upstream {
    /// Its answers have so many tokens; where they are paced, one every `pace`.
    pub(crate) async fn start(tokens: u32, pace: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let answers = Arc::new(Answers::new(tokens, pace));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answers = Arc::clone(&answers);
                // A client that hangs up ends its connection, and nothing else.
                connections.spawn(async move { drop(serve(stream, &answers).await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _server: server })
    }
}

impl Answers {
    fn new(count: u32, pace: Duration) -> Self {
        let content: String = (0..count).map(|number| format!("t{number} ")).collect();
        let usage = format!(
            "{{\"prompt_tokens\":9,\"completion_tokens\":{count},\"total_tokens\":{}}}",
            count + 9
        );
        let whole = format!(
            "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\
             \"model\":\"fake-1\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
             \"content\":\"{content}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}"
        );
        let event = |choices: &str, more: &str| {
            let json = format!(
                "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
                 \"created\":1700000000,\"model\":\"fake-1\",\"choices\":[{choices}]{more}}}"
            );
            chunk(&format!("data: {json}\n\n")).into_bytes()
        };
        let token = |number| {
            let delta = format!("{{\"content\":\"t{number} \"}}");
            let choice = format!("{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}");
            event(&choice, "")
        };
        let tokens: Vec<Vec<u8>> = (0..count).map(token).collect();
        let last = event("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
        let usage = event("", &format!(",\"usage\":{usage}"));
        let done = format!("{}0\r\n\r\n", chunk("data: [DONE]\n\n"));
        Self {
            whole: format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \
                 {}\r\n\r\n{whole}",
                whole.len()
            )
            .into_bytes(),
            head: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n"
                .to_vec(),
            rest: tokens.iter().skip(1).flatten().copied().collect(),
            tokens,
            end: [last, usage, done.into_bytes()].concat(),
            pace,
        }
    }
}

/// Answers requests until the other side ends.
async fn serve(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4 * 1024);
    loop {
        let length = loop {
            if let Some(length) = whole_request(&bytes) {
                break length;
            }
            if bytes.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let request = &bytes[..length];
        let (streamed, paced) = (
            memmem::find(request, b"\"stream\":true").is_some(),
            memmem::find(request, PACED.as_bytes()).is_some(),
        );
        bytes.drain(..length);
        match (streamed, paced) {
            (false, _) => stream.write_all(&answers.whole).await?,
            (true, false) => at_once(&mut stream, answers).await?,
            (true, true) => one_by_one(&mut stream, answers).await?,
        }
    }
}

/// The first token by itself, so that its way can be timed, and then the rest in one go.
async fn at_once(stream: &mut TcpStream, answers: &Answers) -> io::Result<()> {
    let first = answers.tokens.first().map(Vec::as_slice).unwrap_or_default();
    stream.write_all(&[&answers.head, first].concat()).await?;
    yield_now().await;
    stream.write_all(&[answers.rest.as_slice(), &answers.end].concat()).await
}

/// Each token by itself, at its time.
async fn one_by_one(stream: &mut TcpStream, answers: &Answers) -> io::Result<()> {
    let mut ticks = interval(answers.pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream.write_all(&answers.head).await?;
    for token in &answers.tokens {
        ticks.tick().await;
        stream.write_all(token).await?;
    }
    stream.write_all(&answers.end).await
}

/// The length of the request at the beginning, once it is all there.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let head = head(bytes)?;
    match head.body {
        Length::Known(body) => Some(head.end + body).filter(|length| bytes.len() >= *length),
        // Ours name their length.
        Length::Chunked => None,
    }
}
