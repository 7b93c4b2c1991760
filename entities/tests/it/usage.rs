//! The usage ledger: every row once, and sums that are exact.

use callboard_entities::queries::{
    usage::{self, MOST_COST, MOST_TOKENS, Spender, UsageFilter},
    users,
};
use callboard_protocol::{
    ApiKeyId, CallId, CallStatus, CallTokens, RequestId, Role, Timestamp, UsageEndpoint,
    UsageEvent, UsageGroup, UserId,
};

use crate::harness::{Db, at, new_user, on_both};

on_both! {
    a_row_goes_in_once_and_comes_out_whole
    of_many_writers_of_one_batch_each_row_is_counted_once
    sums_are_exact_in_all_and_by_group
    spending_is_by_account_key_and_role
    absurd_numbers_from_outside_break_no_sum
    the_old_is_forgotten_piece_by_piece
    an_empty_ledger_sums_to_nothing
}

fn event(user: UserId, key: Option<ApiKeyId>, seconds: i64, cost: u64) -> UsageEvent {
    UsageEvent {
        id: CallId::new(),
        request_id: RequestId::new(),
        started_at: at(seconds),
        ended_at: at(seconds + 1),
        user_id: user,
        api_key_id: key,
        turn_id: None,
        endpoint: UsageEndpoint::ChatCompletions,
        alias: "fast".into(),
        provider: "one".into(),
        model: "m-1".into(),
        status: CallStatus::Answered,
        error: None,
        tokens: CallTokens { input: 10, output: 5, cached_input: 4, cache_write: 3, reasoning: 2 },
        estimated: false,
        cost_micro_usd: cost,
        ttft_ms: Some(120),
        duration_ms: 1_000,
    }
}

async fn sum(db: &Db, filter: &UsageFilter) -> (u64, u64) {
    let report = usage::totals(&db.store, filter, UsageGroup::None).await.unwrap();
    (report.total.counts.calls, report.total.cost_micro_usd)
}

async fn a_row_goes_in_once_and_comes_out_whole(db: Db) {
    let mut one = event(UserId::new(), Some(ApiKeyId::new()), 0, 7);
    one.status = CallStatus::Failed;
    one.error = Some("rate_limited\0".into());
    assert_eq!(usage::insert_many(&db.store, std::slice::from_ref(&one)).await.unwrap(), 1);
    assert_eq!(usage::insert_many(&db.store, std::slice::from_ref(&one)).await.unwrap(), 0);
    let changed = UsageEvent { cost_micro_usd: 99, ..one.clone() };
    let other = event(one.user_id, None, 5, 1);
    let batch = [changed, other.clone(), other.clone()];
    assert_eq!(usage::insert_many(&db.store, &batch).await.unwrap(), 1);
    let listed = usage::list(&db.store, &UsageFilter::default(), 10).await.unwrap();
    let stored = UsageEvent { error: Some("rate_limited\u{fffd}".into()), ..one };
    assert_eq!(listed, [other, stored.clone()]);
    let attempts = usage::of_request(&db.store, stored.request_id, at(-5), 10).await.unwrap();
    assert_eq!(attempts, [stored]);
    assert_eq!(usage::insert_many(&db.store, &[]).await.unwrap(), 0);
}

async fn of_many_writers_of_one_batch_each_row_is_counted_once(db: Db) {
    let user = UserId::new();
    let batch: Vec<_> = (0..1_300).map(|number| event(user, None, number, 3)).collect();
    let inserted = db
        .race(4, |_, store| {
            let batch = batch.clone();
            async move { usage::insert_many(&store, &batch).await.unwrap() }
        })
        .await;
    assert_eq!(inserted.iter().sum::<u64>(), 1_300);
    assert_eq!(sum(&db, &UsageFilter::default()).await, (1_300, 3_900));
}

async fn sums_are_exact_in_all_and_by_group(db: Db) {
    let (ada, bob, key) = (UserId::new(), UserId::new(), ApiKeyId::new());
    const DAY: i64 = 86_400;
    let statuses = CallStatus::ALL;
    let mut events = Vec::new();
    for number in 0..60u32 {
        let user = if number % 3 == 0 { ada } else { bob };
        let key = (number % 2 == 0).then_some(key);
        let mut event =
            event(user, key, i64::from(number % 4) * DAY, u64::from(number) * 1_000_003);
        event.model = format!("m-{}", number % 5);
        event.provider = format!("p-{}", number % 2);
        event.status = statuses[number as usize % statuses.len()];
        event.estimated = number % 10 == 0;
        events.push(event);
    }
    usage::insert_many(&db.store, &events).await.unwrap();
    for group in UsageGroup::ALL {
        let report = usage::totals(&db.store, &UsageFilter::default(), *group).await.unwrap();
        let expected: u64 = events.iter().map(|event| event.cost_micro_usd).sum();
        assert_eq!(report.total.cost_micro_usd, expected);
        assert_eq!(report.total.tokens.input, 600);
        assert_eq!(report.total.tokens.reasoning, 120);
        assert_eq!(report.total.estimated_calls, 6);
        let counts = report.total.counts;
        assert_eq!((counts.calls, counts.answered, counts.lost), (60, 10, 10));
        let of_rows: u64 = report.rows.iter().map(|row| row.totals.cost_micro_usd).sum();
        assert_eq!(of_rows, expected, "{group:?}");
        assert!(!report.truncated);
        let rows = match group {
            UsageGroup::None => 1,
            UsageGroup::User | UsageGroup::Key | UsageGroup::Provider => 2,
            UsageGroup::Day => 4,
            UsageGroup::Model => 5,
        };
        assert_eq!(report.rows.len(), rows, "{group:?}");
    }
    let days = usage::totals(&db.store, &UsageFilter::default(), UsageGroup::Day).await.unwrap();
    let dates: Vec<_> = days.rows.iter().map(|row| row.group.as_deref().unwrap()).collect();
    assert_eq!(dates, ["2025-11-24", "2025-11-23", "2025-11-22", "2025-11-21"]);
    let by_key = usage::totals(&db.store, &UsageFilter::default(), UsageGroup::Key).await.unwrap();
    let mut groups: Vec<_> = by_key.rows.into_iter().map(|row| row.group).collect();
    groups.sort();
    assert_eq!(groups, [None, Some(key.to_string())]);
    let filter = UsageFilter {
        request: None,
        user: Some(ada),
        key: Some(key),
        model: Some("m-0".into()),
        provider: Some("p-0".into()),
        from: Some(at(0)),
        to: Some(at(3 * DAY)),
    };
    // 0 and 30: of ada, with the key, of the model, within the first three days.
    assert_eq!(sum(&db, &filter).await, (2, 30 * 1_000_003));
}

