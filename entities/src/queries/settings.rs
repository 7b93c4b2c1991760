//! What the server itself must remember: JSON values by key.

use callboard_protocol::Timestamp;
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, sea_query::OnConflict};
use secrecy::SecretSlice;
use serde::{Serialize, de::DeserializeOwned};

use super::insert_new;
use crate::{
    Store, StoreError,
    entity::setting::{Column, Entity, Model},
    value::to_json,
};

/// The key with which access tokens are signed.
const JWT_SECRET: &str = "jwt_secret";

/// The value of `key`, if there is one.
pub async fn get<T: DeserializeOwned>(store: &Store, key: &str) -> Result<Option<T>, StoreError> {
    store.run("settings.get", async { read(store.reader(), key).await }).await
}

/// Sets the value of `key`.
pub async fn set<T: Serialize>(
    store: &Store,
    key: &str,
    value: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    store.run("settings.set", async { write(store.writer(), key, value, now).await }).await
}

/// The secret that signs access tokens. The first caller's `candidate` becomes it; all others,
/// on all nodes, get that one.
pub async fn jwt_secret(
    store: &Store,
    candidate: &[u8; 32],
    now: Timestamp,
) -> Result<SecretSlice<u8>, StoreError> {
    store
        .run("settings.jwt_secret", async {
            let kept: Option<Vec<u8>> = read(store.reader(), JWT_SECRET).await?;
            if let Some(secret) = kept {
                return Ok(secret.into());
            }
            let row = row_of(JWT_SECRET, candidate, now)?;
            insert_new(store.writer(), row, [Column::Key]).await?;
            let kept: Option<Vec<u8>> = read(store.writer(), JWT_SECRET).await?;
            kept.map(Into::into).ok_or_else(|| StoreError::internal("the JWT secret was not kept"))
        })
        .await
}

/// As [`get`], on any connection.
pub(super) async fn read<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let row = Entity::find_by_id(key.to_owned()).one(db).await?;
    Ok(row.map(|row| serde_json::from_value(row.value)).transpose()?)
}

/// As [`set`], on any connection.
pub(super) async fn write<T: Serialize>(
    db: &impl ConnectionTrait,
    key: &str,
    value: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    let replace = OnConflict::column(Column::Key)
        .update_columns([Column::Value, Column::UpdatedAt])
        .to_owned();
    Entity::insert(row_of(key, value, now)?.into_active_model())
        .on_conflict(replace)
        .exec_without_returning(db)
        .await?;
    Ok(())
}

fn row_of<T: Serialize>(key: &str, value: &T, now: Timestamp) -> Result<Model, StoreError> {
    Ok(Model { key: key.to_owned(), value: to_json(value)?, updated_at: now.as_millis() })
}
