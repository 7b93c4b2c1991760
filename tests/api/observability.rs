//! What watches the server: metrics, the dashboard that is made of them, and health.

use std::{collections::BTreeSet, path::Path};

use callboard_actors::Metrics;
use callboard_protocol::{
    Ask, ClientFrame, ErrorBody, ErrorCode, Health, Liveness, Readiness, ServerFrame,
};
use callboard_testkit::{FakeVendor, FlakyProxy, PATIENCE, Postgres, Redis, eventually_some};
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    cli::{Said, run},
    harness::{Client, Database, Launch, Server},
    ssh_log::{QUESTION, SshLog},
};

async fn text_of(url: String) -> String {
    let reply = reqwest::get(url).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    reply.text().await.unwrap()
}

/// The families of a text with their types.
fn families(text: &str) -> Vec<(&str, &str)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|family| family.split_once(' ').unwrap()).collect()
}

/// Does a little of everything.
async fn traffic(server: &Server, ada: &Client) {
    server.ingest(&server.write("auth.log", SshLog::of(30).text())).await;
    for _ in 0..2 {
        ada.ask(&Ask::new(QUESTION)).await;
    }
    let mut socket = ada.connect().await;
    socket.send_text("no frame").await;
    let refusal = socket.next().await;
    assert!(matches!(refusal, ServerFrame::Error { .. }), "{refusal:?}");
    socket.send(&ClientFrame::Ping).await;
    socket.next().await;
    ada.get::<Value>("/logs/lines/L1").await;
    text_of(server.url("/health/ready")).await;
    for path in ["/no/such/page", "/api/v1/no/such/route"] {
        reqwest::get(server.url(path)).await.unwrap();
    }
    socket.close(1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_exported_and_the_dashboard_names_no_other() {
    let vendor = FakeVendor::start().await;
    vendor.always(callboard_testkit::Reply::text(&["The first is [L1]."]));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set("telemetry.own_log.enabled=true");
    let launch = launch.set("providers.0.trusted=false");
    let server = launch.set("providers.0.output_usd_per_million=1000").start().await;
    let ada = server.admin().await;
    traffic(&server, &ada).await;
    let asked = serde_json::json!({
        "model": "fake-1",
        "messages": [{ "role": "user", "content": "mail ann@example.org" }],
    });
    let url = server.url("/v1/chat/completions");
    let call = |asked: &serde_json::Value| {
        reqwest::Client::new().post(&url).bearer_auth(&ada.token).json(asked)
    };
    assert!(call(&asked).send().await.unwrap().status().is_success());
    // A model that only the caller has heard of.
    let mut made_up = asked.clone();
    made_up["model"] = "fake/made-up".into();
    assert!(call(&made_up).send().await.unwrap().status().is_success());

    let names: BTreeSet<String> = Metrics::names().iter().map(|name| (*name).to_owned()).collect();
    // The server reads its own log once a second.
    let all_there = async || {
        let text = text_of(server.url("/metrics")).await;
        let there: BTreeSet<&str> = families(&text).into_iter().map(|(name, _)| name).collect();
        names.iter().all(|name| there.contains(name.as_str())).then_some(text)
    };
    let text = eventually_some(PATIENCE, all_there).await;
    let old_path = text_of(server.url("/api/metrics")).await;
    assert_eq!(families(&old_path), families(&text));
    for sample in [
        "ai_requests_total{model=\"fake-1\",status=\"ok\",task_type=\"log_question\"} 1",
        "ai_requests_total{model=\"other\",status=\"ok\",task_type=\"chat_completions\"} 1",
        "cache_operations_total{op=\"lookup\",result=\"hit\"} 1",
        "cache_keys_total 1",
        "log_lines_indexed_total{source=\"ingest\"} 30",
        "circuit_breaker_state{provider=\"fake\"} 0",
        "service_health{service=\"database\"} 1",
        "websocket_errors_total{type=\"invalid_json\"} 1",
        "ai_response_quality_score_sum 2",
        "http_requests_total{method=\"GET\",route=\"/api/v1/logs/lines/{id}\",status=\"200\"} 1",
        "http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"}",
    ] {
        assert!(text.lines().any(|line| line.starts_with(sample)), "{sample}\n{text}");
    }
    assert!(!text.contains("made-up"), "what a caller names is a label\n{text}");
    assert!(!text.contains("/no/such"), "a raw path is a label\n{text}");

    let exported: BTreeSet<String> = names
        .iter()
        .cloned()
        .chain(families(&text).into_iter().map(|(name, _)| name.to_owned()))
        .collect();
    let histograms: BTreeSet<&str> =
        families(&text).into_iter().filter(|(_, kind)| *kind == "histogram").map(|f| f.0).collect();
    let queried = queries();
    assert!(queried.len() > 15, "{queried:?}");
    for name in queried {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let part = base.is_some_and(|base| histograms.contains(base));
        assert!(part || exported.contains(&name) && !histograms.contains(name.as_str()), "{name}");
    }
}

/// The metrics that the dashboards and the rules in `deploy/` name.
fn queries() -> BTreeSet<String> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(deploy.join("grafana/dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        expressions(&serde_json::from_str(&text).unwrap(), &mut names);
    }
    for entry in std::fs::read_dir(deploy.join("prometheus")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let rules = text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("expr:"));
        rules.for_each(|rule| names.extend(metrics_in(rule.trim().trim_matches(['"', '\'']))));
    }
    names
}

