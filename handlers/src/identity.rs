//! Who is who: setup, sign-in, sessions and their tokens.
//!
//! Held by the edge as [`Identity`]; the composition root opens it after the migrations and prints
//! the setup link. Invariants: neither a password nor a token is ever stored or logged, only their
//! hashes; a refresh token is good once, and a second use ends its family; an access token is
//! good until it expires or its family ends, whichever is first; an unknown user costs as much time
//! as a wrong password.

mod access;
mod accounts;
mod api_keys;
pub(crate) mod cookie;
mod keys;
mod password;
mod revoked;
mod roles;
mod seal;
mod second_factor;
mod socket_tokens;
mod standing;
mod throttle;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use callboard_actors::Rights;
use callboard_entities::{
    Store,
    queries::{
        audit::{self, AuditEvent},
        roles as stored_roles, settings,
        setup::{self, SetupOutcome},
        sign_ins::{self, Seen, SeenFrom},
        tokens::{self, NewRefreshToken, Rotation},
        users,
    },
};
use callboard_protocol::{
    ErrorCode, Login, Role, Setup, SignInMethod, Timestamp, TokenFamilyId, User, UserId,
};
use secrecy::ExposeSecret;

use self::{
    access::{AccessKey, Claims, Subject},
    accounts::address_of,
    api_keys::ApiKeys,
    keys::CsrfKey,
    password::Passwords,
    revoked::RevokedFamilies,
    roles::Roles,
    seal::Seal,
    standing::Standings,
    throttle::LoginThrottle,
};
use crate::{
    ApiError, AuthConfig,
    extract::{Principal, Via},
};

pub(crate) use self::{accounts::Link, keys::same, socket_tokens::SocketTokens};
pub use self::{accounts::NewAccount, api_keys::KeyOfCaller};

/// The longest user name, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest name to show, in characters.
const LONGEST_DISPLAY_NAME: usize = 100;
/// Longer refresh and setup tokens are not looked at; ours have 76 and 43 bytes.
const LONGEST_TOKEN: usize = 256;

/// See the module. A cheap clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    passwords: Passwords,
    access: AccessKey,
    csrf: CsrfKey,
    revoked: RevokedFamilies,
    standings: Standings,
    roles: Roles,
    throttle: LoginThrottle,
    api_keys: ApiKeys,
    seal: Seal,
    second_factor_roles: Vec<Role>,
    refresh_lifetime: Duration,
    setup_lifetime: Duration,
    link_lifetime: Duration,
    local: User,
    /// Tokens made before are looked up once, since a revocation before the start is not in
    /// `revoked`.
    started: Timestamp,
}

/// A new session, or one that was renewed.
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) family: TokenFamilyId,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) csrf_token: String,
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Duration,
}

impl Identity {
    /// Opens it on a migrated store. The secret is that of the configuration, or the one that the
    /// first start made.
    ///
    /// # Errors
    /// When the store fails or the configured cost of a hash is no good.
    pub async fn open(store: Store, config: &AuthConfig, now: Timestamp) -> Result<Self, ApiError> {
        let secret: Vec<u8> = match &config.secret {
            Some(secret) => secret.expose_secret().as_bytes().to_vec(),
            None => {
                let mut candidate = [0_u8; 32];
                rand::fill(&mut candidate).map_err(|_| ApiError::internal("no random bytes"))?;
                settings::jwt_secret(&store, &candidate, now).await?.expose_secret().to_vec()
            }
        };
        let local = users::ensure_local_operator(&store, now).await?;
        let identity = Self(Arc::new(Inner {
            passwords: Passwords::new(config.password)?,
            access: AccessKey::new(&secret, Duration::from_secs(config.access_token_s)),
            csrf: CsrfKey::new(&secret),
            revoked: RevokedFamilies::default(),
            standings: Standings::default(),
            roles: Roles::new(stored_roles::list(&store).await?),
            throttle: LoginThrottle::new(config),
            api_keys: ApiKeys::default(),
            seal: Seal::new(&secret)?,
            second_factor_roles: config.second_factor_roles.clone(),
            refresh_lifetime: Duration::from_secs(config.refresh_token_s),
            setup_lifetime: Duration::from_secs(config.setup_link_s),
            link_lifetime: Duration::from_secs(config.account_link_s),
            local,
            started: now,
            store,
        }));
        identity.recall().await?;
        Ok(identity)
    }

