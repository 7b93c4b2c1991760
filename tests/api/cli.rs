//! The commands of the binary, with and without a server beside them.

use std::process::{Output, Stdio};

use callboard_protocol::{Answer, ErrorCode, LogStats, Role};
use callboard_testkit::{FakeVendor, Postgres};
use serde_json::{Value, json};

use crate::{
    harness::{Database, Launch, PASSWORD, Server, callboard, on_both_databases},
    ssh_log::{QUESTION, SshLog},
};

on_both_databases! {
    migrations_are_listed_and_applied_once,
    accounts_are_made_by_the_rules,
}

/// What a command said, and with which status it ended.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("the command was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// Of a command that succeeds.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it complains of, ending with this status.
    #[track_caller]
    pub(crate) fn badly(self, status: i32) -> String {
        assert_eq!(self.status, status, "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs a command to its end; nothing stands on its standard input.
pub(crate) async fn run(mut command: std::process::Command) -> Said {
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
}

/// Makes the data folder, with an index in it.
async fn index_a_line(launch: &Launch) {
    std::fs::write(launch.folder().join("app.log"), "one line\n").unwrap();
    run(launch.command(&["ingest", "app.log"])).await.well();
}

async fn beside(server: &Server, arguments: &[&str], input: &str) -> Said {
    server.run(arguments, input).await.into()
}

#[tokio::test]
async fn everything_wrong_with_the_settings_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[server]\nlisen = \"127.0.0.1:1\"\n\n[cache]\nshards = \"many\"\n";
    std::fs::write(folder.path().join("callboard.toml"), file).unwrap();
    for arguments in [["check-config"], ["serve"]] {
        let mut command = callboard();
        command
            .current_dir(folder.path())
            .args(arguments)
            .args(["--set", "redis.timeout_ms=-1"])
            .env("CALLBOARD__SESSION__HEARTBEAT_S", "soon")
            .env("CALLBOARD__AUTH__SECRET_FILE", "/nowhere/secret");
        let wrong = run(command).await.badly(2);
        assert!(wrong.contains("5 errors in the configuration"), "{wrong}");
        for (place, problem) in [
            ("callboard.toml:2: `server.lisen` ", "did you mean `listen`?"),
            ("callboard.toml:5: `cache.shards` ", "many"),
            (
                "environment variable CALLBOARD__SESSION__HEARTBEAT_S: `session.heartbeat_s` ",
                "soon",
            ),
            ("environment variable CALLBOARD__AUTH__SECRET_FILE: ", "/nowhere/secret"),
            ("--set redis.timeout_ms", "-1"),
        ] {
            let line = wrong.lines().find(|line| line.contains(place));
            assert!(line.is_some_and(|line| line.contains(problem)), "{place}{problem}\n{wrong}");
        }
    }
    std::fs::write(folder.path().join("callboard.toml"), "[cache]\nshards = 2\n").unwrap();
    let mut command = callboard();
    command.current_dir(folder.path()).arg("check-config");
    assert!(run(command).await.well().contains("the configuration is right (callboard.toml)"));
    let mut command = callboard();
    command.current_dir(folder.path()).args(["check-config", "--config", "other.toml"]);
    assert!(run(command).await.badly(2).contains("other.toml"));
}

#[tokio::test]
async fn the_settings_are_printed_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "sk-very-secret-key\n").unwrap();
    let file = "[[providers]]\nname = \"one\"\nkind = \"openai\"\nmodel = \"m\"\n\
                base_url = \"http://127.0.0.1:1/v1\"\napi_key_file = \"key\"\n\
                [server.metrics]\ntoken = \"very-secret-token\"\n";
    std::fs::write(folder.path().join("callboard.toml"), file).unwrap();
    let mut command = callboard();
    command
        .current_dir(folder.path())
        .args(["config", "print", "--set", "redis.url=redis://:very-secret-redis@127.0.0.1:1/0"])
        .env("CALLBOARD__AUTH__SECRET", "a-very-secret-text-of-32-bytes-or-more")
        .env("CALLBOARD__DATABASE__URL", "postgres://me:very-secret-db@127.0.0.1/callboard");
    let printed = run(command).await.well();
    assert!(!printed.contains("secret-"), "{printed}");
    let settings: toml::Table = toml::from_str(&printed).unwrap();
    assert_eq!(settings["auth"]["secret"].as_str(), Some("***"));
    assert_eq!(settings["providers"][0]["api_key"].as_str(), Some("***"));
    assert_eq!(settings["providers"][0]["name"].as_str(), Some("one"));
    assert_eq!(settings["cache"]["shards"].as_integer(), Some(4));
    assert!(printed.contains("# callboard.toml:2"), "{printed}");
}

