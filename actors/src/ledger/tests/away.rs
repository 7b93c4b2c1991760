//! The database away, the journal full, and the actor restarted.

use callboard_protocol::Health;

use super::*;

db::on_both! {
    what_comes_while_the_database_is_away_is_there_when_it_is_back
    a_full_journal_refuses_new_calls_and_drops_none
    the_committer_panics_and_goes_on
}

async fn what_comes_while_the_database_is_away_is_there_when_it_is_back(db: Db) {
    let bench = Bench::new(LedgerConfig::default());
    let committing = bench.committing(&db);
    let blocker = db.block_writers().await;
    for _ in 0..700 {
        bench.ledger.open(call()).unwrap().close(outcome(CallStatus::Answered, 1, 3));
    }
    until(|| bench.ledger.observe().store_failing).await;
    let health = bench.ledger.health();
    assert_eq!(health.health, Health::Degraded, "{health:?}");
    assert_eq!(bench.ledger.observe().pending, 700);
    blocker.close().await.unwrap();
    until(|| bench.ledger.observe().pending == 0).await;
    until(|| bench.ledger.health().health == Health::Up).await;
    let total = total(&db).await;
    assert_eq!((total.counts.calls, total.cost_micro_usd), (700, 2_100));
    drop(committing);
}

async fn a_full_journal_refuses_new_calls_and_drops_none(db: Db) {
    let bench = Bench::new(LedgerConfig { max_journal_bytes: 1 << 20, ..LedgerConfig::default() });
    // Nobody commits: the database is away.
    let (mut open, mut opened) = (Vec::new(), 0);
    let refused = loop {
        match bench.ledger.open(call()) {
            Ok(call) => open.push(call),
            Err(refused) if bench.inner().queue.lock().queued == 0 && open.is_empty() => {
                break refused;
            }
            Err(LedgerRefused::Full) => {
                // Every one that is open can be closed all the same.
                for call in open.drain(..) {
                    opened += 1;
                    call.close(outcome(CallStatus::Answered, 1, 5));
                }
                bench.written().await;
            }
            Err(LedgerRefused::Stopping) => panic!("not stopped"),
        }
    };
    assert_eq!(refused, LedgerRefused::Full);
    let full = bench.ledger.observe();
    assert!(full.full && full.journal_bytes <= 1 << 20, "{full:?}");
    assert_eq!(full.pending, opened);
    assert_eq!(bench.ledger.health().health, Health::Down);
    assert_eq!(bench.inner().metrics.journal_bytes.get().cast_unsigned(), full.journal_bytes);
    let committing = bench.committing(&db);
    until(|| bench.ledger.health().health == Health::Up).await;
    bench.ledger.open(call()).unwrap().close(outcome(CallStatus::Answered, 1, 5));
    until(|| bench.ledger.observe().pending == 0).await;
    drop(committing);
    let total = total(&db).await;
    assert_eq!((total.counts.calls, total.cost_micro_usd), (opened + 1, (opened + 1) * 5));
}

async fn the_committer_panics_and_goes_on(db: Db) {
    let bench = Bench::new(LedgerConfig::default());
    let metrics = crate::Metrics::new().unwrap();
    let keeper = Keeper::new(metrics.actor_restarts.clone());
    let (system, arbiter, thread) = system();
    bench.inner().panic_once.store(true, Ordering::Release);
    bench.ledger.commit_to(db.store.clone(), &keeper, &arbiter);
    for _ in 0..10 {
        bench.ledger.open(call()).unwrap().close(outcome(CallStatus::Answered, 1, 1));
    }
    until(|| bench.ledger.observe().pending == 0).await;
    assert_eq!(keeper.observe()["usage_ledger"].restarts, 1);
    assert_eq!(total(&db).await.counts.calls, 10);
    system.stop();
    thread.join().unwrap();
}

/// An actor system on a thread of its own, an arbiter in it, and the thread.
fn system() -> (actix::System, ArbiterHandle, JoinHandle<()>) {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        let runner = actix::System::new();
        let parts = (actix::System::current(), actix::Arbiter::current());
        tell.send(parts).unwrap();
        drop(runner.run());
    });
    let (system, arbiter) = told.recv().unwrap();
    (system, arbiter, thread)
}
