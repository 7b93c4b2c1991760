//! Roles that administrators make, what is known of each sign-in, and one-time links with which an
//! account gets a password. Accounts get an address for mail.

use sea_orm_migration::prelude::*;

use crate::column::{
    binary, child_of, id, index, instant, json, later, mention_of, optional_json, optional_text,
    reference, text, unique,
};

/// The migration.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let roles = Table::create()
            .table("roles")
            .col(ColumnDef::new("name").text().not_null().primary_key())
            .col(text("description"))
            .col(json("permissions"))
            .col(optional_json("sources"))
            .col(instant("created_at"))
            .col(instant("updated_at"))
            .take();
        manager.create_table(roles).await?;
        let email = Table::alter().table("users").add_column(optional_text("email")).take();
        manager.alter_table(email).await?;
        manager.create_index(index("ix_users_updated_at", "users", &["updated_at"])).await?;
        sign_ins(manager).await?;
        links(manager).await
    }
}

async fn sign_ins(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    // The id is that of the family of its refresh tokens.
    let table = Table::create()
        .table("sign_ins")
        .col(id())
        .col(reference("user_id"))
        .col(text("method"))
        .col(optional_text("device"))
        .col(optional_text("address"))
        .col(instant("started_at"))
        .col(instant("last_seen_at"))
        .col(instant("expires_at"))
        .col(later("ended_at"))
        .foreign_key(&mut child_of("sign_ins", "user_id", "users"))
        .take();
    manager.create_table(table).await?;
    manager
        .create_index(index("ix_sign_ins_user_id", "sign_ins", &["user_id", "last_seen_at"]))
        .await?;
    manager.create_index(index("ix_sign_ins_ended_at", "sign_ins", &["ended_at"])).await?;
    manager.create_index(index("ix_sign_ins_expires_at", "sign_ins", &["expires_at"])).await
}

async fn links(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("account_links")
        .col(id())
        .col(reference("user_id"))
        .col(binary("token_hash"))
        .col(ColumnDef::new("created_by").uuid())
        .col(instant("created_at"))
        .col(instant("expires_at"))
        .foreign_key(&mut child_of("account_links", "user_id", "users"))
        .foreign_key(&mut mention_of("account_links", "created_by", "users"))
        .take();
    manager.create_table(table).await?;
    // An account has one link at a time.
    manager.create_index(unique("uq_account_links_user_id", "account_links", &["user_id"])).await?;
    manager
        .create_index(unique("uq_account_links_token_hash", "account_links", &["token_hash"]))
        .await?;
    manager
        .create_index(index("ix_account_links_created_by", "account_links", &["created_by"]))
        .await
}
