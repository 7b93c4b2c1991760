//! Who sees which logs: of sources that are not theirs, nothing reaches anybody, by no way.

use callboard_protocol::{
    Answer, Ask, ClientFrame, ErrorCode, LogCount, LogFacets, LogHistogram, LogPage, LogStats,
    PatternPage, RoleDetails, ServerFrame, TailSearch,
};
use callboard_testkit::{FakeVendor, Reply};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{Client, Database, Launch, Server, fresh, read},
    ssh_log::with_query,
};

const WEB: &str = "\
2026-11-21T03:00:00Z ERROR web: checkout of cart 17 failed
2026-11-21T03:00:01Z INFO web: request served in 5 ms
";
const PAYROLL: &str = "\
2026-11-21T03:00:00Z ERROR payroll: checkout of salary of Eve is sum-zx4711 failed
2026-11-21T03:00:02Z ERROR payroll: salary run stopped
2026-11-21T03:00:03Z INFO payroll: salary of Mallory is zx9000
";

/// What of the hidden source nobody is to see who may not.
const SECRETS: [&str; 3] = ["zx4711", "Mallory", "salary run"];

/// An administrator, and Vic, who sees `web.log` alone.
async fn start(launch: Launch) -> (Server, Client, Client) {
    let server = launch.start().await;
    server.ingest(&server.write("web.log", WEB)).await;
    server.ingest(&server.write("payroll.log", PAYROLL)).await;
    let admin = server.admin().await;
    let role = json!({
        "permissions": ["account_use", "chat_use", "logs_read", "keys_use", "gateway_use"],
        "sources": ["*web.log"],
    });
    let _: RoleDetails = read(admin.request(Method::PUT, "/admin/roles/web").json(&role)).await;
    let vic = server.user("vic", "web".parse().unwrap()).await;
    (server, admin, vic)
}

