//! Who may call what: every route of the server's own document with every role; and who may read
//! the metrics. Request ids, which every answer has, are looked at here too.

use std::collections::BTreeSet;

use callboard_protocol::{ErrorBody, ErrorCode, RequestId, Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server};

/// The least that a caller must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    Anybody,
    Viewer,
    Analyst,
    Admin,
    /// On the Unix socket in the data folder.
    Local,
    /// On this machine, or with the metrics token.
    Machine,
}

/// All routes. A change of this table is a change of who may do what.
#[rustfmt::skip]
const ROUTES: &[(&str, &str, Least)] = &[
    ("GET",    "/api/v1/auth/setup",                  Least::Anybody),
    ("POST",   "/api/v1/auth/setup",                  Least::Anybody),
    ("POST",   "/api/v1/auth/login",                  Least::Anybody),
    ("POST",   "/api/v1/auth/refresh",                Least::Anybody),
    ("POST",   "/api/v1/auth/link",                   Least::Anybody),
    ("GET",    "/health/live",                        Least::Anybody),
    ("GET",    "/health/ready",                       Least::Anybody),
    ("GET",    "/metrics",                            Least::Machine),
    ("GET",    "/api/v1/auth/me",                     Least::Viewer),
    ("POST",   "/api/v1/auth/password",               Least::Viewer),
    ("GET",    "/api/v1/auth/second-factor",          Least::Viewer),
    ("POST",   "/api/v1/auth/second-factor",          Least::Viewer),
    ("POST",   "/api/v1/auth/second-factor/confirm",  Least::Viewer),
    ("DELETE", "/api/v1/auth/second-factor",          Least::Viewer),
    ("GET",    "/api/v1/auth/sessions",               Least::Viewer),
    ("DELETE", "/api/v1/auth/sessions",               Least::Viewer),
    ("DELETE", "/api/v1/auth/sessions/{id}",          Least::Viewer),
    ("POST",   "/api/v1/assistant/chat",              Least::Viewer),
    ("POST",   "/api/v1/assistant/turns/{id}/cancel", Least::Viewer),
    ("GET",    "/api/v1/conversations",               Least::Viewer),
    ("GET",    "/api/v1/conversations/search",        Least::Viewer),
    ("GET",    "/api/v1/conversations/{id}",          Least::Viewer),
    ("PATCH",  "/api/v1/conversations/{id}",          Least::Viewer),
    ("DELETE", "/api/v1/conversations/{id}",          Least::Viewer),
    ("GET",    "/api/v1/conversations/{id}/messages", Least::Viewer),
    ("GET",    "/api/v1/logs/search",                 Least::Viewer),
    ("GET",    "/api/v1/logs/patterns",               Least::Viewer),
    ("GET",    "/api/v1/logs/tail",                   Least::Viewer),
    ("GET",    "/api/v1/logs/facets",                 Least::Viewer),
    ("GET",    "/api/v1/logs/export",                 Least::Viewer),
    ("GET",    "/api/v1/logs/histogram",              Least::Viewer),
    ("GET",    "/api/v1/logs/count",                  Least::Viewer),
    ("GET",    "/api/v1/logs/compare",                Least::Viewer),
    ("GET",    "/api/v1/logs/anomalies",              Least::Viewer),
    ("GET",    "/api/v1/logs/lines/{id}",             Least::Viewer),
    ("GET",    "/api/v1/logs/stats",                  Least::Viewer),
    ("GET",    "/ws/assistant",                       Least::Viewer),
    ("GET",    "/ws/assistant/{session_id}",          Least::Viewer),
    ("GET",    "/api/v1/keys",                        Least::Viewer),
    ("POST",   "/api/v1/keys",                        Least::Viewer),
    ("DELETE", "/api/v1/keys/{id}",                   Least::Viewer),
    ("GET",    "/api/v1/usage",                       Least::Viewer),
    ("POST",   "/v1/chat/completions",                Least::Viewer),
    ("POST",   "/v1/responses",                       Least::Viewer),
    ("POST",   "/v1/messages",                        Least::Viewer),
    ("POST",   "/v1/embeddings",                      Least::Viewer),
    ("GET",    "/v1/models",                          Least::Viewer),
    ("GET",    "/v1/models/{model}",                  Least::Viewer),
    ("POST",   "/api/v1/logs/upload",                 Least::Analyst),
    ("POST",   "/api/v1/logs/push",                   Least::Analyst),
    ("POST",   "/api/v1/logs/preview",                Least::Analyst),
    ("POST",   "/loki/api/v1/push",                   Least::Analyst),
    ("POST",   "/v1/logs",                            Least::Analyst),
    ("POST",   "/journal/upload",                     Least::Analyst),
    ("GET",    "/elastic",                            Least::Analyst),
    ("GET",    "/elastic/",                           Least::Analyst),
    ("GET",    "/elastic/_license",                   Least::Analyst),
    ("GET",    "/elastic/_cluster/health",            Least::Analyst),
    ("POST",   "/elastic/_bulk",                      Least::Analyst),
    ("PUT",    "/elastic/_bulk",                      Least::Analyst),
    ("POST",   "/elastic/{index}/_bulk",              Least::Analyst),
    ("PUT",    "/elastic/{index}/_bulk",              Least::Analyst),
    ("GET",    "/api/v1/alerts",                      Least::Analyst),
    ("POST",   "/api/v1/alerts/preview",              Least::Analyst),
    ("GET",    "/api/v1/alerts/channels",             Least::Analyst),
    ("POST",   "/api/v1/alerts/channels/{name}/test", Least::Admin),
    ("GET",    "/api/v1/alerts/rules",                Least::Analyst),
    ("POST",   "/api/v1/alerts/rules",                Least::Admin),
    ("GET",    "/api/v1/alerts/rules/{id}",           Least::Analyst),
    ("PATCH",  "/api/v1/alerts/rules/{id}",           Least::Admin),
    ("DELETE", "/api/v1/alerts/rules/{id}",           Least::Admin),
    ("POST",   "/api/v1/alerts/rules/{id}/mute",      Least::Analyst),
    ("GET",    "/api/v1/jobs",                        Least::Analyst),
    ("GET",    "/api/v1/jobs/{id}",                   Least::Analyst),
    ("POST",   "/api/v1/jobs/{id}/cancel",            Least::Admin),
    ("GET",    "/api/v1/cache/stats",                 Least::Admin),
    ("GET",    "/api/v1/cache/health",                Least::Admin),
    ("POST",   "/api/v1/cache/invalidate",            Least::Admin),
    ("GET",    "/api/v1/budgets",                     Least::Viewer),
    ("GET",    "/api/v1/actors",                      Least::Admin),
    ("GET",    "/api/v1/providers",                   Least::Admin),
    ("POST",   "/api/v1/providers/{name}/reset",      Least::Admin),
    ("GET",    "/api/v1/models",                      Least::Admin),
    ("PUT",    "/api/v1/models/{name}",               Least::Admin),
    ("DELETE", "/api/v1/models/{name}",               Least::Admin),
    ("POST",   "/api/v1/config/reload",               Least::Admin),
    ("GET",    "/api/v1/usage/calls",                 Least::Viewer),
    ("POST",   "/api/v1/logs/reload",                 Least::Admin),
    ("GET",    "/api/v1/logs/holds",                  Least::Admin),
    ("POST",   "/api/v1/logs/holds",                  Least::Admin),
    ("DELETE", "/api/v1/logs/holds/{id}",             Least::Admin),
    ("GET",    "/api/v1/logs/sources",                Least::Admin),
    ("POST",   "/api/v1/logs/sources",                Least::Admin),
    ("GET",    "/api/v1/logs/sources/{id}",           Least::Admin),
    ("PATCH",  "/api/v1/logs/sources/{id}",           Least::Admin),
    ("DELETE", "/api/v1/logs/sources/{id}",           Least::Admin),
    ("GET",    "/api/v1/admin/users",                 Least::Admin),
    ("POST",   "/api/v1/admin/users",                 Least::Admin),
    ("GET",    "/api/v1/admin/users/{id}",            Least::Admin),
    ("PATCH",  "/api/v1/admin/users/{id}",            Least::Admin),
    ("DELETE", "/api/v1/admin/users/{id}",            Least::Admin),
    ("POST",   "/api/v1/admin/users/{id}/link",       Least::Admin),
    ("DELETE", "/api/v1/admin/users/{id}/second-factor", Least::Admin),
    ("GET",    "/api/v1/admin/users/{id}/sessions",   Least::Admin),
    ("DELETE", "/api/v1/admin/users/{id}/sessions",   Least::Admin),
    ("DELETE", "/api/v1/admin/users/{id}/sessions/{session}", Least::Admin),
    ("GET",    "/api/v1/admin/roles",                 Least::Admin),
    ("PUT",    "/api/v1/admin/roles/{name}",          Least::Admin),
    ("DELETE", "/api/v1/admin/roles/{name}",          Least::Admin),
    ("GET",    "/api/v1/admin/audit",                 Least::Admin),
    ("GET",    "/api/v1/admin/audit/export",          Least::Admin),
    ("GET",    "/api/v1/admin/audit/verify",          Least::Admin),
    ("POST",   "/api/v1/logs/ingest",                 Least::Local),
    // Last, since it ends the caller's session.
    ("POST",   "/api/v1/auth/logout",                 Least::Anybody),
];

