//! Rules that watch the lines as they come in, and what they found.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{AlertId, AlertRuleId, LineId, Timestamp, UserId};

/// When a rule fires. Every condition looks at the lines whose time is in the last `window_s` seconds,
/// 60 to 86,400, and of these at those that the query `q` finds, which is one as in `GET /logs/search`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlertCondition {
    /// So many lines match.
    Threshold {
        /// Which lines.
        #[serde(default)]
        q: String,
        /// The window, in seconds.
        window_s: u32,
        /// So many, or more.
        #[schema(minimum = 1)]
        at_least: u64,
    },
    /// No line matches.
    Absence {
        /// Which lines.
        #[serde(default)]
        q: String,
        /// The window, in seconds.
        window_s: u32,
        /// Whether each source is meant alone that had such lines within a week before.
        #[serde(default)]
        by_source: bool,
    },
    /// Far more lines match than at the same time of the days before, a week at most: the median of
    /// those days is what is expected.
    Spike {
        /// Which lines.
        #[serde(default)]
        q: String,
        /// The window, in seconds.
        window_s: u32,
        /// So many times as many as expected, more than 1.
        factor: f64,
        /// And so many in all.
        #[schema(minimum = 1)]
        at_least: u64,
        /// Which lines are held against each other.
        #[serde(default)]
        by: SpikeBy,
    },
    /// A line came that is like no line before.
    NewPattern {
        /// Which lines.
        #[serde(default)]
        q: String,
        /// The window, in seconds.
        window_s: u32,
    },
}

/// Which lines a spike is counted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpikeBy {
    /// All that match.
    #[default]
    All,
    /// Those of each level.
    Level,
    /// Those of each pattern.
    Pattern,
}

impl AlertCondition {
    /// Which lines it looks at.
    #[must_use]
    pub fn query(&self) -> &str {
        match self {
            Self::Threshold { q, .. }
            | Self::Absence { q, .. }
            | Self::Spike { q, .. }
            | Self::NewPattern { q, .. } => q,
        }
    }

    /// How far back it looks.
    #[must_use]
    pub fn window(&self) -> Duration {
        let (Self::Threshold { window_s, .. }
        | Self::Absence { window_s, .. }
        | Self::Spike { window_s, .. }
        | Self::NewPattern { window_s, .. }) = self;
        Duration::from_secs(u64::from(*window_s))
    }

    /// What is wrong with its numbers. Whether its query can be read is for the engine to say.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(60..=86_400).contains(&self.window().as_secs()) {
            return Err("A window is 60 to 86,400 seconds long.");
        }
        match self {
            Self::Threshold { at_least: 0, .. } | Self::Spike { at_least: 0, .. } => {
                Err("`at_least` is 1 or more.")
            }
            Self::Spike { factor, .. } if !(factor.is_finite() && *factor > 1.0) => {
                Err("`factor` is more than 1.")
            }
            Self::Threshold { .. }
            | Self::Absence { .. }
            | Self::Spike { .. }
            | Self::NewPattern { .. } => Ok(()),
        }
    }
}

/// How grave it is when a rule fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// Good to know.
    Info,
    /// To be looked at.
    #[default]
    Warning,
    /// Something does not work.
    Error,
    /// Somebody must act now.
    Critical,
}

impl AlertSeverity {
    /// The name, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// A rule, to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlertRule {
    /// What people call it; no two rules share a name.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// When it fires.
    pub condition: AlertCondition,
    /// How grave that is.
    #[serde(default)]
    pub severity: AlertSeverity,
    /// Who is told: names of `alerts.channels` of the configuration, 20 at most.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub channels: Vec<String>,
}

/// What to change of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRuleChange {
    /// Another name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Another condition.
    #[serde(default)]
    pub condition: Option<AlertCondition>,
    /// Another severity.
    #[serde(default)]
    pub severity: Option<AlertSeverity>,
    /// Others who are told.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub channels: Option<Vec<String>>,
    /// Whether it is evaluated.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// For how long a rule tells nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Seconds from now, 31 days at most; 0 lets it speak again.
    #[schema(maximum = 2_678_400)]
    pub for_s: u32,
}

