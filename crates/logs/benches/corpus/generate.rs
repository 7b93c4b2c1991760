//! Logs as the programs of a middling company write them: the same bytes at each run.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use callboard_protocol::Timestamp;

use crate::END_MS;

/// All files cover this span.
const SPAN_MS: i64 = 30 * 86_400_000;

/// A file: its name, its part of all bytes in hundredths, the length of its lines in bytes, and how
/// it writes one.
type Program = (&'static str, u64, u64, fn(&mut dyn Write, &mut Draw, At) -> std::io::Result<()>);

const PROGRAMS: [Program; 5] = [
    ("access.log", 30, 164, access),
    ("orders.log", 25, 170, orders),
    ("payments.json", 20, 265, payments),
    ("auth.log", 15, 91, auth),
    ("postgresql.log", 10, 112, postgres),
];

/// When a line was written, and how many came before.
#[derive(Clone, Copy)]
pub(crate) struct At(i64, u64);

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(crate) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of so many customers, machines, items: a few of them are met all the time.
    fn known(&mut self, end: u64) -> u64 {
        let (a, b, c) = (self.below(end), self.below(end), self.below(end));
        a * b / end * c / end
    }

    /// One of them; the first ones far more often than the last.
    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        let len = all.len() as u64;
        let drawn = self.below(len * len);
        all[usize::try_from(len - 1 - drawn.isqrt()).unwrap_or_default()]
    }
}

fn mixed(seed: u64) -> u64 {
    let mut z = seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes about as many bytes; the files, and their lines.
pub(crate) fn write(folder: &Path, bytes: u64) -> (Vec<PathBuf>, u64) {
    let (mut files, mut lines) = (Vec::new(), 0);
    for (seed, (name, part, length, line)) in (1..).zip(PROGRAMS) {
        let path = folder.join(name);
        let mut file = BufWriter::new(File::create(&path).expect("a file"));
        let mut draw = Draw(seed);
        let count = bytes * part / 100 / length;
        for number in 0..count {
            let after = i128::from(SPAN_MS) * i128::from(number) / i128::from(count);
            let at = At(END_MS - SPAN_MS + i64::try_from(after).unwrap_or_default(), number);
            line(&mut file, &mut draw, at).expect("a line");
        }
        file.flush().expect("a file");
        files.push(path);
        lines += count;
    }
    (files, lines)
}

impl At {
    /// The order, the request, the connection that this line is about: as many lines have one.
    fn of_each(self, lines: u64, draw: &mut Draw) -> u64 {
        self.1 / lines + draw.below(4)
    }

    /// `2026-11-21 03:14:15.926`.
    fn plain(self) -> String {
        let text = Timestamp::from_millis(self.0).to_string();
        text.trim_end_matches('Z').replace('T', " ")
    }

    /// `Nov 21 03:14:15`.
    fn syslog(self) -> String {
        let plain = self.plain();
        let day = plain[8..10].trim_start_matches('0');
        format!("{} {day:>2} {}", self.month(), &plain[11..19])
    }

    /// `21/Nov/2026:03:14:15 +0000`.
    fn access(self) -> String {
        let plain = self.plain();
        format!("{}/{}/{}:{} +0000", &plain[8..10], self.month(), &plain[..4], &plain[11..19])
    }

    fn month(self) -> &'static str {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month: usize = self.plain()[5..7].parse().expect("a month");
        MONTHS[month - 1]
    }
}

const PATHS: [&str; 12] = [
    "/api/v2/orders",
    "/api/v2/cart/items",
    "/health",
    "/static/app.js",
    "/static/app.css",
    "/api/v2/users/me",
    "/login",
    "/api/v2/search?q=lamp&page=2",
    "/images/products/thumb.webp",
    "/checkout",
    "/admin",
    "/wp-login.php",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/605.1",
    "kube-probe/1.34",
    "curl/8.16.0",
    "python-requests/2.32",
];

fn access(out: &mut dyn Write, draw: &mut Draw, at: At) -> std::io::Result<()> {
    let status = draw.of(&["200", "200", "304", "404", "302", "499", "500", "502"]);
    let (a, b) = (draw.known(200), draw.known(250));
    let method = draw.of(&["GET", "GET", "POST", "DELETE"]);
    writeln!(
        out,
        "10.251.{a}.{b} - - [{}] \"{method} {} HTTP/1.1\" {status} {} \"-\" \"{}\" {:.3}",
        at.access(),
        draw.of(&PATHS),
        draw.below(60_000),
        draw.of(&AGENTS),
        f64::from(u16::try_from(draw.below(2_000)).unwrap_or_default()) / 1_000.0,
    )
}

