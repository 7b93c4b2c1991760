//! The life of a turn: begun once, finished once, or interrupted.

use callboard_entities::{
    Record, StoreError,
    queries::{
        conversations,
        messages::{self, FinishOutcome, FinishedAnswer},
    },
};
use callboard_protocol::{
    Author, Citation, ClientMessageId, FinishReason, LineId, MessageId, MessageStatus,
    SearchedEvidence, TimeRange, TurnId,
};

use crate::harness::{Db, answer, at, exchange, on_both, question, user};

on_both! {
    a_turn_is_durable_before_its_answer
    the_same_client_message_id_is_the_same_turn
    the_same_client_message_id_at_once_is_the_same_turn
    questions_of_two_users_never_meet
    turns_of_one_conversation_at_once_are_all_kept
    an_answer_comes_back_whole
    an_answer_is_finished_once
    of_many_finishers_one_is_kept
    what_a_dead_server_left_is_marked
}

async fn a_turn_is_durable_before_its_answer(db: Db) {
    let ada = user(&db, "ada").await;
    let new = question(ada.id, None, "why?\0", 5);
    let begun = messages::begin_turn(&db.store, &new).await.unwrap();
    assert!(!begun.existing);
    assert_eq!(begun.user_message.content, "why?\u{fffd}");
    assert_eq!(begun.user_message.client_message_id.as_ref(), Some(&new.client_message_id));
    let kept = conversations::get(&db.store, ada.id, begun.conversation.id).await.unwrap();
    assert_eq!(kept, begun.conversation);
    let page = messages::page(&db.store, ada.id, kept.id, None, 10).await.unwrap();
    assert_eq!(page.running_turn, Some(begun.turn_id));
    let [asked, placeholder] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!(*asked, begun.user_message);
    assert_eq!(placeholder.id, begun.answer_message_id);
    assert_eq!(
        (placeholder.author, placeholder.status, placeholder.content.as_str()),
        (Author::Assistant, MessageStatus::Streaming, "")
    );
    let stored = messages::find_answer(&db.store, ada.id, begun.turn_id).await.unwrap().unwrap();
    assert!(stored.into_answer().is_none(), "it is still being written");
}

async fn the_same_client_message_id_is_the_same_turn(db: Db) {
    let ada = user(&db, "ada").await;
    let new = question(ada.id, None, "why?", 5);
    let first = messages::begin_turn(&db.store, &new).await.unwrap();
    let mut again = question(ada.id, None, "another text", 9);
    again.client_message_id = new.client_message_id;
    let second = messages::begin_turn(&db.store, &again).await.unwrap();
    assert!(second.existing);
    assert_eq!(messages::BegunTurn { existing: false, ..second }, first);
    let page = conversations::page(&db.store, ada.id, None, 10).await.unwrap();
    assert_eq!(page.items, [first.conversation], "no conversation was opened for the repetition");
}

async fn the_same_client_message_id_at_once_is_the_same_turn(db: Db) {
    let ada = user(&db, "ada").await.id;
    let open = conversations::create(&db.store, ada, "open", at(0)).await.unwrap().id;
    for (round, conversation) in [None, Some(open), None, Some(open)].into_iter().enumerate() {
        let id: ClientMessageId = format!("retry-{round}").parse().unwrap();
        let begun = db
            .race(10, |_, store| {
                let mut new = question(ada, conversation, "why?", 5);
                new.client_message_id = id.clone();
                async move { messages::begin_turn(&store, &new).await.unwrap() }
            })
            .await;
        assert_eq!(begun.iter().filter(|begun| !begun.existing).count(), 1);
        let same = |turn: &messages::BegunTurn| {
            (turn.turn_id, turn.answer_message_id, turn.user_message.id, turn.conversation.id)
        };
        assert!(begun.iter().all(|turn| same(turn) == same(&begun[0])));
    }
    let page = conversations::page(&db.store, ada, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 3, "the open one, and one for each round without");
}

async fn questions_of_two_users_never_meet(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let of_ada = question(ada.id, None, "mine", 1);
    let mut of_bob = question(bob.id, None, "also mine", 1);
    of_bob.client_message_id = of_ada.client_message_id.clone();
    let first = messages::begin_turn(&db.store, &of_ada).await.unwrap();
    let second = messages::begin_turn(&db.store, &of_bob).await.unwrap();
    assert!(!second.existing);
    assert_ne!(first.turn_id, second.turn_id);
    assert!(messages::find_answer(&db.store, bob.id, first.turn_id).await.unwrap().is_none());
}

async fn turns_of_one_conversation_at_once_are_all_kept(db: Db) {
    let ada = user(&db, "ada").await.id;
    let id = conversations::create(&db.store, ada, "busy", at(0)).await.unwrap().id;
    db.race(20, |number, store| async move {
        let new = question(ada, Some(id), &format!("q{number}"), 20 - number as i64);
        let begun = messages::begin_turn(&store, &new).await.unwrap();
        let done = answer("a");
        messages::finish_answer(&store, begun.answer_message_id, &done, at(3)).await.unwrap();
    })
    .await;
    let page = messages::page(&db.store, ada, id, None, 100).await.unwrap();
    assert_eq!((page.items.len(), page.running_turn), (40, None));
    let kept = conversations::get(&db.store, ada, id).await.unwrap();
    assert_eq!(kept.updated_at, at(20), "it never goes back in time");
}

