//! `reference`: the provider's streams, read directly over HTTP as often and as many at once as
//! in `turns`. What remains of `turns` above this is the server and its sockets.

use std::time::Duration;

use anyhow::ensure;
use callboard_testkit::{FakeVendor, Reply};
use tokio::{task::JoinSet, time::Instant};

use crate::{options::Options, process::Usage, report::Report, samples::Samples};

pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let vendor = FakeVendor::start().await;
    vendor.always(answer(options));
    let client = reqwest::Client::builder().tcp_nodelay(true).build()?;
    // One each goes ahead unmeasured, so that connections are open.
    read_all(options.sockets, 1, &client, &vendor).await?;
    let (before, started) = (Usage::of(std::process::id())?, Instant::now());
    let (first, whole) = read_all(options.sockets, options.questions, &client, &vendor).await?;
    let (elapsed, streams) = (started.elapsed(), options.sockets * options.questions);
    let cpu = Usage::of(std::process::id())?.cpu.saturating_sub(before.cpu);
    let mut row = |measure, value: String| report.row("reference", measure, value);
    row("streams", format!("{} readers × {}", options.sockets, options.questions));
    row("streams/s", format!("{:.0}", f64::from(streams) / elapsed.as_secs_f64()));
    row("first token, p50 / p95 / p99", first.percentiles());
    row("whole stream, p50 / p95 / p99", whole.percentiles());
    row("CPU per stream, provider and reader", per(cpu, streams));
    Ok(())
}

/// The answer of the scripted provider, here and in `turns`.
pub(crate) fn answer(options: &Options) -> Reply {
    let delay = Duration::from_millis(options.token_ms.into());
    Reply::tokens(options.tokens as usize).delay(delay)
}

/// CPU time for one of `count`, in milliseconds.
pub(crate) fn per(cpu: Duration, count: u32) -> String {
    format!("{:.2} ms", cpu.as_secs_f64() * 1_000.0 / f64::from(count))
}

/// Reads `count` streams one after the other, as often at once as there are readers.
async fn read_all(
    readers: u32,
    count: u32,
    client: &reqwest::Client,
    vendor: &FakeVendor,
) -> anyhow::Result<(Samples, Samples)> {
    let url = format!("{}/chat/completions", vendor.base_url());
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        reading.spawn(read(client.clone(), url.clone(), count));
    }
    let (mut first, mut whole) = (Samples::default(), Samples::default());
    while let Some(read) = reading.join_next().await {
        let (its_first, its_whole) = read??;
        first.merge(its_first);
        whole.merge(its_whole);
    }
    Ok((first, whole))
}

async fn read(
    client: reqwest::Client,
    url: String,
    count: u32,
) -> anyhow::Result<(Samples, Samples)> {
    let (mut first, mut whole) = (Samples::default(), Samples::default());
    for _ in 0..count {
        let asked = Instant::now();
        let request = client.post(&url).body("{}");
        let mut reply = request.send().await?.error_for_status()?;
        let (mut text, mut came) = (Vec::new(), false);
        while let Some(bytes) = reply.chunk().await? {
            text.extend_from_slice(&bytes);
            if !came && String::from_utf8_lossy(&text).contains("\"t0 \"") {
                came = true;
                first.add(asked.elapsed());
            }
        }
        ensure!(came && text.ends_with(b"[DONE]\n\n"), "the stream broke off");
        whole.add(asked.elapsed());
    }
    Ok((first, whole))
}
