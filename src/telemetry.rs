//! The server's own log: to the terminal for people, and as JSON lines to a file in the data
//! folder, which the server indexes like any other log.
//!
//! [`install`] is called once, by `main`, before anything is logged. Logging never blocks: a line
//! that finds a queue full, the file's or the terminal's, is dropped and counted
//! ([`Telemetry::dropped`], [`Telemetry::dropped_on_terminal`]). Fields whose name says that they
//! hold a secret are masked in both places.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use serde::Deserialize;
use tracing::{Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt as _,
    fmt::format::{FmtSpan, Writer, debug_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

mod json_lines;
mod line_queue;
mod log_file;
mod terminal;

use json_lines::JsonLines;
use line_queue::LineQueue;
use log_file::LogFile;
use terminal::ToQueue;

/// The server's own log: `[telemetry]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    /// What the terminal shows.
    pub(crate) format: Format,
    /// What is logged: a level, or levels by module.
    pub(crate) filter: String,
    /// The log as a file in the data folder.
    pub(crate) own_log: OwnLogConfig,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            filter: "info,actix_server=warn,sea_orm_migration=warn,sqlx::postgres::notice=warn,tantivy=warn".to_owned(),
            own_log: OwnLogConfig::default(),
        }
    }
}

impl TelemetryConfig {
    /// Every key with a bad value, and what is wrong with it.
    #[must_use]
    pub(crate) fn check(&self) -> Vec<(&'static str, String)> {
        let mut bad = Vec::new();
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            bad.push(("filter", format!("cannot be read: {error}")));
        }
        if !(64 * 1024..=1 << 40).contains(&self.own_log.max_bytes) {
            bad.push(("own_log.max_bytes", "must lie between 65536 and 1099511627776".to_owned()));
        }
        if !(1..=1_000_000).contains(&self.own_log.queue_lines) {
            bad.push(("own_log.queue_lines", "must lie between 1 and 1000000".to_owned()));
        }
        bad
    }
}

/// What the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people on a terminal, for programs elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The log as a file: `[telemetry.own_log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnLogConfig {
    /// Whether to write it.
    pub(crate) enabled: bool,
    /// At this size the file is renamed to `….1`, and a new one begun.
    pub(crate) max_bytes: u64,
    /// Lines that may wait to be written; further ones are dropped and counted.
    pub(crate) queue_lines: usize,
}

impl Default for OwnLogConfig {
    fn default() -> Self {
        Self { enabled: true, max_bytes: 64 * 1024 * 1024, queue_lines: 8_192 }
    }
}

/// Keeps the writers of the log alive. Dropping it writes what still waits.
#[derive(Debug)]
pub(crate) struct Telemetry {
    terminal: LineQueue,
    file: Option<LogFile>,
}

impl Telemetry {
    /// The path of the log file, for the server to index; `None` when it is switched off.
    #[must_use]
    pub(crate) fn own_log(&self) -> Option<&Path> {
        self.file.as_ref().map(LogFile::path)
    }

    /// How many lines did not reach the file, because its queue was full or the disk refused.
    #[must_use]
    pub(crate) fn dropped(&self) -> u64 {
        self.file.as_ref().map_or(0, LogFile::dropped)
    }

    /// How many lines did not reach the terminal, because nobody read there.
    #[must_use]
    pub(crate) fn dropped_on_terminal(&self) -> u64 {
        self.terminal.dropped()
    }
}

/// Starts logging for the whole process. `own_log_folder` is the folder of the log file, such as
/// `data/log`; commands that only borrow the data folder pass `None` and log to the terminal.
///
/// # Errors
/// When the folder or the file cannot be made, the filter is malformed, or logging has begun
/// before.
pub(crate) fn install(
    config: &TelemetryConfig,
    own_log_folder: Option<&Path>,
) -> io::Result<Telemetry> {
    let file = match own_log_folder {
        Some(folder) if config.own_log.enabled => {
            Some(LogFile::open(folder.join("callboard.log.jsonl"), &config.own_log)?)
        }
        _ => None,
    };
    let pretty = match config.format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Pretty => true,
        Format::Json => false,
    };
    let queue = terminal::start(pretty)?;
    let filter = EnvFilter::try_new(&config.filter).map_err(io::Error::other)?;
    Registry::default()
        .with(filter)
        .with(on_terminal(pretty, queue.writer()))
        .with(file.as_ref().map(|file| JsonLines::new(file.writer())))
        .try_init()
        .map_err(io::Error::other)?;
    Ok(Telemetry { terminal: queue, file })
}

/// Standard output belongs to the answers of commands; the log goes to standard error.
fn on_terminal<S, W>(pretty: bool, write: W) -> Box<dyn Layer<S> + Send + Sync>
where
    W: Fn(Vec<u8>) + Clone + Send + Sync + 'static,
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    if !pretty {
        return JsonLines::new(write).boxed();
    }
    tracing_subscriber::fmt::layer()
        .fmt_fields(debug_fn(print_field).delimited(" "))
        .with_span_events(FmtSpan::NONE)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(ToQueue(write))
        .boxed()
}

fn print_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn std::fmt::Debug,
) -> std::fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if is_secret(name) => write!(writer, "{name}=***"),
        name => write!(writer, "{name}={value:?}"),
    }
}

/// The last guard, not the first: no code should log a secret at all.
fn is_secret(field: &str) -> bool {
    let name = field.rsplit(['.', '_', '-']).next().unwrap_or(field);
    ["authorization", "cookie", "password", "secret", "token"].contains(&name)
        || field.ends_with("api_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_every_bad_value_is_named() {
        assert!(TelemetryConfig::default().check().is_empty());
        let config = TelemetryConfig {
            filter: "info,callboard=loud".to_owned(),
            own_log: OwnLogConfig { max_bytes: 1, queue_lines: 0, enabled: true },
            format: Format::Json,
        };
        let bad = config.check();
        let keys: Vec<_> = bad.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["filter", "own_log.max_bytes", "own_log.queue_lines"]);
    }

    #[test]
    fn names_of_secrets_are_known() {
        for name in ["password", "access_token", "api_key", "authorization", "http.cookie"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["tokens", "input_tokens", "user", "cache_key"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn installing_twice_is_an_error_and_the_own_log_has_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = TelemetryConfig { format: Format::Json, ..TelemetryConfig::default() };
        let telemetry = install(&config, Some(&folder.path().join("log"))).unwrap();
        let path = telemetry.own_log().unwrap().to_owned();
        let span = tracing::info_span!("request", request_id = "r-1");
        span.in_scope(|| tracing::warn!(password = "hunter2", "refused"));
        assert!(install(&config, None).is_err());
        drop(telemetry);
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value =
            serde_json::from_str(text.lines().find(|line| line.contains("refused")).unwrap())
                .unwrap();
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["password"], "***");
        assert_eq!(line["level"], "WARN");
    }
}
