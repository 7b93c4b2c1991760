//! A server of our own: a child process with a throwaway data folder.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use callboard_protocol::{ApiKeyCreated, KeyScope, NewApiKey, ServerFrame, SignedIn};
use callboard_testkit::{WsClient, WsTarget};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{metrics::Histogram, options::Options, process::Usage};

/// How long the server may take to be ready.
const START: Duration = Duration::from_secs(30);

/// A token that is not younger than the server is looked up in the database with every request, and
/// tokens count in whole seconds.
const OLDER_THAN_ITS_TOKENS: Duration = Duration::from_millis(1_100);

/// Sockets that are opened at the same time.
const OPENING: usize = 50;

/// What is changed of the defaults: the limits that protect a server from just such a client, and
/// the cost of the one password. The server's own log stays out of the index, which would
/// otherwise grow from turn to turn.
const SETTINGS: [&str; 11] = [
    "auth.access_token_s=3600",
    "auth.password.memory_kib=64",
    "auth.password.passes=1",
    "session.frame_burst=100000",
    "session.frames_per_second=100000",
    "session.heartbeat_s=3600",
    "session.max_per_address=10000",
    "session.max_per_user=10000",
    "providers.0.name=fake",
    "providers.0.model=fake-1",
    "telemetry.own_log.enabled=false",
];

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Questions that its provider takes at once.
    pub(crate) concurrency: u32,
    /// The only core that it may use; any, when none.
    pub(crate) core: Option<u32>,
}

/// A running server, with its administrator signed in. Dropping it kills the process, by its id.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    base: String,
    token: String,
}

impl Server {
    /// Starts one whose only provider is at `provider`, and which asks it as many questions at
    /// once as come.
    pub(crate) async fn start(options: &Options, provider: &str) -> anyhow::Result<Self> {
        Self::start_at(options, provider, Place { concurrency: options.sockets, core: None }).await
    }

    /// The same, at a place of its own.
    pub(crate) async fn start_at(
        options: &Options,
        provider: &str,
        place: Place,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let stderr = std::fs::File::create(folder.path().join("stderr"))?;
        let mut command = command(options, &folder, place.core);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let own = [
            format!("providers.0.base_url={provider}"),
            format!("providers.0.max_concurrency={}", place.concurrency),
        ];
        let settings = SETTINGS.into_iter().chain(own.iter().map(String::as_str));
        for setting in settings.chain(options.settings.iter().map(String::as_str)) {
            command.args(["--set", setting]);
        }
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn();
        let child = child.with_context(|| format!("cannot run {}", options.server.display()))?;
        let mut server = Self { child, folder, base: String::new(), token: String::new() };
        let stdout = server.child.stdout.take().context("the server has no output")?;
        let Ok(Ok(link)) = timeout(START, setup_link(stdout)).await else {
            bail!("the server did not start:\n{}", server.log());
        };
        let (base, token) = link.split_once("/setup#").context("the server is set up already")?;
        base.clone_into(&mut server.base);
        sleep(OLDER_THAN_ITS_TOKENS).await;
        let body =
            json!({"token": token, "username": "bench", "password": "correct horse battery"});
        let setup = reqwest::Client::new().post(format!("{base}/api/v1/auth/setup")).json(&body);
        let signed_in: SignedIn = setup.send().await?.error_for_status()?.json().await?;
        server.token = signed_in.access_token.context("the server gave no token")?;
        Ok(server)
    }

    /// Indexes so many lines of made-up log.
    pub(crate) async fn ingest(&self, options: &Options) -> anyhow::Result<()> {
        let mut log = String::new();
        for line in 0..options.log_lines {
            let (minute, second) = (line / 60 % 60, line % 60);
            let level = if line % 50 == 0 { "ERROR" } else { "INFO" };
            writeln!(
                log,
                "2025-11-21T10:{minute:02}:{second:02}Z {level} service {} took {} ms for request \
                 {line}",
                line % 20,
                line % 977
            )?;
        }
        let path = self.folder.path().join("service.log");
        std::fs::write(&path, log)?;
        let mut command = command(options, &self.folder, None);
        command.arg("ingest").arg(path);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ingest failed: {stderr}");
        Ok(())
    }

    /// Opens sockets and reads their greetings.
    pub(crate) async fn open(&self, count: u32) -> anyhow::Result<Vec<WsClient>> {
        let url = format!("{}/ws/assistant", self.base.replacen("http", "ws", 1));
        let target = WsTarget::new(&url).bearer(&self.token);
        let mut opened = Vec::new();
        let mut opening = JoinSet::new();
        for _ in 0..count {
            if opening.len() == OPENING
                && let Some(socket) = opening.join_next().await
            {
                opened.push(socket??);
            }
            let target = target.clone();
            opening.spawn(async move {
                let refused = |refused| anyhow::anyhow!("no socket: {refused:?}");
                let mut socket = target.open().await.map_err(refused)?;
                let hello = socket.next().await;
                let greeted = matches!(hello, ServerFrame::Connected { .. });
                ensure!(greeted, "no greeting: {hello:?}");
                anyhow::Ok(socket)
            });
        }
        while let Some(socket) = opening.join_next().await {
            opened.push(socket??);
        }
        Ok(opened)
    }

    /// Its address, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap_or(&self.base)
    }

    /// A new key for the API for programs.
    pub(crate) async fn gateway_key(&self) -> anyhow::Result<String> {
        let key = NewApiKey {
            name: "bench".to_owned(),
            scopes: vec![KeyScope::Chat],
            models: Some(vec!["fake-1".to_owned()]),
            daily_budget_micro_usd: Some(1_000_000_000),
            monthly_budget_micro_usd: None,
            expires_at: None,
        };
        let request = reqwest::Client::new().post(format!("{}/api/v1/keys", self.base));
        let reply = request.bearer_auth(&self.token).json(&key).send().await?;
        let created: ApiKeyCreated = reply.error_for_status()?.json().await?;
        Ok(created.secret)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// `turn_overhead_seconds`.
    pub(crate) async fn turn_overhead(&self) -> anyhow::Result<Histogram> {
        let text = reqwest::get(format!("{}/metrics", self.base)).await?.text().await?;
        Histogram::parse(&text, "turn_overhead_seconds").context("no turn_overhead_seconds")
    }

    /// The end of what the server has said on stderr.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        log[log.floor_char_boundary(log.len().saturating_sub(2_000))..].to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The binary on this data folder, with nothing of the environment that could change it.
/// On one core it sees one core, and starts as many threads of each kind.
fn command(options: &Options, folder: &TempDir, core: Option<u32>) -> Command {
    let mut command = match core {
        // It becomes the server: the process id is the server's.
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(&options.server);
            command
        }
        None => Command::new(&options.server),
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CALLBOARD__") {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(folder.path().join("data")).stdin(Stdio::null());
    command
}

/// The link that the server prints when it is ready. The rest of its output is read and dropped,
/// so that it never blocks on it.
fn setup_link(stdout: ChildStdout) -> oneshot::Receiver<String> {
    let (sender, link) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(at) = line.find("http://")
                && let Some(sender) = sender.take()
            {
                drop(sender.send(line[at..].trim().to_owned()));
            }
        }
    });
    link
}
