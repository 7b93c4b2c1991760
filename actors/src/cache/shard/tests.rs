use std::future::Future;

use actix::Arbiter;
use callboard_protocol::{ConversationId, FinishReason, MessageId, TurnId, UserId};
use prometheus::{IntCounterVec, Opts};

use super::*;
use crate::{
    cache::{Answers, CachedAnswer, Value as _},
    keeper::{Keeper, Placement},
    turn_log::{TurnHead, TurnLog},
};

type Shard = CacheShard<Answers>;

/// What an entry costs beside its key and its value.
const ENTRY_OVERHEAD: u64 = 256;

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Posted<Crash>> for Shard {
    type Result = ();

    fn handle(&mut self, _: Posted<Crash>, _: &mut Self::Context) {
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

fn start(max_bytes: u64) -> (Mailbox<Shard>, Keeper, Metrics) {
    let metrics = Metrics::new().unwrap();
    let keeper = Keeper::new(IntCounterVec::new(Opts::new("restarts", "r"), &["actor"]).unwrap());
    let shelf = Arc::new(Shelf::new(max_bytes, &metrics));
    let seed = ShardSeed { number: 0, shelf, metrics: metrics.clone() };
    let shard =
        keeper.keep("cache_shard:0", Placement::on(&Arbiter::current(), MAILBOX), move |life| {
            CacheShard::new(seed, life)
        });
    (shard, keeper, metrics)
}

fn log() -> Arc<TurnLog> {
    TurnLog::new(TurnHead {
        turn_id: TurnId::new(),
        conversation_id: ConversationId::new(),
        message_id: MessageId::new(),
        owner: UserId::new(),
        max_bytes: 100,
        coalesce: Duration::ZERO,
    })
}

fn answer(text: &str) -> Arc<CachedAnswer> {
    Arc::new(CachedAnswer {
        response: text.into(),
        finish_reason: FinishReason::Stop,
        provider: "p".into(),
        model: "m".into(),
    })
}

async fn lookup(shard: &Mailbox<Shard>, key: &str) -> Found<Answers> {
    shard.send(Lookup { key: key.into(), flight: log(), anew: false }).await.unwrap()
}

async fn fill(shard: &Mailbox<Shard>, key: &str, text: &str) {
    match lookup(shard, key).await {
        Found::Fill(permit) => {
            permit.fill(answer(text), Duration::from_secs(60), false).await;
        }
        Found::Hit { .. } | Found::Joined(_) => panic!("{key} is there already"),
    }
}

async fn has(shard: &Mailbox<Shard>, key: &str) -> bool {
    matches!(lookup(shard, key).await, Found::Hit { .. })
}

#[test]
fn of_a_hundred_askers_one_fills_and_the_others_read_along() {
    run(async {
        let (shard, _, _) = start(1 << 20);
        let leader = log();
        let flight = Arc::clone(&leader);
        let first = shard.send(Lookup { key: "k".into(), flight, anew: false });
        let Found::Fill(permit) = first.await.unwrap() else { panic!("the first fills") };
        for _ in 1..100 {
            let Found::Joined(joined) = lookup(&shard, "k").await else { panic!("others join") };
            assert_eq!(joined.turn_id(), leader.turn_id());
        }
        assert!(permit.fill(answer("done"), Duration::from_secs(60), false).await);
        let Found::Hit { value, .. } = lookup(&shard, "k").await else { panic!("then it is kept") };
        assert_eq!(value.response, "done");
        let stats = shard.send(Observe).await.unwrap();
        assert_eq!((stats.misses, stats.joined, stats.hits, stats.filling), (1, 99, 1, 0));
    });
}

#[test]
fn a_permit_dropped_without_an_answer_frees_the_key() {
    run(async {
        let (shard, _, _) = start(1 << 20);
        drop(lookup(&shard, "k").await);
        assert!(matches!(lookup(&shard, "k").await, Found::Fill(_)));
    });
}

#[test]
fn an_entry_lives_as_long_as_its_lifetime() {
    run(async {
        let (shard, _, metrics) = start(1 << 20);
        fill(&shard, "k", "x").await;
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(has(&shard, "k").await);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!has(&shard, "k").await);
        assert_eq!(metrics.cache_keys.get(), 0);
        assert_eq!(metrics.cache_bytes.get(), 0);
    });
}

#[test]
fn the_least_lately_used_make_room() {
    run(async {
        let one = ENTRY_OVERHEAD + 1 + answer("x").bytes();
        let (shard, _, metrics) = start(3 * one);
        for key in ["a", "b", "c"] {
            fill(&shard, key, "x").await;
        }
        assert!(has(&shard, "a").await);
        fill(&shard, "d", "x").await;
        assert!(has(&shard, "a").await && has(&shard, "c").await && has(&shard, "d").await);
        assert!(!has(&shard, "b").await);
        let stats = shard.send(Observe).await.unwrap();
        assert_eq!((stats.entries, stats.bytes, stats.evictions), (3, 3 * one, 1));
        assert_eq!(metrics.cache_bytes.get(), i64::try_from(3 * one).unwrap());
        fill(&shard, "e", &"x".repeat(10_000)).await;
        assert!(!has(&shard, "e").await, "larger than the shard");
    });
}

#[test]
fn invalidation_drops_what_fits_and_what_is_being_made() {
    run(async {
        let (shard, _, _) = start(1 << 20);
        fill(&shard, "log_question:1", "x").await;
        fill(&shard, "chat:1", "x").await;
        let Found::Fill(permit) = lookup(&shard, "log_question:2").await else { panic!("new") };
        assert_eq!(shard.send(Invalidate("log_question:*".into())).await, Ok(1));
        let kept = permit.fill(answer("stale"), Duration::from_secs(60), false).await;
        assert!(!kept, "so that the second level does not keep it either");
        assert!(!has(&shard, "log_question:1").await && !has(&shard, "log_question:2").await);
        assert!(has(&shard, "chat:1").await);
    });
}

#[test]
fn whoever_wants_it_anew_makes_it_or_joins_who_does() {
    run(async {
        let (shard, _, _) = start(1 << 20);
        fill(&shard, "k", "old").await;
        let anew = || Lookup { key: "k".into(), flight: log(), anew: true };
        let Found::Fill(permit) = shard.send(anew()).await.unwrap() else { panic!("anew") };
        assert!(matches!(shard.send(anew()).await.unwrap(), Found::Joined(_)));
        let Found::Hit { value, .. } = lookup(&shard, "k").await else { panic!("still there") };
        assert_eq!(value.response, "old");
        permit.fill(answer("new"), Duration::from_secs(60), false).await;
        let Found::Hit { value, .. } = lookup(&shard, "k").await else { panic!("there") };
        assert_eq!(value.response, "new");
    });
}

#[test]
fn a_panic_costs_what_is_being_made_and_nothing_else() {
    run(async {
        let (shard, keeper, metrics) = start(1 << 20);
        fill(&shard, "k", "x").await;
        let Found::Fill(permit) = lookup(&shard, "later").await else { panic!("new") };
        assert!(shard.send(Crash).await.is_err());
        assert!(has(&shard, "k").await);
        assert_eq!(keeper.restarts("cache_shard:0"), 1);
        assert_eq!(metrics.cache_keys.get(), 1);
        assert!(!permit.fill(answer("x"), Duration::from_secs(60), false).await);
        fill(&shard, "later", "y").await;
        assert!(has(&shard, "later").await);
    });
}
