//! Accounts as administrators, the machine's operator and their owners manage them.

use std::time::Duration;

use callboard_entities::{
    StoreError,
    queries::{
        accounts::{self, AccountChange, AccountFilter, Deleted, Standing},
        audit, links,
        links::{LinkOutcome, NewLink},
        sign_ins::{self, SeenFrom},
        users::{self, NewUser},
    },
};
use callboard_protocol::{
    Account, AccountDeleted, AccountPage, ChangeAccount, ChangePassword, CreateAccount, ErrorCode,
    Role, SignIn, SignInMethod, Timestamp, TokenFamilyId, UseLink, User, UserId,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Identity, Session, check_display_name, check_name, checked_hash, keys, no_such_account,
    password,
};
use crate::{ApiError, extract::Principal};

/// The longest address for mail, in bytes (RFC 5321, 4.5.3.1.3 less its brackets).
const LONGEST_EMAIL: usize = 254;

/// An account that an operator makes: `callboard user add`.
pub struct NewAccount {
    /// 1 to 64 of letters, digits, `.`, `_`, `-`, `@`.
    pub username: String,
    /// The name to show; the user name when absent.
    pub display_name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// At least 12 characters.
    pub password: SecretString,
}

/// A one-time link: the path, and until when it is good.
pub(crate) struct Link {
    pub(crate) path: String,
    pub(crate) expires_at: Timestamp,
}

impl Identity {
    /// Makes an account.
    ///
    /// # Errors
    /// When a field breaks a rule, the name is taken, or the store fails.
    pub async fn add_user(&self, new: NewAccount, now: Timestamp) -> Result<User, ApiError> {
        let new = self.checked(new).await?;
        if !new.role.is_built_in() && self.rights(new.role).permissions == Default::default() {
            let message = format!("there is no role {}", new.role);
            return Err(ApiError::new(ErrorCode::ValidationFailed, message));
        }
        let user = users::create(&self.0.store, &new, now).await?;
        self.note("user.create", &user.id.to_string(), now).await;
        Ok(user)
    }