async fn an_answer_comes_back_whole(db: Db) {
    let ada = user(&db, "ada").await;
    let new = question(ada.id, None, "who?", 1);
    let begun = messages::begin_turn(&db.store, &new).await.unwrap();
    let range = TimeRange { from: Some(at(0)), to: None };
    let evidence = SearchedEvidence {
        query: "level:error".to_owned(),
        reading: "errors".to_owned(),
        left_out: Vec::new(),
        range,
        covered: range,
        matched: 9_007_199_254_740_993,
        searched: u64::MAX,
        counted: 3,
    };
    let citation = Citation {
        line_id: LineId(u64::MAX),
        source: "sshd".to_owned(),
        timestamp: Some(at(0)),
        excerpt: "Failed\0 password 🦀".to_owned(),
    };
    let finished = FinishedAnswer {
        citations: vec![citation.clone()],
        suggestions: vec!["And then?".to_owned()],
        evidence: Some(evidence.clone()),
        cost_usd: 0.012_345,
        provider: Some("local".to_owned()),
        model: Some("small".to_owned()),
        finish_reason: FinishReason::Length,
        cached: true,
        ..answer("Two [L1]")
    };
    messages::finish_answer(&db.store, begun.answer_message_id, &finished, at(9)).await.unwrap();
    let stored = messages::find_answer(&db.store, ada.id, begun.turn_id).await.unwrap().unwrap();
    assert_eq!(stored.message.evidence, Some(evidence));
    assert_eq!(stored.message.usage, Some(finished.usage));
    assert_eq!(stored.message.status, MessageStatus::Complete);
    let excerpt = "Failed\u{fffd} password 🦀".to_owned();
    assert_eq!(stored.message.citations, [Citation { excerpt, ..citation }]);
    let reply = stored.into_answer().unwrap();
    assert_eq!(reply.response, "Two [L1]");
    assert_eq!(reply.suggestions, finished.suggestions);
    assert_eq!(reply.finish_reason, FinishReason::Length);
    assert!((reply.cost_usd - 0.012_345).abs() < f64::EPSILON);
    assert_eq!(
        (reply.provider.as_str(), reply.model.as_str(), reply.cached),
        ("local", "small", true)
    );
    let kept = conversations::get(&db.store, ada.id, begun.conversation.id).await.unwrap();
    assert_eq!(kept.updated_at, at(9));
}

async fn an_answer_is_finished_once(db: Db) {
    let ada = user(&db, "ada").await;
    let begun = exchange(&db, ada.id, None, ("why?", "first"), 1).await;
    let id = begun.answer_message_id;
    let again = messages::finish_answer(&db.store, id, &answer("second"), at(5)).await.unwrap();
    assert_eq!(again, FinishOutcome::AlreadyFinal);
    let stored = messages::find_answer(&db.store, ada.id, begun.turn_id).await.unwrap().unwrap();
    assert_eq!(stored.message.content, "first");
    let streaming = FinishedAnswer { status: MessageStatus::Streaming, ..answer("x") };
    let refused = messages::finish_answer(&db.store, id, &streaming, at(5)).await;
    assert!(matches!(refused, Err(StoreError::Internal(_))));
    let nowhere = messages::finish_answer(&db.store, MessageId::new(), &answer("x"), at(5)).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound(Record::Message))));
    let none = messages::find_answer(&db.store, ada.id, TurnId::new()).await.unwrap();
    assert!(none.is_none());
}

async fn of_many_finishers_one_is_kept(db: Db) {
    let ada = user(&db, "ada").await;
    let begun = messages::begin_turn(&db.store, &question(ada.id, None, "?", 1)).await.unwrap();
    let id = begun.answer_message_id;
    let outcomes = db
        .race(8, |number, store| async move {
            let finished = answer(&number.to_string());
            (number, messages::finish_answer(&store, id, &finished, at(2)).await.unwrap())
        })
        .await;
    let stored: Vec<_> = outcomes.iter().filter(|o| o.1 == FinishOutcome::Stored).collect();
    assert_eq!(stored.len(), 1);
    let kept = messages::find_answer(&db.store, ada.id, begun.turn_id).await.unwrap().unwrap();
    assert_eq!(kept.message.content, stored[0].0.to_string());
}

async fn what_a_dead_server_left_is_marked(db: Db) {
    let ada = user(&db, "ada").await;
    exchange(&db, ada.id, None, ("done?", "done"), 1).await;
    let left = messages::begin_turn(&db.store, &question(ada.id, None, "?", 2)).await.unwrap();
    assert_eq!(messages::interrupt_unfinished(&db.store, at(9)).await.unwrap(), 1);
    assert_eq!(messages::interrupt_unfinished(&db.store, at(9)).await.unwrap(), 0);
    let stored = messages::find_answer(&db.store, ada.id, left.turn_id).await.unwrap().unwrap();
    assert_eq!(stored.message.status, MessageStatus::Interrupted);
    assert_eq!(stored.finish_reason, None);
    let id = left.answer_message_id;
    let late = messages::finish_answer(&db.store, id, &answer("late"), at(9)).await.unwrap();
    assert_eq!(late, FinishOutcome::AlreadyFinal);
}
