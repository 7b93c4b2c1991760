//! Sources that follow files.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{LogHoldId, SourceId, Timestamp, UserId};

/// A source that follows files, to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSource {
    /// What people call it; no two sources share a name.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The absolute path of a file, or a pattern: `/var/log/nginx/*.log`, `/var/log/**/*.log`.
    #[schema(min_length = 1, max_length = 1000)]
    pub path: String,
    /// The name of the format of its lines: of `logs.formats`, or as the preview tells it; it is found out
    /// from the first lines when there is none.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub format: Option<String>,
    /// The zone of timestamps that name none, such as `+02:00`; UTC when there is none.
    #[serde(default)]
    #[schema(max_length = 6)]
    pub zone: Option<String>,
}

/// What to change of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceChange {
    /// Another path or pattern.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000)]
    pub path: Option<String>,
    /// Whether to follow no further for now. It goes on where it was.
    #[serde(default)]
    pub paused: Option<bool>,
    /// Another format for lines that come from now on; empty to find it out.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub format: Option<String>,
    /// Another zone for lines that come from now on; empty for UTC.
    #[serde(default)]
    #[schema(max_length = 6)]
    pub zone: Option<String>,
}

/// What has become of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It follows its files.
    Following,
    /// It waits to be resumed.
    Paused,
    /// It follows what it can; `problem` says what it cannot.
    Degraded,
}

/// A source that follows files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FollowedSource {
    /// Its id.
    pub id: SourceId,
    /// What people call it. In lines each file's path is the name of its source.
    pub name: String,
    /// The path or pattern.
    pub path: String,
    /// The name of the format of its lines, where it is fixed.
    #[schema(required)]
    pub format: Option<String>,
    /// The zone of timestamps that name none, where it is fixed.
    #[schema(required)]
    pub zone: Option<String>,
    /// How it does.
    pub state: SourceState,
    /// Files that match.
    pub files: usize,
    /// Records indexed since the server started.
    pub lines: u64,
    /// When records were indexed last.
    #[schema(required)]
    pub last_line_at: Option<Timestamp>,
    /// Seconds since all its files were last read to their ends.
    pub lag_s: f64,
    /// What went wrong at the last look.
    #[schema(required)]
    pub problem: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A source that programs push to. It is there since something first came for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PushedSource {
    /// Its id.
    pub id: SourceId,
    /// What the programs call it.
    pub name: String,
    /// Records indexed since the server started.
    pub lines: u64,
    /// When records were indexed last.
    #[schema(required)]
    pub last_line_at: Option<Timestamp>,
    /// How long ago all that had come in was indexed, in seconds.
    pub lag_s: f64,
    /// Why something that came in is not indexed yet.
    #[schema(required)]
    pub problem: Option<String>,
}

/// The reply of `GET /logs/sources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceList {
    /// Those that were made here, by name.
    pub items: Vec<FollowedSource>,
    /// Those that programs push to, by name.
    pub pushed: Vec<PushedSource>,
}

/// Which lines are read anew when the index is made anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReloadScope {
    /// Names of sources, as a pattern: `/var/log/nginx/*`; all when absent.
    #[serde(default)]
    #[param(min_length = 1, max_length = 1000)]
    pub sources: Option<String>,
    /// The first instant, as it was known; a date alone is its midnight in UTC.
    #[serde(default, deserialize_with = "crate::timestamp::optional_from")]
    pub from: Option<Timestamp>,
    /// The first instant after; a date alone is the midnight at its end, so that the day counts.
    #[serde(default, deserialize_with = "crate::timestamp::optional_to")]
    pub to: Option<Timestamp>,
}

/// A hold on the lines of some sources, to be made: none of them leaves the index while it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogHold {
    /// Names of sources, as a pattern: `audit.log`, `/var/log/nginx/*`.
    #[schema(min_length = 1, max_length = 1000)]
    pub sources: String,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A hold on the lines of some sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogHold {
    /// Its id.
    pub id: LogHoldId,
    /// Names of sources, as a pattern.
    pub sources: String,
    /// Why, for people.
    pub reason: String,
    /// Who made it; none when the account is gone.
    #[schema(required)]
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// All holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogHoldList {
    /// The first made first.
    pub items: Vec<LogHold>,
}
