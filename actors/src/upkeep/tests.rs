use std::ops::ControlFlow;

use actix::{Arbiter, Handler, Message};
use callboard_entities::queries::{audit::AuditEvent, tokens::NewRefreshToken};
use callboard_logs::{IngestOptions, LogsConfig};
use callboard_protocol::{
    CallId, CallStatus, CallTokens, NewLogHold, RequestId, SourceId, TokenFamilyId, UsageEndpoint,
    UsageEvent, UsageGroup,
};
use prometheus::{IntCounterVec, Opts};

use super::*;
use crate::{
    keeper::{Keeper, Placement},
    mailbox::Posted,
    testing::{World, eventually, run},
};

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Posted<Crash>> for Upkeep {
    type Result = ();

    fn handle(&mut self, _: Posted<Crash>, _: &mut Self::Context) {
        panic!("as told");
    }
}

/// Stores a token that ends `ahead` of now, or has ended already.
async fn token(world: &World, hash: [u8; 32], ahead: Option<Duration>) {
    let now = Timestamp::now();
    let expires_at = ahead.map_or(now.minus(Duration::from_secs(1)), |ahead| now.plus(ahead));
    let new =
        NewRefreshToken { hash, family: TokenFamilyId::new(), user: world.user.id, expires_at };
    tokens::insert(&world.store, &new, now).await.unwrap();
}

/// A call that began so many milliseconds ago.
fn call(world: &World, ago_ms: i64) -> UsageEvent {
    let started_at = Timestamp::from_millis(Timestamp::now().as_millis() - ago_ms);
    UsageEvent {
        id: CallId::new(),
        request_id: RequestId::new(),
        started_at,
        ended_at: started_at,
        user_id: world.user.id,
        api_key_id: None,
        turn_id: None,
        endpoint: UsageEndpoint::Messages,
        alias: "fast".into(),
        provider: "one".into(),
        model: "m".into(),
        status: CallStatus::Answered,
        error: None,
        tokens: CallTokens::default(),
        estimated: false,
        cost_micro_usd: 1,
        ttft_ms: None,
        duration_ms: 1,
    }
}

async fn is_there(world: &World, hash: [u8; 32]) -> bool {
    tokens::family_of(&world.store, &hash).await.unwrap().is_some()
}

async fn until_gone(world: &World, hash: [u8; 32]) {
    eventually(async || (!is_there(world, hash).await).then_some(())).await;
}

const KEEP: KeepDays = KeepDays { calls: 32, alerts: 90, audit: 0 };

#[test]
fn old_events_of_the_audit_trail_go_when_that_is_configured() {
    run(async {
        let world = World::start().await;
        let now = Timestamp::now();
        for (action, age) in [("old", 31), ("new", 29)] {
            let event = AuditEvent::of_server(action, None, now.minus(DAY * age));
            audit::append(&world.store, &event).await.unwrap();
        }
        assert_eq!(purge_audit(&world.store, 0, now).await.unwrap(), 0);
        assert_eq!(purge_audit(&world.store, 30, now).await.unwrap(), 1);
        let left = audit::list(&world.store, 10).await.unwrap();
        let left: Vec<&str> = left.iter().map(|event| event.action.as_str()).collect();
        assert_eq!(left, ["audit.let_go", "new"]);
        assert_eq!(audit::verify(&world.store).await.unwrap().breach, None);
    });
}

#[test]
fn ended_tokens_are_forgotten_again_and_again_also_after_a_panic() {
    run(async {
        let world = World::start().await;
        let keeper = Keeper::new(IntCounterVec::new(Opts::new("r", "r"), &["actor"]).unwrap());
        let seed = UpkeepSeed {
            store: world.store.clone(),
            logs: world.logs.clone(),
            runtime: tokio::runtime::Handle::current(),
            every: Duration::from_millis(20),
            keep: KEEP,
        };
        token(&world, [1; 32], None).await;
        token(&world, [2; 32], Some(Duration::from_secs(600))).await;
        let here = Arbiter::current();
        let purge =
            keeper.keep("upkeep", Placement::on(&here, MAILBOX), move |_| Upkeep::new(seed));
        until_gone(&world, [1; 32]).await;
        token(&world, [3; 32], None).await;
        until_gone(&world, [3; 32]).await;
        assert!(purge.send(Crash).await.is_err());
        eventually(async || (keeper.restarts("upkeep") == 1).then_some(())).await;
        token(&world, [4; 32], None).await;
        until_gone(&world, [4; 32]).await;
        assert!(is_there(&world, [2; 32]).await, "one that is good yet");
    });
}