fn orders(out: &mut dyn Write, draw: &mut Draw, at: At) -> std::io::Result<()> {
    let (order, thread) = (70_000_000 + at.of_each(3, draw), draw.below(32));
    let at = at.plain();
    match draw.below(1_000) {
        0..=2 => writeln!(
            out,
            "{at} ERROR [http-{thread}] c.e.orders.PaymentClient - Payment of order {order} failed\n\
             java.net.ConnectException: Connection refused\n\
             \tat com.example.orders.PaymentClient.pay(PaymentClient.java:{})\n\
             \tat com.example.orders.OrderService.submit(OrderService.java:88)\n\
             \tat java.base/java.lang.Thread.run(Thread.java:1583)",
            draw.below(400),
        ),
        3..=22 => writeln!(
            out,
            "{at} WARN [http-{thread}] c.e.orders.Inventory - Stock of item {} is low: {} left in warehouse {}",
            draw.known(50_000),
            draw.below(10),
            draw.of(&["berlin", "lyon", "gdansk", "porto"]),
        ),
        23..=400 => writeln!(
            out,
            "{at} INFO [http-{thread}] c.e.orders.OrderController - Received order {order} of customer {} with {} items, total {}.{:02} EUR",
            draw.known(400_000),
            1 + draw.below(9),
            draw.below(900),
            draw.below(100),
        ),
        401..=800 => writeln!(
            out,
            "{at} INFO [worker-{thread}] c.e.orders.Fulfilment - Order {order} was packed at station {} and handed to carrier {} as parcel {:016x}",
            draw.below(40),
            draw.of(&["dhl", "dpd", "ups", "gls"]),
            mixed(order),
        ),
        _ => writeln!(
            out,
            "{at} DEBUG [http-{thread}] c.e.orders.cache.Cache - Refreshed entry customer:{} in {} ms, {} entries kept, hit rate {}.{}",
            draw.known(400_000),
            draw.below(90),
            draw.below(20_000),
            80 + draw.below(20),
            draw.below(10),
        ),
    }
}

fn payments(out: &mut dyn Write, draw: &mut Draw, at: At) -> std::io::Result<()> {
    let level = draw.of(&["info", "info", "info", "debug", "warn", "error"]);
    let message = match level {
        "error" => "upstream timed out",
        "warn" => "retrying the charge",
        "debug" => "token refreshed",
        _ => "charge accepted",
    };
    let trace = at.of_each(6, draw);
    writeln!(
        out,
        "{{\"ts\":\"{}\",\"level\":\"{level}\",\"msg\":\"{message}\",\"service\":\"payments\",\"trace_id\":\"{:016x}{:016x}\",\"user\":{{\"id\":{},\"country\":\"{}\"}},\"amount\":{},\"duration_ms\":{},\"host\":\"pay-{}\"}}",
        Timestamp::from_millis(at.0),
        mixed(trace),
        mixed(!trace),
        draw.known(400_000),
        draw.of(&["de", "fr", "pl", "pt", "es"]),
        draw.below(100_000),
        draw.below(3_000),
        draw.below(12),
    )
}

fn auth(out: &mut dyn Write, draw: &mut Draw, at: At) -> std::io::Result<()> {
    let (pid, a, b) = (at.of_each(4, draw) % 32_768, draw.known(223), draw.known(250));
    let at = at.syslog();
    let user = draw.of(&["root", "admin", "deploy", "ada", "grace", "linus", "oracle", "test"]);
    match draw.below(10) {
        0..=5 => writeln!(
            out,
            "{at} bastion sshd[{pid}]: Failed password for invalid user {user} from {a}.{b}.7.19 port {} ssh2",
            1_024 + draw.below(60_000),
        ),
        6..=7 => writeln!(
            out,
            "{at} bastion sshd[{pid}]: Accepted publickey for {user} from 10.0.{a}.{b} port {} ssh2",
            1_024 + draw.below(60_000),
        ),
        8 => writeln!(
            out,
            "{at} bastion sshd[{pid}]: pam_unix(sshd:session): session opened for user {user} by (uid=0)",
        ),
        _ => writeln!(out, "{at} bastion CRON[{pid}]: ({user}) CMD (/usr/lib/sysstat/sa1 1 1)"),
    }
}

fn postgres(out: &mut dyn Write, draw: &mut Draw, at: At) -> std::io::Result<()> {
    let (at, pid) = (at.plain(), 1_000 + draw.known(400));
    let order = draw.known(1_000_000);
    match draw.below(20) {
        0 => writeln!(
            out,
            "{at} UTC [{pid}] app@shop ERROR:  deadlock detected at character {}",
            draw.below(300),
        ),
        1..=4 => writeln!(
            out,
            "{at} UTC [{pid}] LOG:  checkpoint complete: wrote {} buffers ({}.{}%); sync={}.{:03} s",
            draw.below(16_000),
            draw.below(100),
            draw.below(10),
            draw.below(3),
            draw.below(1_000),
        ),
        _ => writeln!(
            out,
            "{at} UTC [{pid}] app@shop LOG:  duration: {}.{:03} ms  statement: SELECT * FROM orders WHERE id = {}",
            draw.below(900),
            draw.below(1_000),
            70_000_000 + order,
        ),
    }
}
