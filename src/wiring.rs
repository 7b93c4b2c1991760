//! Opens the stores, starts the actors and the server, and decides what runs where.
//!
//! Where: HTTP, sockets and their sessions run on actix-web's workers; kept actors on arbiters of
//! their own; turns and blocking work on one runtime of several threads. The server listens before
//! the database is migrated, and answers 503 until everything is there. One process uses a data
//! folder at a time: it holds the folder's lock.

use std::{
    fs::File,
    net::SocketAddr,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix::{Arbiter, ArbiterHandle};
use actix_web::{
    App, HttpServer,
    dev::{Extensions, ServerHandle},
    middleware::from_fn,
};
use anyhow::{Context, bail};
use callboard_actors::{Metrics, Parts, RemoteCache, RestartPolicy, System};
use callboard_entities::{DatabaseConfig, Store};
use callboard_handlers::{AppState, Edge, Identity, LocalPeer, Reload, observe};
use callboard_logs::LogStore;
use callboard_protocol::Timestamp;
use fs4::fs_std::FileExt;
use secrecy::{ExposeSecret, SecretString};
use socket2::SockRef;
use tokio::{runtime::Runtime, task::JoinHandle};
use tracing::{error, info, warn};

use crate::{
    config::Config,
    reload::Reloader,
    shutdown::{Signals, Told},
    telemetry,
};

/// How long the end of the process waits for work on blocking threads.
const LAST_BLOCKING_WORK: Duration = Duration::from_secs(5);

/// Unsent bytes that the kernel takes of a socket before it says that it is full. By default it
/// would hide megabytes, an hour of tokens, per slow client.
const NOTSENT_LOWAT: u32 = 16 * 1024;

/// Connections that wait to be accepted, and that one worker holds.
const BACKLOG: u32 = 1_024;
const MAX_CONNECTIONS: usize = 20_000;

/// The longest path of a Unix socket (`sun_path`, less its end).
const MAX_SOCKET_PATH: usize = 107;

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// On the configured address and on the data folder's socket.
    Everywhere,
    /// On the data folder's socket alone: for a command that runs its own server.
    SocketOnly,
}

/// The socket of a data folder's server.
pub(crate) fn socket_path(folder: &Path) -> PathBuf {
    folder.join("callboard.sock")
}

/// The log index of a data folder.
pub(crate) fn index_path(folder: &Path) -> PathBuf {
    folder.join("index")
}

/// The runtime for turns, blocking work and commands.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Runs a future inside an actix system, on that runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Arc::new(runtime()?);
    let for_actix = Arc::clone(&runtime);
    let done = actix::System::with_tokio_rt(move || for_actix).block_on(work);
    if let Some(runtime) = Arc::into_inner(runtime) {
        // Otherwise it would wait for blocking work to its end, however long.
        runtime.shutdown_timeout(LAST_BLOCKING_WORK);
    }
    done
}

/// Makes a folder that only its owner may enter.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// The database's configuration with its URL: from its file, or SQLite in the data folder.
pub(crate) fn database(config: &Config) -> anyhow::Result<DatabaseConfig> {
    let mut database = config.database.clone();
    if database.url.is_none() {
        let path = std::path::absolute(config.data.folder.join("callboard.db"))?;
        database.url = Some(SecretString::from(format!("sqlite:{}", path.display())));
    }
    Ok(database)
}

/// `serve`: runs until a signal ends it.
pub(crate) fn serve(config: &Config) -> anyhow::Result<()> {
    make_folder(&config.data.folder)?;
    let log = telemetry::install(&config.telemetry, Some(&config.data.folder.join("log")))?;
    let served = block_on(async {
        // Before anybody is told that the server is there, and could want it to end.
        let mut signals = Signals::catch()?;
        let mut server = tokio::select! {
            server = start_with_log(config, Listen::Everywhere, log.own_log()) => server?,
            () = signals.next() => return Ok(()),
        };
        server.say_where(config).await?;
        loop {
            tokio::select! {
                told = signals.told() => match told {
                    Told::End => break,
                    // What came of it is in the log.
                    Told::Reload => drop(server.reload.reload().await),
                },
                ended = &mut server.running => {
                    error!(?ended, "the HTTP server ended by itself");
                    bail!("the HTTP server ended by itself");
                }
            }
        }
        signals.unless_hurried(server.stop()).await;
        let (dropped, on_terminal) = (log.dropped(), log.dropped_on_terminal());
        info!(log_lines_dropped = dropped, on_terminal, "goodbye");
        Ok(())
    });
    drop(log);
    served
}