#[test]
fn calls_are_kept_for_their_days_and_no_longer() {
    run(async {
        let world = World::start().await;
        let keep_days = 32;
        let day = i64::from(keep_days) * 86_400_000;
        let calls = [call(&world, day + 60_000), call(&world, day - 60_000), call(&world, 0)];
        // More than are forgotten at once.
        let old = std::iter::repeat_with(|| call(&world, 2 * day));
        let old: Vec<_> = old.take(CALLS_AT_ONCE as usize + 1).collect();
        usage::insert_many(&world.store, &calls).await.unwrap();
        usage::insert_many(&world.store, &old).await.unwrap();
        let keeper = Keeper::new(IntCounterVec::new(Opts::new("r", "r"), &["actor"]).unwrap());
        let (store, logs) = (world.store.clone(), world.logs.clone());
        let runtime = tokio::runtime::Handle::current();
        let keep = KeepDays { calls: keep_days, ..KEEP };
        let seed = UpkeepSeed { store, logs, runtime, every: EVERY, keep };
        let here = Arbiter::current();
        let upkeep =
            keeper.keep("upkeep", Placement::on(&here, MAILBOX), move |_| Upkeep::new(seed));
        let left = async || {
            let filter = usage::UsageFilter::default();
            let sums = usage::totals(&world.store, &filter, UsageGroup::None).await.unwrap();
            (sums.total.counts.calls == 2).then_some(())
        };
        eventually(left).await;
        drop(upkeep);
    });
}

#[test]
fn old_lines_go_and_those_that_are_held_stay_until_they_are_not() {
    run(async {
        let world = World::start().await;
        let config = LogsConfig { keep_days: 3, ..LogsConfig::default() };
        let logs = LogStore::open(&world.folder.path().join("kept"), &config).unwrap();
        for source in ["web.log", "court.log"] {
            let at = Timestamp::now().minus(DAY * 5);
            let options = IngestOptions::whole(SourceId::new(), source, at);
            let mut go_on = |_: &_| ControlFlow::Continue(());
            logs.ingest_reader(&b"an old line"[..], &options, &mut go_on).unwrap();
        }
        let new = NewLogHold { sources: "court*".into(), reason: "case 7".into() };
        let hold = holds::create(&world.store, &new, world.user.id, Timestamp::now()).await;
        let keeper = Keeper::new(IntCounterVec::new(Opts::new("r", "r"), &["actor"]).unwrap());
        let seed = UpkeepSeed {
            store: world.store.clone(),
            logs: logs.clone(),
            runtime: tokio::runtime::Handle::current(),
            every: Duration::from_millis(20),
            keep: KEEP,
        };
        let here = Arbiter::current();
        let upkeep =
            keeper.keep("upkeep", Placement::on(&here, MAILBOX), move |_| Upkeep::new(seed));
        let left = async || {
            let sources = logs.stats().sources.into_iter().filter(|source| source.lines > 0);
            sources.map(|source| source.name).collect::<Vec<_>>()
        };
        eventually(async || (left().await == ["court.log"]).then_some(())).await;
        holds::delete(&world.store, hold.unwrap().id).await.unwrap();
        eventually(async || left().await.is_empty().then_some(())).await;
        drop(upkeep);
    });
}

#[test]
fn a_system_purges() {
    run(async {
        let world = World::start().await;
        assert!(world.system.keeper().observe().contains_key("upkeep"));
    });
}
