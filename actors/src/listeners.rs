//! Sockets that take logs of senders who cannot be told to wait, or not in words: syslog and GELF, over
//! UDP and TCP.
//!
//! Each is an actor on a socket that outlives it. Over UDP a datagram that finds no room is lost and
//! counted (`log_records_dropped_total`); over TCP the sender waits, since nothing more is read from
//! it.

mod tcp;
mod udp;

use std::{io, net::SocketAddr, sync::Arc};

use actix::ArbiterHandle;
use callboard_logs::{
    ListenConfig,
    push::{Pushed, gelf, syslog},
};
use callboard_protocol::{ClientError, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    intake::Intake,
    keeper::{Keeper, Placement},
};

/// Messages in the mailbox of a listener; nobody but the actor itself writes to it.
const MAILBOX: usize = 4;

/// What a listener reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syslog,
    Gelf,
}

impl Kind {
    /// What reads its datagrams.
    fn datagrams(self) -> Datagrams {
        Datagrams { kind: self, chunks: gelf::Chunks::default() }
    }
}

/// Reads datagrams.
struct Datagrams {
    kind: Kind,
    chunks: gelf::Chunks,
}

impl Datagrams {
    /// The record that is whole with a datagram; an error is a record that is lost.
    fn read(&mut self, datagram: &[u8], now: Timestamp) -> Result<Option<Pushed>, ()> {
        match self.kind {
            Kind::Syslog => Ok(syslog::record(datagram)),
            Kind::Gelf => match self.chunks.take(datagram, now) {
                Ok(None) => Ok(None),
                Ok(Some(message)) => gelf::record(&message).map(Some).map_err(|_| ()),
                Err(_) => Err(()),
            },
        }
    }
}

/// What a listener outlives a restart with.
#[derive(Clone)]
struct Ears {
    /// In metrics and in the log.
    name: &'static str,
    kind: Kind,
    intake: Arc<Intake>,
    /// Cancelled when the server ends.
    stopping: CancellationToken,
}

impl Ears {
    async fn take(&self, records: Vec<Pushed>) -> Result<u64, ClientError> {
        let otherwise = match self.kind {
            Kind::Syslog => "syslog",
            Kind::Gelf => "gelf",
        };
        self.intake.take_from_anybody(records, otherwise).await
    }
}

/// Listens wherever the configuration says.
///
/// # Errors
/// When a socket cannot be bound, with its address.
pub(crate) fn start(
    config: &ListenConfig,
    intake: &Arc<Intake>,
    keeper: &Keeper,
    arbiters: &[ArbiterHandle],
    stopping: &CancellationToken,
) -> io::Result<()> {
    let arbiter = &arbiters[arbiters.len() - 1];
    // So that nobody has to wait for the first loss to see that there was none.
    for name in ["syslog_udp", "syslog_tcp", "gelf_udp", "gelf_tcp"] {
        intake.lost(name, 0);
    }
    let ears = |name, kind| {
        let (intake, stopping) = (Arc::clone(intake), stopping.clone());
        Ears { name, kind, intake, stopping }
    };
    let placement = Placement::on(arbiter, MAILBOX);
    let over_udp = [
        ("syslog_udp", Kind::Syslog, config.syslog_udp),
        ("gelf_udp", Kind::Gelf, config.gelf_udp),
    ];
    for (name, kind, address) in over_udp {
        let Some(address) = address else { continue };
        let socket = std::net::UdpSocket::bind(address).map_err(|error| at(address, &error))?;
        socket.set_nonblocking(true)?;
        info!(listener = name, address = %socket.local_addr()?, "listening");
        let ears = ears(name, kind);
        let make = move |_| udp::UdpListener::new(ears, socket);
        drop(keeper.keep(format!("listener:{name}"), placement, make));
    }
    let over_tcp = [
        ("syslog_tcp", Kind::Syslog, config.syslog_tcp),
        ("gelf_tcp", Kind::Gelf, config.gelf_tcp),
    ];
    for (name, kind, address) in over_tcp {
        let Some(address) = address else { continue };
        let socket = std::net::TcpListener::bind(address).map_err(|error| at(address, &error))?;
        socket.set_nonblocking(true)?;
        info!(listener = name, address = %socket.local_addr()?, "listening");
        let ears = ears(name, kind);
        let make = move |_| tcp::TcpListener::new(ears, socket);
        drop(keeper.keep(format!("listener:{name}"), placement, make));
    }
    Ok(())
}

fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen for logs at {address}: {error}"))
}
