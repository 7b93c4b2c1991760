use callboard_protocol::Role;

use super::*;

fn new_key() -> NewApiKey {
    NewApiKey {
        name: " ci ".to_owned(),
        scopes: vec![KeyScope::Models, KeyScope::Chat, KeyScope::Models],
        models: None,
        daily_budget_micro_usd: None,
        monthly_budget_micro_usd: None,
        expires_at: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn good_key(at: Timestamp) -> Remembered {
    Remembered {
        user: User {
            id: UserId::new(),
            username: "ada".to_owned(),
            display_name: "Ada".to_owned(),
            role: Role::VIEWER,
        },
        key: Arc::new(KeyOfCaller {
            id: ApiKeyId::new(),
            scopes: vec![KeyScope::Chat],
            models: None,
            budgets: callboard_actors::Limits::default(),
        }),
        expires_at: None,
        looked_up: at,
        touched: None,
    }
}

fn hash(number: usize) -> TokenHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    hash
}

#[test]
fn the_fields_of_a_new_key_keep_the_rules() {
    let good = checked(new_key(), now()).unwrap();
    assert_eq!((good.name.as_str(), good.scopes), ("ci", vec![KeyScope::Chat, KeyScope::Models]));
    let models = |models: &[&str]| Some(models.iter().map(|model| (*model).to_owned()).collect());
    for (field, wrong) in [
        ("name", NewApiKey { name: "  ".to_owned(), ..new_key() }),
        ("name", NewApiKey { name: "x".repeat(101), ..new_key() }),
        ("name", NewApiKey { name: "a\nb".to_owned(), ..new_key() }),
        ("scopes", NewApiKey { scopes: Vec::new(), ..new_key() }),
        ("models", NewApiKey { models: models(&[]), ..new_key() }),
        ("models", NewApiKey { models: models(&["a", ""]), ..new_key() }),
        ("models", NewApiKey { models: models(&["a\0"]), ..new_key() }),
        ("expires_at", NewApiKey { expires_at: Some(now()), ..new_key() }),
    ] {
        let error = checked(wrong, now()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ValidationFailed, "{field}");
        let response = actix_web::ResponseError::error_response(&error);
        let body = actix_web::body::MessageBody::try_into_bytes(response.into_body()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["details"]["field"], field);
    }
}

#[test]
fn a_key_is_remembered_for_half_a_minute() {
    let keys = ApiKeys::default();
    assert_eq!(keys.find(&hash(1), now()).err(), Some(0));
    keys.remember(hash(1), good_key(now()), 0, now());
    assert!(keys.find(&hash(1), now().plus(Duration::from_millis(29_999))).is_ok());
    assert!(keys.find(&hash(1), now().plus(REMEMBERED_FOR)).is_err());
    assert!(keys.find(&hash(1), now().minus(Duration::from_secs(1))).is_err());
    assert!(keys.find(&hash(2), now()).is_err());
}

#[test]
fn what_was_revoked_during_its_look_up_is_not_remembered() {
    let keys = ApiKeys::default();
    let key = good_key(now());
    let Err(before) = keys.find(&hash(1), now()) else { panic!("it is not known") };
    keys.forget(key.key.id);
    keys.remember(hash(1), key.clone(), before, now());
    assert!(keys.find(&hash(1), now()).is_err());
    keys.remember(hash(1), key.clone(), before + 1, now());
    assert!(keys.find(&hash(1), now()).is_ok());
    drop(Forgetting(&keys, key.key.id));
    assert!(keys.find(&hash(1), now()).is_err());
}

#[test]
fn only_so_many_keys_are_remembered() {
    let keys = ApiKeys::default();
    let later = now().plus(Duration::from_secs(20));
    for number in 0..MOST_REMEMBERED + 10 {
        keys.remember(hash(number), good_key(now()), 0, now());
    }
    assert_eq!(keys.known.lock().keys.len(), MOST_REMEMBERED);
    assert!(keys.find(&hash(MOST_REMEMBERED + 9), later).is_ok());
    // Those whose time is over go first.
    let end = now().plus(REMEMBERED_FOR);
    keys.remember(hash(usize::MAX), good_key(end), 0, end);
    assert_eq!(keys.known.lock().keys.len(), 1);
}

#[test]
fn the_use_of_a_key_is_noted_once_a_minute_and_so_many_at_once() {
    let keys = ApiKeys::default();
    for number in 0..=TOUCHES {
        keys.remember(hash(number), good_key(now()), 0, now());
    }
    assert!(keys.begin_touch(&hash(usize::MAX), now()).is_none());
    let first = keys.begin_touch(&hash(0), now()).unwrap();
    assert!(keys.begin_touch(&hash(0), now().plus(Duration::from_secs(59))).is_none());
    drop(first);
    let later = now().plus(TOUCH_EVERY);
    let mut leaves: Vec<_> = (0..TOUCHES).map(|n| keys.begin_touch(&hash(n), later)).collect();
    assert!(leaves.iter().all(Option::is_some));
    assert!(keys.begin_touch(&hash(TOUCHES), later).is_none());
    leaves.pop();
    assert!(keys.begin_touch(&hash(TOUCHES), later).is_some(), "it was not taken for noted");
}