    /// The accounts that can sign in, by name; at most `limit` of those behind `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self, after: Option<&str>, limit: u32) -> Result<Vec<User>, ApiError> {
        Ok(users::list(&self.0.store, after, limit).await?)
    }

    /// Gives an account a new password and ends its sign-ins. A server that runs beside this process
    /// knows within the time answered.
    ///
    /// # Errors
    /// When there is no such account, the password breaks a rule, or the store fails.
    pub async fn set_password(
        &self,
        username: &str,
        password: &SecretString,
        now: Timestamp,
    ) -> Result<Duration, ApiError> {
        let name = users::normalise(username);
        let user = users::find_by_username(&self.0.store, &name).await?;
        let user = user.ok_or_else(no_such_account)?;
        self.give_password(&user, password.expose_secret(), now).await?;
        self.note("user.set_password", &user.id.to_string(), now).await;
        Ok(self.0.access.lifetime())
    }

    /// Gives an account a password that it does not have yet, and ends its sign-ins.
    async fn give_password(
        &self,
        user: &User,
        password: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        password::check_policy(password, &[&user.username, &user.display_name])?;
        let hash = self.0.passwords.hash(password).await?.into();
        let ended = users::set_password(&self.0.store, user.id, &hash, now).await;
        let ended = ended.map_err(|error| match error {
            // The operator's own account, which has no password.
            StoreError::NotFound(_) => no_such_account(),
            other @ (StoreError::Conflict { .. }
            | StoreError::Unavailable(_)
            | StoreError::Internal(_)) => other.into(),
        })?;
        self.end_all_access(&ended, now);
        Ok(())
    }

    /// Another password for the caller, who shows the present one; all their other sign-ins end, and this
    /// one begins anew.
    pub(crate) async fn change_password(
        &self,
        caller: &Principal,
        change: &ChangePassword,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        let user = &caller.user;
        self.0.throttle.admit(&user.username, address_of(from)).await?;
        let found = users::credentials(&self.0.store, &user.username).await?;
        let hash = found.and_then(|found| found.password_hash);
        let hash = hash.map(|hash| hash.expose_secret().to_owned());
        if !self.0.passwords.verify(&change.current, hash).await? {
            return Err(ErrorCode::InvalidCredentials.into());
        }
        self.give_password(user, &change.password, now).await?;
        let method = match caller.second_factor {
            true => SignInMethod::PasswordAndCode,
            false => SignInMethod::Password,
        };
        self.begin(user.clone(), method, from, now).await
    }

    /// A page of accounts by name.
    pub(crate) async fn accounts(
        &self,
        filter: &AccountFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<AccountPage, ApiError> {
        let (items, total) = accounts::page(&self.0.store, filter, after, limit + 1).await?;
        let more = items.len() > limit as usize;
        let items: Vec<Account> = items.into_iter().take(limit as usize).collect();
        let next_cursor = items.last().filter(|_| more).map(|last| last.username.clone());
        Ok(AccountPage { items, total, next_cursor })
    }

    /// One account.
    pub(crate) async fn account(&self, id: UserId) -> Result<Account, ApiError> {
        Ok(accounts::get(&self.0.store, id).await?)
    }

    /// Makes an account that gets its password by the link.
    pub(crate) async fn invite(
        &self,
        new: CreateAccount,
        by: UserId,
        now: Timestamp,
    ) -> Result<(Account, Link), ApiError> {
        let username = users::normalise(&new.username);
        check_name(&username)?;
        let new = accounts::NewAccount {
            username,
            display_name: new.display_name.as_deref().map(shown).transpose()?.flatten(),
            email: new.email.as_deref().map(email).transpose()?.flatten(),
            role: new.role,
        };
        let account = accounts::create(&self.0.store, &new, now).await?;
        let link = self.issue_link(account.id, by, now).await?;
        Ok((account, link))
    }

    /// A new link for an account to get a password by; the one before is good no longer.
    pub(crate) async fn issue_link(
        &self,
        user: UserId,
        by: UserId,
        now: Timestamp,
    ) -> Result<Link, ApiError> {
        // The operator's own account is none of these.
        accounts::get(&self.0.store, user).await?;
        let token = keys::random_token()?;
        let expires_at = now.plus(self.0.link_lifetime);
        let hash = keys::token_hash(&token);
        let new = NewLink { user, hash, by: Some(by), expires_at };
        links::issue(&self.0.store, &new, now).await?;
        Ok(Link { path: format!("/link#{token}"), expires_at })
    }

    /// Gives the account of a link its password, and signs it in. The link is used up only by success.
    pub(crate) async fn use_link(
        &self,
        link: &UseLink,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        self.0.throttle.check_address(address_of(from))?;
        let hash = checked_hash(&link.token).ok_or(ErrorCode::InvalidLink)?;
        // Before the costly hash of the password.
        let owner = links::owner(&self.0.store, &hash, now).await?;
        let owner = owner.ok_or(ErrorCode::InvalidLink)?;
        password::check_policy(&link.password, &[&owner.username, &owner.display_name])?;
        let password_hash = self.0.passwords.hash(&link.password).await?.into();
        match links::complete(&self.0.store, &hash, &password_hash, now).await? {
            LinkOutcome::Done { user, ended } => {
                self.end_all_access(&ended, now);
                self.begin(user, SignInMethod::Link, from, now).await
            }
            LinkOutcome::Invalid => Err(ErrorCode::InvalidLink.into()),
        }
    }

    /// Changes an account; it counts at once. Tells how it was and is.
    pub(crate) async fn change_account(
        &self,
        id: UserId,
        change: ChangeAccount,
        now: Timestamp,
    ) -> Result<(Account, Account), ApiError> {
        let name = change.display_name.as_deref().map(shown).transpose()?.flatten();
        let change = AccountChange {
            display_name: name,
            email: change.email.as_deref().map(email).transpose()?,
            role: change.role,
            disabled: change.disabled,
        };
        let changed = accounts::change(&self.0.store, id, &change, now).await?;
        let after = &changed.after;
        self.note_standing(&Standing {
            user: id,
            role: after.role,
            disabled: after.disabled_at.is_some(),
            at: after.updated_at,
        });
        self.end_all_access(&changed.ended, now);
        Ok((changed.before, changed.after))
    }

    /// Deletes an account with all that is its own; another may have its conversations. Tells what
    /// went.
    pub(crate) async fn delete_account(
        &self,
        id: UserId,
        heir: Option<UserId>,
        now: Timestamp,
    ) -> Result<AccountDeleted, ApiError> {
        if heir == Some(id) {
            let message = "an account cannot be its own heir";
            return Err(ApiError::new(ErrorCode::InvalidParameter, message));
        }
        let Deleted { account, ended, mut gone } =
            accounts::delete(&self.0.store, id, heir, now).await?;
        self.note_gone(id, now);
        self.end_all_access(&ended, now);
        gone.audit_events_erased = audit::erase(&self.0.store, id, &account.username).await?;
        Ok(gone)
    }

    /// The sign-ins of an account that are in force.
    pub(crate) async fn sign_ins(
        &self,
        user: UserId,
        current: Option<TokenFamilyId>,
        now: Timestamp,
    ) -> Result<Vec<SignIn>, ApiError> {
        Ok(sign_ins::list(&self.0.store, user, current, now).await?)
    }

    /// Ends one sign-in of an account.
    ///
    /// # Errors
    /// `not_found` when it is not in force, or another's.
    pub(crate) async fn end_sign_in(
        &self,
        user: UserId,
        family: TokenFamilyId,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !sign_ins::end(&self.0.store, user, family, now).await? {
            return Err(ErrorCode::NotFound.into());
        }
        self.end_access(family, now);
        Ok(())
    }

    /// Ends all sign-ins of an account but one; tells how many.
    pub(crate) async fn end_sign_ins(
        &self,
        user: UserId,
        kept: Option<TokenFamilyId>,
        now: Timestamp,
    ) -> Result<u64, ApiError> {
        let ended = sign_ins::end_others(&self.0.store, user, kept, now).await?;
        self.end_all_access(&ended, now);
        Ok(ended.len() as u64)
    }

    fn end_all_access(&self, families: &[TokenFamilyId], now: Timestamp) {
        families.iter().for_each(|family| self.end_access(*family, now));
    }

    /// The account with its names checked and its password hashed.
    pub(super) async fn checked(&self, new: NewAccount) -> Result<NewUser, ApiError> {
        let username = users::normalise(&new.username);
        check_name(&username)?;
        let display_name = new.display_name.as_deref().map(shown).transpose()?.flatten();
        let password = new.password.expose_secret();
        password::check_policy(password, &[&username, display_name.as_deref().unwrap_or("")])?;
        let password_hash = self.0.passwords.hash(password).await?.into();
        Ok(NewUser { username, display_name, role: new.role, password_hash })
    }
}

/// A name to show; none when it is empty.
fn shown(name: &str) -> Result<Option<String>, ApiError> {
    let name = name.trim();
    check_display_name(name)?;
    Ok(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// An address for mail; none when it is empty.
fn email(text: &str) -> Result<Option<String>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    let plain = |part: &str| {
        !part.is_empty()
            && !part
                .contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"',;".contains(c))
    };
    if text.len() <= LONGEST_EMAIL && plain(local) && plain(domain) {
        return Ok(Some(text.to_owned()));
    }
    Err(ApiError::invalid("email", "this is no address for mail"))
}

/// The address that a request came from, as the limits know it.
pub(super) fn address_of(from: &SeenFrom) -> Option<std::net::IpAddr> {
    from.address.as_deref().and_then(|address| address.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_mail_has_two_parts_and_nothing_that_acts() {
        for good in ["ada@example.org", "a+b@x", "ü@example.org"] {
            assert_eq!(email(good).unwrap().as_deref(), Some(good));
        }
        assert_eq!(email(" ").unwrap(), None);
        for bad in [
            "ada",
            "@x",
            "a@",
            "a b@x",
            "a@x\nBcc: b@y",
            "<a@x>",
            &format!("a@{}", "x".repeat(300)),
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }
}