    /// The path of a one-time setup link, `/setup#TOKEN`, for the composition root to print behind
    /// the server's address; none when there is an administrator. A new link ends the one before.
    ///
    /// The token stands behind `#`, so that it is in no server's log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn issue_setup_link(&self, now: Timestamp) -> Result<Option<String>, ApiError> {
        if !self.setup_required().await? {
            return Ok(None);
        }
        let token = keys::random_token()?;
        let expires_at = now.plus(self.0.setup_lifetime);
        setup::issue(&self.0.store, &keys::token_hash(&token), expires_at, now).await?;
        Ok(Some(format!("/setup#{token}")))
    }

    /// Whether the administrator has yet to be made.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn setup_required(&self) -> Result<bool, ApiError> {
        Ok(!users::any_admin_exists(&self.0.store).await?)
    }

    /// Notes what the machine's operator did, in the audit trail.
    async fn note(&self, action: &str, object: &str, now: Timestamp) {
        let event = AuditEvent {
            actor: Some(self.0.local.id),
            actor_name: Some(self.0.local.username.clone()),
            action: action.to_owned(),
            object: Some(object.to_owned()),
            address: None,
            request_id: None,
            details: serde_json::json!({}),
            at: now,
        };
        if let Err(error) = audit::append(&self.0.store, &event).await {
            tracing::error!(%error, action, "the audit trail could not be written");
        }
    }

    /// Makes the administrator and signs them in. The token is used up only by success.
    pub(crate) async fn set_up(
        &self,
        setup: Setup,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        self.0.throttle.check_address(address_of(from))?;
        let hash = checked_hash(&setup.token).ok_or(ErrorCode::InvalidSetupToken)?;
        if !self.setup_required().await? {
            return Err(ErrorCode::AlreadySetUp.into());
        }
        // Before the costly hash of the password.
        if !setup::verify(&self.0.store, &hash, now).await? {
            return Err(ErrorCode::InvalidSetupToken.into());
        }
        let new = NewAccount {
            username: setup.username,
            display_name: setup.display_name,
            role: Role::ADMIN,
            password: setup.password.into(),
        };
        let new = self.checked(new).await?;
        match setup::complete(&self.0.store, &hash, &new, now).await? {
            SetupOutcome::Created(user) => self.begin(user, SignInMethod::Link, from, now).await,
            SetupOutcome::InvalidToken => Err(ErrorCode::InvalidSetupToken.into()),
        }
    }

    /// Signs somebody in with a password.
    pub(crate) async fn login(
        &self,
        login: &Login,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        let name = users::normalise(&login.username);
        self.0.throttle.admit(&name, address_of(from)).await?;
        // A name that cannot exist is not looked up, and takes the same time all the same; so does an
        // account that is disabled.
        let found = match check_name(&name) {
            Ok(()) => users::credentials(&self.0.store, &name).await?,
            Err(_) => None,
        };
        let (user, hash) = match found {
            Some(found) if !found.disabled => (Some(found.user), found.password_hash),
            Some(_) | None => (None, None),
        };
        let hash = hash.map(|hash| hash.expose_secret().to_owned());
        let right = self.0.passwords.verify(&login.password, hash.clone()).await?;
        match (user, hash) {
            (Some(user), Some(hash)) if right => {
                let code = login.code.as_deref();
                let method = if self.check_second_factor(&user, code, now).await? {
                    SignInMethod::PasswordAndCode
                } else {
                    SignInMethod::Password
                };
                self.renew_hash(&user, &login.password, hash).await;
                self.begin(user, method, from, now).await
            }
            _ => Err(ErrorCode::InvalidCredentials.into()),
        }
    }

    /// Hashes a password anew whose hash is of another kind, or costs less, than one made now would.
    async fn renew_hash(&self, user: &User, password: &str, old: String) {
        if self.0.passwords.is_of_now(&old) {
            return;
        }
        let renewed = async {
            let hash = self.0.passwords.hash(password).await?.into();
            users::renew_hash(&self.0.store, user.id, &old.into(), &hash).await?;
            Ok::<_, ApiError>(())
        };
        if let Err(error) = renewed.await {
            tracing::warn!(%error, user = %user.id, "a password could not be hashed anew");
        }
    }

    /// Exchanges a refresh token for a new session of the same family.
    ///
    /// # Errors
    /// Of a token that was used before, also whose it was.
    pub(crate) async fn refresh(
        &self,
        token: &str,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, RefreshError> {
        let invalid = || ApiError::from(ErrorCode::InvalidRefreshToken);
        let family = family_in(token).ok_or_else(invalid)?;
        let hash = checked_hash(token).ok_or_else(invalid)?;
        let fresh = refresh_token(family)?;
        let expires_at = now.plus(self.0.refresh_lifetime);
        let store = &self.0.store;
        match tokens::rotate(store, &hash, &keys::token_hash(&fresh), expires_at, now).await? {
            Rotation::Rotated { user, family } => {
                // One from before sign-ins were noted was done with a password.
                let method = sign_ins::method_of(store, family).await?;
                let method = method.unwrap_or(SignInMethod::Password);
                let seen = Seen { family, user: user.id, method, from, expires_at };
                sign_ins::note(store, &seen, now).await?;
                Ok(self.session(user, (family, method), fresh, now)?)
            }
            Rotation::Reused { user_id, family } => {
                self.end_access(family, now);
                tracing::warn!(%user_id, %family, "a refresh token was used twice; session ended");
                Err(RefreshError { reused: Some((user_id, family)), error: invalid() })
            }
            Rotation::Revoked | Rotation::Expired | Rotation::Unknown => Err(invalid().into()),
        }
    }

    /// Ends the session of a refresh token; one that is unknown has none.
    pub(crate) async fn logout(&self, token: &str, now: Timestamp) -> Result<(), ApiError> {
        let Some(hash) = checked_hash(token) else { return Ok(()) };
        match tokens::family_of(&self.0.store, &hash).await? {
            Some(family) => self.end(family, now).await,
            None => Ok(()),
        }
    }

    /// Ends a session: no token of the family is good from now on.
    pub(crate) async fn end(&self, family: TokenFamilyId, now: Timestamp) -> Result<(), ApiError> {
        tokens::revoke_family(&self.0.store, family, now).await?;
        self.end_access(family, now);
        Ok(())
    }

    /// Whose access token it is, if it is good at `now`.
    pub(crate) async fn check_access(
        &self,
        token: &str,
        via: Via,
        now: Timestamp,
    ) -> Result<Principal, ApiError> {
        let claims = self.0.access.check(token, now)?;
        self.check_family(&claims, now).await?;
        self.principal(claims, via)
    }

    /// As [`check_access`](Self::check_access), and only for a token that was made since the start,
    /// so that it needs no database.
    pub(crate) fn check_recent(&self, token: &str, now: Timestamp) -> Result<Principal, ApiError> {
        let claims = self.0.access.check(token, now)?;
        if self.is_revoked(claims.family) || claims.issued_at() <= self.0.started {
            return Err(ErrorCode::InvalidToken.into());
        }
        self.principal(claims, Via::Bearer)
    }

    /// Whether the family was revoked since the start, and so lately that it matters.
    pub(crate) fn is_revoked(&self, family: TokenFamilyId) -> bool {
        self.0.revoked.contains(family)
    }

    /// Whoever may open the Unix socket in the data folder.
    pub(crate) fn local_operator(&self) -> Principal {
        let user = self.0.local.clone();
        let (rights, via) = (self.rights(Role::ADMIN), Via::LocalSocket);
        let (family, expires_at, key) = (None, None, None);
        Principal { user, rights, family, second_factor: true, expires_at, via, key }
    }

    /// What the account of a token is and may do now; none when it opens nothing, or its sign-in was
    /// ended.
    pub(crate) fn standing(
        &self,
        user: UserId,
        role: Role,
        (family, second_factor): (Option<TokenFamilyId>, bool),
    ) -> Option<(Role, Arc<Rights>)> {
        let ended = family.is_some_and(|family| self.is_revoked(family));
        let role = self.0.standings.role_of(user, role).filter(|_| !ended)?;
        Some((role, self.rights_with(role, second_factor)))
    }

    /// Whether the CSRF token is that of the session.
    pub(crate) fn check_csrf(&self, token: &str, family: TokenFamilyId) -> Result<(), ApiError> {
        if self.0.csrf.is_of(token, family) { Ok(()) } else { Err(ErrorCode::CsrfFailed.into()) }
    }

    /// Whether the CSRF token is that of the refresh token's session.
    pub(crate) fn check_refresh_csrf(&self, token: &str, refresh: &str) -> Result<(), ApiError> {
        let family = family_in(refresh).ok_or(ErrorCode::InvalidRefreshToken)?;
        self.check_csrf(token, family)
    }

    /// Whom the claims are of, with what the account is and may do now.
    fn principal(&self, claims: Claims, via: Via) -> Result<Principal, ApiError> {
        let expires_at = Some(claims.expires_at());
        let role = self.0.standings.role_of(claims.sub, claims.role);
        let role = role.ok_or_else(|| {
            ApiError::from(ErrorCode::InvalidToken).caused_by("the account opens nothing")
        })?;
        let rights = self.rights_with(role, claims.mfa);
        let user =
            User { id: claims.sub, username: claims.name, display_name: claims.display, role };
        let (family, second_factor) = (Some(claims.family), claims.mfa);
        Ok(Principal { user, rights, family, second_factor, expires_at, via, key: None })
    }

    async fn check_family(&self, claims: &Claims, now: Timestamp) -> Result<(), ApiError> {
        let family = claims.family;
        let before_start = claims.issued_at() <= self.0.started;
        let revoked = self.is_revoked(family)
            || (before_start && tokens::is_family_revoked(&self.0.store, family).await?);
        if !revoked {
            return Ok(());
        }
        self.end_access(family, now);
        Err(ApiError::from(ErrorCode::InvalidToken).caused_by("the session was ended"))
    }

    /// From now on no access token of the family is good.
    fn end_access(&self, family: TokenFamilyId, now: Timestamp) {
        self.0.revoked.add(family, now.plus(self.0.access.lifetime()), now);
    }

    /// The first session of a family.
    async fn begin(
        &self,
        user: User,
        method: SignInMethod,
        from: &SeenFrom,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        let family = TokenFamilyId::new();
        let token = refresh_token(family)?;
        let new = NewRefreshToken {
            hash: keys::token_hash(&token),
            family,
            user: user.id,
            expires_at: now.plus(self.0.refresh_lifetime),
        };
        tokens::insert(&self.0.store, &new, now).await?;
        let seen = Seen { family, user: user.id, method, from, expires_at: new.expires_at };
        sign_ins::note(&self.0.store, &seen, now).await?;
        self.session(user, (family, method), token, now)
    }

    fn session(
        &self,
        user: User,
        (family, method): (TokenFamilyId, SignInMethod),
        refresh_token: String,
        now: Timestamp,
    ) -> Result<Session, ApiError> {
        let second_factor = method == SignInMethod::PasswordAndCode;
        let subject = Subject { user: &user, family, second_factor };
        Ok(Session {
            access_token: self.0.access.issue(&subject, now)?,
            refresh_token,
            csrf_token: self.0.csrf.token(family),
            access_lifetime: self.0.access.lifetime(),
            refresh_lifetime: self.0.refresh_lifetime,
            family,
            user,
        })
    }
}

