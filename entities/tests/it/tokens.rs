//! Refresh tokens: rotation, reuse, and revocation.

use callboard_entities::{
    TokenHash,
    queries::{
        tokens::{self, NewRefreshToken, Rotation},
        users,
    },
};
use callboard_protocol::{TokenFamilyId, User};
use secrecy::SecretString;

use crate::harness::{Db, at, on_both, user};

on_both! {
    a_token_is_good_for_one_use
    a_second_use_revokes_the_family
    of_many_uses_at_once_one_wins_and_the_family_ends
    a_revoked_family_stays_revoked_while_others_rotate
    an_old_token_is_expired_and_then_forgotten
    a_new_password_ends_all_sessions
}

async fn sign_in(db: &Db, user: &User, hash: TokenHash) -> TokenFamilyId {
    let family = TokenFamilyId::new();
    let new = NewRefreshToken { hash, family, user: user.id, expires_at: at(100) };
    tokens::insert(&db.store, &new, at(0)).await.unwrap();
    family
}

async fn rotate(db: &Db, from: u8, to: u8) -> Rotation {
    tokens::rotate(&db.store, &[from; 32], &[to; 32], at(200), at(1)).await.unwrap()
}

async fn is_revoked(db: &Db, family: TokenFamilyId) -> bool {
    tokens::is_family_revoked(&db.store, family).await.unwrap()
}

async fn a_token_is_good_for_one_use(db: Db) {
    let ada = user(&db, "ada").await;
    let family = sign_in(&db, &ada, [1; 32]).await;
    assert_eq!(tokens::family_of(&db.store, &[1; 32]).await.unwrap(), Some(family));
    assert_eq!(tokens::family_of(&db.store, &[9; 32]).await.unwrap(), None);
    assert_eq!(rotate(&db, 9, 2).await, Rotation::Unknown);
    assert_eq!(rotate(&db, 1, 2).await, Rotation::Rotated { user: ada.clone(), family });
    assert_eq!(rotate(&db, 2, 3).await, Rotation::Rotated { user: ada, family });
    assert!(!is_revoked(&db, family).await);
}

async fn a_second_use_revokes_the_family(db: Db) {
    let ada = user(&db, "ada").await;
    let family = sign_in(&db, &ada, [1; 32]).await;
    let other = sign_in(&db, &ada, [7; 32]).await;
    rotate(&db, 1, 2).await;
    assert_eq!(rotate(&db, 1, 3).await, Rotation::Reused { user_id: ada.id, family });
    assert!(is_revoked(&db, family).await);
    assert_eq!(rotate(&db, 2, 4).await, Rotation::Revoked);
    assert_eq!(rotate(&db, 3, 5).await, Rotation::Unknown);
    assert!(!is_revoked(&db, other).await);
    assert!(matches!(rotate(&db, 7, 8).await, Rotation::Rotated { .. }));
}

async fn of_many_uses_at_once_one_wins_and_the_family_ends(db: Db) {
    let ada = user(&db, "ada").await;
    let family = sign_in(&db, &ada, [0; 32]).await;
    let results = db
        .race(10, |number, store| async move {
            let fresh = [u8::try_from(number).unwrap() + 1; 32];
            tokens::rotate(&store, &[0; 32], &fresh, at(200), at(1)).await.unwrap()
        })
        .await;
    let won = results.iter().filter(|r| matches!(r, Rotation::Rotated { .. })).count();
    let reused = results.iter().filter(|r| matches!(r, Rotation::Reused { .. })).count();
    let revoked = results.iter().filter(|r| **r == Rotation::Revoked).count();
    // The second one reveals the reuse; the others come to a revoked family.
    assert_eq!((won, reused, revoked), (1, 1, 8));
    assert!(is_revoked(&db, family).await);
    for fresh in 1..=10 {
        let after = rotate(&db, fresh, 50).await;
        assert!(matches!(after, Rotation::Revoked | Rotation::Unknown), "{after:?}");
    }
}

async fn a_revoked_family_stays_revoked_while_others_rotate(db: Db) {
    // Each of many accounts, so that they do not wait for each other, signs in, rotates and
    // signs out at once; the more there are, the more orders of their statements are met.
    for round in 0..6u8 {
        let mut families = Vec::new();
        for number in 0..8u8 {
            let ada = user(&db, &format!("ada{round}.{number}")).await;
            families.push(sign_in(&db, &ada, [10 + round * 8 + number; 32]).await);
        }
        let racing = families.clone();
        db.race(16, |caller, store| {
            let (number, family) = (caller / 2, racing[caller / 2]);
            let first = 10 + round * 8 + u8::try_from(number).unwrap();
            async move {
                if caller % 2 == 0 {
                    let fresh = [first + 100; 32];
                    tokens::rotate(&store, &[first; 32], &fresh, at(200), at(1)).await.unwrap();
                } else {
                    tokens::revoke_family(&store, family, at(1)).await.unwrap();
                }
            }
        })
        .await;
        for family in families {
            assert!(is_revoked(&db, family).await, "a token was born into a revoked family");
        }
    }
}

async fn an_old_token_is_expired_and_then_forgotten(db: Db) {
    let ada = user(&db, "ada").await;
    let family = sign_in(&db, &ada, [1; 32]).await;
    let late = tokens::rotate(&db.store, &[1; 32], &[2; 32], at(200), at(100)).await.unwrap();
    assert_eq!(late, Rotation::Expired);
    assert_eq!(tokens::purge_expired(&db.store, at(99)).await.unwrap(), 0);
    assert_eq!(tokens::purge_expired(&db.store, at(100)).await.unwrap(), 1);
    assert_eq!(rotate(&db, 1, 2).await, Rotation::Unknown);
    assert!(is_revoked(&db, family).await);
    tokens::revoke_family(&db.store, family, at(101)).await.unwrap();
}

async fn a_new_password_ends_all_sessions(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    sign_in(&db, &ada, [1; 32]).await;
    sign_in(&db, &ada, [2; 32]).await;
    let of_bob = sign_in(&db, &bob, [3; 32]).await;
    let hash = SecretString::from("$argon2id$other");
    users::set_password(&db.store, ada.id, &hash, at(1)).await.unwrap();
    assert_eq!(rotate(&db, 1, 11).await, Rotation::Revoked);
    assert_eq!(rotate(&db, 2, 12).await, Rotation::Revoked);
    assert_eq!(rotate(&db, 3, 13).await, Rotation::Rotated { user: bob, family: of_bob });
}
