//! What somebody may do, and which logs they may see: whatever works for them carries it along.

use callboard_logs::SourceAccess;
use callboard_protocol::{Permission, Permissions, Role};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What they may do.
    pub permissions: Permissions,
    /// The sources whose lines exist for them.
    pub sources: SourceAccess,
}

impl Rights {
    /// Those of a role that is built in.
    #[must_use]
    pub fn of_built_in(role: Role) -> Self {
        Self { permissions: Permissions::of_built_in(role), sources: SourceAccess::Every }
    }

    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self { permissions: Permissions::default(), sources: SourceAccess::Only([].into()) }
    }

    /// The sources that they may read: none without the right to read logs.
    #[must_use]
    pub fn readable(&self) -> SourceAccess {
        if self.may(Permission::LogsRead) {
            self.sources.clone()
        } else {
            SourceAccess::Only([].into())
        }
    }

    /// Whether they hold this right.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }
}
