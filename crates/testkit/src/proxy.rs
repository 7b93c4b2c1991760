//! A TCP proxy that breaks what passes through it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use url::Url;

use crate::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Bytes are kept back, connections stay open and new ones are accepted.
    Stall,
    /// Connections are reset, new ones too.
    Cut,
}

/// A TCP proxy on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct FlakyProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    open: Arc<watch::Sender<usize>>,
    server: JoinHandle<()>,
}

impl FlakyProxy {
    /// Starts one in front of `host`:`port`.
    pub async fn start(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Forward);
        let open = Arc::new(watch::Sender::new(0));
        let target = (host.to_owned(), port);
        let server = tokio::spawn(accept_all(listener, target, mode.clone(), Arc::clone(&open)));
        Self { address, mode, open, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with the proxy's host and port in place of its own.
    ///
    /// # Panics
    /// When it is no URL with a host.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some(&self.address.ip().to_string())).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// Resets all connections, and every new one, until [`FlakyProxy::resume`].
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Lets nothing through, with all connections open, until [`FlakyProxy::resume`]; what was
    /// kept back is then passed on.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    /// Is a proxy again.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until so many connections are open.
    pub async fn until_connections(&self, count: usize) {
        let mut open = self.open.subscribe();
        let held = timeout(PATIENCE, open.wait_for(|open| *open == count)).await.is_ok();
        assert!(held, "waited in vain for {count} connections: {} are open", self.connections());
    }
}

impl Drop for FlakyProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept_all(
    listener: TcpListener,
    target: (String, u16),
    mode: watch::Sender<Mode>,
    open: Arc<watch::Sender<usize>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *mode.borrow() == Mode::Cut {
            let _ = client.set_zero_linger();
            continue;
        }
        let guard = Open::new(Arc::clone(&open));
        connections.spawn(forward(client, target.clone(), mode.subscribe(), guard));
        while connections.try_join_next().is_some() {}
    }
}

/// Counts a connection while it lives.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(open: Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn forward(
    client: TcpStream,
    (host, port): (String, u16),
    mode: watch::Receiver<Mode>,
    _open: Open,
) {
    let connect = timeout(Duration::from_secs(5), TcpStream::connect((host.as_str(), port)));
    let Ok(Ok(server)) = connect.await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reader, client_writer) = client.into_split();
    let (server_reader, server_writer) = server.into_split();
    let both = async {
        tokio::join!(
            copy(client_reader, server_writer, mode.clone()),
            copy(server_reader, client_writer, mode.clone()),
        )
    };
    let mut cut = mode.clone();
    tokio::select! {
        _ = both => {}
        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Copies until the end of either side; bytes wait while the proxy stalls.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if mode.wait_for(|mode| *mode == Mode::Forward).await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it is sent.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.into_split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut reply = vec![0; text.len()];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    #[tokio::test]
    async fn it_forwards_until_it_is_cut_and_again_after() {
        let target = echo().await;
        let proxy = FlakyProxy::start("127.0.0.1", target.port()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
        assert_eq!(proxy.connections(), 1);
        proxy.cut();
        proxy.until_connections(0).await;
        assert!(say(&mut stream, b"hello").await.is_err());
        let refused = match TcpStream::connect(proxy.address()).await {
            Ok(mut stream) => say(&mut stream, b"hello").await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
        proxy.resume();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"again").await.unwrap(), b"again");
    }

    #[tokio::test]
    async fn a_stall_keeps_bytes_back_and_loses_none() {
        let target = echo().await;
        let proxy = FlakyProxy::start("127.0.0.1", target.port()).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
        proxy.stall();
        let silent = timeout(Duration::from_millis(50), say(&mut stream, b"kept")).await;
        assert!(silent.is_err());
        proxy.resume();
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"kept");
    }

    #[tokio::test]
    async fn a_url_is_led_through_it() {
        let proxy = FlakyProxy::start("127.0.0.1", 1).await;
        let url = proxy.url("redis://:secret@localhost:6379/3");
        let port = proxy.address().port();
        assert_eq!(url, format!("redis://:secret@127.0.0.1:{port}/3"));
    }
}
