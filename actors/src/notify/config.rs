//! `[alerts]`: how often rules are evaluated, and who can be told.

use std::collections::HashSet;

use callboard_protocol::ChannelKind;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::{BadValue, out_of_bounds};

/// Channels, at most.
const MOST_CHANNELS: usize = 100;

/// `[alerts]`: rules that watch the logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Rules are evaluated so often, in seconds.
    pub every_s: u64,
    /// What is over is kept so many days.
    pub keep_days: u32,
    /// Who can be told.
    pub channels: Vec<ChannelConfig>,
    /// The server that takes e-mails.
    pub smtp: Option<SmtpConfig>,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self { every_s: 30, keep_days: 90, channels: Vec::new(), smtp: None }
    }
}

/// `[[alerts.channels]]`: a way to tell somebody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// What rules call it.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// Where a `webhook` or `slack` takes notices; where PagerDuty does, when it is not its own
    /// address.
    #[serde(default)]
    pub webhook_url: Option<SecretString>,
    /// What signs the notices of a `webhook` (HMAC-SHA256).
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// The integration key of `pagerduty`.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// Who gets the mails of `email`.
    #[serde(default)]
    pub to: Vec<String>,
}

/// `[alerts.smtp]`: the server that takes e-mails.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its name.
    pub host: String,
    /// Its port; by default that of `tls`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is kept secret.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Who signs in there.
    #[serde(default)]
    pub username: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// Who the mails are from.
    pub from: String,
}

/// How the connection to a mail server is kept secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// STARTTLS, or nothing is sent; port 587.
    #[default]
    Starttls,
    /// From the first byte; port 465.
    Tls,
    /// Not at all; port 25. For a server on this machine.
    None,
}

impl AlertsConfig {
    /// Every key with a value that cannot be used.
    #[must_use]
    pub fn check(&self) -> Vec<BadValue> {
        let mut bad = out_of_bounds(&[
            ("every_s", self.every_s, 1..=3_600),
            ("keep_days", u64::from(self.keep_days), 1..=3_650),
            ("channels", self.channels.len() as u64, 0..=MOST_CHANNELS as u64),
        ]);
        let mut names = HashSet::new();
        for (index, channel) in self.channels.iter().enumerate() {
            let mut fail = |key: &str, problem: &str| {
                bad.push((format!("channels[{index}].{key}"), problem.to_owned()));
            };
            if channel.name.trim().is_empty() || channel.name.len() > 100 {
                fail("name", "must have 1 to 100 bytes");
            }
            if !names.insert(channel.name.as_str()) {
                fail("name", "is the name of another channel, too");
            }
            if let Some((key, problem)) = channel.problem(self.smtp.is_some()) {
                fail(key, problem);
            }
        }
        if let Some(smtp) = &self.smtp {
            if smtp.username.is_some() != smtp.password.is_some() {
                bad.push(("smtp.username".into(), "needs a password, and that a user name".into()));
            }
            if !super::email::is_address(&smtp.from) {
                bad.push(("smtp.from".into(), "is no e-mail address".into()));
            }
        }
        bad
    }
}

impl ChannelConfig {
    fn problem(&self, smtp: bool) -> Option<(&'static str, &'static str)> {
        let http = |url: &SecretString| {
            url::Url::parse(url.expose_secret())
                .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
        };
        let needs_url = matches!(self.kind, ChannelKind::Webhook | ChannelKind::Slack);
        match (&self.webhook_url, self.kind) {
            (None, _) if needs_url => Some(("webhook_url", "is missing")),
            (Some(url), _) if !http(url) => {
                Some(("webhook_url", "must be an http:// or https:// URL"))
            }
            (_, ChannelKind::Pagerduty) if self.token.is_none() => {
                Some(("token", "is missing: the integration key of PagerDuty"))
            }
            (_, ChannelKind::Email) if self.to.is_empty() => {
                Some(("to", "is missing: who gets the mails"))
            }
            (_, ChannelKind::Email) if !self.to.iter().all(|to| super::email::is_address(to)) => {
                Some(("to", "holds what is no e-mail address"))
            }
            (_, ChannelKind::Email) if !smtp => {
                Some(("kind", "needs `alerts.smtp`, which says who takes e-mails"))
            }
            _ => None,
        }
    }
}