/// Public routes that the document does not name: its own, its page, and the old system's health.
const UNDOCUMENTED: &[&str] = &[
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/api/v1/docs/errors",
    "/api/v1/health",
    "/api/health",
];

/// The query and the body of a request that is well-formed, so that nothing but the caller's role
/// can be wrong with it.
fn good(method: &str, path: &str) -> (&'static str, Option<Value>) {
    let end = path.rsplit("/api/").next().unwrap().trim_start_matches("v1/");
    let query = match end {
        "conversations/search" => "?q=word",
        "logs/upload" => "?name=app.log",
        "logs/push" => "?source=app",
        "cache/invalidate" => "?pattern=nothing",
        _ => "",
    };
    let body = match (method, end) {
        ("POST", "auth/setup") => json!({ "token": "x", "username": "x", "password": "x" }),
        ("POST", "auth/login") => json!({ "username": "nobody", "password": "x" }),
        ("POST", "auth/refresh") => json!({ "refresh_token": "x" }),
        ("POST", "auth/link") => json!({ "token": "x", "password": "x" }),
        ("POST", "auth/second-factor/confirm") | ("DELETE", "auth/second-factor") => {
            json!({ "code": "000000" })
        }
        ("POST", "auth/password") => json!({ "current": "x", "password": "x" }),
        ("POST", "admin/users") => json!({ "username": "x", "role": "viewer" }),
        ("PATCH", end) if end.starts_with("admin/users/") => json!({ "display_name": "x" }),
        ("PUT", end) if end.starts_with("admin/roles/") => json!({ "permissions": [] }),
        ("POST", "assistant/chat") => json!({ "content": "?" }),
        ("POST", "alerts/preview") => json!({ "condition": any_condition() }),
        ("POST", "alerts/rules") => json!({ "name": "x", "condition": any_condition() }),
        ("POST", end) if end.ends_with("/mute") => json!({ "for_s": 0 }),
        ("PATCH", end) if end.starts_with("alerts/rules/") => json!({ "enabled": true }),
        ("POST", "keys") => json!({ "name": "x", "scopes": ["models"] }),
        ("POST", "logs/ingest") => json!({ "path": "/nowhere" }),
        ("POST", "logs/preview") => json!({ "lines": "x" }),
        ("POST", "logs/holds") => json!({ "sources": "x", "reason": "x" }),
        ("POST", "logs/sources") => json!({ "name": "x", "path": "/nowhere" }),
        ("PATCH", end) if end.starts_with("logs/sources/") => json!({ "paused": true }),
        ("PATCH", _) => json!({ "title": "x" }),
        ("PUT", _) => json!({ "targets": [] }),
        ("POST", _) => json!({}),
        _ => return (query, None),
    };
    (query, Some(body))
}

