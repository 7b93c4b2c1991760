//! Reading messages: pages, history, search.

use callboard_entities::queries::messages;
use callboard_protocol::{Author, Message};

use crate::harness::{Db, exchange, on_both, question, user};

on_both! {
    older_pages_follow_without_gaps
    history_is_the_latest_without_what_is_being_written
    search_finds_words_in_any_case_and_only_ones_own
    search_takes_its_words_literally
}

async fn older_pages_follow_without_gaps(db: Db) {
    let ada = user(&db, "ada").await;
    let id = exchange(&db, ada.id, None, ("q0", "a0"), 0).await.conversation.id;
    for number in 1..4 {
        // All at one instant: a question still comes before its answer.
        exchange(&db, ada.id, Some(id), (&format!("q{number}"), &format!("a{number}")), 0).await;
    }
    let mut seen: Vec<Message> = Vec::new();
    let mut cursor = None;
    for expected in [3, 3, 2] {
        let page = messages::page(&db.store, ada.id, id, cursor.as_ref(), 3).await.unwrap();
        assert_eq!(page.items.len(), expected);
        cursor = page.next_cursor.map(|text| text.parse().unwrap());
        seen.splice(0..0, page.items);
    }
    assert_eq!(cursor, None);
    let contents: Vec<_> = seen.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(contents, ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]);
}

async fn history_is_the_latest_without_what_is_being_written(db: Db) {
    let ada = user(&db, "ada").await;
    let id = exchange(&db, ada.id, None, ("q0", "a0"), 0).await.conversation.id;
    exchange(&db, ada.id, Some(id), ("q1", "a1"), 2).await;
    messages::begin_turn(&db.store, &question(ada.id, Some(id), "q2", 4)).await.unwrap();
    exchange(&db, ada.id, None, ("elsewhere", "too"), 5).await;
    let recent = messages::recent(&db.store, id, 3).await.unwrap();
    let contents: Vec<_> = recent.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(contents, ["q1", "a1", "q2"]);
}

async fn search_finds_words_in_any_case_and_only_ones_own(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let first = exchange(&db, ada.id, None, ("Disk FULL", "the Ärger began"), 0).await;
    exchange(&db, ada.id, None, ("is the disk full again?", "no"), 10).await;
    exchange(&db, bob.id, None, ("disk full", "disk full"), 20).await;
    let find = async |words: &str, limit| {
        messages::search(&db.store, ada.id, words, limit).await.unwrap().items
    };
    let hits = find("full DISK", 10).await;
    let excerpts: Vec<_> = hits.iter().map(|hit| hit.excerpt.as_str()).collect();
    assert_eq!(excerpts, ["is the disk full again?", "Disk FULL"], "the latest first");
    assert_eq!(hits[1].conversation.id, first.conversation.id);
    assert_eq!(hits[1].message_id, first.user_message.id);
    assert_eq!(find("full disk", 1).await.len(), 1);
    let hits = find("ärGER", 10).await;
    assert_eq!(hits.iter().map(|hit| hit.author).collect::<Vec<_>>(), [Author::Assistant]);
    for nothing in ["disk nowhere", "", "  ", "\0", &"x ".repeat(5_000), &"y".repeat(100_000)] {
        assert_eq!(find(nothing, 10).await, []);
    }
}

async fn search_takes_its_words_literally(db: Db) {
    let ada = user(&db, "ada").await;
    exchange(&db, ada.id, None, ("100% of a_b in C:\\logs", "it's \"quoted\""), 0).await;
    exchange(&db, ada.id, None, ("1000 of axb in C:/logs", "plain"), 1).await;
    for (words, found) in [
        ("100%", 1),
        ("a_b", 1),
        ("c:\\l", 1),
        ("%", 1),
        ("_", 1),
        ("\\", 1),
        ("it's", 1),
        ("\"quoted\"", 1),
        ("' or 1=1 --", 0),
        ("100", 2),
    ] {
        let hits = messages::search(&db.store, ada.id, words, 10).await.unwrap();
        assert_eq!(hits.items.len(), found, "{words}");
    }
}