/// Starts a server that does not index its own log.
pub(crate) async fn start(config: &Config, listen: Listen) -> anyhow::Result<Server> {
    make_folder(&config.data.folder)?;
    start_with_log(config, listen, None).await
}

async fn start_with_log(
    config: &Config,
    listen: Listen,
    own_log: Option<&Path>,
) -> anyhow::Result<Server> {
    let folder = &config.data.folder;
    let lock = lock(folder)?;
    let metrics = Metrics::new()?;
    let edge = Edge::new(config.server.clone(), metrics.clone())?;
    let http = listen_on(config, listen, edge.clone())?;
    let opened = open(config, metrics, own_log).await;
    let (state, identity, arbiters) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            http.handle.stop(false).await;
            return Err(error);
        }
    };
    let (system, reload) = (state.system.clone(), Arc::clone(&state.reload));
    edge.open(state);
    #[expect(clippy::disallowed_methods, reason = "ended with the server, below")]
    let following = tokio::spawn(identity.clone().follow());
    Ok(Server {
        following,
        http: http.handle,
        running: http.running,
        addresses: http.addresses,
        system,
        identity,
        reload,
        arbiters,
        patience: Duration::from_secs(config.server.limits.drain_s),
        _lock: lock,
    })
}

/// A running server.
pub(crate) struct Server {
    http: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
    /// Looks after accounts that others change.
    following: JoinHandle<()>,
    addresses: Vec<SocketAddr>,
    system: System,
    identity: Identity,
    reload: Arc<dyn Reload>,
    arbiters: Vec<Arbiter>,
    /// How long turns and calls that run may go on at the end.
    patience: Duration,
    _lock: File,
}

impl Server {
    /// Prints where the server is, and at the first start how to set it up.
    #[expect(clippy::print_stdout, reason = "it is for the person who started the server")]
    async fn say_where(&self, config: &Config) -> anyhow::Result<()> {
        let address = self.addresses.first().context("the server listens nowhere")?;
        let base = match &config.server.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{address}"),
        };
        info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");
        match self.identity.issue_setup_link(Timestamp::now()).await? {
            // Not through the log: the link is a secret.
            Some(path) => println!(
                "\n  Callboard is ready. Create the administrator, within the hour, at\n\n    {base}{path}\n"
            ),
            None => println!("\n  Callboard is ready at {base}\n"),
        }
        Ok(())
    }

    /// Drains and ends it.
    pub(crate) async fn stop(self) {
        self.system.drain(self.patience).await;
        self.following.abort();
        self.http.stop(true).await;
        self.system.close().await;
        for arbiter in self.arbiters {
            arbiter.stop();
            drop(arbiter.join());
        }
    }
}

/// Locks the data folder for this process; the lock ends with it, however it ends.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("callboard.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    if !FileExt::try_lock_exclusive(&file)? {
        bail!("another callboard is using the data folder {}", folder.display());
    }
    Ok(file)
}

/// The HTTP server, already listening.
struct Http {
    handle: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
    addresses: Vec<SocketAddr>,
}

fn listen_on(config: &Config, listen: Listen, edge: Edge) -> anyhow::Result<Http> {
    let stalled = Duration::from_secs(config.server.limits.stalled_reader_s);
    let mut server = HttpServer::new(move || {
        let edge = edge.clone();
        App::new().wrap(from_fn(observe)).configure(|app| edge.configure(app))
    })
    .on_connect(move |connection, extensions| prepare(connection, extensions, stalled))
    .backlog(BACKLOG)
    .max_connections(MAX_CONNECTIONS)
    // Signals are ours: actix-web would drop sockets without a word.
    .disable_signals()
    // Without it sockets that were closed cleanly are cut before the peer has read the close.
    .client_disconnect_timeout(Duration::ZERO)
    // A client that closes its side has left: an answer that it waited for ends at the provider.
    .h1_allow_half_closed(false)
    .shutdown_timeout(5);
    if listen == Listen::Everywhere {
        let address = &config.server.listen;
        server = server.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    } else {
        server = server.workers(1);
    }
    let addresses = server.addrs();
    let socket = std::path::absolute(socket_path(&config.data.folder))?;
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        bail!("the path of the data folder is too long for the socket {}", socket.display());
    }
    // The folder's lock is ours, so a socket in it was left behind.
    drop(std::fs::remove_file(&socket));
    let in_socket = || format!("cannot listen on {}", socket.display());
    let listener = UnixListener::bind(&socket).with_context(in_socket)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&socket, private).with_context(in_socket)?;
    // Not `bind_uds`: it forgets `on_connect`, which marks the connection as local.
    server = server.listen_uds(listener).with_context(in_socket)?;
    let server = server.run();
    let handle = server.handle();
    #[expect(clippy::disallowed_methods, reason = "the server itself: its handle is awaited")]
    let running = tokio::spawn(server);
    // The socket of the folder comes last, and has no address of this kind.
    Ok(Http { handle, running, addresses })
}

