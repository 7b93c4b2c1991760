//! Roles: what the accounts of each may do, and which logs they see.
//!
//! Asked with every request and from time to time by every socket, so all of them are in memory. A change
//! counts at once in this process, and in the others on this database with their next look
//! ([`Identity::follow`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use callboard_actors::Rights;
use callboard_entities::queries::roles::{self, StoredRole};
use callboard_logs::SourceAccess;
use callboard_protocol::{
    ErrorCode, Permission, Permissions, PutRole, Role, RoleDetails, RoleList, Timestamp,
};
use parking_lot::RwLock;

use super::Identity;
use crate::ApiError;

/// Roles that administrators may make.
const MOST_ROLES: usize = 100;
/// Patterns of sources that a role may have.
const MOST_PATTERNS: usize = 100;
/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 500;

/// The roles that are known.
pub(super) struct Roles(RwLock<Arc<Known>>);

#[derive(Default)]
struct Known {
    rights: BTreeMap<Role, Arc<Rights>>,
    made: Vec<StoredRole>,
}

impl Roles {
    pub(super) fn new(made: Vec<StoredRole>) -> Self {
        Self(RwLock::new(Arc::new(Known::of(made))))
    }

    /// What the accounts of a role may do; nothing when there is no such role any more.
    pub(super) fn rights(&self, role: Role) -> Arc<Rights> {
        let known = self.0.read();
        known.rights.get(&role).cloned().unwrap_or_else(|| Arc::new(Rights::none()))
    }

    /// Takes over the roles that administrators made.
    pub(super) fn set(&self, made: Vec<StoredRole>) {
        if self.0.read().made != made {
            *self.0.write() = Arc::new(Known::of(made));
        }
    }

    fn list(&self) -> RoleList {
        let known = Arc::clone(&self.0.read());
        let built_in = Role::BUILT_IN.into_iter().map(|name| RoleDetails {
            name,
            description: describe(name).to_owned(),
            permissions: Permissions::of_built_in(name).iter().collect(),
            sources: None,
            built_in: true,
        });
        let made = known.made.iter().map(|stored| details(stored.name, &stored.role));
        RoleList { items: built_in.chain(made).collect() }
    }
}

impl Known {
    fn of(made: Vec<StoredRole>) -> Self {
        let built_in = Role::BUILT_IN.into_iter().map(|role| (role, Rights::of_built_in(role)));
        let others = made.iter().map(|stored| (stored.name, rights_of(&stored.role)));
        let rights = others.chain(built_in).map(|(role, rights)| (role, Arc::new(rights)));
        Self { rights: rights.collect(), made }
    }
}

fn rights_of(role: &PutRole) -> Rights {
    let permissions = role.permissions.iter().copied().collect();
    // It was read before it was stored; what cannot be read any more shows nothing.
    let nothing = || SourceAccess::Only([].into());
    let sources = SourceAccess::parse(role.sources.as_deref()).unwrap_or_else(|_| nothing());
    Rights { permissions, sources }
}

fn details(name: Role, role: &PutRole) -> RoleDetails {
    RoleDetails {
        name,
        description: role.description.clone(),
        permissions: role.permissions.clone(),
        sources: role.sources.clone(),
        built_in: false,
    }
}

fn describe(role: Role) -> &'static str {
    match role {
        Role::VIEWER => "Asks questions and reads logs.",
        Role::ANALYST => "A viewer who also brings logs in and sees the jobs that index them.",
        _ => "Everything.",
    }
}

impl Identity {
    /// What the accounts of a role may do now.
    pub(crate) fn rights(&self, role: Role) -> Arc<Rights> {
        self.0.roles.rights(role)
    }

    /// All roles.
    pub(crate) fn roles(&self) -> RoleList {
        self.0.roles.list()
    }

