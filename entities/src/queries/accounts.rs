//! Accounts as administrators see and change them. The operator's own account is none of these.

use callboard_protocol::{Account, AccountDeleted, Role, Timestamp, TokenFamilyId, UserId};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Func},
};

use super::{
    sign_ins,
    users::{self, LOCAL_OPERATOR, normalise},
};
use crate::{
    Clash, Record, Store, StoreError,
    entity::{
        api_key, conversation, message, role, sign_in,
        user::{Column, Entity, Model},
    },
    value::{clean, containing, from_name, name_of},
};

/// An account to be made, without a password.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The name to sign in with, in any case.
    pub username: String,
    /// The name to show; the user name when absent.
    pub display_name: Option<String>,
    /// Where mail reaches its owner.
    pub email: Option<String>,
    /// What it may do.
    pub role: Role,
}

/// What is to be changed of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// The name to show.
    pub display_name: Option<String>,
    /// Where mail reaches its owner; `Some(None)` takes it away.
    pub email: Option<Option<String>>,
    /// What it may do.
    pub role: Option<Role>,
    /// Whether it opens nothing.
    pub disabled: Option<bool>,
}

/// An account before and after a change, and the sign-ins that it ended.
#[derive(Clone, Debug)]
pub struct Changed {
    /// As it was.
    pub before: Account,
    /// As it is.
    pub after: Account,
    /// Ended with it.
    pub ended: Vec<TokenFamilyId>,
}

/// An account that was deleted.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// As it was.
    pub account: Account,
    /// The sign-ins that ended with it.
    pub ended: Vec<TokenFamilyId>,
    /// What went with it.
    pub gone: AccountDeleted,
}

/// Which accounts are listed.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// A part of a name or of the address for mail, in any case.
    pub text: Option<String>,
    /// Of this role.
    pub role: Option<Role>,
    /// Disabled, or not.
    pub disabled: Option<bool>,
}

/// What others on this database have to know of an account that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub user: UserId,
    /// What it is now.
    pub role: Role,
    /// Whether it opens nothing.
    pub disabled: bool,
    /// When it was changed.
    pub at: Timestamp,
}

/// A page of accounts by name, behind `after`, and how many match in all.
pub async fn page(
    store: &Store,
    filter: &AccountFilter,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Account>, u64), StoreError> {
    store
        .run("accounts.page", async {
            let matching = Entity::find().filter(condition(filter)?);
            let total = matching.clone().count(store.reader()).await?;
            let mut find = matching;
            if let Some(after) = after {
                find = find.filter(Column::Username.gt(clean(after)));
            }
            let rows = find
                .order_by_asc(Column::Username)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            let seen = last_seen(store.reader(), rows.iter().map(|row| row.id).collect()).await?;
            let account = |row: Model| {
                let seen = seen.iter().find(|(id, _)| *id == row.id).and_then(|(_, at)| *at);
                account_of(row, seen)
            };
            Ok((rows.into_iter().map(account).collect::<Result<_, _>>()?, total))
        })
        .await
}

fn condition(filter: &AccountFilter) -> Result<Condition, StoreError> {
    let mut all = Condition::all().add(Column::Username.ne(LOCAL_OPERATOR));
    if let Some(text) = &filter.text {
        let like = containing(&normalise(&clean(text)));
        let columns = [Column::Username, Column::DisplayName, Column::Email];
        let mut any = Condition::any();
        for column in columns {
            let lower = Func::lower(Expr::col(column));
            any = any.add(Expr::expr(lower).like(like.clone()));
        }
        all = all.add(any);
    }
    if let Some(role) = &filter.role {
        all = all.add(Column::Role.eq(name_of(role)?));
    }
    all = all.add_option(filter.disabled.map(|disabled| {
        if disabled { Column::DisabledAt.is_not_null() } else { Column::DisabledAt.is_null() }
    }));
    Ok(all)
}

/// One account.
pub async fn get(store: &Store, id: UserId) -> Result<Account, StoreError> {
    store.run("accounts.get", async { read(store.reader(), id).await }).await
}

