//! Logs that programs push: over HTTP in the words of four products, over syslog and GELF, and over a
//! kill at any moment.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use callboard_protocol::{
    ApiKeyCreated, ErrorCode, LogLine, LogPage, LogStats, PushTaken, Role, SourceList,
};
use callboard_testkit::{PATIENCE, eventually_some};
use rand::Rng as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Database, Launch, Server, on_both_databases, read},
    ssh_log::with_query,
};

on_both_databases! {
    every_way_to_push_ends_in_the_index,
}

/// The key of a shipper.
async fn key(client: &Client, scopes: &[&str]) -> String {
    let body = json!({ "name": "shipper", "scopes": scopes });
    let made: ApiKeyCreated = read(client.request(Method::POST, "/keys").json(&body)).await;
    made.secret.to_string()
}

/// A request of a program that has only a key.
fn post(server: &Server, path: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    client.post(server.url(path))
}

/// Waits for so many lines with this text.
async fn found(client: &Client, words: &str, count: usize) -> Vec<LogLine> {
    let there = async || {
        let path = with_query("/logs/search", &[("q", words), ("limit", "500")]);
        let page: LogPage = client.get(&path).await;
        assert!(page.lines.len() <= count, "{words}: {:?}", page.lines);
        (page.lines.len() == count).then_some(page.lines)
    };
    eventually_some(PATIENCE, there).await
}

