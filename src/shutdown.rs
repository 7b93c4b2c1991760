//! What ends the server: SIGTERM and Ctrl-C. A second signal ends it at once. SIGHUP has it read its
//! configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// The signals, caught from the moment on that this is made: before it they kill the process.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// End.
    End,
    /// Read the configuration again.
    Reload,
}

impl Signals {
    /// Begins to catch them.
    pub(crate) fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM: shutting down"),
            _ = self.interrupt.recv() => info!("interrupted: shutting down"),
        }
    }

    /// Waits for the next one of any kind.
    pub(crate) async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM: shutting down"),
            _ = self.interrupt.recv() => info!("interrupted: shutting down"),
            _ = self.hang_up.recv() => return Told::Reload,
        }
        Told::End
    }

    /// Runs `work` to its end, or until another signal says that nobody wants to wait.
    pub(crate) async fn unless_hurried(&mut self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.next() => warn!("a second signal: ending at once"),
        }
    }
}
