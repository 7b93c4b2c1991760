//! Accounts, roles and sign-ins, as their owners and administrators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Permission, Role, Timestamp, TokenFamilyId, TokenTransport, UserId};

/// An account, as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// The name to sign in with.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// Where mail reaches its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Whether it has a password; one that was invited has none yet.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Since when it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disabled_at: Option<Timestamp>,
    /// When it was last seen, to a few minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_seen_at: Option<Timestamp>,
}

/// The reply of `GET /admin/users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountPage {
    /// They, by name.
    pub items: Vec<Account>,
    /// How many there are in all that match.
    pub total: u64,
    /// Leads to the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// The body of `POST /admin/users`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// 1 to 64 of letters, digits, `.`, `_`, `-`, `@`.
    #[schema(min_length = 1, max_length = 64)]
    pub username: String,
    /// The name to show; the user name when absent.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub display_name: Option<String>,
    /// Where mail reaches its owner.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
}

/// A one-time link with which an account gets a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountLink {
    /// To be given to its owner by a way that is private; it is shown once. The token stands behind
    /// `#`, so that it is in no server's log.
    pub url: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// The reply of `POST /admin/users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountCreated {
    /// The account.
    pub account: Account,
    /// With this its owner chooses a password.
    pub link: AccountLink,
}

/// The body of `PATCH /admin/users/{id}`: what is to be changed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAccount {
    /// The name to show.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub display_name: Option<String>,
    /// Where mail reaches its owner; an empty text takes it away.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// What it may do. It counts at once.
    #[serde(default)]
    pub role: Option<Role>,
    /// A disabled account opens nothing, and neither do its keys; all its sign-ins end.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// What went with an account: the reply of `DELETE /admin/users/{id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountDeleted {
    /// Conversations that were deleted with it.
    pub conversations_deleted: u64,
    /// Conversations that another account has now.
    pub conversations_transferred: u64,
    /// API keys that are gone.
    pub keys_deleted: u64,
    /// Events of the audit trail from which its name and addresses were erased.
    pub audit_events_erased: u64,
}

/// The body of `POST /auth/link`: an account's password, by a one-time link.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UseLink {
    /// From the link.
    pub token: String,
    /// At least 12 characters, at most 1,024 bytes.
    #[schema(format = Password)]
    pub password: String,
    /// How to hand out the tokens.
    #[serde(default)]
    pub transport: TokenTransport,
}

/// The body of `POST /auth/password`: another password for oneself.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    #[schema(format = Password)]
    pub current: String,
    /// At least 12 characters, at most 1,024 bytes.
    #[schema(format = Password)]
    pub password: String,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// With a password.
    Password,
    /// With a password and a code of an authenticator, or a recovery code.
    PasswordAndCode,
    /// With a one-time link: the first administrator's, an invitation, or a new password.
    Link,
}

/// A sign-in that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// Its id.
    pub id: TokenFamilyId,
    /// Whose it is.
    pub user_id: UserId,
    /// How it was done.
    pub method: SignInMethod,
    /// What the client called itself, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub device: Option<String>,
    /// The network address that it was last seen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// When it was done.
    pub started_at: Timestamp,
    /// When it was last renewed: to the lifetime of an access token.
    pub last_seen_at: Timestamp,
    /// Whether the request that asks belongs to it.
    pub current: bool,
}

/// Sign-ins that are in force, the one that was seen last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInList {
    /// They.
    pub items: Vec<SignIn>,
}

/// How many sign-ins were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInsEnded {
    /// So many.
    pub ended: u64,
}

/// A code, as proof of a second factor.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowCode {
    /// Six digits of an authenticator, or a recovery code.
    #[schema(max_length = 64)]
    pub code: String,
}

/// One's own second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecondFactor {
    /// Whether there is one.
    pub enrolled: bool,
    /// Whether the account's role needs one.
    pub required: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u64,
}

/// A secret for an authenticator.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SecondFactorSecret {
    /// In base32, to be typed in.
    pub secret: String,
    /// The same as an `otpauth:` address, for a QR code.
    pub url: String,
}

/// Codes for when the authenticator is lost; each is good once. They are shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// They.
    pub codes: Vec<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleDetails {
    /// Its name.
    pub name: Role,
    /// What it is for.
    pub description: String,
    /// What its accounts may do.
    pub permissions: Vec<Permission>,
    /// Patterns of the names of the only sources whose lines its accounts see; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sources: Option<Vec<String>>,
    /// Whether it is always there and as it is.
    pub built_in: bool,
}

/// All roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleList {
    /// They: those that are built in first, then the others by name.
    pub items: Vec<RoleDetails>,
}

/// The body of `PUT /admin/roles/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRole {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub description: String,
    /// What its accounts may do.
    pub permissions: Vec<Permission>,
    /// Patterns of the names of the only sources whose lines its accounts see, as `nginx` or
    /// `/var/log/web/*`; all when absent.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub sources: Option<Vec<String>>,
}
