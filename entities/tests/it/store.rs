//! The store itself: opening, observing, and being busy.

use std::sync::{Arc, Mutex};

use callboard_entities::{
    DatabaseConfig, OpenError, Store, StoreError,
    queries::{conversations, messages, tokens, users},
};
use callboard_protocol::{ConversationId, ErrorCode, UserId};
use sea_orm::{ConnectionTrait, Database};

use crate::harness::{Db, at, exchange, on_both, question, user};

on_both! {
    every_query_is_observed_by_name
    many_readers_and_writers_all_succeed
    a_closed_store_is_unavailable
    a_missing_table_is_a_fault
    who_waits_too_long_for_a_writer_is_told_so
}

async fn every_query_is_observed_by_name(db: Db) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let store = db.store.clone().observed(move |op, _, ok| sink.lock().unwrap().push((op, ok)));
    store.ping().await.unwrap();
    users::any_admin_exists(&store).await.unwrap();
    conversations::get(&store, UserId::new(), ConversationId::new()).await.unwrap_err();
    // A conversation of nobody breaks a foreign key: a fault, unlike one that is not found.
    conversations::create(&store, UserId::new(), "x", at(0)).await.unwrap_err();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            ("ping", true),
            ("users.any_admin_exists", true),
            ("conversations.get", true),
            ("conversations.create", false),
        ]
    );
}

async fn many_readers_and_writers_all_succeed(db: Db) {
    let ada = user(&db, "ada").await.id;
    let db = Arc::new(db);
    let counts = db
        .race(40, |number, store| {
            let db = db.clone();
            async move {
                let title = format!("t{number}");
                conversations::create(&store, ada, &title, at(0)).await.unwrap();
                exchange(&db, ada, None, ("q", "a"), 1).await;
                conversations::page(&store, ada, None, 500).await.unwrap().items.len()
            }
        })
        .await;
    assert!(counts.into_iter().all(|count| count >= 2), "each sees what it wrote");
    let page = conversations::page(&db.store, ada, None, 500).await.unwrap();
    assert_eq!(page.items.len(), 80);
}

async fn a_closed_store_is_unavailable(db: Db) {
    let store = db.another().await;
    store.ping().await.unwrap();
    store.clone().close().await.unwrap();
    let error = users::find(&store, UserId::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert_eq!(error.client(), ErrorCode::StorageUnavailable.into());
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

async fn a_missing_table_is_a_fault(db: Db) {
    let other = Database::connect(db.url()).await.unwrap();
    other.execute_unprepared("DROP TABLE refresh_tokens").await.unwrap();
    let error = tokens::purge_expired(&db.store, at(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{error}");
    assert_eq!(error.client(), ErrorCode::Internal.into());
}

async fn who_waits_too_long_for_a_writer_is_told_so(db: Db) {
    let ada = user(&db, "ada").await.id;
    let config = DatabaseConfig { busy_timeout_ms: 50, ..DatabaseConfig::at(db.url()) };
    let config = DatabaseConfig { statement_timeout_ms: 50, ..config };
    let impatient = Store::open(&config).await.unwrap();
    let blocker = db.block_writers().await;
    let single = conversations::create(&impatient, ada, "x", at(0)).await.unwrap_err();
    let asked = question(ada, None, "x", 0);
    let several = messages::begin_turn(&impatient, &asked).await.unwrap_err();
    for error in [single, several] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    // Readers do not wait for a writer.
    let page = conversations::page(&impatient, ada, None, 5).await.unwrap();
    assert_eq!(page.items, []);
    blocker.close().await.unwrap();
    assert!(!messages::begin_turn(&impatient, &asked).await.unwrap().existing);
}

#[tokio::test]
async fn a_bad_url_is_refused_and_not_repeated() {
    for url in ["mysql://me:hunter2@localhost/x", "", "sqlite::memory:", "postgres://me:hunter2@["]
    {
        let error = Store::open(&DatabaseConfig::at(url)).await.unwrap_err();
        assert!(matches!(error, OpenError::Url(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = Store::open(&DatabaseConfig::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::NoUrl));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite:{}", folder.path().join("none/callboard.db").display());
    // Port 1 of this machine: nobody listens.
    for url in [missing.as_str(), "postgres://me:hunter2@127.0.0.1:1/callboard"] {
        let config = DatabaseConfig { acquire_timeout_ms: 500, ..DatabaseConfig::at(url) };
        let error = Store::open(&config).await.unwrap_err();
        assert!(matches!(error, OpenError::Unreachable(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