fn any_condition() -> Value {
    json!({ "kind": "new_pattern", "window_s": 60 })
}

/// A path with something for each parameter; nothing there exists.
fn filled(path: &str) -> String {
    let line = if path.starts_with("/api/v1/logs/lines/") { "L1" } else { "" };
    let id = RequestId::new().to_string();
    let id = if line.is_empty() { id.as_str() } else { line };
    path.replace("{id}", id)
        .replace("{session_id}", id)
        .replace("{session}", id)
        .replace("{model}", "nobody")
        .replace("{name}", "nobody")
        .replace("{index}", "nobody")
}

/// Whether an answer is one for a caller who is this and should be at least that.
fn check(
    (status, code): (StatusCode, Option<ErrorCode>),
    path: &str,
    (is, least): (Least, Least),
    who: &str,
) {
    match code {
        Some(ErrorCode::Unauthenticated) => {
            assert!(is < least && is == Least::Anybody, "{who}");
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{who}");
        }
        Some(ErrorCode::Forbidden) => {
            assert!(is < least && is != Least::Anybody, "{who}");
            assert_eq!(status, StatusCode::FORBIDDEN, "{who}");
        }
        // Of these, this is the code for one that is not there.
        Some(ErrorCode::NotFound)
            if [
                "/keys/",
                "/providers/",
                "/models/",
                "/sources/",
                "/alerts/",
                "/holds/",
                "/admin/",
                "/second-factor",
                "/sessions/",
            ]
            .iter()
            .any(|of| path.contains(of)) =>
        {
            assert!(is >= least, "{who}");
        }
        Some(
            ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::InvalidToken
            | ErrorCode::Internal,
        ) => panic!("{who}: {code:?}"),
        _ => assert!(is >= least, "{who} {code:?}"),
    }
}

