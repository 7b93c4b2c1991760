//! The actors under test stand here, so that they can be told to fail in every way.

use std::sync::atomic::AtomicU64;

use actix::{ActorContext, Arbiter, AsyncContext, Handler, Message};
use prometheus::Opts;

use super::*;
use crate::mailbox::Posted;

fn keeper() -> Keeper {
    Keeper::new(IntCounterVec::new(Opts::new("restarts", "r"), &["actor"]).unwrap())
}

fn policy() -> RestartPolicy {
    RestartPolicy::default()
}

#[derive(Default)]
struct Probe {
    life: Life,
    count: u64,
    restarts: Arc<AtomicU64>,
    panic_in_restarting: bool,
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Supervised for Probe {
    fn restarting(&mut self, _: &mut Context<Self>) {
        let nth = self.restarts.fetch_add(1, Ordering::SeqCst);
        assert!(!(self.panic_in_restarting && nth == 0), "in the first restart");
        self.count = 0;
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Count;

#[derive(Message)]
#[rtype(result = "()")]
enum Do {
    Panic,
    PanicInTimer,
    PanicInFuture,
    Stop,
    End,
}

impl Handler<Posted<Count>> for Probe {
    type Result = u64;

    fn handle(&mut self, _: Posted<Count>, _: &mut Context<Self>) -> u64 {
        self.count += 1;
        self.count
    }
}

impl Handler<Posted<Do>> for Probe {
    type Result = ();

    fn handle(&mut self, posted: Posted<Do>, ctx: &mut Context<Self>) {
        let what = posted.open();
        match what {
            Do::Panic => panic!("as told"),
            Do::PanicInTimer => {
                ctx.run_later(Duration::from_millis(1), |_, _| panic!("in a timer"));
            }
            Do::PanicInFuture => {
                ctx.spawn(actix::fut::wrap_future(async { panic!("in a future") }));
            }
            Do::Stop => ctx.stop(),
            Do::End => {
                self.life.finish();
                ctx.stop();
            }
        }
    }
}

/// A kept probe on the test's own arbiter, whose clock the test may pause.
fn probe(keeper: &Keeper, policy: RestartPolicy, mut probe: Probe) -> Mailbox<Probe> {
    let here = Arbiter::current();
    let placement = Placement { policy: Some(policy), ..Placement::on(&here, 64) };
    keeper.keep("probe:1", placement, move |life| {
        probe.life = life;
        probe
    })
}

async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(600), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("the condition did not come true");
}

/// Every test runs on one thread with a paused clock, so that backoffs pass at once.
fn run(test: impl Future<Output = ()>) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    actix::System::with_tokio_rt(runtime).block_on(test);
}

#[test]
fn a_panic_in_a_handler_loses_that_message_alone() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        assert_eq!(address.send(Count).await, Ok(1));
        let poison = address.send(Do::Panic);
        let queued: Vec<_> = (0..10).map(|_| address.send(Count)).collect();
        assert!(poison.await.is_err(), "the poison message is lost and its sender told");
        for (at, answer) in queued.into_iter().enumerate() {
            assert_eq!(
                answer.await,
                Ok(at as u64 + 1),
                "queued messages survive, the state is fresh"
            );
        }
        assert_eq!(keeper.restarts("probe:1"), 1);
        assert_eq!(keeper.observe()["probe:1"].last_failure.as_deref(), Some("as told"));
    });
}

#[test]
fn panics_in_timers_and_futures_are_caught_too() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        address.send(Do::PanicInTimer).await.unwrap();
        until(|| keeper.restarts("probe:1") == 1).await;
        address.send(Do::PanicInFuture).await.unwrap();
        until(|| keeper.restarts("probe:1") == 2).await;
        assert_eq!(address.send(Count).await, Ok(1));
    });
}

#[test]
fn an_actor_that_stops_by_itself_comes_back_and_one_that_wishes_to_end_does_not() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        address.send(Do::Stop).await.unwrap();
        assert_eq!(address.send(Count).await, Ok(1));
        assert_eq!(keeper.restarts("probe:1"), 1);
        address.send(Do::End).await.unwrap();
        until(|| !address.connected()).await;
        assert!(keeper.observe().is_empty(), "one that ended is forgotten");
    });
}

#[test]
fn the_wait_doubles_with_each_failure_and_is_spread() {
    run(async {
        let keeper = keeper();
        let slow = RestartPolicy { backoff_min: Duration::from_secs(1), ..policy() };
        let address = probe(&keeper, slow, Probe::default());
        for seconds in [1, 2, 4, 5] {
            let before = Instant::now();
            assert!(address.send(Do::Panic).await.is_err());
            assert_eq!(address.send(Count).await, Ok(1));
            let (waited, longest) = (before.elapsed(), Duration::from_secs(seconds));
            let spread = longest / 2..=longest + Duration::from_millis(10);
            assert!(spread.contains(&waited), "{waited:?}");
        }
    });
}

