//! Who may do what: the whole table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an account is allowed to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks questions and reads logs.
    Viewer,
    /// A viewer who also brings logs in and sees the jobs that index them.
    Analyst,
    /// Everything.
    Admin,
}

/// One right, as demanded by an endpoint, a frame or a command.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See one's own account and end one's own session.
    AccountUse,
    /// Ask, and read, rename, search and delete one's own conversations.
    ChatUse,
    /// Search logs and open lines.
    LogsRead,
    /// Upload logs.
    LogsIngest,
    /// Make the log index anew.
    LogsManage,
    /// See the rules that watch the logs and what they found, try them, and mute them.
    AlertsUse,
    /// Make, change and delete such rules.
    AlertsManage,
    /// See background jobs.
    JobsRead,
    /// Cancel background jobs.
    JobsManage,
    /// See the state of the cache.
    CacheRead,
    /// Drop entries from the cache.
    CacheManage,
    /// See the state of the providers and of the actors.
    ProvidersRead,
    /// Reset providers.
    ProvidersManage,
    /// See, make and revoke one's own API keys.
    KeysUse,
    /// See and revoke everybody's API keys.
    KeysManage,
    /// See what one's own calls used and cost.
    UsageRead,
    /// See what everybody's calls used and cost.
    UsageReadAll,
    /// Call models through the API for programs.
    GatewayUse,
}

impl Permission {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 18] = [
        Self::AccountUse,
        Self::ChatUse,
        Self::LogsRead,
        Self::LogsIngest,
        Self::LogsManage,
        Self::AlertsUse,
        Self::AlertsManage,
        Self::JobsRead,
        Self::JobsManage,
        Self::CacheRead,
        Self::CacheManage,
        Self::ProvidersRead,
        Self::ProvidersManage,
        Self::KeysUse,
        Self::KeysManage,
        Self::UsageRead,
        Self::UsageReadAll,
        Self::GatewayUse,
    ];

    /// The least role that holds this right.
    #[must_use]
    pub fn least_role(self) -> Role {
        match self {
            Self::AccountUse
            | Self::ChatUse
            | Self::LogsRead
            | Self::KeysUse
            | Self::UsageRead
            | Self::GatewayUse => Role::Viewer,
            Self::LogsIngest | Self::AlertsUse | Self::JobsRead => Role::Analyst,
            Self::LogsManage
            | Self::AlertsManage
            | Self::JobsManage
            | Self::CacheRead
            | Self::CacheManage
            | Self::ProvidersRead
            | Self::ProvidersManage
            | Self::KeysManage
            | Self::UsageReadAll => Role::Admin,
        }
    }
}

impl Role {
    /// All of them, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Analyst, Self::Admin];

    /// Whether this role holds `permission`.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        self >= permission.least_role()
    }

    /// The name, as on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("a role is viewer, analyst or admin")
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
