//! Behind a real nginx with `deploy/nginx/callboard.conf`: answers and sockets pass as they come.

use callboard_protocol::{ClientFrame, ErrorCode, Job, ServerFrame};
use callboard_testkit::{FakeVendor, Nginx, PATIENCE, Place, Reply, WsTarget};
use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode, Version, redirect::Policy};
use serde_json::json;

use crate::harness::{Client, Database, Launch, fresh};

const DEPLOYED: &str = include_str!("../../deploy/nginx/callboard.conf");

/// The file that operators are given, on free ports: by TLS, without it, and where it redirects.
fn deployed(place: &Place, upstream: &str) -> String {
    let Place { ports: [tls, plain, redirect], certificate, key } = place;
    let replaced = [
        ("server 127.0.0.1:8080;", format!("server {upstream};")),
        (
            "listen 443 ssl http2;",
            format!("listen 127.0.0.1:{tls} ssl http2; listen 127.0.0.1:{plain};"),
        ),
        ("listen [::]:443 ssl http2;", String::new()),
        ("listen 80;", format!("listen 127.0.0.1:{redirect};")),
        ("listen [::]:80;", String::new()),
        ("/etc/ssl/callboard/fullchain.pem", certificate.display().to_string()),
        ("/etc/ssl/callboard/privkey.pem", key.display().to_string()),
    ];
    replaced.iter().fold(DEPLOYED.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_sockets_pass_as_they_come() {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(Database::Sqlite)
        .await
        .provider(&vendor)
        // The same as `public_url` says of origins, without its link at the start.
        .set(r#"server.allowed_origins=["https://callboard.example.org"]"#)
        .set(r#"server.trusted_proxies=["127.0.0.1"]"#)
        .start()
        .await;
    let ada = server.admin().await;
    let upstream = server.url("").trim_start_matches("http://").to_owned();
    let Some(nginx) = Nginx::start(|place| deployed(place, &upstream)).await else { return };

    let pem = std::fs::read(&nginx.place().certificate).unwrap();
    let browser = reqwest::Client::builder()
        .tls_certs_merge([reqwest::Certificate::from_pem(&pem).unwrap()])
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let [_, plain, redirect] = nginx.place().ports;
    let page = browser.get(nginx.url()).send().await.unwrap();
    assert_eq!((page.status(), page.version()), (StatusCode::OK, Version::HTTP_2));
    let moved = browser.get(format!("http://127.0.0.1:{redirect}/x")).send().await.unwrap();
    assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
    let metrics = browser.get(format!("{}/metrics", nginx.url())).send().await.unwrap();
    assert_eq!(metrics.status(), StatusCode::NOT_FOUND);

    a_stream_is_not_held_back(&vendor, &nginx, &browser, &ada).await;
    a_socket_is_one(&vendor, plain, &ada).await;

    // More than nginx would take by itself.
    let lines = "Nov 26 10:00:00 web-1 sshd[1]: Connection closed by 192.0.2.1\n".repeat(40_000);
    assert!(lines.len() > 2_000_000);
    let upload = format!("{}/api/v1/logs/upload?name=big.log", nginx.url());
    let taken = browser.post(upload).bearer_auth(&ada.token).body(lines).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::ACCEPTED);
    let job: Job = taken.json().await.unwrap();
    assert_eq!(job.title, "index big.log");
}

/// What the provider says reaches the reader before the provider says more.
async fn a_stream_is_not_held_back(
    vendor: &FakeVendor,
    nginx: &Nginx,
    browser: &reqwest::Client,
    ada: &Client,
) {
    vendor.hold();
    vendor.always(Reply::text(&["one ", "two"]).gate_after(1));
    let body = json!({
        "model": "fake", "stream": true, "messages": [{ "role": "user", "content": "hi" }],
    });
    let request = browser.request(Method::POST, format!("{}/v1/chat/completions", nginx.url()));
    let reply = request.bearer_auth(&ada.token).json(&body).send().await.unwrap();
    assert_eq!((reply.status(), reply.version()), (StatusCode::OK, Version::HTTP_2));
    let mut stream = reply.bytes_stream();
    let mut text = String::new();
    while !text.contains("one ") {
        text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(!text.contains("two"), "{text}");
    vendor.release();
    while let Some(piece) = stream.next().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    assert!(text.contains("two") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

async fn a_socket_is_one(vendor: &FakeVendor, port: u16, ada: &Client) {
    vendor.always(Reply::text(&["All", " is", " well."]));
    let url = format!("ws://127.0.0.1:{port}/ws/assistant");
    // As a page of another house it stays out, nginx or not.
    let foreign = WsTarget::new(&url).bearer(&ada.token).origin("https://evil.example.org");
    let refused = foreign.open().await.unwrap_err();
    assert!(refused.body.contains(ErrorCode::OriginRefused.as_str()), "{}", refused.body);
    let own = WsTarget::new(&url).bearer(&ada.token).origin("https://callboard.example.org");
    let mut socket = own.open().await.unwrap();
    socket.send(&ClientFrame::Message(fresh("how is it?"))).await;
    let text = socket
        .find(|frame| match frame {
            ServerFrame::Response { response, .. } => Some(response),
            _ => None,
        })
        .await;
    assert_eq!(text, "All is well.");
}
