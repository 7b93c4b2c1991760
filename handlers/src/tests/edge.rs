//! The gate while the server starts, the metrics' readers, the Unix socket, and the documents.

use actix_web::{App, HttpServer, http::StatusCode, middleware::from_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Server, auth_config, call, closed_edge, get};
use crate::{EdgeConfig, LocalPeer, MetricsConfig, observe};

#[actix_web::test]
async fn until_it_is_open_the_edge_says_that_it_is_not_ready() {
    let edge = closed_edge(EdgeConfig::default());
    for uri in ["/api/v1/auth/setup", "/api/v1/conversations", "/ws/assistant"] {
        let reply = call(&edge, get(uri)).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
        );
        assert_eq!(reply.header("retry-after"), "1");
    }
    let ready = call(&edge, get("/health/ready")).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["dependencies"][0]["name"], "migrations");
    for uri in ["/health/live", "/api/v1/openapi.json", "/api/docs/errors"] {
        assert_eq!(call(&edge, get(uri)).await.status, StatusCode::OK, "{uri}");
    }
}

#[actix_web::test]
async fn metrics_are_for_this_machine_and_for_those_with_the_token() {
    let token = "a-long-metrics-token".to_owned();
    let config = EdgeConfig {
        metrics: MetricsConfig { token: Some(token.clone().into()) },
        ..EdgeConfig::default()
    };
    let edge = closed_edge(config);
    let plain = closed_edge(EdgeConfig::default());
    let from = |peer: &str| get("/api/metrics").peer_addr(format!("{peer}:1").parse().unwrap());
    let showing =
        |token: &str| from("192.0.2.1").insert_header(("authorization", format!("Bearer {token}")));
    assert_eq!(call(&edge, from("127.0.0.1")).await.status, StatusCode::OK);
    assert_eq!(call(&edge, showing(&token)).await.status, StatusCode::OK);
    assert_eq!(call(&edge, from("192.0.2.1")).await.code(), "unauthenticated");
    assert_eq!(call(&edge, showing("wrong")).await.code(), "invalid_token");
    assert_eq!(call(&plain, showing(&token)).await.code(), "forbidden");
    let forwarded = from("127.0.0.1").insert_header(("x-forwarded-for", "192.0.2.1"));
    assert_eq!(call(&edge, forwarded).await.code(), "unauthenticated");
}

/// The head of the answer, and what came with it, over a real connection that is marked as a Unix
/// socket's.
async fn over_local_socket(server: &Server, request: &str) -> String {
    let edge = server.edge.clone();
    let http = HttpServer::new(move || {
        let edge = edge.clone();
        App::new().configure(move |app| edge.configure(app)).wrap(from_fn(observe))
    })
    .on_connect(|_, extensions| {
        extensions.insert(LocalPeer);
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let address = http.addrs()[0];
    let running = http.run();
    let handle = running.handle();
    let running = actix_web::rt::spawn(running);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A socket stays open after its head; everything else ends with the connection.
    while !(answer.starts_with(b"HTTP/1.1 101") && answer.windows(4).any(|end| end == b"\r\n\r\n"))
        && stream.read_buf(&mut answer).await.unwrap() > 0
    {}
    drop(stream);
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn whoever_may_open_the_unix_socket_is_the_local_operator() {
    let server = Server::start().await;
    let me = "GET /api/v1/auth/me HTTP/1.1\r\nhost: local\r\nconnection: close\r\n\r\n";
    let answer = over_local_socket(&server, me).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"username\":\"local\"") && answer.contains("\"admin\""), "{answer}");

    let body = "{\"path\": \"relative\"}";
    let ingest = format!(
        "POST /api/v1/logs/ingest HTTP/1.1\r\nhost: local\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = over_local_socket(&server, &ingest).await;
    assert!(answer.contains("validation_failed"), "{answer}");
}

#[actix_web::test]
async fn the_api_can_be_browsed_without_loosening_the_page() {
    let server = Server::with(EdgeConfig::default(), auth_config()).await;
    let root = server.call(get("/api/docs")).await;
    assert_eq!(root.header("location"), "/api/docs/");
    let index = server.call(get("/api/docs/")).await;
    assert_eq!(index.status, StatusCode::OK);
    assert!(index.text.contains("swagger-ui"));
    assert!(!index.text.contains("<script>"), "an inline script would not run");
    assert!(index.header("content-security-policy").contains("'unsafe-inline'"));
    let start = server.call(get("/api/docs/swagger-initializer.js")).await;
    assert!(start.text.contains("/api/v1/openapi.json"), "{}", start.text);
    let errors = server.call(get("/api/docs/errors")).await;
    assert!(!errors.header("content-security-policy").contains("unsafe"));
    let page = server.call(get("/")).await;
    assert!(!page.header("content-security-policy").contains("unsafe"));
    let document = server.call(get("/api/openapi.json")).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
}

#[actix_web::test]
async fn the_page_is_served_from_its_folder_with_the_right_caching() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("assets/app-1a2b.js"), "run()").unwrap();
    let config = EdgeConfig { web_folder: Some(folder.path().to_owned()), ..EdgeConfig::default() };
    let edge = closed_edge(config);
    let unbuilt = call(&edge, get("/")).await;
    assert_eq!(unbuilt.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(unbuilt.text.contains("not built"), "{}", unbuilt.text);

    std::fs::write(folder.path().join("index.html"), "<!doctype html>").unwrap();
    for uri in ["/", "/setup", "/sign-in?next=/logs", "/logs?q=x", "/logs/", "/c/0192"] {
        let page = call(&edge, get(uri)).await;
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "<!doctype html>"), "{uri}");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert!(page.header("content-security-policy").contains("trusted-types app"));
    }
    // The page says there what is not there.
    for uri in ["/login", "/nonsense", "/c", "/c/0192/x", "/logs/x", "/conversations/0192"] {
        let page = call(&edge, get(uri).insert_header(("if-none-match", "*"))).await;
        let said = (page.status, page.text.as_str());
        assert_eq!(said, (StatusCode::NOT_FOUND, "<!doctype html>"), "{uri}");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert!(page.header("content-type").starts_with("text/html"));
    }
    let asset = call(&edge, get("/assets/app-1a2b.js")).await;
    assert_eq!(asset.text, "run()");
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(call(&edge, get("/assets/app-old.js")).await.code(), "not_found");
}

#[actix_web::test]
async fn a_proxy_in_front_of_the_unix_socket_is_not_the_operator() {
    let server = Server::start().await;
    let me = "GET /api/v1/auth/me HTTP/1.1\r\nhost: local\r\nx-forwarded-for: 192.0.2.1\r\n\
              connection: close\r\n\r\n";
    let answer = over_local_socket(&server, me).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[actix_web::test]
async fn a_socket_is_opened_for_pages_of_ours_alone() {
    let server = Server::start().await;
    let open = |origin: &str| {
        format!(
            "GET /ws/assistant HTTP/1.1\r\nhost: logs.test\r\norigin: {origin}\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let answer = over_local_socket(&server, &open("http://logs.test")).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let refused = open("http://evil.test").replace("connection: upgrade", "connection: close");
    let answer = over_local_socket(&server, &refused).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("origin_refused"), "{answer}");
}