#[test]
fn a_hundred_that_fail_at_once_do_not_come_back_at_once() {
    run(async {
        let keeper = keeper();
        let slow = RestartPolicy { backoff_min: Duration::from_secs(1), ..policy() };
        let probes: Vec<_> = (0..100).map(|_| probe(&keeper, slow, Probe::default())).collect();
        let begun = Instant::now();
        let back = probes.iter().map(|address| async {
            assert!(address.send(Do::Panic).await.is_err());
            assert_eq!(address.send(Count).await, Ok(1), "with fresh state");
            begun.elapsed().as_millis()
        });
        let mut times = futures_util::future::join_all(back).await;
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 20, "only {} different instants", times.len());
    });
}

#[test]
fn one_that_fails_too_often_is_given_up_and_stays_visible() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        for _ in 0..=policy().max_restarts {
            assert!(address.send(Do::Panic).await.is_err());
        }
        until(|| !address.connected()).await;
        let status = &keeper.observe()["probe:1"];
        assert_eq!(status.state, KeptState::GivenUp);
        assert_eq!(status.restarts, u64::from(policy().max_restarts));
    });
}

#[test]
fn one_that_does_not_escalate_is_forgotten_when_it_is_given_up() {
    run(async {
        let keeper = keeper();
        let quiet = RestartPolicy { max_restarts: 0, escalates: false, ..policy() };
        let address = probe(&keeper, quiet, Probe::default());
        assert!(address.send(Do::Panic).await.is_err());
        until(|| !address.connected()).await;
        assert!(keeper.observe().is_empty());
    });
}

#[test]
fn failures_outside_the_window_are_forgotten() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        for _ in 0..4 * policy().max_restarts {
            assert!(address.send(Do::Panic).await.is_err());
            tokio::time::sleep(policy().within / policy().max_restarts + Duration::from_secs(1))
                .await;
        }
        assert_eq!(address.send(Count).await, Ok(1), "a rare failure never gives it up");
    });
}

#[test]
fn a_panic_in_restarting_is_one_more_failure() {
    run(async {
        let keeper = keeper();
        let restarts = Arc::new(AtomicU64::new(0));
        let fragile = Probe {
            restarts: Arc::clone(&restarts),
            panic_in_restarting: true,
            ..Probe::default()
        };
        let address = probe(&keeper, policy(), fragile);
        assert!(address.send(Do::Panic).await.is_err());
        assert_eq!(address.send(Count).await, Ok(1));
        assert_eq!(restarts.load(Ordering::SeqCst), 2);
        assert_eq!(keeper.restarts("probe:1"), 2);
    });
}

#[test]
fn restarts_are_counted_by_kind_not_by_name() {
    run(async {
        let keeper = keeper();
        let address = probe(&keeper, policy(), Probe::default());
        assert!(address.send(Do::Panic).await.is_err());
        assert_eq!(address.send(Count).await, Ok(1));
        assert_eq!(keeper.restarts.with_label_values(&["probe"]).get(), 1);
    });
}

#[derive(Message)]
#[rtype(result = "()")]
struct WaitFor(std::sync::mpsc::Receiver<()>);

impl Handler<Posted<WaitFor>> for Probe {
    type Result = ();

    fn handle(&mut self, posted: Posted<WaitFor>, _: &mut Context<Self>) {
        let WaitFor(end) = posted.open();
        assert!(end.recv().is_err(), "the other end is dropped to end this");
    }
}

#[test]
fn one_that_does_not_come_back_from_a_message_is_seen() {
    actix::System::new().block_on(async {
        let keeper = keeper();
        let elsewhere = Arbiter::new();
        let thread = elsewhere.handle();
        let placement = Placement::on(&thread, 64);
        let address = keeper.keep("probe:1", placement, |_| Probe::default());
        let busy = || keeper.observe()["probe:1"].busy;
        assert_eq!(address.send(Count).await, Ok(1));
        until(|| busy().is_zero()).await;
        let (end, wait) = std::sync::mpsc::sync_channel::<()>(1);
        let hanging = address.send(WaitFor(wait));
        until(|| busy() > Duration::from_millis(20)).await;
        let waiting = || keeper.observe()["probe:1"].waiting;
        let unread: Vec<_> = (0..3).map(|_| address.send(Count)).collect();
        assert_eq!((waiting(), keeper.observe()["probe:1"].mailbox), (3, 64));
        drop(end);
        hanging.await.unwrap();
        for answer in unread {
            answer.await.unwrap();
        }
        assert_eq!(waiting(), 0);
        until(|| busy().is_zero()).await;
        let long =
            KeptStatus { busy: Duration::from_secs(6), ..keeper.observe()["probe:1"].clone() };
        assert!(long.hangs() && !keeper.observe()["probe:1"].hangs());
        // What is refused, and what nobody is left to read, does not wait.
        elsewhere.stop();
        until(|| address.try_send(Count).is_err()).await;
        until(|| waiting() == 0).await;
    });
}

#[test]
fn what_a_replaced_one_still_says_is_not_of_its_successor() {
    run(async {
        let keeper = keeper();
        let former = probe(&keeper, policy(), Probe::default());
        assert_eq!(former.send(Count).await, Ok(1));
        let latter = probe(&keeper, policy(), Probe::default());
        assert!(former.send(Do::Panic).await.is_err());
        former.send(Do::End).await.unwrap();
        until(|| !former.connected()).await;
        assert_eq!(latter.send(Count).await, Ok(1));
        assert_eq!(keeper.observe()["probe:1"].last_failure, None);
    });
}
