//! Accounts as the operator sees them: the commands, the server's log of sign-ins, and what the
//! machine's own permissions keep out.

use std::{
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    process::Stdio,
    time::Duration,
};

use callboard_entities::{DatabaseConfig, Store, queries::audit};
use callboard_protocol::{Ask, Role};
use callboard_testkit::{PATIENCE, eventually_some};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    cli::{Said, run},
    harness::{Client, Database, Launch, PASSWORD, Server, on_both_databases},
};

on_both_databases! {
    accounts_are_listed,
    a_new_password_ends_the_sessions_of_the_old_one,
}

async fn beside(server: &Server, arguments: &[&str], input: &str) -> Said {
    server.run(arguments, input).await.into()
}

async fn log_in(server: &Server, name: &str, password: &str, from: &str) -> reqwest::Response {
    let body = json!({ "username": name, "password": password });
    let request = reqwest::Client::new().post(server.url("/api/v1/auth/login")).json(&body);
    request.header("x-forwarded-for", from).send().await.unwrap()
}

async fn accounts_are_listed(on: Database) {
    let server = Launch::on(on).await.start().await;
    assert_eq!(beside(&server, &["user", "list"], "").await.well(), "");
    server.user("zoe", Role::VIEWER).await;
    let add = ["user", "add", "ada", "--role", "admin", "--display-name", "Ada L."];
    beside(&server, &add, PASSWORD).await.well();
    let listed = beside(&server, &["user", "list"], "").await.well();
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [vec!["ada", "admin", "Ada", "L."], vec!["zoe", "viewer", "zoe"]]);
}

async fn a_new_password_ends_the_sessions_of_the_old_one(on: Database) {
    let launch = Launch::on(on).await;
    let server = launch.set("telemetry.filter=info").start().await;
    server.admin().await;
    let old = log_in(&server, "ada", PASSWORD, "").await;
    let old: callboard_protocol::SignedIn = old.json().await.unwrap();
    let set = async |name: &str, password: &str| {
        beside(&server, &["user", "set-password", name], password).await
    };
    for (name, password, why) in [
        ("ada", "short", "at least 12 characters"),
        ("ada", "", "password"),
        ("nobody", PASSWORD, "nobody signs in with this name"),
        ("local", PASSWORD, "nobody signs in with this name"),
    ] {
        let wrong = set(name, password).await.badly(1).to_lowercase();
        assert!(wrong.contains(why), "{name}/{password}: {wrong}");
    }
    let new = "another horse battery";
    let said = set("ADA", &format!("{new}\n")).await.well();
    assert_eq!(said, "the password was set; sessions with the old one end within 600 s\n");

    let refused = log_in(&server, "ada", PASSWORD, "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&server, "ada", new, "").await.status(), StatusCode::OK);
    let renewed = reqwest::Client::new()
        .post(server.url("/api/v1/auth/refresh"))
        .json(&json!({ "refresh_token": old.refresh_token }));
    assert_eq!(renewed.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    if let Database::Sqlite = on {
        let path = server.folder().join("data/callboard.db");
        let url = format!("sqlite:{}", path.display());
        let store = Store::open(&DatabaseConfig::at(url)).await.unwrap();
        let trail = audit::list(&store, 50).await.unwrap();
        let noted = trail.iter().find(|event| event.action == "user.set_password").unwrap();
        assert_eq!(noted.actor_name.as_deref(), Some("local"));
        assert_eq!(noted.object.as_deref(), Some(&*old.user.id.to_string()));
    }
    assert!(!server.log().contains(new) && !server.log().contains("short"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_failed_to_sign_in_and_from_where() {
    let launch = Launch::on(Database::Sqlite).await;
    let launch = launch.set("telemetry.own_log.enabled=true");
    let launch = launch.set("server.trusted_proxies=127.0.0.1");
    let server = launch.set("auth.login_per_name={per_minute = 60, burst = 60}").start().await;
    let ada = server.admin().await;
    let secret = "a-wrong-password-of-the-test";
    for (count, from) in [(3, "203.0.113.9"), (7, "198.51.100.23")] {
        for _ in 0..count {
            let reply = log_in(&server, "ada", secret, from).await;
            assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        }
    }
    let name = format!("eve\u{1b}[31m\n{}", "x".repeat(1_000));
    log_in(&server, &name, secret, "203.0.113.10").await;
    log_in(&server, "ada", PASSWORD, "192.0.2.77").await;

    let logged = async || {
        let log = server.log();
        let there = |text: &str| log.lines().find(|line| line.contains(text)).map(str::to_owned);
        Some((there("203.0.113.10")?, there("192.0.2.77")?, log))
    };
    let (failed, came, log) = eventually_some(PATIENCE, logged).await;
    assert!(!log.contains(secret) && !log.contains(PASSWORD));
    let failed: serde_json::Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed["level"], "WARN");
    assert_eq!(failed["message"], "authentication failure");
    assert_eq!(failed["reason"], "invalid_credentials");
    let user = failed["user"].as_str().unwrap();
    assert!(user.starts_with("eve\\u{1b}[31m\\nxxx") && user.len() < 100, "{user}");
    let came: serde_json::Value = serde_json::from_str(&came).unwrap();
    assert_eq!((&came["level"], &came["user"]), (&json!("INFO"), &json!("ada")));
    assert_eq!(came["message"], "logged in");

    let answered = async || {
        let question = "which addresses failed to sign in to callboard?";
        let answer = ada.ask(&Ask { use_cache: false, ..Ask::new(question) }).await.response;
        answer.contains("203.0.113.10").then_some(answer)
    };
    let answer = eventually_some(PATIENCE, answered).await;
    assert!(answer.contains("`198.51.100.23`** occurs most often: in 7 lines"), "{answer}");
    assert!(answer.contains("203.0.113.9"), "{answer}");
    assert!(!answer.contains("192.0.2.77"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_a_socket_that_may_not_be_opened() {
    let launch = Launch::on(Database::Sqlite).await;
    let data = launch.folder().join("data");
    std::fs::create_dir(&data).unwrap();
    let socket = data.join("callboard.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(launch.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut health = launch.command(&["health"]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Nothing is closed to root.
        health.uid(65_534);
    }
    let why = run(health).await.badly(1);
    assert!(why.contains("callboard.sock may not be opened by this user"), "{why}");
    assert!(!why.contains("no server listens"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_nobody_reads_serves_on_and_ends() {
    let launch = Launch::on(Database::Sqlite).await.set("telemetry.filter=trace");
    let mut command = launch.command(&["serve", "--listen", "127.0.0.1:0"]);
    // Nobody reads from either pipe, which takes 64 KiB.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let socket = launch.folder().join("data/callboard.sock");
    let http = || {
        let builder = reqwest::Client::builder().unix_socket(socket.clone()).no_proxy();
        builder.timeout(Duration::from_secs(5)).build().unwrap()
    };
    let ready = async || {
        let asked = http().get("http://callboard/health/ready").send().await.ok()?;
        asked.status().is_success().then_some(())
    };
    eventually_some(PATIENCE, ready).await;
    for _ in 0..400 {
        let live = http().get("http://callboard/health/live").send().await.unwrap();
        assert_eq!(live.status(), StatusCode::OK);
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let ended = eventually_some(PATIENCE, async || child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_of_the_log_is_written() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada: Client = server.admin().await;
    ada.request(Method::GET, "/auth/me").send().await.unwrap();
    let launch = server.stop().await;
    let log = std::fs::read_to_string(launch.folder().join("stderr")).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.contains("goodbye") && last.contains("on_terminal"), "{last}");
}
