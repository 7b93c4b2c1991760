//! Datagrams: read as fast as they come, and taken in batches.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::{Actor, Addr, AsyncContext, Context, Supervised, WrapFuture};
use callboard_protocol::Timestamp;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::Ears;

/// The largest datagram.
const LARGEST: usize = 65_536;

/// Datagrams that wait to be written …
const MOST_WAITING: usize = 65_536;

/// … and their bytes.
const MOST_BYTES: usize = 64 << 20;

/// Datagrams that are written at once.
const BATCH: usize = 4_096;

/// See the module.
pub(super) struct UdpListener {
    ears: Ears,
    socket: UdpSocket,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
}

impl UdpListener {
    pub(super) fn new(ears: Ears, socket: UdpSocket) -> Self {
        Self { ears, socket, _address: None }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        let socket = self.socket.try_clone().and_then(tokio::net::UdpSocket::from_std);
        let ears = self.ears.clone();
        let listen = async move {
            match socket {
                Ok(socket) => listen(ears, socket).await,
                Err(error) => error!(%error, listener = ears.name, "a socket cannot be used"),
            }
        };
        ctx.spawn(listen.into_actor(self));
    }
}

impl Actor for UdpListener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for UdpListener {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

async fn listen(ears: Ears, socket: tokio::net::UdpSocket) {
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
    socket: &tokio::net::UdpSocket,
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
