//! Streams: a sender whose records find no room waits until they do.

use std::{sync::Arc, time::Duration};

use callboard_logs::push::{Pushed, gelf, syslog};
use callboard_protocol::ErrorCode;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{Ears, Kind};

/// Senders at once; further ones wait to be accepted.
const MOST_SENDERS: usize = 512;

/// A sender that says nothing for this long is gone.
const IDLE: Duration = Duration::from_secs(24 * 3_600);

/// When there was no room.
const AGAIN: Duration = Duration::from_millis(500);

/// When a sender could not be accepted.
const BREATH: Duration = Duration::from_millis(100);

const READ_BYTES: usize = 64 * 1024;

/// A message of GELF is at most so long; what is longer is no GELF.
const MOST_BYTES: usize = 1 << 20;

/// Listens until the server ends.
pub(super) async fn listen(ears: Ears, socket: TcpListener) {
    let senders = Arc::new(Semaphore::new(MOST_SENDERS));
    loop {
        let Ok(sender) = Arc::clone(&senders).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = ears.stopping.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let ears = ears.clone();
                actix::spawn(async move {
                    tokio::select! {
                        () = ears.stopping.cancelled() => {}
                        () = hear(&ears, stream) => {}
                    }
                    debug!(%address, listener = ears.name, "a sender has gone");
                    drop(sender);
                });
            }
            Err(error) => {
                warn!(%error, listener = ears.name, "a sender could not be accepted");
                sleep(BREATH).await;
            }
        }
    }
}

/// Takes what a sender says, to its end.
async fn hear(ears: &Ears, mut stream: TcpStream) {
    let mut frames = Frames::of(ears.kind);
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(Ok(len @ 1..)) = timeout(IDLE, stream.read(&mut buffer)).await {
        match frames.take(&buffer[..len]) {
            Ok(records) => take(ears, records).await,
            Err(lost) => {
                ears.intake.lost(ears.name, lost);
                return;
            }
        }
    }
    take(ears, frames.finish().into_iter().collect()).await;
}

async fn take(ears: &Ears, records: Vec<Pushed>) {
    if records.is_empty() {
        return;
    }
    loop {
        match ears.take(records.clone()).await {
            Ok(_) => return,
            Err(error) if error.code == ErrorCode::SpoolFull => sleep(AGAIN).await,
            Err(error) => {
                let count = records.len() as u64;
                warn!(error = error.message, count, listener = ears.name, "records were lost");
                ears.intake.lost(ears.name, count);
                return;
            }
        }
    }
}

/// Cuts a stream into records.
enum Frames {
    Syslog(syslog::Frames),
    /// Messages end with a zero byte.
    Gelf(Vec<u8>),
}

impl Frames {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Syslog => Self::Syslog(syslog::Frames::default()),
            Kind::Gelf => Self::Gelf(Vec::new()),
        }
    }

    /// The records that are whole with these bytes; the error is how many were lost with a stream that
    /// makes no sense any more.
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Pushed>, u64> {
        let buffer = match self {
            Self::Syslog(frames) => return Ok(frames.take(bytes)),
            Self::Gelf(buffer) => buffer,
        };
        buffer.extend_from_slice(bytes);
        let mut records = Vec::new();
        while let Some(end) = buffer.iter().position(|byte| *byte == 0) {
            let message: Vec<u8> = buffer.drain(..=end).collect();
            match gelf::record(&message[..end]) {
                Ok(record) => records.push(record),
                Err(error) => debug!(%error, "a message of GELF cannot be read"),
            }
        }
        if buffer.len() > MOST_BYTES { Err(1) } else { Ok(records) }
    }

    fn finish(self) -> Option<Pushed> {
        match self {
            Self::Syslog(frames) => frames.finish(),
            Self::Gelf(buffer) => gelf::record(&buffer).ok(),
        }
    }
}
