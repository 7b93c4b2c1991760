//! The command line. Answers of commands go to standard output; everything else to standard error.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::{Config, Override, Sources},
    telemetry, wiring,
};

/// Writes a line to standard output. Unlike `println!` it does not panic when nobody reads on:
/// the command ends, and [`run`] knows that this is no failure.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($argument)*)
    }};
}

mod accounts;
mod ask;
mod audit;
mod client;
mod config_commands;
mod health;
mod ingest;
mod job;
mod keys;
mod migrate;
mod reindex;

/// A self-hosted, real-time AI assistant for the people who run systems.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration file [default: ./callboard.toml or /etc/callboard/callboard.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// One setting: section.key=value; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<Override>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// Where to listen, address:port
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Index log files; lines that are indexed already are not indexed again
    Ingest {
        /// Files, or folders whose files are all indexed
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Make the log index anew from its own lines, while the server goes on reading the old one
    Reindex(reindex::Which),
    /// Ask a question about the logs
    Ask {
        /// The question
        question: String,
        #[command(flatten)]
        show: ask::Show,
        /// The model to ask first
        #[arg(long)]
        model: Option<String>,
        /// The assistant's manner, such as investigator
        #[arg(long)]
        mode: Option<String>,
    },
    /// See or run the migrations of the database
    Migrate {
        /// What to do
        #[arg(value_enum)]
        action: MigrateAction,
    },
    /// Check the configuration and name everything that is wrong with it
    CheckConfig,
    /// Show the configuration
    Config {
        /// What to show
        #[arg(value_enum)]
        what: ConfigView,
    },
    /// Manage accounts
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Manage the API keys of programs
    Key {
        #[command(subcommand)]
        command: keys::KeyCommand,
    },
    /// Look into the audit trail
    Audit {
        /// What to do
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Print the OpenAPI document
    Openapi {
        /// Print the page of error codes instead
        #[arg(long)]
        errors: bool,
    },
    /// Ask the running server whether it is ready; the exit status says so too
    Health {
        /// Where the server is [default: the data folder's socket]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MigrateAction {
    /// List the migrations and whether they were applied
    Status,
    /// Apply those that were not
    Up,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConfigView {
    /// The settings in force and where each comes from; secrets are hidden
    Print,
    /// The reference of all settings, as Markdown
    Reference,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make an account; the password is read from the terminal, or from standard input
    Add {
        /// The name to sign in with
        username: String,
        /// viewer, analyst or admin
        #[arg(long, default_value = "viewer")]
        role: callboard_protocol::Role,
        /// The name to show
        #[arg(long)]
        display_name: Option<String>,
    },
    /// List the accounts: name, role, and the name to show
    List,
    /// Set a new password, read like that of `add`, and end the account's sessions
    SetPassword {
        /// The name to sign in with
        username: String,
    },
}

impl Settings {
    fn sources(&self, listen: Option<&String>) -> Sources {
        let mut overrides = Vec::new();
        if let Some(folder) = &self.data_dir {
            overrides.push(Override::new("--data-dir", "data.folder", folder));
        }
        if let Some(listen) = listen {
            overrides.push(Override::new("--listen", "server.listen", listen));
        }
        overrides.extend(self.set.iter().cloned());
        Sources::of_process(self.config.clone(), overrides)
    }
}

/// Ctrl-C ended a command that had something to stop first.
#[derive(Debug)]
struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// What shells say of a command that SIGINT (2) ended: 128 and its number.
const INTERRUPTED: u8 = 130;

/// Runs a command; its exit status is 0, 1 for a failure, 2 for bad settings, 130 after Ctrl-C.
pub(crate) fn run(cli: Cli) -> ExitCode {
    // These two need no settings, and must work where the settings are wrong.
    if let Command::Openapi { errors } = cli.command {
        return ended(config_commands::openapi(errors));
    }
    if let Command::Config { what: ConfigView::Reference } = cli.command {
        return ended(config_commands::reference());
    }
    let listen = if let Command::Serve { listen } = &cli.command { listen.as_ref() } else { None };
    match Config::load(&cli.settings.sources(listen)) {
        Err(errors) => fail(2, &errors.to_string()),
        Ok(config) => ended(run_command(cli.command, &config)),
    }
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    let broken_pipe = |error: &anyhow::Error| {
        let cause = error.root_cause().downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `callboard ask … | head` has read what it wanted.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => fail(INTERRUPTED, &format!("{error:#}")),
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn run_command(command: Command, config: &Config) -> anyhow::Result<()> {
    let has_own_log = matches!(command, Command::Serve { .. });
    let _log = (!has_own_log).then(|| with_quiet_log(config)).transpose()?;
    match command {
        Command::Serve { .. } => wiring::serve(config),
        Command::Ingest { paths } => ingest::run(config, &paths),
        Command::Reindex(which) => reindex::run(config, &which),
        Command::Ask { question, show, model, mode } => {
            ask::run(config, ask::Question { question, show, model, mode })
        }
        Command::Migrate { action } => migrate::run(config, action),
        Command::CheckConfig => config_commands::check(config),
        Command::Config { what: ConfigView::Print | ConfigView::Reference } => {
            config_commands::print(config)
        }
        Command::User { command } => accounts::run(config, command),
        Command::Key { command } => keys::run(config, command),
        Command::Audit { command } => audit::run(config, &command),
        Command::Health { url } => health::run(config, url),
        // Answered before the settings were read.
        Command::Openapi { .. } => Ok(()),
    }
}

/// Commands that only borrow the data folder say what went wrong and nothing else.
fn with_quiet_log(config: &Config) -> anyhow::Result<telemetry::Telemetry> {
    let quiet = telemetry::TelemetryConfig { filter: "warn".into(), ..config.telemetry.clone() };
    Ok(telemetry::install(&quiet, None)?)
}

#[expect(clippy::print_stderr, reason = "it is the command line's way to say what went wrong")]
fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("callboard: {message}");
    ExitCode::from(status)
}
