//! Datagrams: read as fast as they come, and taken in batches.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use callboard_protocol::Timestamp;
use tokio::{net::UdpSocket, sync::mpsc};
use tracing::warn;

use super::Ears;

/// The largest datagram.
const LARGEST: usize = 65_536;

/// Datagrams that wait to be written …
const MOST_WAITING: usize = 65_536;

/// … and their bytes.
const MOST_BYTES: usize = 64 << 20;

/// Datagrams that are written at once.
const BATCH: usize = 4_096;

/// Listens until the server ends.
pub(super) async fn listen(ears: Ears, socket: UdpSocket) {
    let (waiting, datagrams) = mpsc::channel(MOST_WAITING);
    let bytes = Arc::new(AtomicUsize::new(0));
    let reading = read(&ears, &socket, waiting, &bytes);
    let writing = write(&ears, datagrams, &bytes);
    tokio::select! {
        () = ears.stopping.cancelled() => {}
        () = async { tokio::join!(reading, writing); } => {}
    }
}

async fn read(
    ears: &Ears,
    socket: &UdpSocket,
    waiting: mpsc::Sender<Vec<u8>>,
    bytes: &AtomicUsize,
) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let len = match socket.recv(&mut buffer).await {
            Ok(len) => len,
            // An answer to somebody else, who is gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                warn!(%error, listener = ears.name, "a datagram could not be read");
                continue;
            }
        };
        let fits = bytes.load(Ordering::Relaxed) + len <= MOST_BYTES;
        if !fits || waiting.try_send(buffer[..len].to_vec()).is_err() {
            ears.intake.lost(ears.name, 1);
            continue;
        }
        bytes.fetch_add(len, Ordering::Relaxed);
    }
}

async fn write(ears: &Ears, mut datagrams: mpsc::Receiver<Vec<u8>>, bytes: &AtomicUsize) {
    let mut reader = ears.kind.datagrams();
    let mut batch = Vec::new();
    while datagrams.recv_many(&mut batch, BATCH).await > 0 {
        let mut records = Vec::with_capacity(batch.len());
        for datagram in batch.drain(..) {
            bytes.fetch_sub(datagram.len(), Ordering::Relaxed);
            match reader.read(&datagram, Timestamp::now()) {
                Ok(record) => records.extend(record),
                Err(()) => ears.intake.lost(ears.name, 1),
            }
        }
        let count = records.len() as u64;
        if let Err(error) = ears.take(records).await {
            warn!(error = error.message, count, listener = ears.name, "records were lost");
            ears.intake.lost(ears.name, count);
        }
    }
}