async fn spending_is_by_account_key_and_role(db: Db) {
    let ada = users::create(&db.store, &new_user("ada", Role::VIEWER), at(0)).await.unwrap();
    let bob = users::create(&db.store, &new_user("bob", Role::VIEWER), at(0)).await.unwrap();
    let gone = UserId::new();
    let key = ApiKeyId::new();
    let events = [
        event(ada.id, Some(key), 0, 1),
        event(ada.id, Some(key), 100, 10),
        event(ada.id, None, 100, 100),
        event(bob.id, None, 100, 1_000),
        event(gone, None, 100, 10_000),
        event(ada.id, Some(key), -1, 100_000),
    ];
    usage::insert_many(&db.store, &events).await.unwrap();
    let spent = async |spender, since| usage::spent_since(&db.store, spender, since).await.unwrap();
    assert_eq!(spent(Spender::User(ada.id), at(0)).await, 111);
    assert_eq!(spent(Spender::Key(key), at(0)).await, 11);
    assert_eq!(spent(Spender::Key(key), at(1)).await, 10);
    assert_eq!(spent(Spender::Role(Role::VIEWER), at(0)).await, 1_111);
    assert_eq!(spent(Spender::Role(Role::ADMIN), at(0)).await, 0);
    let mut all = usage::spending_since(&db.store, usage::SpendingUnit::MicroUsd, at(50), at(0))
        .await
        .unwrap();
    all.sort_by_key(|row| row.month);
    let shown: Vec<_> = all.iter().map(|row| (row.role, row.key, row.day, row.month)).collect();
    let viewer = Some(Role::VIEWER);
    assert_eq!(
        shown,
        [
            (viewer, Some(key), 10, 11),
            (viewer, None, 100, 100),
            (viewer, None, 1_000, 1_000),
            (None, None, 10_000, 10_000),
        ]
    );
}

async fn absurd_numbers_from_outside_break_no_sum(db: Db) {
    let user = UserId::new();
    let events: Vec<_> = (0..3)
        .map(|_| UsageEvent {
            tokens: CallTokens { input: u64::MAX, ..CallTokens::default() },
            cost_micro_usd: u64::MAX,
            ttft_ms: Some(u64::MAX),
            duration_ms: u64::MAX,
            ..event(user, None, 0, 0)
        })
        .collect();
    usage::insert_many(&db.store, &events).await.unwrap();
    let report = usage::totals(&db.store, &UsageFilter::default(), UsageGroup::User).await.unwrap();
    assert_eq!(report.total.tokens.input, 3 * MOST_TOKENS);
    assert_eq!(report.total.cost_micro_usd, 3 * MOST_COST);
}

async fn the_old_is_forgotten_piece_by_piece(db: Db) {
    let user = UserId::new();
    let events: Vec<_> = (0..10).map(|number| event(user, None, number, 1)).collect();
    usage::insert_many(&db.store, &events).await.unwrap();
    let purge = async |before: Timestamp| usage::purge(&db.store, before, 4).await.unwrap();
    let pieces = [purge(at(7)).await, purge(at(7)).await, purge(at(7)).await];
    assert_eq!(pieces, [4, 3, 0]);
    assert_eq!(sum(&db, &UsageFilter::default()).await, (3, 3));
}

async fn an_empty_ledger_sums_to_nothing(db: Db) {
    assert_eq!(sum(&db, &UsageFilter::default()).await, (0, 0));
    let by_day = usage::totals(&db.store, &UsageFilter::default(), UsageGroup::Day).await.unwrap();
    assert_eq!(by_day.rows, []);
    let spender = Spender::User(UserId::new());
    assert_eq!(usage::spent_since(&db.store, spender, at(0)).await.unwrap(), 0);
    assert_eq!(
        usage::spending_since(&db.store, usage::SpendingUnit::MicroUsd, at(0), at(0))
            .await
            .unwrap(),
        []
    );
}
