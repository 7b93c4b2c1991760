//! `idle`: sockets that are open and do nothing.

use std::time::Duration;

use callboard_testkit::FakeVendor;
use tokio::time::{Instant, sleep};

use crate::{options::Options, report::Report, server::Server};

/// Opened and closed beforehand, so that what the server allocates once is there.
const WARM: u32 = 50;

/// How long the open sockets are left alone; longer than the sessions' own interval of 5 s.
const ALONE: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let vendor = FakeVendor::start().await;
    let server = Server::start(options, &vendor.base_url()).await?;
    drop(server.open(WARM).await?);
    let (before, started) = (server.usage()?, Instant::now());
    let sockets = server.open(options.idle).await?;
    let opened = started.elapsed();
    let settled = server.usage()?;
    sleep(ALONE).await;
    let after = server.usage()?;
    drop(sockets);
    let count = f64::from(options.idle);
    let each = f64::from(u32::try_from(after.rss_kb.saturating_sub(before.rss_kb))?) / count;
    let cpu = after.cpu.saturating_sub(settled.cpu).as_secs_f64() / ALONE.as_secs_f64();
    let opening = settled.cpu.saturating_sub(before.cpu).as_secs_f64() / count;
    let mut row = |measure, value: String| report.row("idle", measure, value);
    row("sockets", options.idle.to_string());
    row("opened per second", format!("{:.0}", count / opened.as_secs_f64()));
    row("server CPU per opening", format!("{:.2} ms", opening * 1_000.0));
    row("RSS per socket", format!("{each:.1} kB"));
    row("server CPU of all, idle", format!("{:.1} % of a core", cpu * 100.0));
    row("server RSS, before / after", format!("{} / {} kB", before.rss_kb, after.rss_kb));
    Ok(())
}
