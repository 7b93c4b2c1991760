//! Budgets under a clock of the test's own.

use std::sync::atomic::{AtomicI64, Ordering};

use std::collections::BTreeMap;

use super::*;

const EVENING: &str = "2026-11-30T23:00:00Z";

/// Budgets, and the clock that they go by.
struct Bench {
    budgets: Budgets,
    clock: Arc<AtomicI64>,
    user: UserId,
}

impl Bench {
    fn new(config: BudgetConfig, at: &str) -> Self {
        let clock = Arc::new(AtomicI64::new(instant(at).as_millis()));
        let read = Arc::clone(&clock);
        let now = move || Timestamp::from_millis(read.load(Ordering::Relaxed));
        Self {
            budgets: Budgets::new(config, BudgetUnit::MicroUsd, now),
            clock,
            user: UserId::new(),
        }
    }

    fn set(&self, at: &str) {
        self.clock.store(instant(at).as_millis(), Ordering::Relaxed);
    }

    fn ada(&self) -> BudgetCaller<'static> {
        BudgetCaller { user: self.user, username: "ada", role: Role::VIEWER, key: None }
    }

    fn spend(&self, caller: &BudgetCaller<'_>, amount: u64) {
        self.budgets.reserve(caller, 0).unwrap().settle(amount);
    }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily(usd: f64) -> Budget {
    Budget { daily_usd: Some(usd), monthly_usd: None, ..Budget::default() }
}

fn per_user(budget: Budget) -> BudgetConfig {
    BudgetConfig { user: budget, ..BudgetConfig::default() }
}

#[test]
fn nothing_is_blocked_when_no_budget_is_set() {
    let bench = Bench::new(BudgetConfig::default(), EVENING);
    for _ in 0..100 {
        bench.budgets.reserve(&bench.ada(), u64::MAX).unwrap().settle(u64::MAX);
    }
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Ok);
}

#[test]
fn a_budget_of_zero_blocks_even_what_costs_nothing() {
    let bench = Bench::new(per_user(daily(0.0)), EVENING);
    let exceeded = bench.budgets.reserve(&bench.ada(), 0).err().unwrap();
    assert_eq!(exceeded.limit, 0);
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Exceeded(exceeded));
}

#[test]
fn the_warning_comes_before_the_stop_and_both_go_with_the_day() {
    let bench = Bench::new(per_user(daily(1.0)), EVENING);
    bench.spend(&bench.ada(), 799_999);
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Ok);
    bench.spend(&bench.ada(), 1);
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Warn(80));
    assert!(bench.budgets.reserve(&bench.ada(), 200_001).is_err());
    bench.spend(&bench.ada(), 200_000);
    let stop = Exceeded {
        spender: Spender::User(bench.user),
        period: Period::Day,
        unit: BudgetUnit::MicroUsd,
        limit: 1_000_000,
        resets_at: instant("2026-12-01T00:00:00Z"),
    };
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Exceeded(stop));
    bench.set("2026-11-30T23:59:59.999Z");
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Exceeded(stop));
    bench.set("2026-12-01T00:00:00Z");
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Ok);
}

#[test]
fn a_month_outlasts_its_days() {
    let budget = Budget { daily_usd: Some(1.0), monthly_usd: Some(2.0), ..Budget::default() };
    let bench = Bench::new(per_user(budget), "2026-11-28T12:00:00Z");
    bench.spend(&bench.ada(), 1_000_000);
    bench.set("2026-11-29T00:00:00Z");
    bench.spend(&bench.ada(), 1_000_000);
    let BudgetState::Exceeded(exceeded) = bench.budgets.check(&bench.ada()) else { panic!() };
    // Of the two that are used up, the one that lasts longest.
    assert_eq!(
        (exceeded.period, exceeded.resets_at),
        (Period::Month, instant("2026-12-01T00:00:00Z"))
    );
    bench.set("2026-11-30T00:00:00Z");
    assert!(bench.budgets.reserve(&bench.ada(), 0).is_err());
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)), (0, 2_000_000));
    bench.set("2026-12-01T00:00:00Z");
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Ok);
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)), (0, 0));
}

#[test]
fn a_clock_that_is_set_back_gives_no_money_back() {
    let bench = Bench::new(per_user(daily(1.0)), "2026-11-30T00:00:01Z");
    bench.spend(&bench.ada(), 1_000_000);
    bench.set("2026-11-29T23:59:59Z");
    assert!(bench.budgets.reserve(&bench.ada(), 0).is_err());
}

