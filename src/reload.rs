//! Reading the configuration again while the server runs: by SIGHUP and by `POST /config/reload`.
//!
//! Providers and names for models change at once; a configuration with any error changes nothing.
//! What is read at the start alone is named, so that nobody believes it changed.

use callboard_actors::System;
use callboard_handlers::{Reload, Reloading};
use callboard_protocol::{ClientError, ErrorCode, Reloaded};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::config::Config;

/// The sections that change at run time.
const LIVE: [&str; 2] = ["providers", "models"];

/// See the module.
pub(crate) struct Reloader {
    /// What the server was started with: sections that are read at the start alone are as in it.
    at_start: Config,
    system: System,
    /// One after the other.
    turn: Mutex<()>,
}

impl Reloader {
    pub(crate) fn new(at_start: Config, system: System) -> Self {
        Self { at_start, system, turn: Mutex::new(()) }
    }

    async fn run(&self) -> Result<Reloaded, ClientError> {
        let _turn = self.turn.lock().await;
        let at_start = self.at_start.clone();
        let read = tokio::task::spawn_blocking(move || at_start.load_again()).await;
        let config = read.map_err(|_| ErrorCode::Internal)?.map_err(|errors| {
            let message = format!("The configuration is not changed. {errors}");
            ClientError::new(ErrorCode::ValidationFailed, message)
        })?;
        let mut needs_restart = self.at_start.sections_unlike(&config);
        needs_restart.retain(|section| !LIVE.contains(&section.as_str()));
        let providers = self.system.reconfigure(config.providers, config.models).await;
        let providers = providers.map_err(|error| {
            let message = format!("The configuration is not changed. {error}");
            ClientError::new(ErrorCode::ValidationFailed, message)
        })?;
        Ok(Reloaded { providers, needs_restart })
    }
}

impl Reload for Reloader {
    fn reload(&self) -> Reloading<'_> {
        Box::pin(async {
            let reloaded = self.run().await;
            match &reloaded {
                Ok(Reloaded { providers, needs_restart }) => {
                    info!(?providers, ?needs_restart, "the configuration was read again");
                }
                Err(error) => warn!(error = error.message, "the configuration was not changed"),
            }
            reloaded
        })
    }
}
