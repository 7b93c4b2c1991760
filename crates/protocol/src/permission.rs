//! Who may do what: the whole table.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Role;

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
    /// See, make, change, disable and delete accounts and roles, and end sign-ins.
    UsersManage,
    /// Read the audit trail.
    AuditRead,
}

impl Permission {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 20] = [
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
        Self::UsersManage,
        Self::AuditRead,
    ];

    /// The least of the roles that are built in that holds this right; each greater one holds it too.
    #[must_use]
    pub fn least_role(self) -> Role {
        match self {
            Self::AccountUse
            | Self::ChatUse
            | Self::LogsRead
            | Self::KeysUse
            | Self::UsageRead
            | Self::GatewayUse => Role::VIEWER,
            Self::LogsIngest | Self::AlertsUse | Self::JobsRead => Role::ANALYST,
            Self::LogsManage
            | Self::AlertsManage
            | Self::JobsManage
            | Self::CacheRead
            | Self::CacheManage
            | Self::ProvidersRead
            | Self::ProvidersManage
            | Self::KeysManage
            | Self::UsageReadAll
            | Self::UsersManage
            | Self::AuditRead => Role::ADMIN,
        }
    }

    /// Whether it shows what is in the logs beyond single lines, so that only those may hold it who
    /// see every source: rules and their findings, files and jobs tell of all of them.
    #[must_use]
    pub fn sees_every_source(self) -> bool {
        match self {
            Self::LogsManage
            | Self::AlertsUse
            | Self::AlertsManage
            | Self::JobsRead
            | Self::JobsManage
            | Self::AuditRead => true,
            Self::AccountUse
            | Self::ChatUse
            | Self::LogsRead
            | Self::LogsIngest
            | Self::CacheRead
            | Self::CacheManage
            | Self::ProvidersRead
            | Self::ProvidersManage
            | Self::KeysUse
            | Self::KeysManage
            | Self::UsageRead
            | Self::UsageReadAll
            | Self::GatewayUse
            | Self::UsersManage => false,
        }
    }

    /// Whether whoever holds it could give themselves any other.
    #[must_use]
    pub fn is_of_administrators(self) -> bool {
        self == Self::UsersManage
    }
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// The rights of a role that is built in; none for another.
    #[must_use]
    pub fn of_built_in(role: Role) -> Self {
        let rank = |role| Role::BUILT_IN.into_iter().position(|known| known == role);
        let Some(own) = rank(role) else { return Self::default() };
        let held = |permission: &Permission| rank(permission.least_role()) <= Some(own);
        Permission::ALL.into_iter().filter(held).collect()
    }

    /// Whether the right is among them.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// They, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn include(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | bit(permission)))
    }
}

fn bit(permission: Permission) -> u64 {
    1 << permission as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_greater_role_holds_the_rights_of_the_lesser_and_more() {
        let [viewer, analyst, admin] = Role::BUILT_IN.map(Permissions::of_built_in);
        assert!(analyst.include(viewer) && !viewer.include(analyst));
        assert!(admin.include(analyst) && !analyst.include(admin));
        assert_eq!(admin, Permission::ALL.into_iter().collect());
        assert_eq!(admin.iter().count(), Permission::ALL.len());
        assert!(!viewer.contains(Permission::LogsIngest));
        let other = Permissions::of_built_in("on-call".parse().unwrap());
        assert_eq!(other, Permissions::default());
    }
}
