//! `check-config`, `config print`, `config reference`, `openapi`.

#![expect(clippy::print_stdout, reason = "commands answer on standard output")]

use std::process::ExitCode;

use crate::config::Config;

/// Loading has checked everything; this says so.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    match config.file() {
        Some(file) => println!("the configuration is right ({})", file.display()),
        None => println!("the configuration is right (no file: defaults, environment and flags)"),
    }
    Ok(())
}

pub(super) fn print(config: &Config) -> anyhow::Result<()> {
    print!("{}", config.print_masked());
    Ok(())
}

pub(super) fn reference() -> ExitCode {
    print!("{}", Config::reference());
    ExitCode::SUCCESS
}

pub(super) fn openapi(errors: bool) -> ExitCode {
    if errors {
        print!("{}", callboard_handlers::error_codes_markdown());
    } else {
        println!("{}", callboard_handlers::openapi_json());
    }
    ExitCode::SUCCESS
}
