//! What ends the server: SIGTERM and Ctrl-C. A second signal ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Waits for the first signal.
pub(crate) async fn requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: shutting down"),
        _ = interrupt.recv() => info!("interrupted: shutting down"),
    }
    Ok(())
}

/// Runs `work` to its end, or until another signal says that nobody wants to wait.
pub(crate) async fn unless_hurried(work: impl Future<Output = ()>) -> std::io::Result<()> {
    tokio::select! {
        () = work => Ok(()),
        hurried = requested() => {
            warn!("a second signal: ending at once");
            hurried
        }
    }
}