#[test]
fn a_call_belongs_to_the_day_in_which_it_began() {
    let budget = Budget { daily_usd: Some(1.0), monthly_usd: Some(9.0), ..Budget::default() };
    let bench = Bench::new(per_user(budget), "2026-11-29T23:59:59Z");
    let over_midnight = bench.budgets.reserve(&bench.ada(), 500_000).unwrap();
    let over_the_month = bench.budgets.reserve(&bench.ada(), 500_000).unwrap();
    bench.set("2026-11-30T00:00:01Z");
    let next = bench.budgets.reserve(&bench.ada(), 1_000_000).unwrap();
    over_midnight.settle(600_000);
    next.settle(7);
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)), (7, 600_007));
    bench.set("2026-12-01T00:00:01Z");
    over_the_month.settle(600_000);
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)), (0, 0));
}

#[test]
fn a_hundred_at_once_do_not_overshoot() {
    let bench = Bench::new(per_user(daily(1.0)), EVENING);
    let barrier = std::sync::Barrier::new(100);
    let admitted: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let reserved = bench.budgets.reserve(&bench.ada(), 30_000);
                    // All hold on to what they have until all have asked.
                    barrier.wait();
                    reserved.map(|reserved| reserved.settle(30_000)).is_ok()
                })
            })
            .collect();
        callers.into_iter().map(|caller| usize::from(caller.join().unwrap())).sum()
    });
    assert_eq!(admitted, 33);
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)).0, 990_000);
}

#[test]
fn what_is_dropped_is_given_back() {
    let bench = Bench::new(per_user(daily(1.0)), EVENING);
    let reserved = bench.budgets.reserve(&bench.ada(), 1_000_000).unwrap();
    assert!(bench.budgets.reserve(&bench.ada(), 1).is_err());
    drop(reserved);
    bench.budgets.reserve(&bench.ada(), 1_000_000).unwrap().settle(10);
    assert_eq!(bench.budgets.spent(Spender::User(bench.user)), (10, 10));
}

#[test]
fn of_account_key_and_role_the_narrowest_counts() {
    let config = BudgetConfig {
        user: daily(5.0),
        users: BTreeMap::from([("bob".to_owned(), daily(1.0))]),
        key: daily(3.0),
        roles: BTreeMap::from([(Role::VIEWER, daily(6.0))]),
        ..BudgetConfig::default()
    };
    let bench = Bench::new(config, EVENING);
    let (key, own) = (ApiKeyId::new(), ApiKeyId::new());
    let limits = Limits { day: Some(2_000_000), month: None };
    let refused_by = |caller: BudgetCaller<'_>, estimate| {
        bench.budgets.reserve(&caller, estimate).err().map(|exceeded| exceeded.spender)
    };
    let ada = bench.ada();
    let with_key = BudgetCaller { key: Some((key, Limits::default())), ..ada };
    let with_own = BudgetCaller { key: Some((own, limits)), ..ada };
    let bob = BudgetCaller { user: UserId::new(), username: "bob", ..ada };
    assert_eq!(refused_by(with_key, 3_000_001), Some(Spender::Key(key)));
    assert_eq!(refused_by(with_own, 2_000_001), Some(Spender::Key(own)));
    assert_eq!(refused_by(ada, 5_000_001), Some(Spender::User(bench.user)));
    assert_eq!(refused_by(bob, 1_000_001), Some(Spender::User(bob.user)));
    bench.spend(&with_own, 2_000_000);
    bench.spend(&ada, 3_000_000);
    assert_eq!(refused_by(ada, 0), Some(Spender::User(bench.user)));
    bench.spend(&bob, 999_999);
    let carl = BudgetCaller { user: UserId::new(), username: "carl", ..ada };
    assert_eq!(refused_by(carl, 2), Some(Spender::Role(Role::VIEWER)));
    assert_eq!(refused_by(BudgetCaller { role: Role::ADMIN, ..carl }, 2), None);
}

#[test]
fn limits_can_be_changed_while_calls_run() {
    let bench = Bench::new(BudgetConfig::default(), EVENING);
    bench.spend(&bench.ada(), 2_000_000);
    let running = bench.budgets.reserve(&bench.ada(), 10).unwrap();
    bench.budgets.configure(per_user(daily(1.0)));
    assert!(bench.budgets.reserve(&bench.ada(), 0).is_err());
    running.settle(10);
    bench.budgets.configure(per_user(daily(3.0)));
    assert_eq!(bench.budgets.check(&bench.ada()), BudgetState::Ok);
}

#[test]
fn bad_values_are_named() {
    assert!(BudgetConfig::default().check().is_empty());
    let config = BudgetConfig {
        warn_percent: 0,
        user: daily(-1.0),
        users: BTreeMap::from([("ada".to_owned(), daily(f64::NAN))]),
        ..BudgetConfig::default()
    };
    let keys: Vec<_> = config.check().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["warn_percent", "user.daily_usd", "users.ada.daily_usd"]);
}
