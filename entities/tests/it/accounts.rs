//! Accounts, roles, sign-ins and links, as administrators handle them.

use std::time::Duration;

use callboard_entities::{
    Clash, Record, StoreError,
    queries::{
        accounts::{self, AccountChange, AccountFilter, Deleted, NewAccount},
        conversations,
        links::{self, LinkOutcome, NewLink},
        roles, sign_ins,
        sign_ins::{Seen, SeenFrom},
        tokens::{self, NewRefreshToken, Rotation},
        users,
    },
};
use callboard_protocol::{Permission, PutRole, Role, SignInMethod, TokenFamilyId, User, UserId};
use secrecy::SecretString;

use crate::harness::{Db, at, new_user, on_both, user};

on_both! {
    accounts_are_listed_by_name_and_found_by_a_part_of_it
    a_change_is_told_before_and_after_and_to_other_nodes
    the_last_administrator_stays
    of_two_administrators_who_go_at_once_one_stays
    a_disabled_account_has_no_sign_ins
    a_deleted_account_takes_its_conversations_along_or_hands_them_over
    a_role_is_put_read_and_deleted_when_nobody_has_it
    sign_ins_are_listed_and_ended
    a_link_gives_a_password_once
}

fn account(username: &str, role: Role) -> NewAccount {
    let email = Some(format!("{username}@example.org"));
    NewAccount { username: username.to_owned(), display_name: None, email, role }
}

async fn admin(db: &Db, name: &str) -> User {
    users::create(&db.store, &new_user(name, Role::ADMIN), at(0)).await.unwrap()
}

fn clash<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Clash {
    match result {
        Err(StoreError::Conflict { what }) => what,
        other => panic!("{other:?}"),
    }
}

async fn accounts_are_listed_by_name_and_found_by_a_part_of_it(db: Db) {
    users::ensure_local_operator(&db.store, at(0)).await.unwrap();
    for name in ["carl", "ada", "Bob_B"] {
        accounts::create(&db.store, &account(name, Role::VIEWER), at(1)).await.unwrap();
    }
    let list = async |filter: AccountFilter, after: Option<&str>| {
        let (items, total) = accounts::page(&db.store, &filter, after, 2).await.unwrap();
        (items.into_iter().map(|account| account.username).collect::<Vec<_>>(), total)
    };
    let all = AccountFilter::default();
    assert_eq!(list(all.clone(), None).await, (vec!["ada".into(), "bob_b".into()], 3));
    assert_eq!(list(all, Some("bob_b")).await, (vec!["carl".into()], 3));
    for (text, count) in [("BOB", 1), ("example.org", 3), ("_", 1), ("%", 0), ("local", 0)] {
        let filter = AccountFilter { text: Some(text.to_owned()), ..AccountFilter::default() };
        assert_eq!(list(filter, None).await.1, count, "{text}");
    }
    let admins = AccountFilter { role: Some(Role::ADMIN), ..AccountFilter::default() };
    assert_eq!(list(admins, None).await.1, 0);
    let again = accounts::create(&db.store, &account("ADA", Role::VIEWER), at(2)).await;
    assert_eq!(clash(again), Clash::Username);
    let reserved = accounts::create(&db.store, &account("local", Role::VIEWER), at(2)).await;
    assert_eq!(clash(reserved), Clash::Username);
    let role = "no-such".parse().unwrap();
    let no_role = accounts::create(&db.store, &account("dora", role), at(2)).await;
    assert_eq!(clash(no_role), Clash::NoSuchRole);
}

async fn a_change_is_told_before_and_after_and_to_other_nodes(db: Db) {
    let ada = user(&db, "ada").await;
    let change = AccountChange {
        role: Some(Role::VIEWER),
        email: Some(Some("ada@example.org".to_owned())),
        ..AccountChange::default()
    };
    let changed = accounts::change(&db.store, ada.id, &change, at(5)).await.unwrap();
    assert_eq!((changed.before.role, changed.after.role), (Role::ANALYST, Role::VIEWER));
    assert_eq!(changed.after.email.as_deref(), Some("ada@example.org"));
    let other = db.another().await;
    let told = accounts::changed_since(&other, at(5)).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].user, told[0].role, told[0].disabled), (ada.id, Role::VIEWER, false));
    // Two changes within a millisecond are told apart.
    let change = AccountChange { role: Some(Role::ADMIN), ..AccountChange::default() };
    let again = accounts::change(&db.store, ada.id, &change, at(5)).await.unwrap();
    assert!(again.after.updated_at > changed.after.updated_at);
    let missing = accounts::change(&db.store, UserId::new(), &change, at(6)).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::User))));
    let local = users::ensure_local_operator(&db.store, at(0)).await.unwrap();
    let operator = accounts::change(&db.store, local.id, &change, at(6)).await;
    assert!(matches!(operator, Err(StoreError::NotFound(Record::User))));
}

