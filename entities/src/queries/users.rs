//! Accounts and their passwords.

use callboard_protocol::{Role, Timestamp, TokenFamilyId, User, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use secrecy::{ExposeSecret, SecretString};

use super::{insert_new, sign_ins};
use crate::{
    Clash, Record, Store, StoreError,
    entity::user::{Column, Entity, Model},
    error::is_duplicate,
    value::{clean, from_name, name_of},
};

/// The account of the machine's own operator, who comes through the local socket. It has no
/// password, cannot sign in, and does not count as an administrator.
pub const LOCAL_OPERATOR: &str = "local";

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to sign in with, in any case.
    pub username: String,
    /// The name to show; the user name when absent.
    pub display_name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// The hash of its password, as argon2 prints it.
    pub password_hash: SecretString,
}

/// An account and the hash of its password. Never serialised.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// The hash; none if the account cannot sign in with a password.
    pub password_hash: Option<SecretString>,
    /// Whether the account opens nothing.
    pub disabled: bool,
}

/// The form in which a user name is stored and compared.
#[must_use]
pub fn normalise(username: &str) -> String {
    username.trim().to_lowercase()
}

/// Makes an account. Fails with [`Clash::Username`] if the name is taken or reserved.
pub async fn create(store: &Store, new: &NewUser, now: Timestamp) -> Result<User, StoreError> {
    store
        .run("users.create", async {
            let row = row_of(new, now)?;
            match Entity::insert(row.clone().into_active_model())
                .exec_without_returning(store.writer())
                .await
            {
                Ok(_) => user_of(row),
                Err(error) if is_duplicate(&error) => {
                    Err(StoreError::Conflict { what: Clash::Username })
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
}

/// Makes an administrator if there is none yet; of several callers at once one succeeds. The
/// others fail with [`Clash::AdminExists`].
pub async fn create_first_admin(
    store: &Store,
    new: &NewUser,
    now: Timestamp,
) -> Result<User, StoreError> {
    store
        .run("users.create_first_admin", async {
            let tx = store.begin().await?;
            let user = insert_first_admin(&tx, new, now).await?;
            tx.commit().await?;
            Ok(user)
        })
        .await
}

/// As [`create_first_admin`], within a transaction.
pub(super) async fn insert_first_admin(
    tx: &DatabaseTransaction,
    new: &NewUser,
    now: Timestamp,
) -> Result<User, StoreError> {
    lock(tx).await?;
    if admin_exists(tx).await? {
        return Err(StoreError::Conflict { what: Clash::AdminExists });
    }
    let row = Model { role: name_of(&Role::ADMIN)?, ..row_of(new, now)? };
    if !insert_new(tx, row.clone(), [Column::Username]).await? {
        return Err(StoreError::Conflict { what: Clash::Username });
    }
    user_of(row)
}

/// Others that would make or change an account wait until this transaction ends. On SQLite there are
/// no others: the transaction has the only writer.
pub(super) async fn lock(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").await?;
    }
    Ok(())
}

/// The account by name, in any case.
pub async fn find_by_username(store: &Store, username: &str) -> Result<Option<User>, StoreError> {
    Ok(credentials(store, username).await?.map(|found| found.user))
}

/// The account by name, in any case, with the hash of its password.
pub async fn credentials(store: &Store, username: &str) -> Result<Option<Credentials>, StoreError> {
    store
        .run("users.credentials", async {
            let row = Entity::find()
                .filter(Column::Username.eq(clean(&normalise(username))))
                .one(store.reader())
                .await?;
            row.map(|mut row| {
                let password_hash = row.password_hash.take().map(SecretString::from);
                let disabled = row.disabled_at.is_some();
                Ok(Credentials { user: user_of(row)?, password_hash, disabled })
            })
            .transpose()
        })
        .await
}

/// The accounts that people sign in to, by name; at most `limit` of those behind `after`.
pub async fn list(store: &Store, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
    store
        .run("users.list", async {
            let mut find = Entity::find().filter(Column::Username.ne(LOCAL_OPERATOR));
            if let Some(after) = after {
                find = find.filter(Column::Username.gt(clean(after)));
            }
            let rows = find
                .order_by_asc(Column::Username)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            rows.into_iter().map(user_of).collect()
        })
        .await
}

/// The account by id.
pub async fn find(store: &Store, id: UserId) -> Result<Option<User>, StoreError> {
    store
        .run("users.find", async {
            Entity::find_by_id(id.0).one(store.reader()).await?.map(user_of).transpose()
        })
        .await
}

/// Whether there is an administrator who can sign in.
pub async fn any_admin_exists(store: &Store) -> Result<bool, StoreError> {
    store.run("users.any_admin_exists", async { admin_exists(store.reader()).await }).await
}

/// The account named [`LOCAL_OPERATOR`]; makes it at first.
pub async fn ensure_local_operator(store: &Store, now: Timestamp) -> Result<User, StoreError> {
    store
        .run("users.ensure_local_operator", async {
            let row = Model {
                id: UserId::new().0,
                username: LOCAL_OPERATOR.to_owned(),
                display_name: "Local operator".to_owned(),
                role: name_of(&Role::ADMIN)?,
                password_hash: None,
                created_at: now.as_millis(),
                updated_at: now.as_millis(),
                disabled_at: None,
                email: None,
            };
            insert_new(store.writer(), row, [Column::Username]).await?;
            let row = Entity::find()
                .filter(Column::Username.eq(LOCAL_OPERATOR))
                .one(store.writer())
                .await?
                .ok_or(StoreError::NotFound(Record::User))?;
            user_of(row)
        })
        .await
}

/// Sets the password, and ends all sign-ins of the account; tells which.
pub async fn set_password(
    store: &Store,
    id: UserId,
    password_hash: &SecretString,
    now: Timestamp,
) -> Result<Vec<TokenFamilyId>, StoreError> {
    store
        .run("users.set_password", async {
            let tx = store.begin().await?;
            let changed = Entity::update_many()
                .col_expr(Column::PasswordHash, Expr::value(password_hash.expose_secret()))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0))
                .filter(Column::Username.ne(LOCAL_OPERATOR))
                .exec(&tx)
                .await?;
            if changed.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::User));
            }
            let ended = sign_ins::end_all_of(&tx, id, None, now).await?;
            tx.commit().await?;
            Ok(ended)
        })
        .await
}