async fn migrations_are_listed_and_applied_once(on: Database) {
    let launch = Launch::on(on).await;
    let migrate = async |what| run(launch.command(&["migrate", what])).await.well();
    let all = |text: &str, state: &str| {
        text.lines().count() >= 9 && text.lines().all(|line| line.starts_with(state))
    };
    let status = migrate("status").await;
    assert!(all(&status, "pending "), "{status}");
    let up = migrate("up").await;
    assert!(all(&up, "applied "), "{up}");
    let status = migrate("status").await;
    assert!(all(&status, "applied "), "{status}");
    assert_eq!(migrate("up").await, "nothing to apply\n");
    // The server finds what it needs.
    let server = launch.start().await;
    server.admin().await;
}

async fn accounts_are_made_by_the_rules(on: Database) {
    let server = Launch::on(on).await.start().await;
    let add = async |arguments: &[&str], password: &str| {
        beside(&server, &[&["user", "add"], arguments].concat(), password).await
    };
    add(&["ada", "--role", "admin"], PASSWORD).await.well();
    let ada = server.sign_in("ada").await;
    assert_eq!(ada.user.role, Role::ADMIN);
    // With an administrator there, the setup link is good for nothing.
    let body = json!({ "token": server.setup_token, "username": "eve", "password": PASSWORD });
    let setup = ada.request(reqwest::Method::POST, "/auth/setup").json(&body);
    assert_eq!(ada.refused(setup).await.1, ErrorCode::AlreadySetUp);

    let made =
        add(&["Bob", "--role", "analyst", "--display-name", "Bob B."], PASSWORD).await.well();
    assert_eq!(made, "bob was made, with the role analyst\n");
    let bob = server.sign_in("bob").await;
    assert_eq!((bob.user.display_name.as_str(), bob.user.role), ("Bob B.", Role::ANALYST));

    let wrong = add(&["eve", "--role", "Root"], PASSWORD).await.badly(2);
    assert!(wrong.contains("the name of a role is a small letter"), "{wrong}");
    let wrong = add(&["eve", "--role", "root"], PASSWORD).await.badly(1);
    assert!(wrong.contains("there is no role root"), "{wrong}");
    for (name, password, why) in [
        ("eve", "short", "at least 12 characters"),
        ("eve", "password1234", "common"),
        ("eve", "", "password"),
        ("bob", PASSWORD, "this user name is taken"),
        ("ADA", PASSWORD, "this user name is taken"),
        ("no blanks", PASSWORD, "a user name has"),
    ] {
        let wrong = add(&[name], password).await.badly(1).to_lowercase();
        assert!(wrong.contains(why), "{name}/{password}: {wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_a_server() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let well = async |arguments: &[&str]| beside(&server, arguments, "").await.well();
    let healthy = well(&["health"]).await;
    for dependency in ["database", "migrations", "log_index", "actors"] {
        let line = healthy.lines().find(|line| line.contains(dependency));
        assert!(line.is_some_and(|line| line.starts_with("up ")), "{dependency}\n{healthy}");
    }
    assert_eq!(well(&["health", "--url", &server.url("/")]).await, healthy);

    let printed: Value = serde_json::from_str(&well(&["openapi"]).await).unwrap();
    let served = reqwest::get(server.url("/api/v1/openapi.json")).await.unwrap();
    assert_eq!(printed, served.json::<Value>().await.unwrap());

    let second = beside(&server, &["serve", "--listen", "127.0.0.1:0"], "").await.badly(1);
    assert!(second.contains("another callboard is using the data folder"), "{second}");
    // The first one serves on, on its socket too.
    assert_eq!(well(&["health"]).await, healthy);
}

#[tokio::test]
async fn health_without_a_server_fails() {
    let launch = Launch::on(Database::Sqlite).await;
    let why = run(launch.command(&["health"])).await.badly(1);
    assert!(why.contains("no server listens on"), "{why}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    run(launch.command(&["health", "--url", &url])).await.badly(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_and_indexing_need_no_server_and_share_its_folder() {
    let launch = Launch::on(Database::Sqlite).await;
    let log = SshLog::of(200);
    std::fs::write(launch.folder().join("auth.log"), log.text()).unwrap();
    let printed = run(launch.command(&["ingest", "auth.log"])).await.well();
    assert!(printed.ends_with("auth.log: 200 lines, syslog\n"), "{printed}");
    let (worst, failures) = log.worst();
    let winner = format!("`{worst}`** occurs most often: in {} lines", failures.count);
    let streamed = run(launch.command(&["ask", QUESTION])).await.well();
    assert!(streamed.contains(&winner), "{streamed}");
    let cited = streamed.split_once("\nCited lines:\n").unwrap().1;
    assert!(cited.contains(&log.lines[failures.first]), "{cited}");
    let answer = run(launch.command(&["ask", "--json", QUESTION])).await.well();
    let alone: Answer = serde_json::from_str(&answer).unwrap();

    let server = launch.start().await;
    let ada = server.admin().await;
    assert_eq!(ada.get::<LogStats>("/logs/stats").await.lines, 200);
    let answer = beside(&server, &["ask", "--json", QUESTION], "").await.well();
    let together: Answer = serde_json::from_str(&answer).unwrap();
    assert_eq!((together.response, together.citations), (alone.response, alone.citations));
    assert_eq!(beside(&server, &["ask", QUESTION], "").await.well(), streamed);
    // The questions of the command line are the operator's own.
    let page = ada.get::<callboard_protocol::ConversationPage>("/conversations").await;
    assert_eq!(page.items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_the_command_line_goes_to_the_model() {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    index_a_line(&launch).await;
    let answer = run(launch.command(&["ask", "is all well?"])).await.well();
    assert!(answer.starts_with("All is well.\n"), "{answer}");
    let wrong = run(launch.command(&["ask", "--model", "nobody's", "?"])).await.badly(1);
    assert!(wrong.contains("unknown_model"), "{wrong}");
    let wrong = run(launch.command(&["ask", "--mode", "angry", "?"])).await.badly(1);
    assert!(wrong.contains("unknown_mode"), "{wrong}");
    assert_eq!(vendor.request_count(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_a_clear_error() {
    let launch = Launch::on(Database::Sqlite).await;
    index_a_line(&launch).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let launch = launch.set(format!("database.url=postgres://me:hidden-word@{nobody}/callboard"));
    for arguments in [&["migrate", "status"][..], &["ask", "?"], &["serve"]] {
        let why = run(launch.command(arguments)).await.badly(1);
        assert!(why.starts_with("callboard: ") || why.contains("\ncallboard: "), "{why}");
        assert!(!why.contains("hidden-word"), "{why}");
    }
    // A database of another program's making is not touched.
    let Some(postgres) = Postgres::create().await else { return };
    postgres.execute("CREATE TABLE users (name text)").await;
    let launch = Launch::on(Database::Sqlite).await;
    let launch = launch.set(format!("database.url={}", postgres.url()));
    run(launch.command(&["migrate", "up"])).await.badly(1);
    postgres.execute("SELECT name FROM users").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_reader_leaves_ends_without_a_word() {
    let launch = Launch::on(Database::Sqlite).await;
    index_a_line(&launch).await;
    for arguments in [&["config", "print"][..], &["openapi"], &["ask", "anything?"]] {
        let mut child = launch
            .command(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output =
            tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
}