async fn the_last_administrator_stays(db: Db) {
    let root = admin(&db, "root").await;
    // Invited, and without a password yet.
    accounts::create(&db.store, &account("invited", Role::ADMIN), at(1)).await.unwrap();
    let demote = AccountChange { role: Some(Role::VIEWER), ..AccountChange::default() };
    let disable = AccountChange { disabled: Some(true), ..AccountChange::default() };
    for change in [&demote, &disable] {
        let refused = accounts::change(&db.store, root.id, change, at(2)).await;
        assert_eq!(clash(refused), Clash::LastAdmin);
    }
    assert_eq!(clash(accounts::delete(&db.store, root.id, None, at(2)).await), Clash::LastAdmin);
    admin(&db, "second").await;
    accounts::change(&db.store, root.id, &demote, at(3)).await.unwrap();
}

async fn of_two_administrators_who_go_at_once_one_stays(db: Db) {
    let both = [admin(&db, "one").await, admin(&db, "two").await];
    let gone = db
        .race(2, |number, store| {
            let id = both[number].id;
            async move {
                let disable = AccountChange { disabled: Some(true), ..AccountChange::default() };
                accounts::change(&store, id, &disable, at(1)).await.is_ok()
            }
        })
        .await;
    assert_eq!(gone.iter().filter(|gone| **gone).count(), 1, "{gone:?}");
}

async fn sign_in(db: &Db, user: &User, hash: u8) -> TokenFamilyId {
    let family = TokenFamilyId::new();
    let new = NewRefreshToken { hash: [hash; 32], family, user: user.id, expires_at: at(100) };
    tokens::insert(&db.store, &new, at(0)).await.unwrap();
    let from = SeenFrom { device: Some("curl".into()), address: Some("192.0.2.1".into()) };
    let method = SignInMethod::Password;
    let seen = Seen { family, user: user.id, method, from: &from, expires_at: at(100) };
    sign_ins::note(&db.store, &seen, at(i64::from(hash))).await.unwrap();
    family
}

async fn a_disabled_account_has_no_sign_ins(db: Db) {
    let ada = user(&db, "ada").await;
    let family = sign_in(&db, &ada, 1).await;
    let disable = AccountChange { disabled: Some(true), ..AccountChange::default() };
    let changed = accounts::change(&db.store, ada.id, &disable, at(5)).await.unwrap();
    assert_eq!(changed.ended, [family]);
    assert_eq!(changed.after.disabled_at, Some(at(5)));
    let rotated = tokens::rotate(&db.store, &[1; 32], &[2; 32], at(200), at(6)).await.unwrap();
    assert_eq!(rotated, Rotation::Revoked);
    assert!(users::credentials(&db.store, "ada").await.unwrap().unwrap().disabled);
    let enable = AccountChange { disabled: Some(false), ..AccountChange::default() };
    let changed = accounts::change(&db.store, ada.id, &enable, at(7)).await.unwrap();
    assert_eq!(changed.after.disabled_at, None);
    let rotated = tokens::rotate(&db.store, &[1; 32], &[3; 32], at(200), at(8)).await.unwrap();
    assert_eq!(rotated, Rotation::Revoked, "what ended stays ended");
}

async fn a_deleted_account_takes_its_conversations_along_or_hands_them_over(db: Db) {
    let [ada, bob, cid] = [user(&db, "ada").await, user(&db, "bob").await, user(&db, "cid").await];
    for owner in [&ada, &bob] {
        conversations::create(&db.store, owner.id, "why?", at(1)).await.unwrap();
    }
    let count = async |user: &User| {
        conversations::page(&db.store, user.id, None, 10).await.unwrap().items.len()
    };
    let Deleted { gone, .. } = accounts::delete(&db.store, ada.id, None, at(2)).await.unwrap();
    assert_eq!((gone.conversations_deleted, gone.conversations_transferred), (1, 0));
    assert_eq!(count(&cid).await, 0);
    let nobody = accounts::delete(&db.store, bob.id, Some(UserId::new()), at(2)).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(Record::User))));
    assert_eq!(count(&bob).await, 1, "nothing was changed");
    let Deleted { gone, .. } =
        accounts::delete(&db.store, bob.id, Some(cid.id), at(2)).await.unwrap();
    assert_eq!((gone.conversations_deleted, gone.conversations_transferred), (0, 1));
    assert_eq!(count(&cid).await, 1);
}