async fn every_way_to_push_ends_in_the_index(on: Database) {
    let server = Launch::on(on).await.start().await;
    let ada = server.admin().await;
    let secret = key(&ada, &["logs_write"]).await;

    let lines =
        "2026-11-21 03:14:15 WARN plain one\n\n{\"level\":\"error\",\"msg\":\"plain two\"}\n";
    let push = post(&server, "/api/v1/logs/push?source=shop").bearer_auth(&secret).body(lines);
    let taken: PushTaken = read(push).await;
    assert_eq!(taken.taken, 2);
    let there = found(&ada, "source:shop plain", 2).await;
    assert_eq!(there[0].level.as_str(), "warn");
    assert_eq!(there[1].level.as_str(), "error");
    let known = async || {
        let list: SourceList = ada.get("/logs/sources").await;
        list.pushed.into_iter().find(|source| source.name == "shop" && source.lines == 2)
    };
    let shop = eventually_some(PATIENCE, known).await;
    assert!(shop.last_line_at.is_some() && shop.problem.is_none(), "{shop:?}");

    let loki = json!({ "streams": [{ "stream": { "app": "cart", "pod": "cart-1" },
        "values": [["1795230855926000000", "loki line"]] }] });
    let push = post(&server, "/loki/api/v1/push").basic_auth("anybody", Some(&secret));
    assert_eq!(push.json(&loki).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let line = &found(&ada, "source:cart \"loki line\"", 1).await[0];
    assert_eq!(line.text, r#"2026-11-21T03:14:15.926Z loki line {"pod":"cart-1"}"#);

    let otlp = json!({ "resourceLogs": [{ "resource": { "attributes": [
        { "key": "service.name", "value": { "stringValue": "pay" } }] }, "scopeLogs": [{
        "logRecords": [{ "timeUnixNano": "1795230855926000000", "severityNumber": 17,
            "body": { "stringValue": "otlp record" } }] }] }] });
    let push = post(&server, "/v1/logs").header("x-api-key", &secret).json(&otlp);
    assert_eq!(read::<Value>(push).await, json!({}));
    let line = &found(&ada, "source:pay \"otlp record\"", 1).await[0];
    assert_eq!(
        (line.level.as_str(), line.timestamp.unwrap().as_millis()),
        ("error", 1_795_230_855_926)
    );

    let entry = "__REALTIME_TIMESTAMP=1795230855926000\nPRIORITY=4\n_HOSTNAME=db-1\nMESSAGE=journal entry\n\n";
    let push = post(&server, "/journal/upload").basic_auth("journal", Some(&secret)).body(entry);
    assert_eq!(push.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let line = &found(&ada, "source:db-1 \"journal entry\"", 1).await[0];
    assert_eq!(line.level.as_str(), "warn");
    elastic(&server, &ada, &secret).await;
}

/// What Beats and the clients of Elasticsearch ask for.
async fn elastic(server: &Server, ada: &Client, secret: &str) {
    let api_key = format!("ApiKey {}", STANDARD.encode(format!("id:{secret}")));
    for path in ["/elastic", "/elastic/", "/elastic/_license", "/elastic/_cluster/health"] {
        let client = reqwest::Client::new();
        let asked = client.get(server.url(path)).header("authorization", &api_key).send().await;
        let reply = asked.unwrap();
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        assert_eq!(reply.headers()["x-elastic-product"], "Elasticsearch");
    }
    let body = "{\"create\":{\"_index\":\"filebeat\"}}\n{\"@timestamp\":\"2026-11-21T03:14:15.926Z\",\
        \"message\":\"bulk document\"}\n{\"index\":{\"_id\":\"7\"}}\nnot json\n";
    let push = post(server, "/elastic/web/_bulk").header("authorization", &api_key);
    let push = push.header("content-type", "application/x-ndjson").body(body);
    let reply: Value = read(push).await;
    assert_eq!(reply["errors"], json!(true));
    let create = &reply["items"][0]["create"];
    assert_eq!((&create["_index"], &create["status"]), (&json!("filebeat"), &json!(201)));
    let index = &reply["items"][1]["index"];
    assert_eq!(
        (&index["_index"], &index["_id"], &index["status"]),
        (&json!("web"), &json!("7"), &json!(400))
    );
    found(ada, "source:filebeat \"bulk document\"", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_what_is_packed_is_unpacked() {
    let launch = Launch::on(Database::Sqlite).await.set("server.limits.push_bytes=100000");
    let server = launch.start().await;
    let ada = server.admin().await;
    let secret = key(&ada, &["logs_write"]).await;
    let pushed = async |path: &str, body: Vec<u8>| {
        let request = post(&server, path).bearer_auth(&secret);
        ada.refused(request.header("content-type", "application/json").body(body)).await
    };
    for path in ["/loki/api/v1/push", "/v1/logs", "/elastic/_bulk", "/journal/upload"] {
        let refused = pushed(path, b"7 nonsense\n".to_vec()).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::BadRequest), "{path}");
        let refused = pushed(path, vec![b' '; 200_000]).await;
        assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge), "{path}");
    }
    for name in ["", "%0A", "callboard"] {
        let path = format!("/api/v1/logs/push?source={name}");
        let refused = pushed(&path, b"x".to_vec()).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed), "{name:?}");
    }
    let packed = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let push = |body: Vec<u8>| {
        let request = post(&server, "/api/v1/logs/push?source=packed").bearer_auth(&secret);
        request.header("content-encoding", "gzip").body(body)
    };
    let bomb = ada.refused(push(packed(&vec![b'x'; 50 << 20]))).await;
    assert_eq!(bomb, (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::PayloadTooLarge));
    let taken: PushTaken = read(push(packed(b"packed line\n"))).await;
    assert_eq!(taken.taken, 1);
    found(&ada, "\"packed line\"", 1).await;

    // A protocol buffer that is none is refused in protocol buffers.
    let request = post(&server, "/v1/logs").bearer_auth(&secret);
    let reply = request.header("content-type", "application/x-protobuf").body("no").send().await;
    let reply = reply.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    assert_eq!(reply.headers()["content-type"], "application/x-protobuf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_pushes_nothing() {
    let server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let reader = key(&ada, &["logs_read"]).await;
    let vic = server.user("vic", Role::VIEWER).await;
    let of_viewer = key(&vic, &["logs_write"]).await;
    for secret in [&reader, &of_viewer] {
        let push =
            post(&server, "/api/v1/logs/push?source=x").basic_auth("x", Some(secret)).body("x");
        let refused = ada.refused(push).await;
        assert_eq!(refused, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    }
    for wrong in ["Basic eDp5", "ApiKey eDp5", "Basic %%", "Basic"] {
        let push = post(&server, "/loki/api/v1/push").header("authorization", wrong).body("{}");
        let refused = ada.refused(push).await;
        assert_eq!(refused, (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_fast_is_told_to_come_again() {
    let server = Launch::on(Database::Sqlite).await.set("logs.spool_mb=8").start().await;
    let ada = server.admin().await;
    let secret = key(&ada, &["logs_write"]).await;
    let push = |bytes: usize| {
        let request = post(&server, "/api/v1/logs/push?source=flood").bearer_auth(&secret);
        request.body("a line that is too much\n".repeat(bytes / 24))
    };
    let reply = push(9 << 20).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.headers()["retry-after"], "1");
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["code"], "spool_full");
    let taken: PushTaken = read(push(240)).await;
    assert_eq!(taken.taken, 10);
    found(&ada, "source:flood", 10).await;
}

/// How often the server is killed; `CALLBOARD_TEST_KILLS` says otherwise.
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_there_once_whenever_the_server_is_killed() {
    let kills = std::env::var("CALLBOARD_TEST_KILLS");
    let kills = kills.map_or(KILLS, |count| count.parse().unwrap());
    let mut server = Launch::on(Database::Sqlite).await.start().await;
    let ada = server.admin().await;
    let secret = key(&ada, &["logs_write"]).await;
    let (mut taken, mut sent) = (Vec::new(), 0_u64);
    for _ in 0..kills {
        let moment = Duration::from_millis(rand::rng().random_range(200..1_500));
        let until = tokio::time::Instant::now() + moment;
        while tokio::time::Instant::now() < until {
            let numbers: Vec<u64> = (sent..sent + 5).collect();
            sent += 5;
            let body: String = numbers.iter().map(|n| format!("push number n{n}\n")).collect();
            let push =
                post(&server, "/api/v1/logs/push?source=killed").bearer_auth(&secret).body(body);
            if push.send().await.is_ok_and(|reply| reply.status().is_success()) {
                taken.extend(numbers);
            }
        }
        server = server.kill().await.start().await;
    }
    let ada = server.sign_in("ada").await;
    let count = u64::try_from(taken.len()).unwrap();
    let there = async || {
        let stats: LogStats = ada.get("/logs/stats").await;
        (stats.lines >= count).then_some(())
    };
    eventually_some(PATIENCE, there).await;
    let mut numbers = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut query = vec![("q", "source:killed"), ("limit", "500")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: LogPage = ada.get(&with_query("/logs/search", &query)).await;
        let number = |line: &LogLine| line.text.rsplit_once('n').unwrap().1.parse::<u64>().unwrap();
        numbers.extend(page.lines.iter().map(number));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "none twice");
    let missing: Vec<_> = taken.iter().filter(|n| numbers.binary_search(n).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A server that listens for syslog and GELF, and where.
async fn listening() -> (Server, Client, impl Fn(&str) -> SocketAddr) {
    let mut launch = Launch::on(Database::Sqlite).await;
    for listener in ["syslog_udp", "syslog_tcp", "gelf_udp", "gelf_tcp"] {
        launch = launch.set(format!("logs.listen.{listener}=127.0.0.1:0"));
    }
    let server = launch.start().await;
    let ada = server.admin().await;
    let log = server.log();
    let address = move |listener: &str| {
        let line = log.lines().find(|line| line.contains("listening") && line.contains(listener));
        let line = line.unwrap_or_else(|| panic!("{listener} does not listen:\n{log}"));
        let digits = line.rsplit_once("127.0.0.1:").unwrap().1;
        let port = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        SocketAddr::from(([127, 0, 0, 1], port))
    };
    (server, ada, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_and_gelf_come_in_datagrams_and_in_streams() {
    let (_server, ada, address) = listening().await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let message = "<34>Oct 11 22:14:15 web-1 su: first datagram";
    socket.send_to(message.as_bytes(), address("syslog_udp")).unwrap();
    assert_eq!(found(&ada, "source:web-1 datagram", 1).await[0].text, message);

    // Nobody may speak for the server itself.
    let message = b"<34>Oct 11 22:14:15 callboard su: borrowed name";
    socket.send_to(message, address("syslog_udp")).unwrap();
    assert_eq!(found(&ada, "borrowed", 1).await[0].source, "syslog");

    let mut stream = TcpStream::connect(address("syslog_tcp")).unwrap();
    let counted = "<165>1 2026-11-21T03:14:15Z web-2 app 7 ID1 - counted message";
    writeln!(stream, "{} {counted}<34>Oct 11 22:14:15 web-2 su: by line", counted.len()).unwrap();
    drop(stream);
    let lines = found(&ada, "source:web-2", 2).await;
    assert_eq!(lines[0].level.as_str(), "notice");

    let gelf =
        json!({ "version": "1.1", "host": "web-3", "short_message": "gelf message", "level": 3 });
    let gelf = gelf.to_string();
    let (first, second) = gelf.as_bytes().split_at(20);
    for (number, part) in [(1_u8, second), (0, first)] {
        let piece = [&[0x1e, 0x0f, 7, 7, 7, 7, 7, 7, 7, 7, number, 2], part].concat();
        socket.send_to(&piece, address("gelf_udp")).unwrap();
    }
    assert_eq!(found(&ada, "source:web-3 gelf", 1).await[0].level.as_str(), "error");
    let mut stream = TcpStream::connect(address("gelf_tcp")).unwrap();
    stream.write_all(&[gelf.as_bytes(), b"\0", gelf.as_bytes(), b"\0"].concat()).unwrap();
    found(&ada, "source:web-3 gelf", 3).await;

    // What makes no sense is counted.
    socket.send_to(b"{}", address("gelf_udp")).unwrap();
    let counted = async || {
        let metrics = ada.request(Method::GET, "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let line = "log_records_dropped_total{listener=\"gelf_udp\"} 1";
        metrics.contains(line).then_some(())
    };
    eventually_some(PATIENCE, counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_logger_and_rsyslog_are_understood() {
    let (server, ada, address) = listening().await;
    for (number, arguments) in [
        vec!["-d", "--rfc3164"],
        vec!["-d", "--rfc5424"],
        vec!["-T", "--rfc5424"],
        vec!["-T", "--octet-count"],
    ]
    .into_iter()
    .enumerate()
    {
        let listener = if arguments[0] == "-d" { "syslog_udp" } else { "syslog_tcp" };
        let port = address(listener).port().to_string();
        let mut command = Command::new("logger");
        command.args(["-n", "127.0.0.1", "-P", &port, "-t", "job", "-p", "user.err"]);
        command.args(&arguments).arg(format!("by logger way{number}"));
        assert!(command.status().unwrap().success(), "{arguments:?}");
        let line = &found(&ada, &format!("way{number}"), 1).await[0];
        assert_eq!(line.level.as_str(), "error", "{}", line.text);
        assert!(line.timestamp.is_some(), "{}", line.text);
    }
    let Ok(program) = std::env::var("CALLBOARD_TEST_RSYSLOG") else {
        eprintln!("CALLBOARD_TEST_RSYSLOG is not set: not tested with rsyslog");
        return;
    };
    let rsyslog = Rsyslog::start(&program, server.folder(), address("syslog_tcp"));
    for number in 0..300 {
        rsyslog.say(&format!("by rsyslog relay{number}"));
    }
    found(&ada, "\"by rsyslog\"", 300).await;
    assert_eq!(found(&ada, "relay299", 1).await[0].level.as_str(), "error");
}

/// Debian's rsyslog, which reads a socket of its own and passes on what it reads; by lengths, as its
/// own documents advise. Dropping it ends it.
struct Rsyslog {
    child: Child,
    socket: std::path::PathBuf,
}

impl Rsyslog {
    fn start(program: &str, folder: &Path, to: SocketAddr) -> Self {
        let socket = folder.join("rsyslog.socket");
        let config = format!(
            "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{}\" RateLimit.Interval=\"0\")\n\
             *.* action(type=\"omfwd\" target=\"{}\" port=\"{}\" protocol=\"tcp\"\n\
                 TCP_Framing=\"octet-counted\" template=\"RSYSLOG_SyslogProtocol23Format\")\n",
            socket.display(),
            to.ip(),
            to.port(),
        );
        let (path, pid) = (folder.join("rsyslog.conf"), folder.join("rsyslog.pid"));
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        command.arg("-n").arg("-f").arg(&path).arg("-i").arg(&pid);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut started = Self { child, socket };
        let deadline = std::time::Instant::now() + PATIENCE;
        while !started.socket.exists() {
            if started.child.try_wait().unwrap().is_some() || std::time::Instant::now() > deadline {
                let mut said = String::new();
                started.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("rsyslog did not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        started
    }

    fn say(&self, text: &str) {
        let mut command = Command::new("logger");
        command.arg("-u").arg(&self.socket).args(["-t", "relay", "-p", "daemon.err", text]);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
