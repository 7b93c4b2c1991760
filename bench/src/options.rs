//! The command line. Every count and every wait has a bound.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

/// Runs workloads against a `callboard serve` of its own and prints a Markdown table.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// What to run, in this order; all but `gateway` when none is named.
    workloads: Vec<Workload>,
    /// The server's binary; a release build, if the figures are to mean anything.
    #[arg(long, default_value = "target/release/callboard")]
    pub(crate) server: PathBuf,
    /// A further setting of the server, `section.key=value`.
    #[arg(long = "set", value_name = "SETTING")]
    pub(crate) settings: Vec<String>,
    /// Writes the table to this file too.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Ends everything after so many seconds.
    #[arg(long, default_value_t = 240, value_parser = value_parser!(u64).range(1..=3_600))]
    pub(crate) limit_s: u64,
    /// turns, reference: how many ask at once.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=2_000))]
    pub(crate) sockets: u32,
    /// turns, reference: how many questions each of them asks, one after the other.
    #[arg(long, default_value_t = 40, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) questions: u32,
    /// turns, reference: tokens of an answer.
    #[arg(long, default_value_t = 40, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) tokens: u32,
    /// turns, reference: milliseconds between two tokens; 0 is as fast as they are read.
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u32).range(0..=1_000))]
    pub(crate) token_ms: u32,
    /// turns: lines of log that the server has indexed, for its searches.
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub(crate) log_lines: u32,
    /// fanout: how many sockets watch one answer.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(2..=5_000))]
    pub(crate) watchers: u32,
    /// fanout: tokens of that answer.
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=20_000))]
    pub(crate) fanout_tokens: u32,
    /// fanout: milliseconds between two of them.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) fanout_token_ms: u32,
    /// idle: how many sockets do nothing.
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(1..=9_000))]
    pub(crate) idle: u32,
    /// gateway: seconds of each of its twelve measurements at full speed.
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(1..=120))]
    pub(crate) gateway_s: u32,
    /// gateway: tokens of a streamed answer.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(2..=2_000))]
    pub(crate) gateway_tokens: u32,
    /// gateway: how many paced streams run at once.
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(1..=4_000))]
    pub(crate) gateway_streams: u32,
    /// gateway: how many of them each connection reads, one after the other, after a first one.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) gateway_rounds: u32,
    /// gateway: milliseconds between two tokens of a paced stream.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) gateway_pace_ms: u32,
}

/// What can be run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Workload {
    /// The provider's streams read directly: the floor that `turns` stands on.
    Reference,
    /// Many sockets that ask one question after the other.
    Turns,
    /// One long answer with many watchers.
    Fanout,
    /// Sockets that do nothing.
    Idle,
    /// The gateway for programs, on one core, beside its upstream called directly. To be run
    /// alone: it binds this process to another core.
    Gateway,
}

impl Options {
    pub(crate) fn workloads(&self) -> &[Workload] {
        if self.workloads.is_empty() { Workload::ALL } else { &self.workloads }
    }
}

impl Workload {
    const ALL: &[Self] = &[Self::Reference, Self::Turns, Self::Fanout, Self::Idle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Turns => "turns",
            Self::Fanout => "fanout",
            Self::Idle => "idle",
            Self::Gateway => "gateway",
        }
    }
}
