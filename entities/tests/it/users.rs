//! Accounts, the first administrator, and the setup token.

use callboard_entities::{
    Clash, Record, StoreError,
    queries::{
        setup::{self, SetupOutcome},
        users,
    },
};
use callboard_protocol::{Role, UserId};
use secrecy::{ExposeSecret, SecretString};

use crate::harness::{Db, at, new_user, on_both, user};

on_both! {
    a_user_is_found_by_name_in_any_case
    a_name_is_taken_once
    accounts_are_listed_by_name_in_pages
    of_many_first_admins_one_is_made
    the_local_operator_is_one_and_is_no_sign_in
    a_new_password_replaces_the_old_one
    a_setup_token_is_good_once_and_for_a_time
    of_many_setups_one_succeeds
}

async fn a_user_is_found_by_name_in_any_case(db: Db) {
    let made = user(&db, " Ada.Lovelace ").await;
    assert_eq!(made.username, "ada.lovelace");
    assert_eq!(users::find(&db.store, made.id).await.unwrap(), Some(made.clone()));
    let found = users::find_by_username(&db.store, "ADA.lovelace").await.unwrap();
    assert_eq!(found, Some(made));
    let hash = users::credentials(&db.store, "ada.lovelace").await.unwrap().unwrap().password_hash;
    assert_eq!(hash.unwrap().expose_secret(), "$argon2id$hash");
    for stranger in ["ada", "", "ada.lovelace%", "a\0b"] {
        assert!(users::find_by_username(&db.store, stranger).await.unwrap().is_none());
    }
    assert!(users::find(&db.store, UserId::new()).await.unwrap().is_none());
}

async fn a_name_is_taken_once(db: Db) {
    user(&db, "ada").await;
    for taken in ["ada", "ADA", users::LOCAL_OPERATOR, "Local"] {
        let again = users::create(&db.store, &new_user(taken, Role::VIEWER), at(1)).await;
        assert!(matches!(again, Err(StoreError::Conflict { what: Clash::Username })), "{taken}");
    }
}

async fn accounts_are_listed_by_name_in_pages(db: Db) {
    users::ensure_local_operator(&db.store, at(0)).await.unwrap();
    let mut made = Vec::new();
    for name in ["zoe", "ada", "m-1", "m.1", "m_1"] {
        made.push(user(&db, name).await);
    }
    let mut listed = users::list(&db.store, None, 2).await.unwrap();
    while let Some(last) = listed.last().map(|user| user.username.clone()) {
        let page = users::list(&db.store, Some(&last), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed.len(), made.len(), "{listed:?}");
    assert!(made.iter().all(|user| listed.contains(user)));
    assert_eq!((listed[0].username.as_str(), listed[4].username.as_str()), ("ada", "zoe"));
}

async fn of_many_first_admins_one_is_made(db: Db) {
    assert!(!users::any_admin_exists(&db.store).await.unwrap());
    let results = db
        .race(12, |number, store| async move {
            let new = new_user(&format!("admin{number}"), Role::ADMIN);
            users::create_first_admin(&store, &new, at(0)).await
        })
        .await;
    let mut made = 0;
    for result in results {
        match result {
            Ok(user) => {
                made += 1;
                assert_eq!(user.role, Role::ADMIN);
            }
            Err(error) => {
                let admin = StoreError::Conflict { what: Clash::AdminExists };
                assert_eq!(error.to_string(), admin.to_string());
            }
        }
    }
    assert_eq!(made, 1);
    assert!(users::any_admin_exists(&db.store).await.unwrap());
}

async fn the_local_operator_is_one_and_is_no_sign_in(db: Db) {
    let results = db
        .race(
            8,
            |_, store| async move { users::ensure_local_operator(&store, at(0)).await.unwrap() },
        )
        .await;
    assert!(results.iter().all(|user| *user == results[0] && user.role == Role::ADMIN));
    assert!(!users::any_admin_exists(&db.store).await.unwrap());
    let found = users::credentials(&db.store, "local").await.unwrap().unwrap();
    assert!(found.password_hash.is_none());
    let hash = SecretString::from("$argon2id$other");
    let set = users::set_password(&db.store, found.user.id, &hash, at(1)).await;
    assert!(matches!(set, Err(StoreError::NotFound(Record::User))));
}

async fn a_new_password_replaces_the_old_one(db: Db) {
    let ada = user(&db, "ada").await;
    let hash = SecretString::from("$argon2id$other");
    users::set_password(&db.store, ada.id, &hash, at(1)).await.unwrap();
    let found = users::credentials(&db.store, "ada").await.unwrap().unwrap();
    assert_eq!(found.password_hash.unwrap().expose_secret(), hash.expose_secret());
    let unknown = users::set_password(&db.store, UserId::new(), &hash, at(1)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(Record::User))));
}

async fn a_setup_token_is_good_once_and_for_a_time(db: Db) {
    let (good, wrong) = ([1; 32], [2; 32]);
    let root = new_user("root", Role::ADMIN);
    assert!(!setup::verify(&db.store, &good, at(0)).await.unwrap());
    setup::issue(&db.store, &wrong, at(3_600), at(0)).await.unwrap();
    setup::issue(&db.store, &good, at(3_600), at(0)).await.unwrap();
    assert!(setup::verify(&db.store, &good, at(3_599)).await.unwrap());
    for (hash, seconds) in [(wrong, 1), (good, 3_600)] {
        assert!(!setup::verify(&db.store, &hash, at(seconds)).await.unwrap());
        let outcome = setup::complete(&db.store, &hash, &root, at(seconds)).await.unwrap();
        assert_eq!(outcome, SetupOutcome::InvalidToken);
    }
    // A setup that fails does not use the token up.
    user(&db, "root").await;
    let clash = setup::complete(&db.store, &good, &root, at(1)).await;
    assert!(matches!(clash, Err(StoreError::Conflict { what: Clash::Username })));
    let boss = new_user("boss", Role::VIEWER);
    let outcome = setup::complete(&db.store, &good, &boss, at(1)).await.unwrap();
    assert!(matches!(outcome, SetupOutcome::Created(user) if user.role == Role::ADMIN));
    assert!(!setup::verify(&db.store, &good, at(1)).await.unwrap());
}

async fn of_many_setups_one_succeeds(db: Db) {
    setup::issue(&db.store, &[1; 32], at(60), at(0)).await.unwrap();
    let results = db
        .race(12, |number, store| async move {
            let new = new_user(&format!("admin{number}"), Role::ADMIN);
            setup::complete(&store, &[1; 32], &new, at(1)).await
        })
        .await;
    let created = results.iter().filter(|r| matches!(r, Ok(SetupOutcome::Created(_)))).count();
    let refused = results.iter().filter(|result| {
        matches!(
            result,
            Ok(SetupOutcome::InvalidToken) | Err(StoreError::Conflict { what: Clash::AdminExists })
        )
    });
    assert_eq!((created, refused.count()), (1, 11));
}