fn expressions(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if key == "expr" => names.extend(metrics_in(text)),
                    // The variables of a dashboard are queries as well.
                    Some(text) if key == "query" && text.starts_with("label_values(") => {
                        let inner = text.trim_start_matches("label_values(");
                        names.extend(inner.split_once(',').map(|(name, _)| name.trim().to_owned()));
                    }
                    _ => expressions(value, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, names)),
        _ => {}
    }
}

/// The metrics that a PromQL expression names: its words, but for functions, keywords, labels and
/// ranges.
fn metrics_in(expression: &str) -> Vec<String> {
    const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    const KEYWORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];
    let mut names = Vec::new();
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        let skip_to = |end: char| rest.find(end).map_or(rest.len(), |at| at + 1);
        if c == '{' || c == '[' {
            rest = &rest[skip_to(if c == '{' { '}' } else { ']' })..];
            continue;
        }
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_:$.".contains(c)));
        let (word, after) = rest.split_at(word.unwrap_or(rest.len()));
        if word.is_empty() {
            rest = &rest[c.len_utf8()..];
            continue;
        }
        rest = after.trim_start();
        if GROUPING.contains(&word) {
            if rest.starts_with('(') {
                rest = &rest[rest.find(')').map_or(rest.len(), |at| at + 1)..];
            }
            continue;
        }
        let grouped = GROUPING.iter().any(|grouping| rest.starts_with(&format!("{grouping} (")));
        let name = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if name && !grouped && !rest.starts_with('(') && !KEYWORDS.contains(&word) {
            names.push(word.to_owned());
        }
    }
    names
}

#[test]
fn metrics_are_found_in_expressions() {
    let expression = "sum by (le) (rate(a_bucket{x=~\"b_total\"}[5m])) / 2 > on (c) group_left d_s";
    assert_eq!(metrics_in(expression), ["a_bucket", "d_s"]);
}

/// `/health/ready`: its status and what it says.
async fn ready(server: &Server) -> (StatusCode, Readiness) {
    let reply = reqwest::get(server.url("/health/ready")).await.unwrap();
    (reply.status(), reply.json().await.unwrap())
}

