use std::future::Future;

use actix::Arbiter;
use prometheus::{IntCounterVec, Opts};

use super::*;
use crate::keeper::{Keeper, Placement};

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Provider {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("as told");
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    actix::System::with_tokio_rt(runtime).block_on(test);
}

fn keeper() -> Keeper {
    Keeper::new(IntCounterVec::new(Opts::new("restarts", "r"), &["actor"]).unwrap())
}

fn start(keeper: &Keeper, max_concurrency: u32, max_queue: u32) -> Addr<Provider> {
    let mut config = ProviderConfig { max_concurrency, max_queue, ..ProviderConfig::extractive() };
    config.breaker.min_calls = 2;
    config.breaker.open_ms = 10_000;
    config.queue_timeout_ms = 5_000;
    let client = Arc::new(Client::new(&config).unwrap());
    let seed = ProviderSeed::new(Arc::new(config), client, Metrics::new().unwrap());
    let here = Arbiter::current();
    keeper.keep("provider:p", Placement::on(&here, MAILBOX), move |_| Provider::new(seed))
}

fn acquire(user: UserId) -> Acquire {
    Acquire { user, deadline: Instant::now() + Duration::from_secs(60) }
}

async fn lease(provider: &Addr<Provider>, user: UserId) -> Result<Lease, Refused> {
    provider.send(acquire(user)).await.unwrap()
}

async fn readings(provider: &Addr<Provider>) -> ProviderReadings {
    provider.send(Observe).await.unwrap()
}

#[test]
fn a_dropped_lease_makes_room_for_the_next() {
    run(async {
        let provider = start(&keeper(), 1, 4);
        let user = UserId::new();
        let first = lease(&provider, user).await.ok().unwrap();
        let second = provider.send(acquire(user));
        assert_eq!(readings(&provider).await.queued, 1);
        drop(first);
        let second = second.await.unwrap().ok().unwrap();
        assert_eq!(readings(&provider).await.in_flight, 1);
        drop(second);
        assert_eq!(readings(&provider).await.in_flight, 0);
    });
}

#[test]
fn a_full_queue_and_a_long_wait_are_refused() {
    run(async {
        let provider = start(&keeper(), 1, 1);
        let user = UserId::new();
        let _held = lease(&provider, user).await.ok().unwrap();
        let before = Instant::now();
        let waits = provider.send(acquire(user));
        assert!(matches!(lease(&provider, user).await, Err(Refused::Saturated { .. })), "full");
        assert_eq!(before.elapsed(), Duration::ZERO, "a full queue refuses at once");
        assert!(matches!(waits.await.unwrap(), Err(Refused::Saturated { .. })));
        assert_eq!(before.elapsed(), Duration::from_secs(5), "the queue's timeout");
        assert_eq!(readings(&provider).await.queued, 0, "who left waits no longer");
    });
}

#[test]
fn the_next_lease_goes_to_the_user_who_holds_the_fewest() {
    run(async {
        let provider = start(&keeper(), 2, 8);
        let (greedy, modest) = (UserId::new(), UserId::new());
        let first = lease(&provider, greedy).await.ok().unwrap();
        let second = lease(&provider, greedy).await.ok().unwrap();
        let third = provider.send(acquire(greedy));
        let fair = provider.send(acquire(modest));
        assert_eq!(readings(&provider).await.queued, 2);
        drop(first);
        let fair = fair.await.unwrap().ok().unwrap();
        assert_eq!(readings(&provider).await.queued, 1, "the greedy one still waits");
        drop(second);
        assert!(third.await.unwrap().is_ok());
        drop(fair);
    });
}

#[test]
fn failures_open_the_breaker_and_a_probe_closes_it() {
    run(async {
        let provider = start(&keeper(), 4, 4);
        let user = UserId::new();
        for _ in 0..2 {
            lease(&provider, user).await.ok().unwrap().report(Outcome::Failed);
        }
        let refused = lease(&provider, user).await.err();
        assert_eq!(refused, Some(Refused::CircuitOpen { retry_after: Duration::from_secs(10) }));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let mut probe = lease(&provider, user).await.ok().unwrap();
        assert!(lease(&provider, user).await.is_err(), "one probe at a time");
        probe.report(Outcome::Answered);
        drop(probe);
        assert_eq!(readings(&provider).await.circuit, CircuitState::Closed);
        assert!(lease(&provider, user).await.is_ok());
    });
}

#[test]
fn a_panic_refuses_who_waits_and_still_counts_who_holds() {
    run(async {
        let keeper = keeper();
        let provider = start(&keeper, 1, 4);
        let user = UserId::new();
        let held = lease(&provider, user).await.ok().unwrap();
        let waits = provider.send(acquire(user));
        assert_eq!(readings(&provider).await.queued, 1);
        assert!(provider.send(Crash).await.is_err());
        assert!(!matches!(waits.await, Ok(Ok(_))), "its asker goes to the next provider");
        assert_eq!(keeper.restarts("provider:p"), 1);
        assert_eq!(readings(&provider).await.in_flight, 1, "the lease that is out");
        drop(held);
        assert!(lease(&provider, user).await.is_ok());
    });
}