/// Makes an account without a password.
pub async fn create(
    store: &Store,
    new: &NewAccount,
    now: Timestamp,
) -> Result<Account, StoreError> {
    store
        .run("accounts.create", async {
            let tx = store.begin().await?;
            check_role(&tx, new.role).await?;
            let username = clean(&normalise(&new.username));
            let row = Model {
                id: UserId::new().0,
                display_name: clean(new.display_name.as_deref().unwrap_or(&new.username)),
                username,
                role: name_of(&new.role)?,
                password_hash: None,
                created_at: now.as_millis(),
                updated_at: now.as_millis(),
                disabled_at: None,
                email: new.email.as_deref().map(clean),
            };
            let is_free = row.username != LOCAL_OPERATOR
                && super::insert_new(&tx, row.clone(), [Column::Username]).await?;
            if !is_free {
                return Err(StoreError::Conflict { what: Clash::Username });
            }
            tx.commit().await?;
            account_of(row, None)
        })
        .await
}

/// Changes an account. Disabling ends its sign-ins.
pub async fn change(
    store: &Store,
    id: UserId,
    change: &AccountChange,
    now: Timestamp,
) -> Result<Changed, StoreError> {
    store
        .run("accounts.change", async {
            let tx = store.begin().await?;
            users::lock(&tx).await?;
            let before = read(&tx, id).await?;
            let mut update = Entity::update_many()
                .col_expr(Column::UpdatedAt, Expr::value(later_than(before.updated_at, now)));
            if let Some(name) = &change.display_name {
                update = update.col_expr(Column::DisplayName, Expr::value(clean(name)));
            }
            if let Some(email) = &change.email {
                update = update.col_expr(Column::Email, Expr::value(email.as_deref().map(clean)));
            }
            if let Some(role) = change.role {
                check_role(&tx, role).await?;
                update = update.col_expr(Column::Role, Expr::value(name_of(&role)?));
            }
            if let Some(disabled) = change.disabled {
                let since = before.disabled_at.unwrap_or(now);
                let since = disabled.then(|| since.as_millis());
                update = update.col_expr(Column::DisabledAt, Expr::value(since));
            }
            update.filter(Column::Id.eq(id.0)).exec(&tx).await?;
            if is_admin(&before) {
                check_admin_left(&tx).await?;
            }
            let ended = match change.disabled {
                Some(true) => sign_ins::end_all_of(&tx, id, None, now).await?,
                Some(false) | None => Vec::new(),
            };
            let after = read(&tx, id).await?;
            tx.commit().await?;
            Ok(Changed { before, after, ended })
        })
        .await
}

/// Deletes an account with its keys, its sign-ins and its conversations, unless another account is to
/// have those.
pub async fn delete(
    store: &Store,
    id: UserId,
    heir: Option<UserId>,
    now: Timestamp,
) -> Result<Deleted, StoreError> {
    store
        .run("accounts.delete", async {
            let tx = store.begin().await?;
            users::lock(&tx).await?;
            let account = read(&tx, id).await?;
            let ended = sign_ins::end_all_of(&tx, id, None, now).await?;
            let keys_deleted =
                api_key::Entity::find().filter(api_key::Column::UserId.eq(id.0)).count(&tx).await?;
            let conversations = conversation::Entity::find()
                .filter(conversation::Column::OwnerId.eq(id.0))
                .count(&tx)
                .await?;
            if let Some(heir) = heir {
                read(&tx, heir).await?;
                hand_over(&tx, id, heir).await?;
            }
            Entity::delete_by_id(id.0).exec(&tx).await?;
            if is_admin(&account) {
                check_admin_left(&tx).await?;
            }
            tx.commit().await?;
            let gone = AccountDeleted {
                conversations_deleted: if heir.is_none() { conversations } else { 0 },
                conversations_transferred: if heir.is_some() { conversations } else { 0 },
                keys_deleted,
                audit_events_erased: 0,
            };
            Ok(Deleted { account, ended, gone })
        })
        .await
}