/// Waits until a dependency is in this state, and gives the status with which that is told.
async fn until(server: &Server, dependency: &str, health: Health) -> (StatusCode, Health) {
    let there = async || {
        let (status, readiness) = ready(server).await;
        let entry = readiness.dependencies.iter().find(|entry| entry.name == dependency).unwrap();
        assert_eq!(entry.message.is_none(), entry.health == Health::Up, "{entry:?}");
        (entry.health == health).then_some((status, readiness.health))
    };
    eventually_some(PATIENCE, there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redis_degrades_and_a_lost_database_stops_and_both_come_back() {
    let (Some(redis), Some(postgres)) = (Redis::create().await, Postgres::create().await) else {
        return;
    };
    let address: reqwest::Url = postgres.url().parse().unwrap();
    let port = address.port().unwrap_or(5432);
    let proxy = FlakyProxy::start(address.host_str().unwrap(), port).await;
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set(format!("database.url={}", proxy.url(postgres.url())));
    let launch = launch.set(format!("redis.url={}", redis.url()));
    let server = launch.set("redis.timeout_ms=1000").start().await;
    let ada = server.admin().await;

    let (status, readiness) = ready(&server).await;
    assert_eq!((status, readiness.health), (StatusCode::OK, Health::Up), "{readiness:?}");
    let names: Vec<&str> = readiness.dependencies.iter().map(|entry| entry.name.as_str()).collect();
    let expected = [
        "database",
        "migrations",
        "log_index",
        "usage_ledger",
        "cache",
        "redis",
        "provider:fake",
        "provider:extractive",
        "actors",
    ];
    assert_eq!(names, expected);

    redis.proxy.cut();
    assert_eq!(until(&server, "redis", Health::Degraded).await, (StatusCode::OK, Health::Degraded));
    redis.proxy.resume();
    assert_eq!(until(&server, "redis", Health::Up).await, (StatusCode::OK, Health::Up));

    proxy.cut();
    let down = (StatusCode::SERVICE_UNAVAILABLE, Health::Down);
    assert_eq!(until(&server, "database", Health::Down).await, down);
    let metrics = text_of(server.url("/metrics")).await;
    assert!(metrics.contains("service_health{service=\"database\"} 0\n"));
    let live = text_of(server.url("/health/live")).await;
    assert!(serde_json::from_str::<Liveness>(&live).unwrap().version.starts_with("0."));
    let (status, code) = ada.refused(ada.request(reqwest::Method::GET, "/conversations")).await;
    assert_eq!((status, code), (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::StorageUnavailable));
    proxy.resume();
    assert_eq!(until(&server, "database", Health::Up).await, (StatusCode::OK, Health::Up));
    // Silence is no better than a refusal.
    proxy.stall();
    assert_eq!(until(&server, "database", Health::Down).await, down);
    proxy.resume();
    assert_eq!(until(&server, "database", Health::Up).await, (StatusCode::OK, Health::Up));
    assert_eq!(ada.ask(&Ask::new("is all well?")).await.response, "All is well.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_still_starting_says_so() {
    let Some(postgres) = Postgres::create().await else { return };
    let address: reqwest::Url = postgres.url().parse().unwrap();
    let port = address.port().unwrap_or(5432);
    let proxy = FlakyProxy::start(address.host_str().unwrap(), port).await;
    let launch = Launch::on(Database::Sqlite).await;
    let launch = launch.set(format!("database.url={}", proxy.url(postgres.url())));
    let socket = launch.folder().join("data/callboard.sock");
    let asking = || launch.command(&["health"]);
    let mut healths: Vec<_> = (0..400).map(|_| asking()).collect();
    proxy.stall();
    let looked = async {
        let said: Said = eventually_some(PATIENCE, async || {
            let said = run(healths.pop().unwrap()).await;
            said.stdout.contains("migrations").then_some(said)
        })
        .await;
        assert!(said.stdout.starts_with("down      migrations"), "{}", said.stdout);
        assert!(said.badly(1).contains("the server is not ready"));
        let http = reqwest::Client::builder().unix_socket(socket).no_proxy().build().unwrap();
        let get =
            async |path: &str| http.get(format!("http://callboard{path}")).send().await.unwrap();
        assert_eq!(get("/health/live").await.status(), StatusCode::OK);
        assert_eq!(get("/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        for path in ["/api/v1/logs/stats", "/api/v1/auth/setup"] {
            let reply = get(path).await;
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(reply.headers().contains_key("retry-after"), "{path}");
            assert_eq!(
                reply.json::<ErrorBody>().await.unwrap().code,
                ErrorCode::NotReady,
                "{path}"
            );
        }
        proxy.resume();
    };
    let (server, ()) = tokio::join!(launch.start(), looked);
    assert_eq!(ready(&server).await.0, StatusCode::OK);
    server.admin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_still_starting_can_be_ended() {
    let Some(postgres) = Postgres::create().await else { return };
    let address: reqwest::Url = postgres.url().parse().unwrap();
    let port = address.port().unwrap_or(5432);
    let proxy = FlakyProxy::start(address.host_str().unwrap(), port).await;
    proxy.stall();
    let launch = Launch::on(Database::Sqlite).await;
    let launch = launch.set(format!("database.url={}", proxy.url(postgres.url())));
    let mut child = launch.command(&["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    proxy.until_connections(1).await;
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.unwrap().success());
    let ended = eventually_some(PATIENCE, async || child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
}
