//! The questions, and the lines that answer them.

use std::{collections::HashSet, fmt};

use callboard_protocol::LineId;

use crate::week::{EVENTS, INTRUDERS, Line, Week, at};

/// A question, and what answers it.
pub(crate) struct Question {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) gold: Gold,
}

/// What answers a question.
pub(crate) enum Gold {
    /// One of these lines.
    Lines(HashSet<LineId>),
    /// So many lines.
    Count(u64),
}

impl fmt::Display for Gold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(lines) => write!(formatter, "one of {}", lines.len()),
            Self::Count(count) => write!(formatter, "{count}"),
        }
    }
}

/// In other words than the log's own: the question, and the event that it is about.
const PARAPHRASES: [(&str, &str); 34] = [
    ("Did a disk run full?", "disk"),
    ("Which machine ran out of storage?", "disk"),
    ("Was a process killed because memory ran out?", "oom"),
    ("Did we have an OOM kill?", "oom"),
    ("When was the server restarted?", "reboot"),
    ("Is the RAID degraded?", "raid"),
    ("Did a hard drive fail?", "raid"),
    ("Was the system time wrong?", "clock"),
    ("Did the processor overheat?", "heat"),
    ("Did the network cable come loose?", "link"),
    ("Was the network interface down?", "link"),
    ("Which packages were updated?", "upgrade"),
    ("Did transactions block each other in the database?", "deadlock"),
    ("Can the shop reach the payment service?", "refused"),
    ("Did the payments service crash?", "crash"),
    ("Was there a segfault?", "crash"),
    ("When did payments come back up?", "started"),
    ("Was the database schema changed?", "migration"),
    ("Which query took very long?", "slow"),
    ("Did the database run out of connections?", "connections"),
    ("Did last night's backup fail?", "backup"),
    ("Was the TLS certificate out of date?", "certificate"),
    ("When was the SSL certificate replaced?", "renewed"),
    ("Did requests to the orders service time out?", "upstream"),
    ("Who deployed a new version?", "deploy"),
    ("Was the release reverted?", "rollback"),
    ("Are messages piling up in a queue?", "queue"),
    ("Was an order total below zero?", "voucher"),
    ("Is there a memory leak in payments?", "leak"),
    ("Did the bank refuse our token?", "token"),
    ("Did somebody log in as root?", "login"),
    ("Did an attacker download a script?", "sudo"),
    ("Was the web server configuration reloaded?", "config"),
    ("Was the table of orders vacuumed?", "vacuum"),
];

/// In the log's own words.
const WORDS: [(&str, &str); 20] = [
    ("No space left on device", "disk"),
    ("What was killed by out of memory?", "oom"),
    ("Disk failure on sdc1", "raid"),
    ("Why was the cpu clock throttled?", "heat"),
    ("eth0 link is down", "link"),
    ("openssl upgraded", "upgrade"),
    ("deadlock detected", "deadlock"),
    ("Connection refused by payments", "refused"),
    ("exited with status 139", "crash"),
    ("migration 0042", "migration"),
    ("slow query on order_items", "slow"),
    ("too many clients", "connections"),
    ("snapshot of /srv failed", "backup"),
    ("certificate of shop.example.org has expired", "certificate"),
    ("upstream orders timed out", "upstream"),
    ("release 2026.47.2", "deploy"),
    ("rolled back to release", "rollback"),
    ("backlog in queue invoices", "queue"),
    ("negative total", "voucher"),
    ("signature mismatch", "token"),
];

/// What never happened.
const NEVER: [&str; 20] = [
    "Was there a kernel panic?",
    "Did MongoDB fail over?",
    "errors from rabbitmq",
    "Did zookeeper lose its quorum?",
    "Who deleted the namespace production?",
    "order 99999999",
    "failed logins from 8.8.8.8",
    "Was the Kafka broker unreachable?",
    "Did the printer run out of paper?",
    "lines about elasticsearch",
    "Did vault become sealed?",
    "blue screen of death",
    "parcel ZZ12345678",
    "Was a pod evicted?",
    "Did the Cassandra ring change?",
    "traceback in celery",
    "What did user mallory do?",
    "Did haproxy drop a server?",
    "charge ch_zzzzzz",
    "Did nginx run out of file descriptors?",
];

pub(crate) fn all(week: &Week) -> Vec<Question> {
    let mut questions = Vec::new();
    let of_event = |name: &str| lines(week, |line| line.event == Some(name));
    for (text, event) in WORDS {
        questions.push(ranked("words", text, of_event(event)));
    }
    for (text, event) in PARAPHRASES {
        questions.push(ranked("paraphrase", text, of_event(event)));
    }
    questions.extend(NEVER.map(|text| counted("never", text, 0)));
    questions.extend(needles(week));
    questions.extend(counts(week));
    questions.extend(windows(week));
    questions.extend(since_when(week));
    questions.extend(nearby(week));
    questions
}

fn ranked(kind: &'static str, text: impl Into<String>, gold: HashSet<LineId>) -> Question {
    let text = text.into();
    assert!(!gold.is_empty(), "nothing answers {text}");
    Question { kind, text, gold: Gold::Lines(gold) }
}

fn counted(kind: &'static str, text: impl Into<String>, count: u64) -> Question {
    Question { kind, text: text.into(), gold: Gold::Count(count) }
}

