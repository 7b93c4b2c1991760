//! API keys: made, found, listed, revoked, and what of them is stored.

use callboard_entities::{
    Record, StoreError,
    queries::keys::{self, generate, hash},
};
use callboard_protocol::{ApiKey, ApiKeyId, KeyScope, KeySecret, NewApiKey, Role, UserId};
use sea_orm::{ConnectionTrait, Database};

use crate::harness::{Db, at, on_both, user};

on_both! {
    a_key_is_found_by_its_hash_with_its_account
    the_secret_is_stored_nowhere
    a_key_ends_by_revocation_expiry_or_a_disabled_account
    only_the_owner_revokes_a_key_of_its_own
    pages_hold_every_key_once
    the_last_use_is_noted_once_a_minute
}

fn new_key(name: &str) -> NewApiKey {
    NewApiKey {
        name: name.to_owned(),
        scopes: vec![KeyScope::Chat, KeyScope::Models],
        models: Some(vec!["fast".to_owned(), "smart".to_owned()]),
        daily_budget_micro_usd: Some(5_000_000),
        monthly_budget_micro_usd: None,
        expires_at: Some(at(1_000)),
    }
}

async fn make(db: &Db, owner: UserId, name: &str, seconds: i64) -> (ApiKey, KeySecret) {
    let secret = generate().unwrap();
    let key = keys::insert(&db.store, owner, &new_key(name), &secret, at(seconds)).await.unwrap();
    (key, secret)
}

async fn a_key_is_found_by_its_hash_with_its_account(db: Db) {
    let ada = user(&db, "ada").await;
    let (key, secret) = make(&db, ada.id, "ci", 0).await;
    let found = keys::find_by_hash(&db.store, &hash(&secret)).await.unwrap().unwrap();
    assert_eq!(found.key, key);
    assert_eq!(
        (found.username.as_str(), found.role, found.disabled),
        ("ada", Role::ANALYST, false)
    );
    assert_eq!(key.prefix, secret.expose()[..10]);
    assert_eq!(key.scopes, [KeyScope::Chat, KeyScope::Models]);
    assert!(key.may_name("fast") && !key.may_name("gpt"));
    assert_eq!(keys::get(&db.store, key.id).await.unwrap(), key);
    let other = generate().unwrap();
    assert_eq!(keys::find_by_hash(&db.store, &hash(&other)).await.unwrap(), None);
    assert_ne!(other, secret);
}

async fn the_secret_is_stored_nowhere(db: Db) {
    let ada = user(&db, "ada").await;
    let (key, secret) = make(&db, ada.id, "ci", 0).await;
    let (listed, _) = keys::list(&db.store, Some(ada.id), None, 10).await.unwrap();
    assert_eq!(listed, [key]);
    assert!(!format!("{listed:?}").contains(&secret.expose()[10..]));
}

async fn a_key_ends_by_revocation_expiry_or_a_disabled_account(db: Db) {
    let ada = user(&db, "ada").await;
    let (key, secret) = make(&db, ada.id, "ci", 0).await;
    let find = async || keys::find_by_hash(&db.store, &hash(&secret)).await.unwrap().unwrap();
    assert!(find().await.is_good(at(999)));
    assert!(!find().await.is_good(at(1_000)));
    let raw = Database::connect(db.url()).await.unwrap();
    raw.execute_unprepared("UPDATE users SET disabled_at = 1").await.unwrap();
    assert!(find().await.disabled && !find().await.is_good(at(1)));
    raw.execute_unprepared("UPDATE users SET disabled_at = NULL").await.unwrap();
    raw.close().await.unwrap();
    let revoked = keys::revoke(&db.store, Some(ada.id), key.id, at(5)).await.unwrap();
    assert_eq!(revoked, hash(&secret));
    assert!(!find().await.is_good(at(6)));
    // Once more changes nothing.
    keys::revoke(&db.store, None, key.id, at(9)).await.unwrap();
    assert_eq!(find().await.key.revoked_at, Some(at(5)));
}

async fn only_the_owner_revokes_a_key_of_its_own(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let (key, _) = make(&db, ada.id, "ci", 0).await;
    for (owner, id) in [(Some(bob.id), key.id), (None, ApiKeyId::new())] {
        let refused = keys::revoke(&db.store, owner, id, at(1)).await;
        assert!(matches!(refused, Err(StoreError::NotFound(Record::Key))), "{refused:?}");
    }
    assert_eq!(keys::count_of_user(&db.store, ada.id).await.unwrap(), 1);
    keys::revoke(&db.store, None, key.id, at(1)).await.unwrap();
    assert_eq!(keys::count_of_user(&db.store, ada.id).await.unwrap(), 0);
}

async fn pages_hold_every_key_once(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let mut made = Vec::new();
    for number in 0..7 {
        let owner = if number % 2 == 0 { ada.id } else { bob.id };
        // Two of each instant: the id decides.
        made.push(make(&db, owner, &format!("key {number}"), number / 2).await.0);
    }
    made.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (page, next) = keys::list(&db.store, None, cursor.as_ref(), 3).await.unwrap();
        seen.extend(page);
        pages += 1;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (made, 3));
    let (bobs, next) = keys::list(&db.store, Some(bob.id), None, 2).await.unwrap();
    let (rest, end) = keys::list(&db.store, Some(bob.id), next.as_ref(), 2).await.unwrap();
    assert!(bobs.iter().chain(&rest).all(|key| key.user_id == bob.id));
    assert_eq!((bobs.len(), rest.len(), end), (2, 1, None));
}

async fn the_last_use_is_noted_once_a_minute(db: Db) {
    let ada = user(&db, "ada").await;
    let (key, _) = make(&db, ada.id, "ci", 0).await;
    let mut written = Vec::new();
    for seconds in [10, 11, 69, 70, 71] {
        written.push(keys::touch(&db.store, key.id, at(seconds)).await.unwrap());
    }
    assert_eq!(written, [true, false, false, true, false]);
    assert_eq!(keys::get(&db.store, key.id).await.unwrap().last_used_at, Some(at(70)));
}