/// The methods and paths of the server's own document.
async fn documented(server: &Server) -> BTreeSet<(String, String)> {
    let document = reqwest::get(server.url("/api/v1/openapi.json")).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_call_is_told_so_before_anything_else_is_looked_at() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    server.admin().await;
    let viewer = server.user("vic", Role::VIEWER).await;
    for (method, path) in [
        (Method::POST, "/logs/ingest"),
        (Method::POST, "/logs/upload"),
        (Method::POST, "/cache/invalidate"),
        (Method::POST, "/jobs/not-an-id/cancel"),
        (Method::GET, "/jobs/not-an-id"),
    ] {
        let refused = viewer.refused(viewer.request(method.clone(), path)).await;
        assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden), "{path}");
        let url = server.url(&format!("/api/v1{path}"));
        let anonymous = reqwest::Client::new().request(method, url).send().await.unwrap();
        assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_for_its_role_and_those_above() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let admin = server.admin().await;
    let analyst = server.user("ann", Role::ANALYST).await;
    let viewer = server.user("vic", Role::VIEWER).await;
    let http = reqwest::Client::new();
    assert_eq!(
        documented(&server).await,
        ROUTES.iter().map(|(method, path, _)| ((*method).into(), (*path).into())).collect()
    );

    let callers: [(Option<&Client>, Least); 4] = [
        (None, Least::Anybody),
        (Some(&viewer), Least::Viewer),
        (Some(&analyst), Least::Analyst),
        (Some(&admin), Least::Admin),
    ];
    for (method, path, least) in ROUTES {
        // The old system's clients know no version.
        let old = match path.strip_prefix("/api/v1/") {
            Some(end) => format!("/api/{end}"),
            None => (*path).to_owned(),
        };
        for path in BTreeSet::from([filled(path), filled(&old)]) {
            for (client, is) in callers {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let (query, body) = good(method.as_str(), &path);
                let mut request =
                    http.request(method.clone(), server.url(&format!("{path}{query}")));
                if let Some(body) = &body {
                    request = request.json(body);
                }
                if let Some(client) = client {
                    request = request.bearer_auth(&client.token);
                }
                if *least == Least::Machine {
                    request = request.header("x-forwarded-for", "203.0.113.9");
                }
                let reply = request.send().await.unwrap();
                let status = reply.status();
                let who = format!("{method} {path} as {is:?}: {status}");
                assert!(reply.headers().contains_key("x-request-id"), "{who}");
                if path.starts_with("/v1/") {
                    // Its errors are in a vendor's words.
                    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                    assert_eq!(refused.contains(&status), is < *least, "{who}");
                    continue;
                }
                let code = match status.is_success() {
                    true => None,
                    false => Some(reply.json::<ErrorBody>().await.unwrap().code),
                };
                check((status, code), &path, (is, *least), &who);
            }
        }
    }
    for path in UNDOCUMENTED {
        let reply = http.get(server.url(path)).send().await.unwrap();
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_and_for_those_with_the_token() {
    let http = reqwest::Client::new();
    let launch = Launch::on(Database::Sqlite).await;
    let server = launch.set("server.metrics.token=a-long-metrics-token").start().await;
    let get = |token: Option<&str>, forwarded: bool| {
        let mut request = http.get(server.url("/metrics"));
        if forwarded {
            request = request.header("x-forwarded-for", "203.0.113.9");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async { request.send().await.unwrap().status() }
    };
    assert_eq!(get(None, false).await, StatusCode::OK);
    assert_eq!(get(None, true).await, StatusCode::UNAUTHORIZED);
    assert_eq!(get(Some("wrong"), true).await, StatusCode::UNAUTHORIZED);
    assert_eq!(get(Some("a-long-metrics-token"), true).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_bears_the_id_of_its_request() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let http = reqwest::Client::new();
    let ask = async |path: &str, id: Option<&str>| {
        let mut request = http.get(server.url(path));
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let reply = request.send().await.unwrap();
        let header = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
        let in_body = reply.json::<ErrorBody>().await.ok().map(|error| error.request_id);
        assert!(in_body.is_none_or(|id| id.to_string() == header), "{path}");
        header
    };
    let own = RequestId::new().to_string();
    for path in ["/health/live", "/api/v1/auth/me", "/api/v1/nowhere", "/api/v1/auth/login"] {
        assert_eq!(ask(path, Some(&own)).await, own, "{path}");
        let made = ask(path, None).await;
        assert_ne!(made, own);
        made.parse::<RequestId>().unwrap();
        // Anything else could forge a line of the log.
        let replaced = ask(path, Some("x request_id=1")).await;
        assert!(replaced.parse::<RequestId>().is_ok(), "{replaced}");
    }
    assert!(server.log().contains(&own), "the log names the request");
}
