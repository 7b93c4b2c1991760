//! `gateway`: the API for programs on one core, beside the same questions asked of its upstream
//! directly, in one run.
//!
//! The server has the first core to itself. The upstream and the load generator share the second
//! one, in one thread, so that a direct call costs as little as it can: what is called "added" is
//! rather too much than too little.

mod client;
mod http;
mod load;
mod table;
mod upstream;

use std::{process::Command, thread, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;

use self::{
    client::{Ask, Target},
    load::{Load, Pair},
    table::Results,
    upstream::Upstream,
};
use crate::{
    options::Options,
    report::Report,
    server::{Place, Server},
};

/// The only core of the server, and that of everything else.
const SERVER_CORE: u32 = 0;
const OWN_CORE: u32 = 1;

/// The numbers of connections.
const CONNECTIONS: [u32; 3] = [1, 32, 256];

pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let cores = thread::available_parallelism()?.get();
    ensure!(cores >= 2, "the gateway is measured on two cores, and there is one");
    keep_to(OWN_CORE)?;
    let (load, tokens) = (Load::of(options), options.gateway_tokens);
    let (address, upstream) = oneshot::channel();
    let (started, server) = oneshot::channel();
    let (finished, measured) = oneshot::channel();
    // A thread that nobody waits for: at the time limit the process ends all the same.
    thread::spawn(move || {
        let measured = in_one_thread(load, tokens, address, server);
        drop(finished.send(measured));
    });
    let upstream = upstream.await.context("the upstream did not start")?;
    let place = Place {
        // And a few for answers that have ended here and not yet there.
        concurrency: options.gateway_streams.max(CONNECTIONS[2]) + 64,
        core: Some(SERVER_CORE),
    };
    let server = Server::start_at(options, &format!("http://{upstream}/v1"), place).await?;
    let idle = server.usage()?;
    let target = Target { address: server.address().to_owned(), key: server.gateway_key().await? };
    ensure!(started.send((target, server.pid())).is_ok(), "the load generator has ended");
    let results = measured.await.context("the load generator has ended")??;
    report.table(&results.markdown(options, idle));
    Ok(())
}

/// The upstream and the load generator.
fn in_one_thread(
    load: Load,
    tokens: u32,
    address: oneshot::Sender<String>,
    server: oneshot::Receiver<(Target, u32)>,
) -> anyhow::Result<Results> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = Upstream::start(tokens, load.pace).await?;
        drop(address.send(upstream.address.clone()));
        let direct = Target { address: upstream.address.clone(), key: String::new() };
        let (ours, pid) = server.await.context("the server did not start")?;
        let pair = Pair { direct, ours, pid };
        let mut results = Results::default();
        // First, on a server that has served nothing yet: what these streams take is theirs.
        crate::say(&format!("  {} × {:?} …", load.streams, Ask::Paced));
        results.paced = Some(load.paced(&pair).await?);
        for connections in CONNECTIONS {
            for ask in [Ask::Whole, Ask::Stream] {
                crate::say(&format!("  {connections} × {ask:?} …"));
                results.full.push((
                    connections,
                    ask,
                    load.full_speed(&pair, ask, connections).await?,
                ));
            }
        }
        for connections in [CONNECTIONS[1], CONNECTIONS[2]] {
            crate::say(&format!("  {connections} × {:?} …", Ask::Kept));
            let kept = load.full_speed(&pair, Ask::Kept, connections).await?;
            results.kept.push((connections, kept));
        }
        Ok(results)
    })
}

/// Binds all threads of this process to one core, and so those that they start.
fn keep_to(core: u32) -> anyhow::Result<()> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &core.to_string()]);
    let output = command.arg(std::process::id().to_string()).output();
    let output = output.context("cannot run taskset, of util-linux")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "taskset: {said}");
    Ok(())
}

impl Load {
    fn of(options: &Options) -> Self {
        Self {
            length: Duration::from_secs(options.gateway_s.into()),
            streams: options.gateway_streams,
            rounds: options.gateway_rounds,
            tokens: options.gateway_tokens,
            pace: Duration::from_millis(options.gateway_pace_ms.into()),
        }
    }
}
