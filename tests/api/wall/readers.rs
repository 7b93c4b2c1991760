//! Clients that leave, that stop reading, and that read slowly.

use std::time::Duration;

use callboard_protocol::{Ask, ClientFrame, UsageReport};
use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually, eventually_some};
use futures_util::StreamExt as _;
use reqwest::Response;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};

use super::{door::Door, stage::WIRES};
use crate::{
    chat::{accepted, rest_of_turn, screen, subscribe},
    harness::{A_WHILE, Client, Database, Launch, Server, fresh},
};

const PROMPT: &str = "forty letters are ten tokens, we believe";

/// How long a provider may be read on for a client that has left.
const AT_ONCE: Duration = Duration::from_millis(100);

struct Single {
    vendor: FakeVendor,
    server: Server,
    ada: Client,
}

/// A provider that speaks `wire`.
async fn single(wire: &str, settings: &[&str]) -> Single {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set(format!("providers.0.kind={wire}"));
    let launch = launch.set("providers.0.max_output_tokens=100000000");
    let server = settings.iter().fold(launch, |launch, one| launch.set(*one)).start().await;
    let ada = server.admin().await;
    Single { vendor, server, ada }
}

impl Single {
    async fn post(&self, door: Door) -> Response {
        let url = self.server.url(door.path());
        let request = reqwest::Client::new().post(url).bearer_auth(&self.ada.token);
        request.json(&door.body("fake-1", PROMPT)).send().await.unwrap()
    }

    /// A connection that has sent a request and read nothing, with a small buffer for what comes.
    async fn ask_and_stand_still(&self, door: Door) -> TcpStream {
        let address = self.server.url("").trim_start_matches("http://").parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let body = door.body("fake-1", PROMPT).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: callboard\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            door.path(),
            self.ada.token,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Waits for calls that were cancelled, and holds their tokens against the vendor's bill.
    async fn cancelled(&self, calls: u64) {
        let totals = eventually_some(PATIENCE, async || {
            let report: UsageReport = self.ada.get("/usage").await;
            (report.total.counts.cancelled == calls).then_some(report.total)
        })
        .await;
        assert_eq!(totals.counts.calls, calls);
        let billed = self.vendor.billed();
        let sum = |of: fn(&callboard_testkit::Billed) -> u64| billed.iter().map(of).sum::<u64>();
        let bill = (sum(|bill| bill.input), sum(|bill| bill.output));
        assert_eq!((totals.tokens.input, totals.tokens.output), bill);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_left_at_once_when_its_client_leaves() {
    for wire in WIRES {
        let single = single(wire, &[]).await;
        single.vendor.hold();
        let (mut times, mut left) = (Vec::new(), 0);
        for door in [Door::OpenAiStreamed, Door::AnthropicStreamed].repeat(3) {
            single.vendor.script([Reply::text(&["abcd"; 9]).gate_after(3)]);
            let mut stream = single.post(door).await.bytes_stream();
            let mut text = String::new();
            while text.matches("\"abcd").count() < 3 {
                text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
            }
            drop(stream);
            left += 1;
            times.push(until_left(&single.vendor, left).await);
        }
        single.cancelled(left as u64).await;
        // While it waits for a whole answer, of which nothing is billed.
        for door in [Door::OpenAiWhole, Door::AnthropicWhole].repeat(3) {
            single.vendor.script([Reply::text(&["abcd"])]);
            let mut waiting = Box::pin(single.post(door));
            let held = single.vendor.until_requests(left + 1);
            tokio::select! {
                _ = &mut waiting => panic!("it is held"),
                () = held => {}
            }
            drop(waiting);
            left += 1;
            times.push(until_left(&single.vendor, left).await);
        }
        // On a busy machine one of them may be slow.
        times.sort();
        assert!(times[times.len() / 2] < AT_ONCE, "{wire}: {times:?}");
    }
}

/// How long it takes until so many clients have left.
async fn until_left(vendor: &FakeVendor, count: usize) -> Duration {
    let before = Instant::now();
    vendor.until_left(count).await;
    before.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_goes_on_without_its_readers() {
    let single = single("openai", &[]).await;
    single.vendor.script([Reply::text(&["abcd"; 9]).gate_after(3)]);
    single.vendor.hold();
    let mut socket = single.ada.connect().await;
    socket.send(&ClientFrame::Message(Ask { ..fresh(PROMPT) })).await;
    let (conversation, _) = accepted(&mut socket).await;
    single.vendor.until_held(1).await;
    socket.abort();
    sleep(A_WHILE).await;
    assert_eq!(single.vendor.running_count(), 1);
    let mut back = single.ada.connect().await;
    subscribe(&mut back, conversation).await;
    single.vendor.release();
    assert_eq!(screen(&rest_of_turn(&mut back).await), "abcd".repeat(9));
    single.vendor.until_finished(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stands_still_is_left_after_its_time() {
    let single = single("openai", &["server.limits.stalled_reader_s=1"]).await;
    single.vendor.always(Reply::endless());
    let mut still = Vec::new();
    for door in [Door::OpenAiStreamed, Door::AnthropicStreamed] {
        still.push(single.ask_and_stand_still(door).await);
    }
    single.vendor.until_requests(2).await;
    let before = Instant::now();
    single.vendor.until_left(2).await;
    assert!(before.elapsed() > Duration::from_millis(500), "{:?}", before.elapsed());
    let totals = eventually_some(PATIENCE, async || {
        let report: UsageReport = single.ada.get("/usage").await;
        (report.total.counts.cancelled == 2).then_some(report.total)
    })
    .await;
    // The provider wrote further ahead than was read from it, by what the sockets hold.
    let billed: u64 = single.vendor.billed().iter().map(|bill| bill.output).sum();
    assert!(totals.tokens.output > 0 && totals.tokens.output <= billed * 2, "{totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_costs_less_than_a_megabyte() {
    const READERS: u64 = 16;
    const MAY_COST: u64 = 1024 * 1024;
    let single = single("openai", &["providers.0.max_concurrency=64"]).await;
    single.vendor.always(Reply::endless());
    // What the first ones cost are pools and caches.
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(single.ask_and_stand_still(Door::OpenAiStreamed).await);
    }
    single.vendor.until_requests(4).await;
    settled(&single.server).await;
    let before = single.server.memory();
    for number in 0..READERS {
        let door = if number % 2 == 0 { Door::OpenAiStreamed } else { Door::AnthropicStreamed };
        slow.push(single.ask_and_stand_still(door).await);
    }
    single.vendor.until_requests(4 + READERS as usize).await;
    settled(&single.server).await;
    let mut piece = [0; 512];
    for _ in 0..40 {
        for reader in &mut slow {
            assert_ne!(reader.read(&mut piece).await.unwrap(), 0);
        }
        sleep(Duration::from_millis(10)).await;
    }
    eventually(PATIENCE, || single.server.memory().saturating_sub(before) < READERS * MAY_COST)
        .await;
    println!(
        "{} KiB per slow reader",
        single.server.memory().saturating_sub(before) / READERS / 1024
    );
}

/// Waits until a server's memory stays where it is.
async fn settled(server: &Server) {
    let mut last = 0;
    eventually_some(PATIENCE, async || {
        sleep(Duration::from_millis(200)).await;
        let now = server.memory();
        let is_still = now.abs_diff(last) < 256 * 1024;
        last = now;
        is_still.then_some(())
    })
    .await;
}