/// What came of a rule's last evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertRuleState {
    /// It has not been evaluated yet, or there is not enough to go by: `problem` says what is missing.
    Waiting,
    /// All is well.
    Ok,
    /// It fires.
    Firing,
    /// It cannot be evaluated: `problem` says why.
    Failed,
    /// It is not evaluated.
    Off,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertRule {
    /// Its id.
    pub id: AlertRuleId,
    /// What people call it.
    pub name: String,
    /// When it fires.
    pub condition: AlertCondition,
    /// How grave that is.
    pub severity: AlertSeverity,
    /// Who is told.
    pub channels: Vec<String>,
    /// What came of its last evaluation.
    pub state: AlertRuleState,
    /// Why it waits or failed.
    #[schema(required)]
    pub problem: Option<String>,
    /// When it was last evaluated.
    #[schema(required)]
    pub evaluated_at: Option<Timestamp>,
    /// Until when it tells nobody.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
    /// Who made it.
    #[schema(required)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last changed it.
    pub updated_at: Timestamp,
}

/// The reply of `GET /alerts/rules`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertRuleList {
    /// By name.
    pub items: Vec<AlertRule>,
}

/// What a condition found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Of what, where a condition tells several things apart: a pattern (`P12`), a level or a source.
    pub key: String,
    /// In a sentence.
    pub summary: String,
    /// Lines in the window.
    pub count: u64,
    /// Lines that were expected, of a spike.
    #[schema(required)]
    pub expected: Option<f64>,
    /// The newest of the lines.
    #[schema(required)]
    pub example: Option<LineId>,
}

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It goes on.
    Firing,
    /// It is over.
    Resolved,
}

/// What a rule found, from when it began to when it was over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// Its rule.
    pub rule_id: AlertRuleId,
    /// How it stands.
    pub state: AlertState,
    /// What was found last.
    pub finding: Finding,
    /// Whether nobody was told, since the rule was muted.
    pub muted: bool,
    /// When it was found first.
    pub started_at: Timestamp,
    /// When it was found last.
    pub seen_at: Timestamp,
    /// When it was found no more.
    #[schema(required)]
    pub ended_at: Option<Timestamp>,
}

/// The query string of `GET /alerts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertSearch {
    /// Only those that stand so.
    #[serde(default)]
    pub state: Option<AlertState>,
    /// Only those of this rule.
    #[serde(default)]
    pub rule_id: Option<AlertRuleId>,
    /// At most so many, 1 to 200; 50 when absent.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// From the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// The reply of `GET /alerts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertPage {
    /// The last first.
    pub items: Vec<Alert>,
    /// For the next page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A condition to be tried on what is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertPreview {
    /// When it would fire.
    pub condition: AlertCondition,
    /// Since when; a week before `to` when absent, and at most 31 days.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Until when; now when absent.
    #[serde(default)]
    pub to: Option<Timestamp>,
}

/// When a condition would have fired: the reply of `POST /alerts/preview`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertOutlook {
    /// Since when was looked.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// How often it would have fired.
    pub fired: u64,
    /// Each time, the last first, 100 at most.
    pub times: Vec<WouldFire>,
    /// The instants that were looked at are so far apart, in seconds.
    pub step_s: u64,
}

/// A time at which a condition would have fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WouldFire {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What would have been found, as it was at its most.
    pub finding: Finding,
}

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// JSON, by HTTP, signed.
    Webhook,
    /// An incoming webhook of Slack, Mattermost, Rocket.Chat…
    Slack,
    /// PagerDuty, Events API v2.
    Pagerduty,
    /// E-mail.
    Email,
}

/// A way to tell somebody, as it is configured; what it needs to know of secrets is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertChannel {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
}

/// The reply of `GET /alerts/channels`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertChannelList {
    /// In the order of the configuration.
    pub items: Vec<AlertChannel>,
}

/// The query string of `GET /logs/anomalies`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AnomalySearch {
    /// Of which lines; as in `GET /logs/search`.
    #[serde(default)]
    pub q: String,
    /// The first instant after the window; now when absent.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
    /// The window, in seconds, 60 to 86,400; an hour when absent.
    #[serde(default)]
    #[param(minimum = 60, maximum = 86_400)]
    pub window_s: Option<u32>,
}

/// What is unusual: the reply of `GET /logs/anomalies`. Each list has 50 items at most, the most
/// lines first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogAnomalies {
    /// The first instant of the window.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// Levels with at least ten lines, and three times as many as at that time of the days before.
    pub levels: Vec<Finding>,
    /// Patterns of which the same is true.
    pub patterns: Vec<Finding>,
    /// Patterns that came for the first time.
    pub new_patterns: Vec<Finding>,
    /// Sources that had lines within the week before, and none in the window.
    pub silent_sources: Vec<Finding>,
    /// How many whole days before could be compared with; with none there are no spikes.
    pub days: u32,
}
