//! A made-up log of an sshd under attack. What is in it is counted while it is made, so that a
//! test compares the server's figures with its own.

use std::collections::BTreeMap;

use callboard_protocol::{LineContext, LogPage, SourceId};
use reqwest::Url;

use crate::harness::Client;

/// The question that such a log is asked.
pub(crate) const QUESTION: &str = "which IP addresses failed to log in most often, and when?";

/// What one address did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u64,
    /// The indexes of the first and of the last line that tell of it.
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// See the module. Every line is there once: its index is in it.
pub(crate) struct SshLog {
    pub(crate) lines: Vec<String>,
    /// `Failed password` by address.
    pub(crate) failures: BTreeMap<String, Failures>,
}

impl SshLog {
    /// The same for the same number; a longer log begins with the shorter one.
    pub(crate) fn of(count: usize) -> Self {
        let mut log = Self { lines: Vec::with_capacity(count), failures: BTreeMap::new() };
        let mut random = 42_u64;
        for index in 0..count {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            log.push(index, random >> 33);
        }
        log
    }

    fn push(&mut self, index: usize, chance: u64) {
        let (hour, minute, second) = (index / 3600 % 24, index / 60 % 60, index % 60);
        let user = ["root", "admin", "oracle", "test"][(chance % 4) as usize];
        // A sixth of all addresses is one and the same, so there is a worst one.
        let address = match chance / 4 % 6 {
            0 => "203.0.113.7".to_owned(),
            _ => format!("198.51.100.{}", chance / 24 % 9 + 1),
        };
        let what = match chance / 216 % 4 {
            0 => format!("Failed password for {user} from {address} port 4022 ssh2"),
            1 => format!("Failed password for invalid user {user} from {address} port 4022 ssh2"),
            2 => format!("Accepted publickey for deploy from {address} port 4022 ssh2"),
            _ => format!("Connection closed by {address} [preauth]"),
        };
        if what.starts_with("Failed") {
            let seen = Failures { count: 0, first: index, last: index };
            let seen = self.failures.entry(address).or_insert(seen);
            seen.count += 1;
            seen.last = index;
        }
        let at = format!("Nov 20 {hour:02}:{minute:02}:{second:02}");
        self.lines.push(format!("{at} bastion sshd[{index}]: {what}"));
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// All failures.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// The address with the most failures.
    pub(crate) fn worst(&self) -> (&str, Failures) {
        let worst = self.failures.iter().max_by_key(|(_, failures)| failures.count).unwrap();
        (worst.0, *worst.1)
    }
}

/// A path with a query string.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params(&format!("http://callboard{path}"), pairs).unwrap();
    format!("{path}?{}", url.query().unwrap_or_default())
}

/// A page of a source's lines, the newest first.
pub(crate) async fn lines_of(client: &Client, source: SourceId, cursor: Option<&str>) -> LogPage {
    let source = source.to_string();
    let mut pairs = vec![("source_id", source.as_str()), ("limit", "500")];
    pairs.extend(cursor.map(|cursor| ("cursor", cursor)));
    client.get(&with_query("/logs/search", &pairs)).await
}

/// A line with its next neighbours.
pub(crate) async fn line(client: &Client, id: impl std::fmt::Display) -> LineContext {
    client.get(&format!("/logs/lines/{id}?before=1&after=1")).await
}
