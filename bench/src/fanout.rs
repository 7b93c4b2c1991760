//! `fanout`: one long answer that many sockets of one account watch.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use callboard_protocol::{Ask, ClientFrame, ConversationId, ServerFrame};
use callboard_testkit::WsClient;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    options::Options, process::Usage, report::Report, samples::Samples, server::Server,
    stamped::Stamped,
};

pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let pause = Duration::from_millis(options.fanout_token_ms.into());
    let vendor = Stamped::start(options.fanout_tokens, pause).await?;
    let server = Server::start(options, vendor.base_url()).await?;
    let mut asker = server.open(1).await?.pop().context("no socket")?;
    let conversation = ask(&mut asker).await?;
    let empty = server.usage()?;
    let mut watchers = vec![asker];
    let mut subscribing = JoinSet::new();
    for socket in server.open(options.watchers - 1).await? {
        subscribing.spawn(subscribe(socket, conversation));
    }
    while let Some(subscribed) = subscribing.join_next().await {
        watchers.push(subscribed??);
    }
    let (before, own_before) = (server.usage()?, Usage::of(std::process::id())?);
    let mut reading = JoinSet::new();
    for socket in watchers {
        reading.spawn(watch(socket, vendor.clock(), options.fanout_tokens));
    }
    let started = Instant::now();
    vendor.release();
    let (mut ages, mut frames) = (Samples::default(), 0);
    while let Some(read) = reading.join_next().await {
        let (its_ages, its_frames) = read??;
        ages.merge(its_ages);
        frames += its_frames;
    }
    let elapsed = started.elapsed();
    let (after, own_after) = (server.usage()?, Usage::of(std::process::id())?);
    let per_million = |later: Usage, earlier: Usage| {
        let cpu = later.cpu.saturating_sub(earlier.cpu).as_secs_f64();
        format!("{:.1} s", cpu * 1_000_000.0 / f64::from(frames))
    };
    let mut row = |measure, value: String| report.row("fanout", measure, value);
    row(
        "answer",
        format!("{} tokens {pause:?} apart, {} sockets", options.fanout_tokens, options.watchers),
    );
    row("frames/s", format!("{:.0}", f64::from(frames) / elapsed.as_secs_f64()));
    row(
        "tokens per frame",
        format!("{:.1}", f64::from(options.fanout_tokens * options.watchers) / f64::from(frames)),
    );
    row("age of a token when read, p50 / p95 / p99", ages.percentiles());
    row("server CPU per million frames", per_million(after, before));
    row("generator CPU per million frames", per_million(own_after, own_before));
    let grown = before.rss_kb.saturating_sub(empty.rss_kb);
    let each = f64::from(u32::try_from(grown)?) / f64::from(options.watchers - 1);
    row("RSS per watching socket, idle", format!("{each:.1} kB"));
    row("server RSS, before / peak", format!("{} / {} kB", before.rss_kb, after.peak_kb));
    Ok(())
}

/// Asks the question; its answer waits at the provider's gate.
async fn ask(socket: &mut WsClient) -> anyhow::Result<ConversationId> {
    let ask = Ask { use_cache: false, ..Ask::new("what happened?") };
    socket.send(&ClientFrame::Message(ask)).await;
    loop {
        let frame = socket.next().await;
        if let ServerFrame::Accepted { conversation_id, .. } = frame {
            return Ok(conversation_id);
        }
        ensure!(!matches!(frame, ServerFrame::Error { .. }), "no answer: {frame:?}");
    }
}

async fn subscribe(
    mut socket: WsClient,
    conversation_id: ConversationId,
) -> anyhow::Result<WsClient> {
    socket.send(&ClientFrame::Subscribe { conversation_id }).await;
    loop {
        let frame = socket.next().await;
        if let ServerFrame::Subscribed { running_turn, .. } = frame {
            ensure!(running_turn.is_some(), "the answer ended before it began");
            return Ok(socket);
        }
        ensure!(!matches!(frame, ServerFrame::Error { .. }), "not subscribed: {frame:?}");
    }
}

/// Reads an answer to its end: how old each token was, and how many chunks there were.
async fn watch(
    mut socket: WsClient,
    clock: Instant,
    tokens: u32,
) -> anyhow::Result<(Samples, u32)> {
    let (mut ages, mut frames, mut seen) = (Samples::default(), 0, 0);
    loop {
        let frame = socket.next().await;
        if let ServerFrame::StreamChunk { content, .. } = &frame {
            frames += 1;
            let now = clock.elapsed();
            for stamp in content.split_whitespace() {
                seen += 1;
                ages.add(now.saturating_sub(Duration::from_micros(stamp.parse()?)));
            }
        }
        if let ServerFrame::Response { .. } = &frame {
            ensure!(seen == tokens, "{seen} of {tokens} tokens came");
            return Ok((ages, frames));
        }
        if let ServerFrame::Error { .. } | ServerFrame::StreamRestart { .. } = &frame {
            bail!("the answer failed: {frame:?}");
        }
    }
}
