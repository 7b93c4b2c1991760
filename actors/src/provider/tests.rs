use std::future::Future;

use actix::Arbiter;
use prometheus::{IntCounterVec, Opts};

use callboard_protocol::{CircuitState, UserId};
use tokio::task::JoinHandle;

use super::{keys::KeyFault, testing::Crash, *};
use crate::keeper::{Keeper, Placement};

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

fn start(keeper: &Keeper, max_concurrency: u32, max_queue: u32) -> Entrance {
    start_with(keeper, |config| {
        (config.max_concurrency, config.max_queue) = (max_concurrency, max_queue);
    })
}

fn start_with(keeper: &Keeper, bend: impl FnOnce(&mut ProviderConfig)) -> Entrance {
    let mut config = ProviderConfig::extractive();
    config.breaker.min_calls = 2;
    config.breaker.open_ms = 10_000;
    config.queue_timeout_ms = 5_000;
    bend(&mut config);
    let client = Arc::new(Client::new(&config).unwrap());
    let seed = ProviderSeed::new(Arc::new(config), client, Metrics::new().unwrap());
    let (here, kept) = (Arbiter::current(), seed.clone());
    let placement = Placement::on(&here, MAILBOX);
    let address = keeper.keep("provider:p", placement, move |life| Provider::new(kept, life));
    Entrance::new(&seed, address)
}

fn want(user: UserId) -> Want<'static> {
    let deadline = Instant::now() + Duration::from_secs(60);
    Want { model: "extractive", user, tokens: 1, deadline, priority: Priority::Interactive }
}

async fn lease(provider: &Entrance, user: UserId) -> Result<Lease, Refused> {
    admitted(provider.acquire(want(user)).await)
}

fn admitted(acquired: Result<Lease, NoLease>) -> Result<Lease, Refused> {
    acquired.map_err(|no_lease| match no_lease {
        NoLease::Refused(refused) => refused,
        NoLease::Silent => panic!("the actor is silent"),
    })
}

/// Asks and waits in the background; it stands in the queue when this returns.
async fn queued(provider: &Entrance, want: Want<'static>) -> JoinHandle<Result<Lease, NoLease>> {
    let before = provider.gate().observe().waiting;
    let asker = provider.clone();
    let waits = actix::spawn(async move { asker.acquire(want).await });
    while provider.gate().observe().waiting == before {
        tokio::task::yield_now().await;
    }
    waits
}

/// After all messages that are on their way.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_dropped_lease_makes_room_for_the_next() {
    run(async {
        let provider = start(&keeper(), 1, 4);
        let user = UserId::new();
        let first = lease(&provider, user).await.unwrap();
        let second = queued(&provider, want(user)).await;
        drop(first);
        let second = second.await.unwrap().ok().unwrap();
        assert_eq!(provider.gate().in_flight(), 1);
        drop(second);
        assert_eq!(provider.gate().in_flight(), 0);
    });
}

#[test]
fn a_full_queue_and_a_long_wait_are_refused() {
    run(async {
        let provider = start(&keeper(), 1, 1);
        let user = UserId::new();
        let _held = lease(&provider, user).await.unwrap();
        let before = Instant::now();
        let waits = queued(&provider, want(user)).await;
        assert!(matches!(lease(&provider, user).await, Err(Refused::Saturated { .. })), "full");
        assert_eq!(before.elapsed(), Duration::ZERO, "a full queue refuses at once");
        assert!(matches!(admitted(waits.await.unwrap()), Err(Refused::Saturated { .. })));
        assert_eq!(before.elapsed(), Duration::from_secs(5), "the queue's timeout");
    });
}

