//! `callboard`: the composition root. It reads the configuration, opens the stores, starts the
//! actors and the server, and waits for the end; all work is done in the crates below.

use std::process::ExitCode;

use clap::Parser;

/// Keeps what a server that runs for months holds small: it gives back what a busy hour took.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod cli;
mod config;
mod reload;
mod shutdown;
mod telemetry;
mod wiring;

fn main() -> ExitCode {
    // One TLS stack for everything; a second installation would be an error that changes nothing.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    cli::run(cli::Cli::parse())
}
