//! Sign-in: the bodies of `/auth`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Permission, Role, UserId};

/// An account, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The name to sign in with.
    pub username: String,
    /// The name to show.
    pub display_name: String,
    /// What it may do.
    pub role: Role,
}

/// The reply of `GET /auth/me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The account.
    pub user: User,
    /// All that its role may do.
    pub permissions: Vec<Permission>,
}

/// Whether the administrator has yet to be made: the reply of `GET /auth/setup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetupState {
    /// `true` until the administrator exists.
    pub required: bool,
}

/// How the caller keeps its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenTransport {
    /// In the reply's body, for programs.
    #[default]
    Body,
    /// In `HttpOnly` cookies, for browsers; no token stands in the body.
    Cookie,
}

/// Makes the administrator: the body of `POST /auth/setup`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// From the one-time link that the server printed.
    pub token: String,
    /// 1 to 64 of letters, digits, `.`, `_`, `-`, `@`.
    pub username: String,
    /// The name to show; the user name when absent.
    #[serde(default)]
    pub display_name: Option<String>,
    /// At least 12 characters, at most 1,024 bytes.
    #[schema(format = Password)]
    pub password: String,
    /// How to hand out the tokens.
    #[serde(default)]
    pub transport: TokenTransport,
}

/// The body of `POST /auth/login`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name to sign in with.
    pub username: String,
    /// The password.
    #[schema(format = Password)]
    pub password: String,
    /// The code of an authenticator, or a recovery code, for an account with a second factor.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub code: Option<String>,
    /// How to hand out the tokens.
    #[serde(default)]
    pub transport: TokenTransport,
}

/// The body of `POST /auth/refresh` and of `POST /auth/logout`; a browser sends its cookie instead.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token; it is good for one use.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// A new session: the reply of `/auth/setup`, `/auth/login` and `/auth/refresh`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    /// Who it is.
    pub user: User,
    /// For `Authorization: Bearer`; absent when it was set as a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub access_token: Option<String>,
    /// For `POST /auth/refresh`; absent when it was set as a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
    /// How long the access token is good for, in seconds.
    pub expires_in: u64,
    /// To be sent back as `X-CSRF-Token` with every request that changes something; only with
    /// cookies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub csrf_token: Option<String>,
}