#[test]
fn the_next_lease_goes_to_the_user_who_holds_the_fewest() {
    run(async {
        let provider = start(&keeper(), 2, 8);
        let (greedy, modest) = (UserId::new(), UserId::new());
        let first = lease(&provider, greedy).await.unwrap();
        let second = lease(&provider, greedy).await.unwrap();
        let third = queued(&provider, want(greedy)).await;
        let fair = queued(&provider, want(modest)).await;
        drop(first);
        let fair = fair.await.unwrap().ok().unwrap();
        settled().await;
        assert_eq!(provider.gate().observe().waiting, 1, "the greedy one still waits");
        drop(second);
        assert!(third.await.unwrap().is_ok());
        drop(fair);
    });
}

#[test]
fn batch_work_goes_last_and_is_not_starved() {
    run(async {
        let provider = start(&keeper(), 1, 8);
        let user = UserId::new();
        let batch = Want { priority: Priority::Batch, ..want(UserId::new()) };
        let held = lease(&provider, user).await.unwrap();
        let late = queued(&provider, batch).await;
        let soon = queued(&provider, want(user)).await;
        drop(held);
        let held = soon.await.unwrap().ok().unwrap();
        // Half of its time has passed: now it came first.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let third = queued(&provider, want(UserId::new())).await;
        drop(held);
        let late = late.await.unwrap().ok().unwrap();
        assert!(!third.is_finished());
        drop(late);
        assert!(third.await.unwrap().is_ok());
    });
}

#[test]
fn failures_open_the_breaker_and_a_probe_closes_it() {
    run(async {
        let provider = start(&keeper(), 4, 4);
        let user = UserId::new();
        for _ in 0..2 {
            lease(&provider, user).await.unwrap().report(Outcome::Failed { kind: "overloaded" });
        }
        assert_eq!(provider.gate().observe().last_error, Some("overloaded"));
        let refused = lease(&provider, user).await.err();
        assert_eq!(refused, Some(Refused::CircuitOpen { retry_after: Duration::from_secs(10) }));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let mut probe = lease(&provider, user).await.unwrap();
        assert!(lease(&provider, user).await.is_err(), "one probe at a time");
        probe.report(Outcome::Answered);
        drop(probe);
        assert_eq!(provider.gate().observe().circuit, CircuitState::Closed);
        assert!(lease(&provider, user).await.is_ok());
    });
}

#[test]
fn a_breaker_that_opens_refuses_those_who_wait_and_a_reset_closes_it() {
    run(async {
        let provider = start(&keeper(), 2, 4);
        let user = UserId::new();
        let mut held =
            [lease(&provider, user).await.unwrap(), lease(&provider, user).await.unwrap()];
        let waits = queued(&provider, want(user)).await;
        held.iter_mut().for_each(|lease| lease.report(Outcome::Failed { kind: "timeout" }));
        let [first, second] = held;
        drop(second);
        // The one who waited got that place.
        let third = waits.await.unwrap().ok().unwrap();
        let waits = queued(&provider, want(user)).await;
        drop(first);
        assert!(matches!(admitted(waits.await.unwrap()), Err(Refused::CircuitOpen { .. })));
        provider.reset();
        assert!(lease(&provider, user).await.is_ok());
        drop(third);
    });
}

#[test]
fn one_model_is_out_while_another_answers() {
    run(async {
        let provider = start(&keeper(), 4, 4);
        let other = Want { model: "other", ..want(UserId::new()) };
        for _ in 0..2 {
            let mut failed = provider.acquire(other).await.ok().unwrap();
            failed.report(Outcome::Failed { kind: "overloaded" });
        }
        let refused = admitted(provider.acquire(other).await).err();
        assert!(matches!(refused, Some(Refused::CircuitOpen { .. })), "{refused:?}");
        assert!(lease(&provider, UserId::new()).await.is_ok());
        let readings = provider.gate().observe();
        assert_eq!(readings.circuit, CircuitState::Open, "the worst is shown");
        let circuits: Vec<_> = readings.lanes.iter().map(|lane| lane.circuit).collect();
        assert_eq!(circuits, [CircuitState::Closed, CircuitState::Open]);
    });
}