/// The accounts that were changed at or after `since`: for other processes on this database.
pub async fn changed_since(store: &Store, since: Timestamp) -> Result<Vec<Standing>, StoreError> {
    store
        .run("accounts.changed_since", async {
            let rows = Entity::find()
                .filter(Column::UpdatedAt.gte(since.as_millis()))
                .all(store.reader())
                .await?;
            let standing = |row: Model| {
                Ok(Standing {
                    user: UserId(row.id),
                    role: from_name(&row.role)?,
                    disabled: row.disabled_at.is_some(),
                    at: Timestamp::from_millis(row.updated_at),
                })
            };
            rows.into_iter().map(standing).collect()
        })
        .await
}

/// A change is later than the one before, so that whoever compares the two sees which counts.
fn later_than(before: Timestamp, now: Timestamp) -> i64 {
    std::cmp::max(now.as_millis(), before.as_millis().saturating_add(1))
}

async fn hand_over(tx: &DatabaseTransaction, from: UserId, to: UserId) -> Result<(), StoreError> {
    conversation::Entity::update_many()
        .col_expr(conversation::Column::OwnerId, Expr::value(to.0))
        .filter(conversation::Column::OwnerId.eq(from.0))
        .exec(tx)
        .await?;
    message::Entity::update_many()
        .col_expr(message::Column::OwnerId, Expr::value(to.0))
        .filter(message::Column::OwnerId.eq(from.0))
        .exec(tx)
        .await?;
    Ok(())
}

fn is_admin(account: &Account) -> bool {
    account.role == Role::ADMIN && account.has_password && account.disabled_at.is_none()
}

/// An administrator who can sign in must be left.
async fn check_admin_left(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    let left = Entity::find()
        .filter(Column::Role.eq(Role::ADMIN.as_str()))
        .filter(Column::PasswordHash.is_not_null())
        .filter(Column::DisabledAt.is_null())
        .count(tx)
        .await?;
    if left == 0 { Err(StoreError::Conflict { what: Clash::LastAdmin }) } else { Ok(()) }
}

/// The role must be built in, or there.
async fn check_role(tx: &DatabaseTransaction, role: Role) -> Result<(), StoreError> {
    let known = role.is_built_in()
        || role::Entity::find_by_id(role.as_str().to_owned()).one(tx).await?.is_some();
    if known { Ok(()) } else { Err(StoreError::Conflict { what: Clash::NoSuchRole }) }
}

async fn read(db: &impl ConnectionTrait, id: UserId) -> Result<Account, StoreError> {
    let row = Entity::find_by_id(id.0)
        .filter(Column::Username.ne(LOCAL_OPERATOR))
        .one(db)
        .await?
        .ok_or(StoreError::NotFound(Record::User))?;
    let seen = last_seen(db, vec![row.id]).await?;
    account_of(row, seen.first().and_then(|(_, at)| *at))
}

/// When accounts were last seen that ever signed in.
async fn last_seen(
    db: &impl ConnectionTrait,
    ids: Vec<uuid::Uuid>,
) -> Result<Vec<(uuid::Uuid, Option<i64>)>, StoreError> {
    Ok(sign_in::Entity::find()
        .select_only()
        .column(sign_in::Column::UserId)
        .expr_as(sign_in::Column::LastSeenAt.max(), "seen")
        .filter(sign_in::Column::UserId.is_in(ids))
        .group_by(sign_in::Column::UserId)
        .into_tuple()
        .all(db)
        .await?)
}

fn account_of(row: Model, seen: Option<i64>) -> Result<Account, StoreError> {
    Ok(Account {
        id: UserId(row.id),
        username: row.username,
        display_name: row.display_name,
        email: row.email,
        role: from_name(&row.role)?,
        has_password: row.password_hash.is_some(),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        disabled_at: row.disabled_at.map(Timestamp::from_millis),
        last_seen_at: seen.map(Timestamp::from_millis),
    })
}
