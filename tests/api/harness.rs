//! A server to test against, and clients that know how to sign in.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use callboard_protocol::{
    Answer, Ask, ConversationId, ErrorBody, ErrorCode, MessagePage, Role, SignedIn, User,
};
use callboard_testkit::{FakeVendor, PATIENCE, Postgres, WsClient, WsTarget};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Runs tests `async fn name(on: Database)` on both databases.
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name(crate::harness::Database::Sqlite).await;
            })+
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::$name(crate::harness::Database::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;

/// The binary under test, with nothing of the developer's environment that could change it.
pub(crate) fn callboard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CALLBOARD__") {
            command.env_remove(name);
        }
    }
    command
}

/// Sends a process that was started here a signal, such as `-INT`.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// How to start a server.
pub(crate) struct Launch {
    settings: Vec<String>,
    folder: TempDir,
    postgres: Option<Postgres>,
}

impl Launch {
    /// On a database of its own. Without a PostgreSQL to test on the test runs on SQLite again,
    /// which testkit says on stderr; `make test` always names one.
    pub(crate) async fn on(database: Database) -> Self {
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Postgres::create().await,
        };
        let launch = Self { settings: Vec::new(), folder: tempfile::tempdir().unwrap(), postgres };
        // A password costs what it must in production, and almost nothing here.
        launch
            .set("auth.password.memory_kib=64")
            .set("auth.password.passes=1")
            .set("telemetry.own_log.enabled=false")
    }

    /// With a setting, `section.key=value`.
    pub(crate) fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// With this provider first in the chain.
    pub(crate) fn provider(self, vendor: &FakeVendor) -> Self {
        self.set("providers.0.name=fake")
            .set(format!("providers.0.base_url={}", vendor.base_url()))
            .set("providers.0.model=fake-1")
    }

    /// With a configuration file in its folder.
    pub(crate) fn config(self, text: &str) -> Self {
        std::fs::write(self.folder().join("callboard.toml"), text).unwrap();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = callboard();
        command.current_dir(self.folder()).args(arguments);
        command.args(["--data-dir", "data"]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        if let Some(postgres) = &self.postgres {
            command.env("CALLBOARD__DATABASE__URL", postgres.url());
        }
        command
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> Server {
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.folder().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Server { child, base: String::new(), setup_token: None, launch: self };
        let found = tokio::task::spawn_blocking(move || {
            loop {
                let line = lines.recv_timeout(PATIENCE).ok()?;
                if let Some(at) = line.find("http://") {
                    return Some(line[at..].trim().to_owned());
                }
            }
        });
        let Some(link) = found.await.unwrap() else {
            panic!("the server did not start:\n{}", server.log());
        };
        let (base, token) = match link.split_once("/setup#") {
            Some((base, token)) => (base.to_owned(), Some(token.to_owned())),
            None => (link, None),
        };
        server.base = base;
        server.setup_token = token;
        server
    }
}

/// A running server. Dropping it kills the process, by its id.
pub(crate) struct Server {
    child: Child,
    base: String,
    pub(crate) setup_token: Option<String>,
    launch: Launch,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.launch.folder()
    }

    /// What the server has said on stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("stderr")).unwrap_or_default()
    }

    /// A command of the same binary beside the server, on its data folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.launch.command(arguments)
    }

    /// Runs such a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
    }

    /// Sets the server up and signs the administrator in.
    pub(crate) async fn admin(&self) -> Client {
        let token = self.setup_token.as_ref().expect("a server that is not set up");
        let body = json!({ "token": token, "username": "ada", "password": PASSWORD });
        let reply = reqwest::Client::new().post(self.url("/api/v1/auth/setup")).json(&body);
        Client::of(&self.base, reply.send().await.unwrap().json().await.unwrap())
    }

    /// Makes an account and signs it in.
    pub(crate) async fn user(&self, name: &str, role: Role) -> Client {
        let made = self.run(&["user", "add", name, "--role", role.as_str()], PASSWORD).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.sign_in(name).await
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Client {
        let body = json!({ "username": name, "password": PASSWORD });
        let reply = reqwest::Client::new().post(self.url("/api/v1/auth/login")).json(&body);
        Client::of(&self.base, reply.send().await.unwrap().json().await.unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the process to end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let waited =
            callboard_testkit::eventually_some(PATIENCE, async || self.child.try_wait().unwrap());
        waited.await
    }

    /// Ends it with SIGTERM, and gives back what it takes to start it again.
    pub(crate) async fn stop(mut self) -> Launch {
        self.signal("-TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.log());
        self.into_launch().await
    }

    /// Ends it with SIGKILL, like a power cut.
    pub(crate) async fn kill(mut self) -> Launch {
        self.signal("-KILL");
        assert_eq!(self.ended().await.signal(), Some(9));
        self.into_launch().await
    }

    /// What it takes to start one that ended again.
    pub(crate) async fn into_launch(mut self) -> Launch {
        let fresh =
            Launch { settings: Vec::new(), folder: tempfile::tempdir().unwrap(), postgres: None };
        std::mem::replace(&mut self.launch, fresh)
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Files and connections that it holds open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Writes a file into the server's folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Indexes a file through the command line, and waits for it.
    pub(crate) async fn ingest(&self, path: &Path) -> String {
        let output = self.run(&["ingest", path.to_str().unwrap()], "").await;
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
        stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Somebody who is signed in with a bearer token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    pub(crate) user: User,
    pub(crate) token: String,
}

impl Client {
    fn of(base: &str, signed_in: SignedIn) -> Self {
        Self {
            http: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(),
            base: base.to_owned(),
            user: signed_in.user,
            token: signed_in.access_token.unwrap(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1{path}", self.base);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        read(self.request(Method::GET, path)).await
    }

    /// The code of a request that is refused.
    pub(crate) async fn refused(&self, request: RequestBuilder) -> (StatusCode, ErrorCode) {
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        let error: ErrorBody =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text}: {error}"));
        (status, error.code)
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        read(self.request(Method::POST, "/assistant/chat").json(ask)).await
    }

    pub(crate) async fn messages(&self, conversation: ConversationId) -> MessagePage {
        self.get(&format!("/conversations/{conversation}/messages")).await
    }

    pub(crate) fn socket(&self) -> WsTarget {
        let base = self.base.replacen("http", "ws", 1);
        WsTarget::new(&format!("{base}/ws/assistant")).bearer(&self.token)
    }

    /// An open socket, past its greeting.
    pub(crate) async fn connect(&self) -> WsClient {
        let mut socket = self.socket().open().await.unwrap();
        let hello = socket.next().await;
        assert!(matches!(hello, callboard_protocol::ServerFrame::Connected { .. }), "{hello:?}");
        socket
    }
}

/// The reply of a request that succeeds.
pub(crate) async fn read<T: DeserializeOwned>(request: RequestBuilder) -> T {
    let reply = request.send().await.unwrap();
    let status = reply.status();
    let text = reply.text().await.unwrap();
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A question that is always asked anew.
pub(crate) fn fresh(question: &str) -> Ask {
    Ask { use_cache: false, ..Ask::new(question) }
}

/// How long something that must not happen is waited for.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);
