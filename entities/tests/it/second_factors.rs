//! Second factors: begun, confirmed, and used up.

use callboard_entities::{
    Clash, StoreError,
    queries::second_factors::{self, Factor},
};

use crate::harness::{Db, at, on_both, user};

on_both! {
    a_secret_counts_once_it_is_confirmed_and_stays
    a_code_is_good_for_one_of_many
}

async fn a_secret_counts_once_it_is_confirmed_and_stays(db: Db) {
    let ada = user(&db, "ada").await;
    let store = &db.store;
    assert_eq!(second_factors::find(store, ada.id).await.unwrap(), None);
    assert!(!second_factors::confirm(store, ada.id, 5, &[], at(1)).await.unwrap());
    for secret in [vec![1], vec![2]] {
        second_factors::begin(store, ada.id, secret, at(1)).await.unwrap();
    }
    let found = second_factors::find(store, ada.id).await.unwrap();
    assert_eq!(found, Some(Factor { secret: vec![2], confirmed: false, recovery_left: 0 }));
    assert!(!second_factors::use_step(store, ada.id, 9).await.unwrap(), "not confirmed yet");
    let hashes = [[1; 32], [2; 32]];
    assert!(second_factors::confirm(store, ada.id, 5, &hashes, at(2)).await.unwrap());
    assert!(!second_factors::confirm(store, ada.id, 6, &hashes, at(2)).await.unwrap());
    let again = second_factors::begin(store, ada.id, vec![3], at(3)).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: Clash::SecondFactor })), "{again:?}");
    let found = second_factors::find(store, ada.id).await.unwrap();
    assert_eq!(found, Some(Factor { secret: vec![2], confirmed: true, recovery_left: 2 }));
    assert!(second_factors::delete(store, ada.id).await.unwrap());
    assert!(!second_factors::delete(store, ada.id).await.unwrap());
}

async fn a_code_is_good_for_one_of_many(db: Db) {
    let ada = user(&db, "ada").await;
    second_factors::begin(&db.store, ada.id, vec![1], at(1)).await.unwrap();
    second_factors::confirm(&db.store, ada.id, 5, &[[7; 32], [8; 32]], at(2)).await.unwrap();
    let won = |results: Vec<bool>| results.into_iter().filter(|good| *good).count();
    let id = ada.id;
    let steps = db.race(8, move |_, store| async move {
        second_factors::use_step(&store, id, 6).await.unwrap()
    });
    assert_eq!(won(steps.await), 1);
    assert!(!second_factors::use_step(&db.store, id, 5).await.unwrap(), "an earlier one");
    let codes = db.race(8, move |_, store| async move {
        second_factors::use_recovery(&store, id, &[7; 32]).await.unwrap()
    });
    assert_eq!(won(codes.await), 1);
    assert!(!second_factors::use_recovery(&db.store, id, &[9; 32]).await.unwrap());
    let left = second_factors::find(&db.store, id).await.unwrap().unwrap().recovery_left;
    assert_eq!(left, 1);
}