#[test]
fn a_limited_key_rests_and_a_refused_one_is_told_apart() {
    run(async {
        let keys = |config: &mut ProviderConfig| {
            config.kind = callboard_providers::ProviderKind::OpenAi;
            config.base_url = Some("http://127.0.0.1:9/v1".into());
            config.api_keys = vec!["one".to_owned().into(), "two".to_owned().into()];
        };
        let provider = start_with(&keeper(), keys);
        let user = UserId::new();
        let fail = async |fault| {
            let mut failed = lease(&provider, user).await.unwrap();
            failed.report(Outcome::KeyFailed { fault, kind: "key" });
            failed.key()
        };
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(fail(KeyFault::RateLimited { retry_after }).await, 0);
        assert!(provider.gate().has_another_key("extractive"));
        assert_eq!(lease(&provider, user).await.unwrap().key(), 1);
        assert_eq!(fail(KeyFault::Refused).await, 1);
        assert!(!provider.gate().has_another_key("extractive"));
        let refused = lease(&provider, user).await.err();
        assert_eq!(refused, Some(Refused::RateLimited { retry_after: Duration::from_secs(7) }));
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(lease(&provider, user).await.unwrap().key(), 0);
        assert_eq!(
            provider.gate().observe().circuit,
            CircuitState::Closed,
            "keys, not the provider"
        );
    });
}

#[test]
fn a_limit_a_minute_is_waited_for_within_the_deadline() {
    run(async {
        let provider = start_with(&keeper(), |config| config.requests_per_minute = Some(60));
        let user = UserId::new();
        for _ in 0..60 {
            lease(&provider, user).await.unwrap();
        }
        let before = Instant::now();
        assert!(lease(&provider, user).await.is_ok());
        let waited = before.elapsed();
        assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(2), "{waited:?}");
        let hurried = Want { deadline: Instant::now() + Duration::from_millis(10), ..want(user) };
        let refused = admitted(provider.acquire(hurried).await).err();
        assert!(matches!(refused, Some(Refused::RateLimited { .. })), "at once: {refused:?}");
    });
}

#[test]
fn a_panic_refuses_who_waits_and_still_counts_who_holds() {
    run(async {
        let keeper = keeper();
        let provider = start(&keeper, 1, 4);
        let user = UserId::new();
        let held = lease(&provider, user).await.unwrap();
        let waits = queued(&provider, want(user)).await;
        assert!(provider.kill().send(Crash).await.is_err());
        assert!(waits.await.unwrap().is_err(), "its asker goes to the next provider");
        assert_eq!(provider.gate().in_flight(), 1, "the lease that is out");
        while provider.gate().observe().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(keeper.restarts("provider:p"), 1);
        drop(held);
        assert!(lease(&provider, user).await.is_ok());
    });
}

/// Askers on threads of their own, and an actor that panics again and again.
#[test]
fn no_lease_is_lost_whatever_panics_when() {
    let system = actix::System::new();
    system.block_on(async {
        let keeper = keeper();
        let provider = start(&keeper, 3, 1_000);
        let askers = (0..4).map(|_| {
            let provider = provider.clone();
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let user = UserId::new();
                    for round in 0..500_u32 {
                        // A panic may cost a place in the queue, never an answer.
                        let Ok(mut held) = provider.acquire(want(user)).await else { continue };
                        if round % 3 == 0 {
                            held.report(Outcome::Answered);
                        }
                        tokio::task::yield_now().await;
                    }
                });
            })
        });
        let askers = futures_util::future::join_all(askers);
        let crashing = async {
            for _ in 0..4 {
                assert!(provider.kill().send(Crash).await.is_err());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let (ended, ()) = futures_util::join!(askers, crashing);
        assert!(ended.into_iter().all(|asker| asker.is_ok()));
        assert_eq!(provider.gate().in_flight(), 0);
        assert!(lease(&provider, UserId::new()).await.is_ok());
    });
}