/// Sets up a connection before its first request. A peer that takes nothing for the time `stalled` is
/// gone: the kernel ends its connection, and with it ends whatever is written to it.
fn prepare(connection: &dyn std::any::Any, extensions: &mut Extensions, stalled: Duration) {
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
        let socket = SockRef::from(stream);
        let set = socket
            .set_tcp_nodelay(true)
            .and_then(|()| socket.set_tcp_notsent_lowat(NOTSENT_LOWAT))
            .and_then(|()| socket.set_tcp_user_timeout(Some(stalled)));
        if let Err(error) = set {
            warn!(%error, "a socket's options could not be set");
        }
    } else if connection.is::<actix_web::rt::net::UnixStream>() {
        extensions.insert(LocalPeer);
    }
}

type Opened = (AppState, Identity, Vec<Arbiter>);

/// Migrates and opens the stores, and starts the actors.
async fn open(config: &Config, metrics: Metrics, own_log: Option<&Path>) -> anyhow::Result<Opened> {
    let database = database(config)?;
    let url = database.url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    for migration in callboard_migration::up(url).await.context("the database was not migrated")? {
        info!(migration, "migration applied");
    }
    let observer = metrics.clone();
    let store = Store::open(&database)
        .await?
        .observed(move |op, took, ok| observer.db_operation(op, took, ok));
    let (index, logs_config) = (index_path(&config.data.folder), config.logs.clone());
    let logs = tokio::task::spawn_blocking(move || LogStore::open(&index, &logs_config)).await??;
    let uploads = config.data.folder.join("uploads");
    make_folder(&uploads)?;
    let pushed = config.data.folder.join("pushed");
    make_folder(&pushed)?;
    let mirrors = config.data.folder.join("mirrors");
    make_folder(&mirrors)?;
    let now = Timestamp::now();
    let identity = Identity::open(store.clone(), &config.auth, now).await?;
    let arbiters: Vec<Arbiter> = (0..arbiter_count()).map(|_| Arbiter::new()).collect();
    let system = System::start(Parts {
        store: store.clone(),
        logs: logs.clone(),
        remote: remote(config, &metrics)?,
        metrics,
        chat: config.chat.clone(),
        session: config.session.clone(),
        cache: config.cache.clone(),
        jobs: config.jobs.clone(),
        providers: config.providers.clone(),
        models: config.models.clone(),
        gateway: config.gateway.clone(),
        ledger: config.ledger.clone(),
        budgets: config.budgets.clone(),
        alerts: config.alerts.clone(),
        audit: config.audit,
        usage: config.data.folder.join("usage"),
        uploads: uploads.clone(),
        pushed,
        mirrors,
        own_log: own_log.map(Path::to_owned),
        restarts: RestartPolicy::default(),
        runtime: tokio::runtime::Handle::current(),
        arbiters: arbiters.iter().map(Arbiter::handle).collect::<Vec<ArbiterHandle>>(),
    })
    .await?;
    let reload = Arc::new(Reloader::new(config.clone(), system.clone()));
    let identity_too = identity.clone();
    let state = AppState { store, logs, identity: identity_too, system, uploads, reload };
    Ok((state, identity, arbiters))
}

/// One for each core: the actors' work is short, and turns run elsewhere.
fn arbiter_count() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

fn remote(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<RemoteCache>> {
    let Some(url) = &config.redis.url else { return Ok(None) };
    let timeout = Duration::from_millis(config.redis.timeout_ms);
    let remote = RemoteCache::open(url, timeout, &config.redis.prefix, metrics.clone());
    Ok(Some(remote.context("redis.url cannot be used")?))
}
