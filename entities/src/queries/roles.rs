//! Roles that administrators made. Those that are built in are no rows.

use callboard_protocol::{Permission, PutRole, Role, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    sea_query::OnConflict,
};

use super::users;
use crate::{
    Clash, Record, Store, StoreError,
    entity::{
        role::{Column, Entity, Model},
        user,
    },
    value::{clean, from_name, to_json},
};

/// A role as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRole {
    /// Its name.
    pub name: Role,
    /// The rest of it. Permissions that this version does not know are left out.
    pub role: PutRole,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// All of them, by name.
pub async fn list(store: &Store) -> Result<Vec<StoredRole>, StoreError> {
    store
        .run("roles.list", async {
            let rows = Entity::find().order_by_asc(Column::Name).all(store.reader()).await?;
            rows.into_iter().map(role_of).collect()
        })
        .await
}

/// Makes a role, or puts this in its place; tells what was there before.
pub async fn put(
    store: &Store,
    name: Role,
    role: &PutRole,
    now: Timestamp,
) -> Result<Option<StoredRole>, StoreError> {
    store
        .run("roles.put", async {
            let tx = store.begin().await?;
            let key = name.as_str().to_owned();
            let before = Entity::find_by_id(key.clone()).one(&tx).await?;
            let row = Model {
                name: key,
                description: clean(&role.description),
                permissions: to_json(&role.permissions)?,
                sources: role.sources.as_ref().map(to_json).transpose()?,
                created_at: before.as_ref().map_or(now.as_millis(), |before| before.created_at),
                updated_at: now.as_millis(),
            };
            let replace = OnConflict::column(Column::Name)
                .update_columns([
                    Column::Description,
                    Column::Permissions,
                    Column::Sources,
                    Column::UpdatedAt,
                ])
                .to_owned();
            Entity::insert(row.into_active_model())
                .on_conflict(replace)
                .exec_without_returning(&tx)
                .await?;
            tx.commit().await?;
            before.map(role_of).transpose()
        })
        .await
}

/// Deletes a role that no account has.
pub async fn delete(store: &Store, name: Role) -> Result<(), StoreError> {
    store
        .run("roles.delete", async {
            let tx = store.begin().await?;
            // Nobody gets the role until it is gone.
            users::lock(&tx).await?;
            let members = user::Entity::find()
                .filter(user::Column::Role.eq(name.as_str()))
                .count(&tx)
                .await?;
            if members > 0 {
                return Err(StoreError::Conflict { what: Clash::RoleInUse });
            }
            let deleted = Entity::delete_by_id(name.as_str().to_owned()).exec(&tx).await?;
            if deleted.rows_affected == 0 {
                return Err(StoreError::NotFound(Record::Role));
            }
            Ok(tx.commit().await?)
        })
        .await
}

fn role_of(row: Model) -> Result<StoredRole, StoreError> {
    let permissions: Vec<String> = serde_json::from_value(row.permissions)?;
    let known = permissions.iter().filter_map(|name| from_name::<Permission>(name).ok());
    Ok(StoredRole {
        name: from_name(&row.name)?,
        role: PutRole {
            description: row.description,
            permissions: known.collect(),
            sources: row.sources.map(serde_json::from_value).transpose()?,
        },
        updated_at: Timestamp::from_millis(row.updated_at),
    })
}