/// Why no new tokens were given out.
pub(crate) struct RefreshError {
    /// Whose token was used before, and the sign-in that this has ended.
    pub(crate) reused: Option<(UserId, TokenFamilyId)>,
    pub(crate) error: ApiError,
}

impl<E: Into<ApiError>> From<E> for RefreshError {
    fn from(error: E) -> Self {
        Self { reused: None, error: error.into() }
    }
}

fn no_such_account() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "nobody signs in with this name")
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = "a user name has 1 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`";
    Err(ApiError::invalid("username", message))
}

fn check_display_name(name: &str) -> Result<(), ApiError> {
    if name.chars().count() <= LONGEST_DISPLAY_NAME && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = "a display name has at most 100 characters, none of them a control character";
    Err(ApiError::invalid("display_name", message))
}

/// A refresh token names its family, so that a CSRF token can be checked before the database is
/// asked; what makes it good is the random part, and that its hash is known.
fn refresh_token(family: TokenFamilyId) -> Result<String, ApiError> {
    Ok(format!("{}.{}", family.0.simple(), keys::random_token()?))
}

fn family_in(token: &str) -> Option<TokenFamilyId> {
    token.split_once('.')?.0.parse().ok()
}

fn checked_hash(token: &str) -> Option<[u8; 32]> {
    (1..=LONGEST_TOKEN).contains(&token.len()).then(|| keys::token_hash(token))
}
