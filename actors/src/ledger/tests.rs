//! The ledger adds up: under many callers, over a kill at any byte, and while the database is away.

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use callboard_entities::queries::usage::{self, UsageFilter};
use callboard_protocol::{
    RequestId, Timestamp, UsageEndpoint, UsageEvent, UsageGroup, UsageTotals, UserId,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

mod away;
mod db;
mod kill;

use db::Db;

/// A ledger in a folder of its own.
struct Bench {
    folder: TempDir,
    ledger: Ledger,
}

impl Bench {
    fn new(config: LedgerConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = start(config, folder.path());
        Self { folder, ledger }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.ledger.handle.inner
    }

    /// Waits until everything has been handed to the kernel.
    async fn written(&self) {
        until(|| self.inner().queue.lock().queued == 0).await;
    }

    /// What a kill at this moment would leave, in a folder of its own.
    fn killed(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for path in files(self.folder.path()) {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    /// Brings the journal into the database for as long as the set lives.
    fn committing(&self, db: &Db) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(committer::run(Arc::clone(self.inner()), db.store.clone()));
        tasks
    }
}

fn start(config: LedgerConfig, folder: &Path) -> Ledger {
    Ledger::start(config, folder, LedgerMetrics::new().unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Waits for a condition.
async fn until(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), met).await.expect("the condition is met");
}

/// What a server does at its start with what a former run left in `folder`; gives the calls that
/// were lost.
async fn replay(folder: &Path, db: &Db) -> u64 {
    let ledger = start(LedgerConfig::default(), folder);
    ledger.stop(&db.store).await;
    assert!(ledger.observe().replayed);
    assert!(files(folder).is_empty());
    ledger.handle.inner.metrics.lost.get()
}

fn call() -> Call {
    Call {
        id: CallId::new(),
        request_id: RequestId::new(),
        started_at: Timestamp::now(),
        user_id: UserId::new(),
        api_key_id: None,
        turn_id: None,
        endpoint: UsageEndpoint::ChatCompletions,
        alias: "fast".into(),
        provider: "one".into(),
        model: "m-1".into(),
        estimated_input_tokens: 11,
        estimated_cost_micro_usd: 13,
    }
}

fn outcome(status: CallStatus, output: u64, cost: u64) -> Outcome {
    Outcome {
        status,
        error: None,
        tokens: CallTokens { input: 7, output, ..CallTokens::default() },
        estimated: false,
        cost_micro_usd: cost,
    }
}

async fn total(db: &Db) -> UsageTotals {
    let filter = UsageFilter::default();
    usage::totals(&db.store, &filter, UsageGroup::None).await.unwrap().total
}

async fn all(db: &Db) -> Vec<UsageEvent> {
    usage::list(&db.store, &UsageFilter::default(), 10_000).await.unwrap()
}

/// What the callers of a test think that they used.
#[derive(Default)]
struct Told {
    calls: [AtomicU64; 6],
    input: AtomicU64,
    output: AtomicU64,
    cost: AtomicU64,
}

impl Told {
    fn note(&self, status: CallStatus, tokens: (u64, u64), cost: u64) {
        let at = CallStatus::ALL.iter().position(|other| *other == status).unwrap();
        self.calls[at].fetch_add(1, Ordering::Relaxed);
        self.input.fetch_add(tokens.0, Ordering::Relaxed);
        self.output.fetch_add(tokens.1, Ordering::Relaxed);
        self.cost.fetch_add(cost, Ordering::Relaxed);
    }
}

/// Tries again while the journal is full.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, LedgerRefused>) -> T {
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(LedgerRefused::Full) => std::thread::sleep(Duration::from_millis(1)),
            Err(LedgerRefused::Stopping) => panic!("not stopped"),
        }
    }
}

