//! Lines to keep, and how many there are of each kind.

use callboard_protocol::{ErrorCode, Level, LogFacets, LogLine};
use reqwest::{Method, StatusCode};

use crate::{
    harness::{Client, Database, Launch, Server},
    ssh_log::with_query,
};

async fn start(lines: usize) -> (Server, Client) {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let line = |n: usize| {
        let level = if n.is_multiple_of(10) { "ERROR" } else { "INFO" };
        format!("2026-11-20 10:{:02}:{:02} {level} line {n}\n", n / 60 % 60, n % 60)
    };
    let log: String = (0..lines).map(line).collect();
    let path = server.write("app.log", log);
    server.ingest(&path).await;
    (server, ada)
}

async fn export(client: &Client, query: &[(&str, &str)]) -> (String, String, String) {
    let path = with_query("/logs/export", query);
    let reply = client.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let header = |name| reply.headers()[name].to_str().unwrap().to_owned();
    let (kind, name) = (header("content-type"), header("content-disposition"));
    (kind, name, reply.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_match_come_as_a_file() {
    // More than are read at once.
    let (server, ada) = start(12_000).await;
    let (kind, name, text) = export(&ada, &[]).await;
    assert!(kind.starts_with("text/plain") && name.contains("callboard.log"), "{kind} {name}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 12_000);
    assert!(lines.iter().collect::<std::collections::HashSet<_>>().len() == 12_000);
    let (kind, _, json) = export(&ada, &[("format", "ndjson"), ("level", "error")]).await;
    assert_eq!(kind, "application/x-ndjson");
    let lines = json.lines().map(|line| serde_json::from_str::<LogLine>(line).unwrap());
    let lines: Vec<LogLine> = lines.collect();
    assert!(lines.len() == 1_200 && lines.iter().all(|line| line.level == Level::Error));

    let path = server.write("evil.log", "=HYPERLINK(\"http://evil.example.org\"), \"click\"\n");
    server.ingest(&path).await;
    let (_, _, csv) = export(&ada, &[("format", "csv"), ("q", "hyperlink OR \"line 7\"")]).await;
    let mut rows = csv.lines();
    assert_eq!(rows.next(), Some("id,timestamp,level,source,text"));
    let own = rows.next().unwrap();
    assert!(own.contains(",2026-11-20T10:00:07.000Z,info,"), "{own}");
    let evil = rows.next().unwrap();
    assert!(evil.contains(r#","'=HYPERLINK(""http"#), "{evil}");
    assert_eq!(rows.next(), None);
    let (_, _, few) = export(&ada, &[("limit", "3")]).await;
    assert_eq!(few.lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_export_is_said_before_it_begins() {
    let (_server, ada) = start(1).await;
    for (query, code) in [
        (&[("q", "(")][..], ErrorCode::InvalidQuery),
        (&[("limit", "0")], ErrorCode::InvalidParameter),
        (&[("limit", "1000001")], ErrorCode::InvalidParameter),
        (&[("format", "xlsx")], ErrorCode::InvalidParameter),
    ] {
        let path = with_query("/logs/export", query);
        let refused = ada.refused(ada.request(Method::GET, &path)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, code), "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facets_count_each_kind_in_one_go() {
    let (server, ada) = start(600).await;
    let path = server.write("other.log", "2026-11-20 11:00:00 WARN something\n");
    server.ingest(&path).await;
    let facets: LogFacets = ada.get("/logs/facets").await;
    let levels: Vec<_> = facets.levels.iter().map(|one| (one.level, one.count)).collect();
    assert_eq!(levels, [(Level::Info, 540), (Level::Warn, 1), (Level::Error, 60)]);
    let sources: Vec<u64> = facets.sources.iter().map(|one| one.count).collect();
    assert_eq!((facets.matched, sources), (601, vec![600, 1]));
    assert_eq!(facets.histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 601);
    let errors: LogFacets = ada.get(&with_query("/logs/facets", &[("level", "error")])).await;
    assert_eq!((errors.matched, errors.levels.len(), errors.sources.len()), (60, 1, 1));
    let refused = ada.refused(ada.request(Method::GET, "/logs/facets?q=%22")).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidQuery));
}
