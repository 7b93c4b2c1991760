//! `ask "…"`: streams the answer to the terminal and prints the lines that it cites.

#![expect(clippy::print_stderr, reason = "steps are for the person at the terminal")]

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use callboard_protocol::{Answer, Ask, Citation, ServerFrame, StepState};
use reqwest::{Method, header};

use super::client::{Client, accepted, body};
use crate::{config::Config, wiring};

/// The longest event of the stream: a `response` frame holds the whole answer.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// What to ask, and how to print the answer.
pub(super) struct Question {
    pub(super) question: String,
    pub(super) json: bool,
    pub(super) model: Option<String>,
    pub(super) mode: Option<String>,
}

pub(super) fn run(config: &Config, question: Question) -> anyhow::Result<()> {
    wiring::block_on(async {
        let client = Client::connect(config).await?;
        let asked = ask(&client, question).await;
        client.close().await;
        asked
    })
}

async fn ask(client: &Client, question: Question) -> anyhow::Result<()> {
    let body_of_ask =
        Ask { model: question.model, mode: question.mode, ..Ask::new(question.question) };
    let request = client.request(Method::POST, "/assistant/chat").json(&body_of_ask);
    if question.json {
        let answer: Answer =
            serde_json::from_slice(&body(accepted(request.send().await?).await?).await?)?;
        say!("{}", serde_json::to_string_pretty(&answer)?)?;
        return Ok(());
    }
    let request = request.header(header::ACCEPT, "text/event-stream");
    let mut reply = accepted(request.send().await?).await?;
    let mut printer = Printer::default();
    let mut events = Vec::new();
    while let Some(piece) = reply.chunk().await? {
        events.extend_from_slice(&piece);
        while let Some(end) = find(&events, b"\n\n") {
            let event: Vec<u8> = events.drain(..end + 2).collect();
            if let Some(frame) = frame(&event)? {
                printer.print(frame)?;
            }
        }
        if events.len() > MAX_EVENT {
            bail!("the server's reply is too long");
        }
    }
    printer.finish()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The frame in an event's `data` field; comments have none.
fn frame(event: &[u8]) -> anyhow::Result<Option<ServerFrame>> {
    let event = std::str::from_utf8(event)?;
    let data = event.lines().find_map(|line| line.strip_prefix("data:"));
    Ok(data.map(|data| serde_json::from_str(data.trim_start())).transpose()?)
}

/// Writes frames as a person reads them.
#[derive(Default)]
struct Printer {
    ended: bool,
}

impl Printer {
    fn print(&mut self, frame: ServerFrame) -> anyhow::Result<()> {
        match frame {
            ServerFrame::Step { state: StepState::Done | StepState::Failed, summary, .. }
                if std::io::stderr().is_terminal() =>
            {
                eprintln!("· {}\n", printable(&summary));
            }
            ServerFrame::StreamChunk { content, .. } => {
                write!(std::io::stdout(), "{}", printable(&content))?;
                std::io::stdout().flush()?;
            }
            ServerFrame::StreamRestart { reason, .. } => {
                say!("\n\n[{}: the answer starts again]\n", printable(&reason))?;
            }
            ServerFrame::Response { citations, .. } => {
                self.ended = true;
                say!()?;
                cite(&citations)?;
            }
            ServerFrame::Error { code, message, .. } => bail!("{message} ({code})"),
            ServerFrame::Connected { .. }
            | ServerFrame::Accepted { .. }
            | ServerFrame::Subscribed { .. }
            | ServerFrame::Message { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::StreamStart { .. }
            | ServerFrame::Step { .. }
            | ServerFrame::StreamEnd { .. }
            | ServerFrame::Typing { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::System { .. }
            | ServerFrame::Pong { .. } => {}
        }
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<()> {
        if !self.ended {
            bail!("the connection ended before the answer did");
        }
        Ok(())
    }
}

fn cite(citations: &[Citation]) -> std::io::Result<()> {
    if citations.is_empty() {
        return Ok(());
    }
    say!("\nCited lines:")?;
    for citation in citations {
        say!(
            "  [{}] {}: {}",
            citation.line_id,
            printable(&citation.source),
            printable(&citation.excerpt)
        )?;
    }
    Ok(())
}

/// Log text must not steer the terminal: control characters but line feeds and tabs are shown as
/// what they are.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\tb\n\u{9b}31m"), "a\\u{1b}[2J\tb\n\\u{9b}31m");
    }

    #[test]
    fn an_event_without_data_is_no_frame() {
        assert_eq!(frame(b": keep-alive\n\n").unwrap(), None);
        let pong =
            frame(b"event: x\ndata: {\"type\":\"pong\",\"at\":\"2026-11-21T00:00:00Z\"}\n\n");
        assert!(matches!(pong.unwrap(), Some(ServerFrame::Pong { .. })));
    }
}
