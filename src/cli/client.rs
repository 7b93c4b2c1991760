//! How a command reaches the server of a data folder: through the socket in it, whose permissions
//! are the authentication. Without a running server the command runs one itself, on that socket
//! alone, for as long as it needs it; so there is one way for every command.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use callboard_protocol::{ErrorBody, Health, Readiness};
use reqwest::{Response, StatusCode};

use crate::{
    config::Config,
    wiring::{self, Server},
};

/// Requests go through the socket; the host is only what HTTP wants to see.
const BASE: &str = "http://callboard";

/// To connect to a server on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest reply that is read whole.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// A connection to the server of the data folder.
pub(super) struct Client {
    http: reqwest::Client,
    /// The server that this command runs itself.
    own: Option<Server>,
}

/// What a command wants of the data folder when no server runs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// Lines to read: without an index there is nothing to do, and nothing is made.
    MustHoldIndex,
    /// A place to write to: it is made if it is not there.
    MayBeNew,
}

impl Client {
    /// Connects to the running server, or runs one and says on which folder.
    pub(super) async fn connect(config: &Config, wanted: Folder) -> anyhow::Result<Self> {
        let socket = wiring::socket_path(&config.data.folder);
        if let Some(http) = running(&socket).await? {
            return Ok(Self { http, own: None });
        }
        if wanted == Folder::MustHoldIndex {
            check_index(&config.data.folder)?;
        }
        say_own_server(&std::path::absolute(&config.data.folder)?);
        let own = wiring::start(config, wiring::Listen::SocketOnly).await?;
        let Some(http) = running(&socket).await? else {
            bail!("the server did not open {}", socket.display());
        };
        Ok(Self { http, own: Some(own) })
    }

    /// A request to a path of the API, such as `/jobs`.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{BASE}/api/v1{path}"))
    }

    /// Ends the server, if it is this command's own.
    pub(super) async fn close(self) {
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// Whether something was ever indexed in the folder.
fn check_index(folder: &Path) -> anyhow::Result<()> {
    let shown = std::path::absolute(folder)?;
    let there = wiring::index_path(folder).try_exists();
    if !there.with_context(|| format!("cannot look into the data folder {}", shown.display()))? {
        bail!(
            "no server runs on the data folder {}, and nothing is indexed there: \
             index a log with `callboard ingest FILE`, or name another folder with `--data-dir`",
            shown.display()
        );
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "it is for the person at the terminal")]
fn say_own_server(folder: &Path) {
    eprintln!("callboard: no server is running; using the data folder {}", folder.display());
}

fn over(socket: &Path) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().unix_socket(socket).no_proxy();
    Ok(builder.connect_timeout(CONNECT_TIMEOUT).build()?)
}

/// A client for the server that listens on `socket`, if one does.
async fn running(socket: &Path) -> anyhow::Result<Option<reqwest::Client>> {
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => over(socket).map(Some),
        // Whoever may not use the socket may not be sent past the server that listens on it.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(error).with_context(|| format!("cannot use the socket {}", socket.display()))
        }
        Err(_) => Ok(None),
    }
}

/// The reply, or the server's own words for why there is none.
pub(super) async fn accepted(reply: Response) -> anyhow::Result<Response> {
    if reply.status().is_success() {
        return Ok(reply);
    }
    let status = reply.status();
    let error = serde_json::from_slice::<ErrorBody>(&body(reply).await?);
    match error {
        Ok(error) => bail!("{} ({})", error.message, error.code),
        Err(_) => bail!("the server answered with the status {status}"),
    }
}

/// The whole body, within its bound.
pub(super) async fn body(mut reply: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = reply.chunk().await? {
        if body.len() + piece.len() > MAX_REPLY {
            bail!("the server's reply is too long");
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// `health`: prints each dependency, and fails when the server is not ready.
pub(super) fn health(config: &Config, url: Option<String>) -> anyhow::Result<()> {
    wiring::runtime()?.block_on(async {
        let (http, url) = match url {
            Some(url) => {
                (reqwest::Client::new(), format!("{}/health/ready", url.trim_end_matches('/')))
            }
            None => {
                let socket = wiring::socket_path(&config.data.folder);
                let http = running(&socket).await?;
                let http =
                    http.with_context(|| format!("no server listens on {}", socket.display()))?;
                (http, format!("{BASE}/health/ready"))
            }
        };
        let reply = http.get(url).timeout(CONNECT_TIMEOUT).send().await?;
        let status = reply.status();
        let readiness: Readiness = serde_json::from_slice(&body(reply).await?)
            .with_context(|| format!("the server answered with the status {status}"))?;
        print(&readiness)?;
        if status != StatusCode::OK {
            bail!("the server is not ready");
        }
        Ok(())
    })
}

fn print(readiness: &Readiness) -> std::io::Result<()> {
    for dependency in &readiness.dependencies {
        let health = match dependency.health {
            Health::Up => "up",
            Health::Degraded => "degraded",
            Health::Down => "down",
        };
        let message = dependency.message.as_deref().unwrap_or_default();
        say!("{health:9} {:24} {message}", dependency.name)?;
    }
    Ok(())
}