fn lines(week: &Week, wanted: impl Fn(&Line) -> bool) -> HashSet<LineId> {
    week.lines.iter().filter(|line| wanted(line)).map(|line| line.id).collect()
}

/// One order, charge or parcel among thousands.
fn needles(week: &Week) -> Vec<Question> {
    let holding = |text: String| {
        let is_end = |c: char| !c.is_alphanumeric();
        lines(week, move |line| line.text.split(is_end).any(|word| word == text))
    };
    let mut questions = Vec::new();
    for minute in (100..10_000).step_by(700) {
        let order = 70_000_000 + minute;
        questions.push(ranked(
            "needle",
            format!("What happened to order {order}?"),
            holding(order.to_string()),
        ));
        let parcel = format!("JD{:08x}", order * 31);
        questions.push(ranked("needle", format!("Where is parcel {parcel}?"), holding(parcel)));
    }
    questions
}

fn counts(week: &Week) -> Vec<Question> {
    let mut questions = Vec::new();
    let count = |wanted: &dyn Fn(&Line) -> bool| lines(week, wanted).len() as u64;
    for (address, ..) in INTRUDERS {
        let failed =
            count(&|line| line.text.contains("Failed password") && line.text.contains(address));
        questions.push(counted("count", format!("How many failed logins from {address}?"), failed));
    }
    for (day, name) in DAYS {
        let of_day = |line: &Line| (at((day, 0, 0))..at((day + 1, 0, 0))).contains(&line.at);
        let failed = count(&|line| of_day(line) && line.text.contains("Failed password"));
        questions.push(counted("count", format!("How many failed logins on {name}?"), failed));
        let errors = count(&|line| of_day(line) && line.text.contains(" ERROR "));
        questions.push(counted("count", format!("How many errors on {name}?"), errors));
        let orders = count(&|line| of_day(line) && line.text.contains("Received order"));
        questions.push(counted("count", format!("How many \"received order\" on {name}?"), orders));
    }
    let refused = count(&|line| line.event == Some("refused"));
    questions.push(counted("count", "How often was the connection refused?", refused));
    let timeouts = count(&|line| line.event == Some("upstream"));
    questions.push(counted("count", "How many timeouts were there in web.log?", timeouts));
    questions
}

const DAYS: [(i64, &str); 7] = [
    (0, "November 16"),
    (1, "November 17"),
    (2, "2026-11-18"),
    (3, "Nov 19"),
    (4, "2026-11-20"),
    (5, "November 21"),
    (6, "November 22"),
];

/// What was wrong in some minutes.
fn windows(week: &Week) -> Vec<Question> {
    let grave = |text: &str| text.contains(" ERROR ") || text.contains(" WARN ");
    let mut questions = Vec::new();
    for event in EVENTS.iter().filter(|event| event.is_grave()) {
        let (day, hour, _) = event.when;
        let (from, to) = (at((day, hour, 0)), at((day, hour + 1, 0)));
        let gold = lines(week, |line| (from..to).contains(&line.at) && grave(&line.text));
        let text = format!(
            "Which warnings and errors were there on 2026-11-{} between {hour:02}:00 and {:02}:00?",
            16 + day,
            hour + 1,
        );
        questions.push(ranked("window", text, gold));
    }
    questions
}

/// The first time of something that came again and again.
fn since_when(week: &Week) -> Vec<Question> {
    let first = |wanted: &dyn Fn(&Line) -> bool| {
        let earliest = week.lines.iter().filter(|line| wanted(line)).min_by_key(|line| line.at);
        earliest.map(|line| line.id).into_iter().collect()
    };
    let of = |name: &'static str| move |line: &Line| line.event == Some(name);
    let mut questions = vec![
        ranked(
            "since when",
            "Since when is the connection to payments refused?",
            first(&of("refused")),
        ),
        ranked("since when", "When did \"connection refused\" first occur?", first(&of("refused"))),
        ranked(
            "since when",
            "Since when do requests to upstream orders time out?",
            first(&of("upstream")),
        ),
        ranked("since when", "When was the first timeout in web.log?", first(&of("upstream"))),
        ranked("since when", "Since when is eth0 down?", first(&of("link"))),
        ranked("since when", "When did the link of eth0 go down first?", first(&of("link"))),
    ];
    for (address, ..) in INTRUDERS {
        let from =
            |line: &Line| line.text.contains("Failed password") && line.text.contains(address);
        let text = format!("When was the first failed login from {address}?");
        questions.push(ranked("since when", text, first(&from)));
    }
    questions
}

/// What to open to see what happened around something.
fn nearby(week: &Week) -> Vec<Question> {
    let of_event = |name: &str| lines(week, |line| line.event == Some(name));
    [
        ("What happened right before payments exited with status 139?", "crash"),
        ("Show me the lines around the deadlock", "deadlock"),
        ("What happened after the release 2026.47.2 was rolled out?", "deploy"),
        ("What was going on when the indexer was killed?", "oom"),
        ("What else happened when the certificate expired?", "certificate"),
        ("What came after the password of root was accepted?", "login"),
        ("What happened around the negative total?", "voucher"),
        ("Context of the disk failure on sdc1", "raid"),
        ("What happened before the rollback?", "rollback"),
        ("What led to too many clients?", "connections"),
    ]
    .into_iter()
    .map(|(text, event)| ranked("nearby", text, of_event(event)))
    .collect()
}
