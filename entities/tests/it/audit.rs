//! The audit trail: what is in it, and that its chain shows every change but the erasing of persons.

use callboard_entities::queries::audit::{self, AuditEvent, AuditFilter, Breach};
use callboard_protocol::{RequestId, UserId};
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use crate::harness::{Db, at, on_both, user};

on_both! {
    the_trail_tells_the_latest_first_and_what_is_asked_for
    a_trail_that_nobody_touched_verifies
    whatever_is_changed_breaks_the_chain
    a_missing_event_breaks_the_chain
    a_trail_that_was_cut_off_shows_it
    what_tells_of_a_person_is_erased_and_the_chain_holds
    old_events_go_and_the_rest_of_the_chain_holds
    many_at_once_make_one_chain
}

fn event(action: &str, second: i64) -> AuditEvent {
    AuditEvent {
        actor_name: Some("ada".to_owned()),
        address: Some("::1".to_owned()),
        request_id: Some(RequestId::new()),
        // PostgreSQL keeps the keys in another order.
        details: json!({ "before": { "role": "viewer", "id": 1 }, "after": [true, "ü"] }),
        ..AuditEvent::of_server(action, Some("thing".to_owned()), at(second))
    }
}

async fn filled(db: &Db, count: i64) {
    for second in 1..=count {
        audit::append(&db.store, &event("thing.change", second)).await.unwrap();
    }
}

/// What somebody does who has the database to themselves.
async fn meddle(db: &Db, sql: &str) {
    let connection = Database::connect(db.url()).await.unwrap();
    assert_eq!(connection.execute_unprepared(sql).await.unwrap().rows_affected(), 1, "{sql}");
    connection.close().await.unwrap();
}

async fn the_trail_tells_the_latest_first_and_what_is_asked_for(db: Db) {
    let ada = user(&db, "ada").await;
    let login = AuditEvent { actor: Some(ada.id), ..event("auth.login", 1) };
    let start = AuditEvent::of_server("server.start", Some("node".to_owned()), at(2));
    for event in [&login, &start] {
        audit::append(&db.store, event).await.unwrap();
    }
    assert_eq!(audit::list(&db.store, 10).await.unwrap(), [start.clone(), login.clone()]);
    let found = async |filter: AuditFilter| {
        let (events, _) = audit::page(&db.store, &filter, None, 10).await.unwrap();
        events.into_iter().map(|stored| stored.event).collect::<Vec<_>>()
    };
    let of_ada = AuditFilter { actor: Some(ada.id), ..AuditFilter::default() };
    assert_eq!(found(of_ada).await, std::slice::from_ref(&login));
    for (action, count) in [("auth.", 1), ("auth.login", 1), ("auth", 0), ("%", 0), ("s_rver.", 0)]
    {
        let filter = AuditFilter { action: Some(action.to_owned()), ..AuditFilter::default() };
        assert_eq!(found(filter).await.len(), count, "{action}");
    }
    let later = AuditFilter { from: Some(at(2)), ..AuditFilter::default() };
    assert_eq!(found(later).await, std::slice::from_ref(&start));
    let (first, next) = audit::page(&db.store, &AuditFilter::default(), None, 1).await.unwrap();
    assert_eq!((first[0].event.clone(), first[0].seq), (start, Some(2)));
    let (second, end) =
        audit::page(&db.store, &AuditFilter::default(), next.as_ref(), 1).await.unwrap();
    assert_eq!((second[0].event.clone(), end), (login, None));
}

async fn a_trail_that_nobody_touched_verifies(db: Db) {
    let empty = audit::verify(&db.store).await.unwrap();
    assert_eq!((empty.checked, empty.breach), (0, None));
    filled(&db, 5).await;
    let found = audit::verify(&db.store).await.unwrap();
    assert_eq!((found.checked, found.first, found.head.0, found.breach), (5, 1, 5, None));
}

