//! `ask "…"`: streams the answer to the terminal, then prints the lines that it cites and what was
//! searched for it.
//!
//! A turn belongs to the server and goes on without its reader, so Ctrl-C stops it there before the
//! command ends. An answer that is not whole is never a success.

#![expect(clippy::print_stderr, reason = "notes are for the person at the terminal")]

mod footer;
mod frames;
mod printer;

use std::{pin::pin, time::Duration};

use anyhow::{Context, bail};
use callboard_protocol::{Answer, Ask, FinishReason, MessagePage, SearchedEvidence, TurnId};
use clap::Args;
use reqwest::Method;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use self::{footer::Searched, frames::Frames, printer::Printer};
use super::{
    Interrupted,
    client::{Client, Folder, accepted, body},
};
use crate::{config::Config, wiring};

/// How long the command waits for the server when nothing but a word is left to be said.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What to ask, and how to print the answer.
pub(super) struct Question {
    pub(super) question: String,
    pub(super) show: Show,
    pub(super) model: Option<String>,
    pub(super) mode: Option<String>,
}

/// What to print.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Show {
    /// Print the whole answer as JSON, with what was searched for it, when it is there
    #[arg(long, conflicts_with_all = ["brief", "all_lines"])]
    json: bool,
    /// Print the answer and what was searched, but not the cited lines
    #[arg(long, conflicts_with = "all_lines")]
    brief: bool,
    /// Print every cited line, and whole; otherwise the first 10, each cut to the terminal's width
    #[arg(long)]
    all_lines: bool,
}

pub(super) fn run(config: &Config, question: Question) -> anyhow::Result<()> {
    wiring::block_on(async {
        let client = Client::connect(config, Folder::MustHoldIndex).await?;
        let mut interrupts = signal(SignalKind::interrupt())?;
        let asked = ask(&client, question, &mut interrupts).await;
        tokio::select! {
            () = client.close() => asked,
            // Whoever asks twice does not want to wait for the end of the server either.
            _ = interrupts.recv() => Err(Interrupted.into()),
        }
    })
}

async fn ask(client: &Client, question: Question, interrupts: &mut Signal) -> anyhow::Result<()> {
    let Question { question, show, model, mode } = question;
    let ask = Ask { model, mode, ..Ask::new(question) };
    let mut printer = Printer::new(show);
    let mut opening = pin!(Frames::open(client, &ask));
    let (mut frames, interrupted) = tokio::select! {
        frames = &mut opening => (frames?, false),
        // The server may have accepted the question: its turn can be stopped once it is known.
        _ = interrupts.recv() => {
            (timeout(LAST_WORDS, opening).await.map_err(|_| Interrupted)??, true)
        }
    };
    let read = async {
        if interrupted {
            return Err(Interrupted.into());
        }
        tokio::select! {
            answer = read(&mut frames, &mut printer) => answer,
            _ = interrupts.recv() => Err(Interrupted.into()),
        }
    };
    let answer = match read.await {
        Ok(answer) => answer,
        Err(error) => {
            // Nobody reads the rest; a turn that has ended is not changed by this.
            let stopped = stop(client, frames.turn_id).await;
            if let (true, Err(why)) = (error.is::<Interrupted>(), stopped) {
                eprintln!("callboard: the turn could not be stopped on the server: {why:#}");
            }
            return Err(error);
        }
    };
    let searched = match answer.finish_reason {
        // There is more to be said of it than what it was to rest on.
        FinishReason::Cancelled => Searched::Unknown,
        FinishReason::Stop
        | FinishReason::Length
        | FinishReason::ContentFilter
        | FinishReason::Error => searched(client, &answer).await,
    };
    printer.finish(&answer, &searched)?;
    verdict(answer.finish_reason)
}

/// Reads and prints the turn to its end.
async fn read(frames: &mut Frames, printer: &mut Printer) -> anyhow::Result<Answer> {
    while let Some(frame) = frames.next().await? {
        if let Some(answer) = printer.print(frame, frames.conversation_id)? {
            return Ok(answer);
        }
    }
    bail!("the answer was cut off: the server ended before it did")
}

/// Whether the answer is whole.
fn verdict(reason: FinishReason) -> anyhow::Result<()> {
    match reason {
        FinishReason::Stop => {}
        FinishReason::Length => {
            eprintln!("callboard: the answer ends here because it reached the longest length");
        }
        FinishReason::ContentFilter => {
            eprintln!("callboard: the provider's content filter cut the answer");
        }
        FinishReason::Cancelled => bail!(
            "the answer was cut off: the server is shutting down, or somebody stopped the turn"
        ),
        FinishReason::Error => bail!("the answer was cut off: no provider could finish it"),
    }
    Ok(())
}

/// Stops the turn on the server, which keeps what was written.
async fn stop(client: &Client, turn: TurnId) -> anyhow::Result<()> {
    let path = format!("/assistant/turns/{turn}/cancel");
    let request = client.request(Method::POST, &path).timeout(LAST_WORDS);
    accepted(request.send().await?).await?;
    Ok(())
}

/// What was searched for an answer; it stands with the stored message. The answer is worth having
/// without it.
async fn searched(client: &Client, answer: &Answer) -> Searched {
    match find_message(client, answer).await {
        Ok(Some(evidence)) => Searched::Evidence(Box::new(evidence)),
        Ok(None) => Searched::Nothing,
        Err(error) => {
            eprintln!("callboard: what was searched for the answer is not known: {error:#}");
            Searched::Unknown
        }
    }
}

async fn find_message(
    client: &Client,
    answer: &Answer,
) -> anyhow::Result<Option<SearchedEvidence>> {
    let path = format!("/conversations/{}/messages?limit=2", answer.conversation_id);
    let request = client.request(Method::GET, &path).timeout(LAST_WORDS);
    let page: MessagePage =
        serde_json::from_slice(&body(accepted(request.send().await?).await?).await?)?;
    let message = page.items.into_iter().find(|message| message.id == answer.message_id);
    Ok(message.context("the server does not know the answer any more")?.evidence)
}
