//! Conversations, and that nobody sees another's.

use callboard_entities::{
    Record, StoreError,
    queries::{conversations, messages},
};
use callboard_protocol::{Conversation, ConversationId};

use crate::harness::{Db, at, exchange, on_both, question, user};

on_both! {
    a_conversation_is_its_owners_alone
    pages_follow_each_other_without_gaps
    a_renamed_conversation_keeps_its_place
    deleting_takes_the_messages_along
}

fn not_found<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NotFound(Record::Conversation)))
}

async fn a_conversation_is_its_owners_alone(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let made = conversations::create(&db.store, ada.id, "Disk\0 full", at(1)).await.unwrap();
    assert_eq!(made.title, "Disk\u{fffd} full");
    assert_eq!(conversations::get(&db.store, ada.id, made.id).await.unwrap(), made);
    assert!(not_found(&conversations::get(&db.store, bob.id, made.id).await));
    assert!(not_found(&conversations::get(&db.store, ada.id, ConversationId::new()).await));
    assert!(not_found(&conversations::rename(&db.store, bob.id, made.id, "mine").await));
    assert!(not_found(&conversations::delete(&db.store, bob.id, made.id).await));
    assert!(not_found(&messages::page(&db.store, bob.id, made.id, None, 10).await));
    let intruding = question(bob.id, Some(made.id), "hello", 2);
    assert!(not_found(&messages::begin_turn(&db.store, &intruding).await));
    let page = conversations::page(&db.store, bob.id, None, 10).await.unwrap();
    assert_eq!((page.items, page.next_cursor), (vec![], None));
    assert_eq!(conversations::get(&db.store, ada.id, made.id).await.unwrap(), made);
}

async fn pages_follow_each_other_without_gaps(db: Db) {
    let ada = user(&db, "ada").await;
    let mut made = Vec::new();
    for number in 0..7 {
        // Two at each instant: the id decides between them.
        let title = format!("c{number}");
        made.push(conversations::create(&db.store, ada.id, &title, at(number / 2)).await.unwrap());
    }
    made.reverse();
    let mut seen: Vec<Conversation> = Vec::new();
    let mut cursor = None;
    for expected in [3, 3, 1] {
        let page = conversations::page(&db.store, ada.id, cursor.as_ref(), 3).await.unwrap();
        assert_eq!(page.items.len(), expected);
        seen.extend(page.items);
        cursor = page.next_cursor.map(|text| text.parse().unwrap());
    }
    assert_eq!(seen, made);
    assert_eq!(cursor, None);
    let whole = conversations::page(&db.store, ada.id, None, 7).await.unwrap();
    assert_eq!(whole.next_cursor, None, "a full last page has no successor");
}

async fn a_renamed_conversation_keeps_its_place(db: Db) {
    let ada = user(&db, "ada").await;
    let old = conversations::create(&db.store, ada.id, "old", at(1)).await.unwrap();
    let new = conversations::create(&db.store, ada.id, "new", at(2)).await.unwrap();
    let renamed = conversations::rename(&db.store, ada.id, old.id, "older").await.unwrap();
    assert_eq!(renamed, Conversation { title: "older".to_owned(), ..old });
    let page = conversations::page(&db.store, ada.id, None, 10).await.unwrap();
    assert_eq!(page.items, [new, renamed]);
}

async fn deleting_takes_the_messages_along(db: Db) {
    let ada = user(&db, "ada").await;
    let kept = exchange(&db, ada.id, None, ("kept question", "kept answer"), 1).await;
    let gone = exchange(&db, ada.id, None, ("gone question", "gone answer"), 2).await;
    conversations::delete(&db.store, ada.id, gone.conversation.id).await.unwrap();
    assert!(not_found(&conversations::get(&db.store, ada.id, gone.conversation.id).await));
    assert!(messages::find_answer(&db.store, ada.id, gone.turn_id).await.unwrap().is_none());
    let hits = messages::search(&db.store, ada.id, "question", 10).await.unwrap();
    assert_eq!(hits.items.len(), 1);
    assert_eq!(hits.items[0].conversation.id, kept.conversation.id);
}