    /// Makes a role, or puts this in its place; tells what was there before, and what is now.
    ///
    /// # Errors
    /// When the role is built in, a field breaks a rule, or the store fails.
    pub(crate) async fn put_role(
        &self,
        name: Role,
        role: PutRole,
        now: Timestamp,
    ) -> Result<(Option<RoleDetails>, RoleDetails), ApiError> {
        let role = checked(name, role)?;
        let made = roles::list(&self.0.store).await?;
        if made.len() >= MOST_ROLES && made.iter().all(|known| known.name != name) {
            let message = format!("there are {MOST_ROLES} roles already: delete one first");
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        let before = roles::put(&self.0.store, name, &role, now).await?;
        self.0.roles.set(roles::list(&self.0.store).await?);
        Ok((before.map(|before| details(name, &before.role)), details(name, &role)))
    }

    /// Deletes a role that no account has.
    ///
    /// # Errors
    /// When it is built in, not there, or in use, or the store fails.
    pub(crate) async fn delete_role(&self, name: Role) -> Result<(), ApiError> {
        if name.is_built_in() {
            return Err(is_built_in());
        }
        roles::delete(&self.0.store, name).await?;
        self.0.roles.set(roles::list(&self.0.store).await?);
        Ok(())
    }
}

fn is_built_in() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "this role is built in and stays as it is")
}

/// A role whose fields keep the rules.
fn checked(name: Role, mut role: PutRole) -> Result<PutRole, ApiError> {
    if name.is_built_in() {
        return Err(is_built_in());
    }
    let invalid = |field: &str, rule: &str| Err(ApiError::invalid(field, rule));
    role.description = role.description.trim().to_owned();
    if role.description.chars().count() > LONGEST_DESCRIPTION
        || role.description.chars().any(char::is_control)
    {
        return invalid(
            "description",
            "a description has at most 500 characters, none of them a control character",
        );
    }
    let held: Permissions = role.permissions.iter().copied().collect();
    role.permissions = held.iter().collect();
    if held.iter().any(Permission::is_of_administrators) {
        return invalid("permissions", "only the role admin may manage accounts and roles");
    }
    let Some(patterns) = &mut role.sources else { return Ok(role) };
    let unique: BTreeSet<String> =
        patterns.iter().map(|pattern| pattern.trim().to_owned()).collect();
    *patterns = unique.into_iter().collect();
    if patterns.len() > MOST_PATTERNS {
        return invalid("sources", "a role has at most 100 patterns of sources");
    }
    if let Err(problem) = SourceAccess::parse(Some(patterns)) {
        return invalid("sources", &problem);
    }
    if let Some(wide) = held.iter().find(|permission| permission.sees_every_source()) {
        let name = serde_json::to_value(wide).unwrap_or_default();
        let rule = format!(
            "{name} shows what is in all sources: a role that sees some only cannot have it"
        );
        return invalid("permissions", &rule);
    }
    Ok(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(permissions: &[Permission], sources: Option<&[&str]>) -> PutRole {
        PutRole {
            description: String::new(),
            permissions: permissions.to_vec(),
            sources: sources.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
        }
    }

    fn refused(name: &str, role: PutRole) -> ErrorCode {
        checked(name.parse().unwrap(), role).unwrap_err().code()
    }

    #[test]
    fn no_role_can_give_itself_what_it_has_not() {
        use Permission::{AlertsUse, ChatUse, LogsManage, LogsRead, UsersManage};
        assert_eq!(refused("admin", role(&[ChatUse], None)), ErrorCode::Conflict);
        assert_eq!(refused("boss", role(&[UsersManage], None)), ErrorCode::ValidationFailed);
        for wide in [AlertsUse, LogsManage] {
            let narrow = role(&[LogsRead, wide], Some(&["web"]));
            assert_eq!(refused("web", narrow), ErrorCode::ValidationFailed, "{wide:?}");
            assert!(checked("ops".parse().unwrap(), role(&[LogsRead, wide], None)).is_ok());
        }
        assert_eq!(refused("web", role(&[LogsRead], Some(&["[a"]))), ErrorCode::ValidationFailed);
    }

    #[test]
    fn a_role_that_is_gone_holds_nothing() {
        let roles = Roles::new(Vec::new());
        let gone = roles.rights("gone".parse().unwrap());
        assert!(Permission::ALL.into_iter().all(|permission| !gone.may(permission)));
        assert!(!gone.sources.includes("anything"));
        assert!(roles.rights(Role::VIEWER).may(Permission::ChatUse));
        assert_eq!(roles.list().items.len(), 3);
    }
}
