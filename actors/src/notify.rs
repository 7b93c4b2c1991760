//! Telling people of alerts, by the channels of the configuration. Called by the jobs that deliver
//! what the rules found (`job`), and by whoever tries a channel.
//!
//! Addresses and secrets of channels stand in the configuration alone, which its operator writes: no
//! user of the API can make this server call another. What is sent holds texts of log lines, so secrets
//! and personal data are taken out of them, and every channel quotes them as its receiver needs. The
//! same alert may be told twice, when an answer is lost on its way; each says which it is
//! ([`Notice::id`]), so that a receiver can tell.

mod config;
mod email;
mod http;

use callboard_logs::{LogStore, Redactor};
use callboard_protocol::{
    Alert, AlertChannel, AlertRule, AlertSeverity, ClientError, ErrorCode, JobId, Timestamp,
};
use serde::{Deserialize, Serialize};

pub use self::config::{AlertsConfig, ChannelConfig, SmtpConfig, SmtpTls};
use self::{email::Mailer, http::Poster};

/// Bytes of a line that is shown as an example.
const LONGEST_EXAMPLE: usize = 500;

/// Alerts of one notice that are told one by one; of the others it is said how many there are.
const MOST_TOLD: usize = 10;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoticeKind {
    Fired,
    Resolved,
    /// Nothing: somebody tries the channel.
    Test,
}

/// What somebody is to be told: the payload of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// The same whenever this notice is sent again.
    pub(crate) id: JobId,
    pub(crate) channel: String,
    pub(crate) kind: NoticeKind,
    pub(crate) rule: String,
    pub(crate) severity: AlertSeverity,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) at: Timestamp,
}

impl Notice {
    /// That this happened to alerts of a rule.
    pub(crate) fn of(
        (rule, channel): (&AlertRule, &str),
        kind: NoticeKind,
        alerts: Vec<Alert>,
        at: Timestamp,
    ) -> Self {
        Self {
            id: JobId::new(),
            channel: channel.to_owned(),
            kind,
            rule: rule.name.clone(),
            severity: rule.severity,
            alerts,
            at,
        }
    }

    /// That somebody tries the channel.
    pub(crate) fn test(channel: &str, at: Timestamp) -> Self {
        Self {
            id: JobId::new(),
            channel: channel.to_owned(),
            kind: NoticeKind::Test,
            rule: "a test of this channel".to_owned(),
            severity: AlertSeverity::Info,
            alerts: Vec::new(),
            at,
        }
    }

    /// `FIRING [error] many errors (2)`
    pub(crate) fn title(&self) -> String {
        let count = match self.alerts.len() {
            0 | 1 => String::new(),
            many => format!(" ({many})"),
        };
        match self.kind {
            NoticeKind::Fired => {
                format!("FIRING [{}] {}{count}", self.severity.as_str(), self.rule)
            }
            NoticeKind::Resolved => format!("RESOLVED {}{count}", self.rule),
            NoticeKind::Test => "Callboard: a test of this channel".to_owned(),
        }
    }
}

/// A notice as it leaves: without secrets, with the texts of its examples.
pub(crate) struct Told<'a> {
    notice: &'a Notice,
    alerts: Vec<ToldAlert<'a>>,
}

struct ToldAlert<'a> {
    alert: &'a Alert,
    summary: String,
    example: Option<String>,
}

impl<'a> Told<'a> {
    /// Reads the examples. Blocks.
    pub(crate) fn new(notice: &'a Notice, logs: &LogStore) -> Self {
        let mut redactor = Redactor::new();
        let told = notice.alerts.iter().map(|alert| {
            let summary = redactor.redact(&alert.finding.summary).into_owned();
            // The line may have left the index since.
            let line = alert.finding.example.and_then(|id| logs.line(id).ok());
            let example = line.map(|line| {
                let mut text = redactor.redact(&line.text).into_owned();
                text.truncate(text.floor_char_boundary(LONGEST_EXAMPLE));
                text
            });
            ToldAlert { alert, summary, example }
        });
        let alerts = told.collect();
        Self { notice, alerts }
    }

    /// What happened, line by line, for people.
    fn text(&self) -> String {
        let mut text = String::new();
        for told in self.alerts.iter().take(MOST_TOLD) {
            text.push_str(&told.summary);
            text.push('\n');
            if let Some(example) = &told.example {
                let first = example.lines().next().unwrap_or_default();
                text.push_str(&format!("    {first}\n"));
            }
        }
        if let Some(more @ 1..) = self.alerts.len().checked_sub(MOST_TOLD) {
            text.push_str(&format!("… and {more} more\n"));
        }
        text
    }
}

/// Why a channel could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotTold {
    /// For people; without addresses and secrets.
    pub(crate) why: String,
    /// Whether it may be of use to try again.
    pub(crate) again: bool,
}

impl NotTold {
    fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false }
    }

    fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true }
    }

    pub(crate) fn client(&self) -> ClientError {
        ClientError::new(ErrorCode::NotifyFailed, self.why.clone())
    }
}

/// The channels of the configuration.
pub(crate) struct Notifier {
    channels: Vec<(AlertChannel, Means)>,
}

enum Means {
    Http(Poster),
    Email(Mailer),
}

impl Notifier {
    /// Prepares the connections; nothing is sent.
    ///
    /// # Errors
    /// What is wrong with the configuration, for people.
    pub(crate) fn new(config: &AlertsConfig) -> Result<Self, String> {
        let http = http::client()?;
        let channels = config.channels.iter().map(|channel| {
            let means = match (Poster::of(channel, &http), &config.smtp) {
                (Some(poster), _) => Means::Http(poster),
                (None, Some(smtp)) => Means::Email(Mailer::new(channel, smtp)?),
                (None, None) => return Err("there is no alerts.smtp".to_owned()),
            };
            let (name, kind) = (channel.name.clone(), channel.kind);
            Ok((AlertChannel { name, kind }, means))
        });
        Ok(Self { channels: channels.collect::<Result<_, _>>()? })
    }

    /// All channels.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &AlertChannel> {
        self.channels.iter().map(|(channel, _)| channel)
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.channels().any(|channel| channel.name == name)
    }

    /// Sends a notice. Returns when the receiver has taken it, or within half a minute.
    pub(crate) async fn tell(&self, told: &Told<'_>) -> Result<(), NotTold> {
        let name = &told.notice.channel;
        let Some((_, means)) = self.channels.iter().find(|(channel, _)| channel.name == *name)
        else {
            return Err(NotTold::for_good("The configuration has no such channel any more."));
        };
        match means {
            Means::Http(poster) => poster.tell(told).await,
            Means::Email(mailer) => mailer.tell(told).await,
        }
    }
}

#[cfg(test)]
mod tests;
