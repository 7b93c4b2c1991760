//! `turns`: many sockets, each asks one question after the other in a conversation of its own.
//!
//! The cache is passed by, so every turn goes the whole way: stored, searched, asked, streamed,
//! stored. One question of each socket goes ahead unmeasured, so that connections are open.

use anyhow::{bail, ensure};
use callboard_protocol::{Ask, ClientFrame, ConversationId, ServerFrame};
use callboard_testkit::{FakeVendor, WsClient};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    options::Options,
    process::Usage,
    reference::{answer, per},
    report::Report,
    samples::Samples,
    server::Server,
};

pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let vendor = FakeVendor::start().await;
    vendor.always(answer(options));
    let server = Server::start(options, &vendor.base_url()).await?;
    if options.log_lines > 0 {
        server.ingest(options).await?;
    }
    let mut askers = Vec::new();
    for socket in server.open(options.sockets).await? {
        askers.push(Asker { socket, conversation: None, tokens: options.tokens as usize });
    }
    let (askers, ..) = ask_all(askers, 1).await?;
    let overhead_before = server.turn_overhead().await?;
    let (before, own_before) = (server.usage()?, Usage::of(std::process::id())?);
    let started = Instant::now();
    let (_askers, first, whole) = ask_all(askers, options.questions).await?;
    let elapsed = started.elapsed();
    let (after, own_after) = (server.usage()?, Usage::of(std::process::id())?);
    let overhead = server.turn_overhead().await?.since(&overhead_before);
    let turns = options.sockets * options.questions;
    let mut row = |measure, value: String| report.row("turns", measure, value);
    row(
        "turns",
        format!(
            "{} sockets × {}, {} tokens {} ms apart, {} lines of log",
            options.sockets, options.questions, options.tokens, options.token_ms, options.log_lines
        ),
    );
    row("turns/s", format!("{:.0}", f64::from(turns) / elapsed.as_secs_f64()));
    row("first chunk, p50 / p95 / p99", first.percentiles());
    row("whole turn, p50 / p95 / p99", whole.percentiles());
    row("`turn_overhead_seconds`, mean / p50 / p95", overhead.summary());
    row("server CPU per turn", per(after.cpu.saturating_sub(before.cpu), turns));
    row("generator CPU per turn", per(own_after.cpu.saturating_sub(own_before.cpu), turns));
    row("server RSS, before / peak", format!("{} / {} kB", before.rss_kb, after.peak_kb));
    Ok(())
}

type Asked = (Vec<Asker>, Samples, Samples);

/// All ask at once, `questions` each; gives the times to the first chunk and to the response.
async fn ask_all(askers: Vec<Asker>, questions: u32) -> anyhow::Result<Asked> {
    let mut running = JoinSet::new();
    for mut asker in askers {
        running.spawn(async move {
            let (mut first, mut whole) = (Samples::default(), Samples::default());
            for question in 0..questions {
                asker.ask(question, &mut first, &mut whole).await?;
            }
            anyhow::Ok((asker, first, whole))
        });
    }
    let (mut askers, mut first, mut whole) = Asked::default();
    while let Some(asked) = running.join_next().await {
        let (asker, its_first, its_whole) = asked??;
        askers.push(asker);
        first.merge(its_first);
        whole.merge(its_whole);
    }
    Ok((askers, first, whole))
}

/// One socket and its conversation.
struct Asker {
    socket: WsClient,
    conversation: Option<ConversationId>,
    tokens: usize,
}

impl Asker {
    async fn ask(
        &mut self,
        question: u32,
        first: &mut Samples,
        whole: &mut Samples,
    ) -> anyhow::Result<()> {
        let ask = Ask {
            conversation_id: self.conversation,
            use_cache: false,
            ..Ask::new(format!("errors of service {}?", question % 20))
        };
        let asked = Instant::now();
        self.socket.send(&ClientFrame::Message(ask)).await;
        let mut came = false;
        loop {
            let frame = self.socket.next().await;
            if let ServerFrame::Accepted { conversation_id, .. } = &frame {
                self.conversation = Some(*conversation_id);
            }
            if let ServerFrame::StreamChunk { .. } = &frame
                && !came
            {
                came = true;
                first.add(asked.elapsed());
            }
            if let ServerFrame::Response { response, .. } = &frame {
                whole.add(asked.elapsed());
                let tokens = response.split_whitespace().count();
                ensure!(tokens == self.tokens, "not the provider's answer: {response}");
                return Ok(());
            }
            if let ServerFrame::Error { .. } | ServerFrame::StreamRestart { .. } = &frame {
                bail!("a turn failed: {frame:?}");
            }
        }
    }
}