/// One call that ends in one of the ways in which calls end.
fn one_call(ledger: &Ledger, told: &Told, random: &mut StdRng) {
    let (output, cost) = (random.random_range(0..1_000), random.random_range(0..1_000_000));
    let way = random.random_range(0..8);
    if way == 0 {
        let cached = outcome(CallStatus::Cached, output, 0);
        patiently(|| ledger.note(call(), cached.clone(), Duration::from_millis(2)));
        return told.note(CallStatus::Cached, (7, output), 0);
    }
    let mut open = patiently(|| ledger.open(call()));
    if random.random() {
        open.first_token();
    }
    let streamed = CallTokens { input: 5, output, ..CallTokens::default() };
    match way {
        1 => told.note(CallStatus::Cancelled, (11, 0), 13),
        2 => {
            for part in 0..=output.min(20) {
                open.streamed(CallTokens { output: part, ..streamed }, 0);
            }
            open.streamed(streamed, cost);
            told.note(CallStatus::Cancelled, (5, output), cost);
        }
        3 => {
            told.note(CallStatus::Cancelled, (5, output), cost);
            let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
                open.streamed(streamed, cost);
                std::panic::resume_unwind(Box::new("a handler panics"));
            }));
            assert!(panicked.is_err());
        }
        _ => {
            let ways = [
                CallStatus::Answered,
                CallStatus::Failed,
                CallStatus::HedgeLost,
                CallStatus::Cancelled,
            ];
            let status = ways[way % 4];
            let error = (status == CallStatus::Failed).then_some("rate_limited".into());
            open.close(Outcome { error, ..outcome(status, output, cost) });
            told.note(status, (7, output), cost);
        }
    }
}

