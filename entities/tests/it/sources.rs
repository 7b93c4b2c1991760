//! Sources and settings.

use callboard_entities::{
    Clash, Record, StoreError,
    queries::{settings, sources},
};
use callboard_protocol::SourceId;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::harness::{Db, at, on_both};

on_both! {
    a_source_is_one_by_name
    a_source_named_by_many_at_once_is_one
    a_source_that_somebody_configured_stays_so_until_it_is_deleted
    a_setting_keeps_its_last_value
    all_nodes_sign_with_one_secret
}

async fn a_source_is_one_by_name(db: Db) {
    let made = sources::ensure(&db.store, "file", "sshd", &json!({"a": 1}), at(1)).await.unwrap();
    let same = sources::ensure(&db.store, "upload", "sshd", &json!([2]), at(2)).await.unwrap();
    assert_eq!((same.id, same.created_at, same.updated_at), (made.id, at(1), at(2)));
    assert_eq!((same.kind.as_str(), &same.config), ("upload", &json!([2])));
    assert_eq!(sources::get(&db.store, made.id).await.unwrap(), same);
    let other = sources::ensure(&db.store, "file", "nginx", &json!({}), at(3)).await.unwrap();
    assert_eq!(sources::list(&db.store).await.unwrap(), [other, same], "by name");
    let missing = sources::get(&db.store, SourceId::new()).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::Source))));
}

async fn a_source_named_by_many_at_once_is_one(db: Db) {
    let ids = db
        .race(10, |number, store| async move {
            sources::ensure(&store, "file", "sshd", &json!({"n": number}), at(1)).await.unwrap().id
        })
        .await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(sources::list(&db.store).await.unwrap().len(), 1);
}

async fn a_source_that_somebody_configured_stays_so_until_it_is_deleted(db: Db) {
    let store = &db.store;
    let made = sources::create(store, sources::FILES, "web", &json!(1), at(1)).await.unwrap();
    let again = sources::create(store, sources::FILES, "web", &json!(2), at(2)).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: Clash::SourceName })));
    let upload = sources::ensure(store, "upload", "web", &json!(3), at(3)).await.unwrap();
    assert_eq!(upload, made);
    let own = (made.id, sources::FILES);
    let changed = sources::configure(store, own, &json!(4), at(4)).await.unwrap();
    assert_eq!((&changed.config, changed.updated_at), (&json!(4), at(4)));
    assert_eq!(sources::of_kind(store, sources::FILES).await.unwrap(), [changed]);
    // Others are none of this kind.
    let other = sources::ensure(store, "upload", "other", &json!({}), at(5)).await.unwrap();
    let missing = sources::configure(store, (other.id, sources::FILES), &json!(6), at(6)).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::Source))));
    sources::delete(store, own).await.unwrap();
    for gone in [own, (other.id, sources::FILES)] {
        let gone = sources::delete(store, gone).await;
        assert!(matches!(gone, Err(StoreError::NotFound(Record::Source))));
    }
    assert_eq!(sources::list(store).await.unwrap(), [other]);
}

async fn a_setting_keeps_its_last_value(db: Db) {
    assert_eq!(settings::get::<String>(&db.store, "motd").await.unwrap(), None);
    for text in ["hello", "good bye"] {
        settings::set(&db.store, "motd", &text, at(1)).await.unwrap();
    }
    let kept: Option<String> = settings::get(&db.store, "motd").await.unwrap();
    assert_eq!(kept.as_deref(), Some("good bye"));
    let wrong = settings::get::<u64>(&db.store, "motd").await;
    assert!(matches!(wrong, Err(StoreError::Internal(_))));
}

async fn all_nodes_sign_with_one_secret(db: Db) {
    let secrets = db
        .race(10, |number, store| async move {
            let candidate = [u8::try_from(number).unwrap(); 32];
            settings::jwt_secret(&store, &candidate, at(1)).await.unwrap().expose_secret().to_vec()
        })
        .await;
    assert!(secrets.iter().all(|secret| *secret == secrets[0] && secret.len() == 32));
    let later = settings::jwt_secret(&db.store, &[99; 32], at(2)).await.unwrap();
    assert_eq!(later.expose_secret(), secrets[0]);
}
