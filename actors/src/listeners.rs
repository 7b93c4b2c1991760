//! Sockets that take logs of senders who cannot be told to wait, or not in words: syslog and GELF, over
//! UDP and TCP.
//!
//! Each is an actor on a socket that outlives it. Over UDP a datagram that finds no room is lost and
//! counted (`log_records_dropped_total`); over TCP the sender waits, since nothing more is read from
//! it.

mod tcp;
mod udp;

use std::{io, net::SocketAddr, sync::Arc};

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Supervised, WrapFuture};
use callboard_logs::{
    ListenConfig,
    push::{Pushed, gelf, syslog},
};
use callboard_protocol::{ClientError, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

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
    let configured = [
        ("syslog_udp", Kind::Syslog, config.syslog_udp, Socket::udp as Bind),
        ("gelf_udp", Kind::Gelf, config.gelf_udp, Socket::udp),
        ("syslog_tcp", Kind::Syslog, config.syslog_tcp, Socket::tcp),
        ("gelf_tcp", Kind::Gelf, config.gelf_tcp, Socket::tcp),
    ];
    for (name, kind, address, bind) in configured {
        // So that nobody has to wait for the first loss to see that there was none.
        intake.lost(name, 0);
        let Some(address) = address else { continue };
        let (socket, address) = bind(address).map_err(|error| at(address, &error))?;
        info!(listener = name, %address, "listening");
        let (intake, stopping) = (Arc::clone(intake), stopping.clone());
        let ears = Ears { name, kind, intake, stopping };
        let placement = Placement::on(arbiter, MAILBOX);
        let make = move |_| Listener { ears, socket, _address: None };
        drop(keeper.keep(format!("listener:{name}"), placement, make));
    }
    Ok(())
}

/// What makes a socket, and tells where it is.
type Bind = fn(SocketAddr) -> io::Result<(Socket, SocketAddr)>;

/// A socket that is bound.
enum Socket {
    Udp(std::net::UdpSocket),
    Tcp(std::net::TcpListener),
}

impl Socket {
    fn udp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok((Self::Udp(socket), address))
    }

    fn tcp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok((Self::Tcp(socket), address))
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Udp(socket) => Self::Udp(socket.try_clone()?),
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
        })
    }

    /// Listens until the server ends.
    async fn listen(self, ears: Ears) -> io::Result<()> {
        match self {
            Self::Udp(socket) => udp::listen(ears, tokio::net::UdpSocket::from_std(socket)?).await,
            Self::Tcp(socket) => {
                tcp::listen(ears, tokio::net::TcpListener::from_std(socket)?).await
            }
        }
        Ok(())
    }
}

/// A listener; see the module.
struct Listener {
    ears: Ears,
    socket: Socket,
    /// Its own address: nobody else needs one, and an actor without any would end.
    _address: Option<Addr<Self>>,
}

impl Listener {
    fn arm(&mut self, ctx: &mut Context<Self>) {
        self._address = Some(ctx.address());
        let (socket, ears) = (self.socket.try_clone(), self.ears.clone());
        let listen = async move {
            let name = ears.name;
            let listened = async { socket?.listen(ears).await };
            if let Err(error) = listened.await {
                error!(%error, listener = name, "a socket cannot be used");
            }
        };
        ctx.spawn(listen.into_actor(self));
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

impl Supervised for Listener {
    fn restarting(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }
}

fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen for logs at {address}: {error}"))
}