async fn a_role_is_put_read_and_deleted_when_nobody_has_it(db: Db) {
    let name: Role = "on-call".parse().unwrap();
    let role = |sources: Option<Vec<String>>| PutRole {
        description: "who is on call".to_owned(),
        permissions: vec![Permission::ChatUse, Permission::LogsRead],
        sources,
    };
    assert_eq!(roles::put(&db.store, name, &role(None), at(1)).await.unwrap(), None);
    let narrow = role(Some(vec!["web-*".to_owned()]));
    let before = roles::put(&db.store, name, &narrow, at(2)).await.unwrap().unwrap();
    assert_eq!((before.role, before.updated_at), (role(None), at(1)));
    let listed = roles::list(&db.store).await.unwrap();
    assert_eq!((listed.len(), &listed[0].role), (1, &narrow));
    let ada = accounts::create(&db.store, &account("ada", name), at(3)).await.unwrap();
    assert_eq!(clash(roles::delete(&db.store, name).await), Clash::RoleInUse);
    let change = AccountChange { role: Some(Role::VIEWER), ..AccountChange::default() };
    accounts::change(&db.store, ada.id, &change, at(4)).await.unwrap();
    roles::delete(&db.store, name).await.unwrap();
    let missing = roles::delete(&db.store, name).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::Role))));
}

async fn sign_ins_are_listed_and_ended(db: Db) {
    let [ada, bob] = [user(&db, "ada").await, user(&db, "bob").await];
    let first = sign_in(&db, &ada, 1).await;
    let second = sign_in(&db, &ada, 2).await;
    let of_bob = sign_in(&db, &bob, 3).await;
    let list = async |now| sign_ins::list(&db.store, ada.id, Some(first), now).await.unwrap();
    let listed = list(at(5)).await;
    let ids: Vec<_> = listed.iter().map(|sign_in| (sign_in.id, sign_in.current)).collect();
    assert_eq!(ids, [(second, false), (first, true)]);
    assert_eq!(listed[0].device.as_deref(), Some("curl"));
    // Seen again from elsewhere: it stays one sign-in.
    let from = SeenFrom { device: Some("x".repeat(500)), address: Some("192.0.2.9".into()) };
    let method = SignInMethod::Link;
    let again = Seen { family: first, user: ada.id, method, from: &from, expires_at: at(90) };
    sign_ins::note(&db.store, &again, at(6)).await.unwrap();
    let seen = list(at(7)).await.remove(0);
    assert_eq!(seen.method, SignInMethod::Password, "as it was");
    assert_eq!((seen.id, seen.started_at, seen.last_seen_at), (first, at(1), at(6)));
    assert_eq!(seen.device.unwrap().len(), 200);
    // Another's is not ended, whatever is asked for.
    assert!(!sign_ins::end(&db.store, ada.id, of_bob, at(8)).await.unwrap());
    assert!(!tokens::is_family_revoked(&db.store, of_bob).await.unwrap());
    assert!(sign_ins::end(&db.store, ada.id, second, at(8)).await.unwrap());
    assert!(!sign_ins::end(&db.store, ada.id, second, at(9)).await.unwrap());
    assert!(tokens::is_family_revoked(&db.store, second).await.unwrap());
    let third = sign_in(&db, &ada, 9).await;
    let ended = sign_ins::end_others(&db.store, ada.id, Some(first), at(10)).await.unwrap();
    assert_eq!(ended, [third]);
    assert_eq!(list(at(11)).await.len(), 1);
    let told = sign_ins::ended_since(&db.another().await, at(8)).await.unwrap();
    assert_eq!(told.len(), 2);
    assert!(list(at(100)).await.is_empty());
    let late = at(100).plus(Duration::from_secs(1));
    assert_eq!(sign_ins::purge_expired(&db.store, late).await.unwrap(), 4);
}

async fn a_link_gives_a_password_once(db: Db) {
    let ada = accounts::create(&db.store, &account("ada", Role::ADMIN), at(0)).await.unwrap();
    let hash = |password: &str| SecretString::from(password.to_owned());
    // A new one takes the place of the one before.
    for hash in [[1; 32], [2; 32]] {
        let link = NewLink { user: ada.id, hash, by: None, expires_at: at(100) };
        links::issue(&db.store, &link, at(1)).await.unwrap();
    }
    assert_eq!(links::owner(&db.store, &[1; 32], at(2)).await.unwrap(), None);
    assert_eq!(links::owner(&db.store, &[2; 32], at(100)).await.unwrap(), None, "too old");
    let owner = links::owner(&db.store, &[2; 32], at(2)).await.unwrap().unwrap();
    assert_eq!(owner.id, ada.id);
    let used = db
        .race(8, |_, store| async move {
            links::complete(&store, &[2; 32], &SecretString::from("$argon2id$x"), at(3))
                .await
                .unwrap()
        })
        .await;
    let done = used.iter().filter(|used| matches!(used, LinkOutcome::Done { .. })).count();
    assert_eq!(done, 1, "{used:?}");
    assert!(accounts::get(&db.store, ada.id).await.unwrap().has_password);
    let again = links::complete(&db.store, &[2; 32], &hash("y"), at(4)).await.unwrap();
    assert_eq!(again, LinkOutcome::Invalid);
}
