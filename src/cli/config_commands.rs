//! `check-config`, `config print`, `config reference`, `openapi`.

use std::io::Write as _;

use crate::config::Config;

/// Loading has checked everything; this says so.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    match config.file() {
        Some(file) => say!("the configuration is right ({})", file.display())?,
        None => say!("the configuration is right (no file: defaults, environment and flags)")?,
    }
    Ok(())
}

pub(super) fn print(config: &Config) -> anyhow::Result<()> {
    Ok(write!(std::io::stdout(), "{}", config.print_masked())?)
}

pub(super) fn reference() -> anyhow::Result<()> {
    Ok(write!(std::io::stdout(), "{}", Config::reference())?)
}

pub(super) fn openapi(errors: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if errors {
        write!(out, "{}", callboard_handlers::error_codes_markdown())?;
    } else {
        writeln!(out, "{}", callboard_handlers::openapi_json())?;
    }
    Ok(())
}
