//! One type for each [`Permission`], and two for parts of the gateway.

use callboard_protocol::{KeyScope, Permission};

/// The scope that a key needs for a right of its owner's; none: no key has this right. Two permits
/// for parts of the gateway ask for another scope than this.
pub(crate) fn scope_of(permission: Permission) -> Option<KeyScope> {
    match permission {
        Permission::GatewayUse => Some(KeyScope::Chat),
        Permission::LogsRead => Some(KeyScope::LogsRead),
        Permission::LogsIngest => Some(KeyScope::LogsWrite),
        Permission::UsageRead => Some(KeyScope::UsageRead),
        Permission::AccountUse
        | Permission::ChatUse
        | Permission::LogsManage
        | Permission::AlertsUse
        | Permission::AlertsManage
        | Permission::JobsRead
        | Permission::JobsManage
        | Permission::CacheRead
        | Permission::CacheManage
        | Permission::ProvidersRead
        | Permission::ProvidersManage
        | Permission::KeysUse
        | Permission::KeysManage
        | Permission::UsageReadAll
        | Permission::UsersManage
        | Permission::AuditRead => None,
    }
}

/// A right, as a type.
pub trait Permit: 'static {
    /// The right.
    const PERMISSION: Permission;

    /// The scope that a key needs for it; none: no key is enough.
    #[must_use]
    fn scope() -> Option<KeyScope> {
        scope_of(Self::PERMISSION)
    }
}

macro_rules! permits {
    ($($name:ident),+ $(,)?) => {$(
        #[doc = concat!("[`Permission::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub struct $name;

        impl Permit for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )+};
}

permits! {
    AccountUse, ChatUse, LogsRead, LogsIngest, LogsManage, AlertsUse, AlertsManage, JobsRead,
    JobsManage, CacheRead, CacheManage, ProvidersRead, ProvidersManage, KeysUse, KeysManage,
    UsageRead, UsageReadAll, GatewayUse, UsersManage, AuditRead,
}

/// The gateway's embeddings.
#[derive(Debug)]
pub struct GatewayEmbed;

impl Permit for GatewayEmbed {
    const PERMISSION: Permission = Permission::GatewayUse;

    fn scope() -> Option<KeyScope> {
        Some(KeyScope::Embeddings)
    }
}

/// The gateway's list of models.
#[derive(Debug)]
pub struct GatewayModels;

impl Permit for GatewayModels {
    const PERMISSION: Permission = Permission::GatewayUse;

    fn scope() -> Option<KeyScope> {
        Some(KeyScope::Models)
    }
}