async fn whatever_is_changed_breaks_the_chain(db: Db) {
    filled(&db, 4).await;
    let changes = [
        ("action", "'thing.read'"),
        ("object", "'another'"),
        ("at", "7"),
        ("address", "'::2'"),
        ("actor_name", "'eve'"),
        ("request_id", "NULL"),
    ];
    for (column, value) in changes {
        let keep = format!("UPDATE audit_events SET {column} = {value} WHERE seq = 3");
        let connection = Database::connect(db.url()).await.unwrap();
        let restore = "UPDATE audit_events SET COLUMN = (SELECT COLUMN FROM kept) WHERE seq = 3";
        connection
            .execute_unprepared("CREATE TABLE kept AS SELECT * FROM audit_events WHERE seq = 3")
            .await
            .unwrap();
        connection.execute_unprepared(&keep).await.unwrap();
        let found = audit::verify(&db.store).await.unwrap();
        assert_eq!(found.breach, Some(Breach::Changed(3)), "{column}");
        connection.execute_unprepared(&restore.replace("COLUMN", column)).await.unwrap();
        connection.execute_unprepared("DROP TABLE kept").await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(audit::verify(&db.store).await.unwrap().breach, None, "{column}");
    }
}

async fn a_missing_event_breaks_the_chain(db: Db) {
    filled(&db, 4).await;
    meddle(&db, "DELETE FROM audit_events WHERE seq = 2").await;
    assert_eq!(audit::verify(&db.store).await.unwrap().breach, Some(Breach::Missing(2)));
}

async fn a_trail_that_was_cut_off_shows_it(db: Db) {
    filled(&db, 4).await;
    meddle(&db, "DELETE FROM audit_events WHERE seq = 4").await;
    assert_eq!(audit::verify(&db.store).await.unwrap().breach, Some(Breach::CutOff(3)));
}

async fn what_tells_of_a_person_is_erased_and_the_chain_holds(db: Db) {
    let ada = user(&db, "ada").await;
    let own = AuditEvent { actor: Some(ada.id), ..event("thing.change", 1) };
    let about = AuditEvent {
        actor_name: Some("root".to_owned()),
        object: Some(ada.id.to_string()),
        ..event("user.change", 2)
    };
    let other = AuditEvent {
        actor: Some(UserId::new()),
        actor_name: Some("bob".to_owned()),
        ..event("thing.change", 3)
    };
    for event in [&own, &about, &other] {
        audit::append(&db.store, event).await.unwrap();
    }
    assert_eq!(audit::erase(&db.store, ada.id, "ada").await.unwrap(), 2);
    let (events, _) = audit::page(&db.store, &AuditFilter::default(), None, 10).await.unwrap();
    let [third, second, first] = &events[..] else { panic!("{events:?}") };
    assert_eq!(third.event, other);
    for erased in [first, second] {
        let event = &erased.event;
        assert!(erased.erased && event.actor_name.is_none() && event.address.is_none());
        assert_eq!(event.details, json!({}));
    }
    assert_eq!(first.event.actor, Some(ada.id), "who it was is a number that names nobody");
    let found = audit::verify(&db.store).await.unwrap();
    assert_eq!((found.checked, found.erased, found.breach), (3, 2, None));
    // Nobody can say under the name of an erasure what was not said.
    meddle(&db, "UPDATE audit_events SET address = '::9' WHERE seq = 1").await;
    assert_eq!(audit::verify(&db.store).await.unwrap().breach, Some(Breach::Changed(1)));
}

async fn old_events_go_and_the_rest_of_the_chain_holds(db: Db) {
    filled(&db, 6).await;
    assert_eq!(audit::let_go(&db.store, at(4), at(9)).await.unwrap(), 3);
    let found = audit::verify(&db.store).await.unwrap();
    assert_eq!((found.first, found.checked, found.breach), (4, 4, None), "and that some went");
    assert_eq!(audit::let_go(&db.store, at(4), at(9)).await.unwrap(), 0);
    meddle(&db, "DELETE FROM audit_events WHERE seq = 4").await;
    assert_eq!(audit::verify(&db.store).await.unwrap().breach, Some(Breach::Missing(4)));
}

async fn many_at_once_make_one_chain(db: Db) {
    let added = db.race(20, |_, store| async move {
        audit::append(&store, &event("thing.change", 1)).await.unwrap();
    });
    assert_eq!(added.await.len(), 20);
    let found = audit::verify(&db.store).await.unwrap();
    assert_eq!((found.checked, found.head.0, found.breach), (20, 20, None));
}
