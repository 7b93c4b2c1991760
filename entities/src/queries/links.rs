//! One-time links with which an account gets a password: invitations, and forgotten passwords. An
//! account has one at a time.

use callboard_protocol::{Timestamp, TokenFamilyId, User, UserId};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr};
use secrecy::{ExposeSecret, SecretString};

use super::{sign_ins, users::user_of};
use crate::{
    Record, Store, StoreError, TokenHash,
    entity::{
        account_link::{Column, Entity, Model},
        user,
    },
};

/// What came of using a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// The account has the password, its sign-ins are ended, and the link is no more.
    Done {
        /// The account.
        user: User,
        /// The sign-ins that were ended.
        ended: Vec<TokenFamilyId>,
    },
    /// The link is wrong, too old or used, or its account is disabled. Nothing was changed.
    Invalid,
}

/// A link to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewLink {
    /// The account.
    pub user: UserId,
    /// The hash of its token.
    pub hash: TokenHash,
    /// Who made it.
    pub by: Option<UserId>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Keeps the hash of a new link, in the place of any earlier one of the account.
pub async fn issue(store: &Store, new: &NewLink, now: Timestamp) -> Result<(), StoreError> {
    store
        .run("links.issue", async {
            let tx = store.begin().await?;
            let id = new.user.0;
            let account = user::Entity::find_by_id(id).one(&tx).await?;
            account.ok_or(StoreError::NotFound(Record::User))?;
            Entity::delete_many().filter(Column::UserId.eq(id)).exec(&tx).await?;
            let row = Model {
                id,
                user_id: id,
                token_hash: new.hash.to_vec(),
                created_by: new.by.map(|by| by.0),
                created_at: now.as_millis(),
                expires_at: new.expires_at.as_millis(),
            };
            Entity::insert(row.into_active_model()).exec_without_returning(&tx).await?;
            Ok(tx.commit().await?)
        })
        .await
}

/// Whose link it is, without using it; none when it is good for nothing.
pub async fn owner(
    store: &Store,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<User>, StoreError> {
    store
        .run("links.owner", async {
            let link = Entity::find().filter(Column::TokenHash.eq(hash.to_vec()));
            let link = link.one(store.reader()).await?;
            let Some(link) = link.filter(|link| link.expires_at > now.as_millis()) else {
                return Ok(None);
            };
            let user = user::Entity::find_by_id(link.user_id).one(store.reader()).await?;
            user.filter(|user| user.disabled_at.is_none()).map(user_of).transpose()
        })
        .await
}

/// Uses a link up: gives its account the password. Of several callers at once one succeeds.
pub async fn complete(
    store: &Store,
    hash: &TokenHash,
    password_hash: &SecretString,
    now: Timestamp,
) -> Result<LinkOutcome, StoreError> {
    store
        .run("links.complete", async {
            let tx = store.begin().await?;
            let link = Entity::find().filter(Column::TokenHash.eq(hash.to_vec())).one(&tx).await?;
            let Some(link) = link.filter(|link| link.expires_at > now.as_millis()) else {
                return Ok(LinkOutcome::Invalid);
            };
            // Whoever deletes the row is the one who uses it.
            let used = Entity::delete_by_id(link.id).exec(&tx).await?;
            let user = user::Entity::find_by_id(link.user_id).one(&tx).await?;
            let user = user.filter(|user| user.disabled_at.is_none());
            let (1, Some(user)) = (used.rows_affected, user) else {
                return Ok(LinkOutcome::Invalid);
            };
            user::Entity::update_many()
                .col_expr(user::Column::PasswordHash, Expr::value(password_hash.expose_secret()))
                .col_expr(user::Column::UpdatedAt, Expr::value(now.as_millis()))
                .filter(user::Column::Id.eq(user.id))
                .exec(&tx)
                .await?;
            let ended = sign_ins::end_all_of(&tx, UserId(user.id), None, now).await?;
            tx.commit().await?;
            Ok(LinkOutcome::Done { user: user_of(user)?, ended })
        })
        .await
}