fn assert_safe(told: &str) {
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_of_the_logs_keeps_to_ones_own_sources() {
    let (_server, admin, vic) = start(Launch::on(Database::Sqlite).await).await;
    let all: LogPage = admin.get("/logs/search").await;
    assert_eq!(all.matched, 5);
    let found: LogPage = vic.get("/logs/search").await;
    assert_eq!(found.matched, 2);
    let facets: LogFacets = vic.get("/logs/facets").await;
    assert_eq!((facets.matched, facets.sources.len()), (2, 1));
    let histogram: LogHistogram = vic.get("/logs/histogram").await;
    assert_eq!(histogram.matched, 2);
    let stats: LogStats = vic.get("/logs/stats").await;
    assert_eq!((stats.lines, stats.sources.len()), (2, 1));
    let count: LogCount = vic.get("/logs/count?by=source").await;
    assert_eq!(count.groups.len(), 1);
    let patterns: PatternPage = vic.get("/logs/patterns").await;
    assert_eq!(patterns.matched, 2);
    let span = "from=2026-11-21T03:00:00Z&to=2026-11-21T03:01:00Z";
    for path in [
        "/logs/search?q=salary".to_owned(),
        "/logs/search?q=source:payroll".to_owned(),
        "/logs/patterns?order=newest".to_owned(),
        format!("/logs/compare?{span}"),
        "/logs/anomalies?at=2026-11-21T03:00:10Z".to_owned(),
        "/logs/export?format=csv".to_owned(),
        "/logs/export?format=text&q=salary".to_owned(),
        "/logs/count?by=pattern".to_owned(),
        "/logs/count?by=user".to_owned(),
    ] {
        let reply = vic.request(Method::GET, &path).send().await.unwrap();
        assert_safe(&reply.text().await.unwrap());
    }
    let hidden = all.lines.iter().find(|line| line.text.contains("Mallory")).unwrap().id;
    let line = vic.refused(vic.request(Method::GET, &format!("/logs/lines/{hidden}"))).await;
    assert_eq!(line.1, ErrorCode::LineNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_keeps_to_ones_own_sources_and_ends_with_the_right_to_them() {
    let launch = Launch::on(Database::Sqlite).await.set("session.heartbeat_s=2");
    let (server, admin, vic) = start(launch).await;
    let mut socket = vic.connect().await;
    let search = TailSearch { lines: Some(10), ..TailSearch::default() };
    socket.send(&ClientFrame::Tail { search, after: None }).await;
    let is_tail = |frame: &ServerFrame| matches!(frame, ServerFrame::Tail { .. });
    let frames = socket.next_until(is_tail).await;
    assert_safe(&format!("{frames:?}"));
    let more = "2026-11-21T03:00:09Z ERROR payroll: salary run stopped again\n";
    server.ingest(&server.write("more-payroll.log", more)).await;
    server.ingest(&server.write("more-web.log", "2026-11-21T03:00:10Z ERROR web: again\n")).await;
    let frames = socket.next_until(is_tail).await;
    assert_safe(&format!("{frames:?}"));
    let path = with_query("/logs/tail", &[("lines", "10")]);
    let mut reply = vic.request(Method::GET, &path).send().await.unwrap();
    let first = reply.chunk().await.unwrap().unwrap();
    assert_safe(std::str::from_utf8(&first).unwrap());

    let nothing = json!({ "permissions": ["account_use", "chat_use"], "sources": [] });
    let _: RoleDetails = read(admin.request(Method::PUT, "/admin/roles/web").json(&nothing)).await;
    let ended = socket.next_until(|frame| matches!(frame, ServerFrame::Error { .. })).await;
    assert!(format!("{ended:?}").contains("what you may see has changed"), "{ended:?}");
    while let Some(piece) = reply.chunk().await.unwrap() {
        assert_safe(std::str::from_utf8(&piece).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_told_from_ones_own_sources_also_out_of_the_cache() {
    let (_server, admin, vic) = start(Launch::on(Database::Sqlite).await).await;
    let question = "What failed at checkout?";
    let told: Answer = admin.ask(&Ask::new(question)).await;
    assert!(told.response.contains("zx4711"), "{}", told.response);
    let told: Answer = vic.ask(&Ask::new(question)).await;
    assert!(told.response.contains("cart 17"), "{}", told.response);
    assert_safe(&format!("{told:?}"));
    for question in
        ["What does payroll.log say?", "Whose salary is highest?", "Which sources are there?"]
    {
        assert_safe(&format!("{:?}", vic.ask(&fresh(question)).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_asks_for_everything_gets_what_its_asker_may_see() {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let (_server, _admin, vic) = start(launch).await;
    let calls = [
        ("search_logs", r#"{"query":"salary"}"#),
        ("search_logs", r#"{"query":"source:payroll.log"}"#),
        ("count_logs", r#"{"query":"","of":"names"}"#),
        ("histogram", r#"{"query":""}"#),
        ("patterns", r#"{"query":""}"#),
        ("count_by", r#"{"query":"","by":"source"}"#),
        ("compare", r#"{"query":"","from":"2026-11-21T03:00:00Z","to":"2026-11-21T03:01:00Z"}"#),
        ("anomalies", r#"{"query":"","to":"2026-11-21T03:00:10Z"}"#),
        ("line_context", r#"{"line":"L3"}"#),
        ("list_sources", "{}"),
    ];
    for (tool, arguments) in calls {
        vendor.script([
            Reply::text(&["Let me look."]).tool_call("call_1", tool, arguments),
            Reply::text(&["Well. [L3]"]),
        ]);
        let told = vic.ask(&fresh("What is in the logs?")).await;
        assert_safe(&format!("{told:?}"));
    }
    for request in vendor.requests() {
        let sent = request.body.to_string();
        // What the model was sent for Vic; the words of the calls are its own.
        assert_safe(&sent);
        assert!(!sent.contains("payroll.log:"), "{sent}");
    }
}