async fn it_adds_up_over_thousands_of_calls(db: Db) {
    // Files of 256 KiB, so that many are begun and deleted meanwhile; and now and then it is full.
    let bench = Bench::new(LedgerConfig { max_journal_bytes: 4 << 20, ..LedgerConfig::default() });
    let committing = bench.committing(&db);
    let told = Arc::new(Told::default());
    let mut callers = JoinSet::new();
    for seed in 0..4 {
        let (ledger, told) = (bench.ledger.clone(), Arc::clone(&told));
        callers.spawn_blocking(move || {
            let mut random = StdRng::seed_from_u64(seed);
            for number in 0..2_000 {
                one_call(&ledger, &told, &mut random);
                if number % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
    }
    callers.join_all().await;
    drop(committing);
    bench.ledger.stop(&db.store).await;
    let total = total(&db).await;
    let counts = total.counts;
    let by_status = [
        counts.answered,
        counts.cancelled,
        counts.failed,
        counts.cached,
        counts.hedge_lost,
        counts.lost,
    ];
    assert_eq!(by_status, std::array::from_fn(|at| told.calls[at].load(Ordering::Relaxed)));
    assert_eq!(counts.calls, 8_000);
    assert_eq!(total.tokens.input, told.input.load(Ordering::Relaxed));
    assert_eq!(total.tokens.output, told.output.load(Ordering::Relaxed));
    assert_eq!(total.cost_micro_usd, told.cost.load(Ordering::Relaxed));
    assert!(files(bench.folder.path()).is_empty());
    let after = bench.ledger.observe();
    assert_eq!((after.open, after.pending, after.full), (0, 0, false));
    assert_eq!(bench.inner().metrics.pending.get(), 0);
}

async fn a_row_holds_what_was_told(db: Db) {
    let bench = Bench::new(LedgerConfig::default());
    let long: Arc<str> = "ä".repeat(300).into();
    let told = Call { alias: long, turn_id: Some(callboard_protocol::TurnId::new()), ..call() };
    let mut open = bench.ledger.open(told.clone()).unwrap();
    open.first_token();
    let tokens = CallTokens { input: 1, output: 2, cached_input: 3, cache_write: 4, reasoning: 5 };
    let error = Some("rate_limited".into());
    open.close(Outcome { tokens, error, ..outcome(CallStatus::Failed, 0, 99) });
    bench.ledger.stop(&db.store).await;
    let row = all(&db).await.remove(0);
    assert!(row.ttft_ms.unwrap() <= row.duration_ms);
    assert_eq!(row.ended_at, row.started_at.plus(Duration::from_millis(row.duration_ms)));
    let expected = UsageEvent {
        id: told.id,
        request_id: told.request_id,
        started_at: told.started_at,
        ended_at: row.ended_at,
        user_id: told.user_id,
        api_key_id: None,
        turn_id: told.turn_id,
        endpoint: told.endpoint,
        alias: "ä".repeat(100),
        provider: "one".into(),
        model: "m-1".into(),
        status: CallStatus::Failed,
        error: Some("rate_limited".into()),
        tokens,
        estimated: false,
        cost_micro_usd: 99,
        ttft_ms: row.ttft_ms,
        duration_ms: row.duration_ms,
    };
    assert_eq!(row, expected);
}

async fn a_stopped_ledger_takes_nothing_and_keeps_what_is_open(db: Db) {
    let bench = Bench::new(LedgerConfig::default());
    let open = bench.ledger.open(call()).unwrap();
    bench.ledger.stop(&db.store).await;
    assert_eq!(bench.ledger.open(call()).err(), Some(LedgerRefused::Stopping));
    drop(open);
    assert_eq!(total(&db).await.counts.calls, 0);
    let killed = bench.killed();
    assert_eq!(replay(killed.path(), &db).await, 1);
}

async fn budgets_know_what_the_ledger_knows(db: Db) {
    use callboard_protocol::{ApiKeyId, Role};

    use crate::budget::{Budget, BudgetCaller, BudgetConfig, Budgets, Limits};

    let bench = Bench::new(LedgerConfig::default());
    let (user, key) = (UserId::new(), ApiKeyId::new());
    // 999,990 micro-dollars in this month, all but 10 of them in this day.
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    for (hours, cost) in [(0, 400_000), (11, 599_980), (13, 10), (600, 5_000_000)] {
        let started_at = now.minus(Duration::from_secs(hours * 3_600));
        let call = Call { started_at, user_id: user, api_key_id: Some(key), ..call() };
        let open = bench.ledger.open(call).unwrap();
        open.close(outcome(CallStatus::Answered, 1, cost));
    }
    bench.ledger.stop(&db.store).await;
    let limit = Budget { monthly_usd: Some(1.0), ..Budget::default() };
    let config = BudgetConfig { user: limit, ..BudgetConfig::default() };
    let budgets = Budgets::new(config, callboard_protocol::BudgetUnit::MicroUsd, move || now);
    let caller = BudgetCaller {
        user,
        username: "ada",
        role: Role::VIEWER,
        key: Some((key, Limits::default())),
    };
    for _ in 0..2 {
        // Loading again counts nothing twice.
        budgets.load(&db.store).await.unwrap();
        assert_eq!(budgets.spent(usage::Spender::User(user)), (999_980, 999_990));
        assert_eq!(budgets.spent(usage::Spender::Key(key)), (999_980, 999_990));
    }
    assert!(budgets.reserve(&caller, 11).is_err());
    budgets.reserve(&caller, 10).unwrap().settle(10);
    budgets.load(&db.store).await.unwrap();
    assert_eq!(budgets.spent(usage::Spender::User(user)).1, 1_000_000);
}

db::on_both! {
    budgets_know_what_the_ledger_knows
    it_adds_up_over_thousands_of_calls
    a_row_holds_what_was_told
    a_stopped_ledger_takes_nothing_and_keeps_what_is_open
}

#[test]
fn bad_values_are_named() {
    assert!(LedgerConfig::default().check().is_empty());
    let config = LedgerConfig { flush_ms: 51, commit_ms: 0, ..LedgerConfig::default() };
    let keys: Vec<_> = config.check().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["flush_ms", "commit_ms"]);
}
