//! `health`.

use std::{io::ErrorKind, os::unix::net::UnixStream};

use anyhow::bail;

use super::client;
use crate::{config::Config, wiring};

/// Asks the server, and tells a socket that may not be opened from one on which nobody listens.
pub(super) fn run(config: &Config, url: Option<String>) -> anyhow::Result<()> {
    if url.is_none() {
        reach(config)?;
    }
    client::health(config, url)
}

fn reach(config: &Config) -> anyhow::Result<()> {
    let socket = wiring::socket_path(&config.data.folder);
    let Err(error) = UnixStream::connect(&socket) else { return Ok(()) };
    let nobody = [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind());
    if nobody {
        // The client says so.
        return Ok(());
    }
    if error.kind() == ErrorKind::PermissionDenied {
        bail!(
            "{} may not be opened by this user: run this as the user that the server runs as, or \
             name its address with --url",
            socket.display()
        );
    }
    Err(anyhow::Error::new(error).context(format!("cannot connect to {}", socket.display())))
}
