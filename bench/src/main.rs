//! `callboard-bench`: end-to-end workloads against a server that it starts itself.
//!
//! Everything is on this machine's loopback and ends with this process: the server is a child with
//! a throwaway data folder, killed by its process id at the end, at the time limit, and on Ctrl-C.
//! The providers and all clients live in this process, and so share the machine with the server:
//! the workload `reference` says what they cost without it.

use std::{io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use self::{
    options::{Options, Workload},
    report::Report,
};

mod fanout;
mod gateway;
mod idle;
mod metrics;
mod options;
mod process;
mod reference;
mod report;
mod samples;
mod server;
mod stamped;
mod turns;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let limit = Duration::from_secs(options.limit_s);
    // Dropping the run ends its server.
    let result = tokio::select! {
        ran = timeout(limit, run(&options)) => {
            ran.unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {limit:?}")))
        }
        interrupted = interrupted() => interrupted.and(Err(anyhow::anyhow!("interrupted"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("callboard-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::begin();
    for workload in options.workloads() {
        say(&format!("{} …", workload.name()));
        let ran = match workload {
            Workload::Reference => reference::run(options, &mut report).await,
            Workload::Turns => turns::run(options, &mut report).await,
            Workload::Fanout => fanout::run(options, &mut report).await,
            Workload::Idle => idle::run(options, &mut report).await,
            Workload::Gateway => gateway::run(options, &mut report).await,
        };
        ran.with_context(|| format!("the workload {}", workload.name()))?;
    }
    let table = report.markdown();
    std::io::stdout().write_all(table.as_bytes())?;
    if let Some(path) = &options.out {
        std::fs::write(path, &table).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Tells the person at the terminal; standard output is for the table.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