/// Puts another hash of the same password in the place of `old`, unless that has changed meanwhile.
pub async fn renew_hash(
    store: &Store,
    id: UserId,
    old: &SecretString,
    new: &SecretString,
) -> Result<(), StoreError> {
    store
        .run("users.renew_hash", async {
            Entity::update_many()
                .col_expr(Column::PasswordHash, Expr::value(new.expose_secret()))
                .filter(Column::Id.eq(id.0))
                .filter(Column::PasswordHash.eq(old.expose_secret()))
                .exec(store.writer())
                .await?;
            Ok(())
        })
        .await
}

async fn admin_exists(db: &impl ConnectionTrait) -> Result<bool, StoreError> {
    let admins = Entity::find()
        .filter(Column::Role.eq(Role::ADMIN.as_str()))
        .filter(Column::PasswordHash.is_not_null())
        .count(db)
        .await?;
    Ok(admins > 0)
}

fn row_of(new: &NewUser, now: Timestamp) -> Result<Model, StoreError> {
    let username = clean(&normalise(&new.username));
    if username == LOCAL_OPERATOR {
        return Err(StoreError::Conflict { what: Clash::Username });
    }
    Ok(Model {
        id: UserId::new().0,
        display_name: clean(new.display_name.as_deref().unwrap_or(&new.username)),
        username,
        role: name_of(&new.role)?,
        password_hash: Some(new.password_hash.expose_secret().to_owned()),
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        disabled_at: None,
        email: None,
    })
}

pub(super) fn user_of(row: Model) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(row.id),
        username: row.username,
        display_name: row.display_name,
        role: from_name(&row.role)?,
    })
}
