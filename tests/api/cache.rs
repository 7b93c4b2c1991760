//! The answer cache with its second level in Redis, from outside: whether the model is asked.

use callboard_protocol::{
    Answer, Ask, CacheHealth, CacheStats, ErrorCode, Health, Invalidated, Role, ShardStats,
    TaskType,
};
use callboard_testkit::{FakeVendor, PATIENCE, Redis, eventually_some};
use reqwest::{Method, RequestBuilder, StatusCode};

use crate::{
    harness::{Client, Database, Launch, read},
    ssh_log::with_query,
};

/// With this Redis as second level.
fn with(launch: Launch, redis: &Redis) -> Launch {
    let launch = launch.set(format!("redis.url={}", redis.url()));
    launch.set(format!("redis.prefix={}", redis.prefix()))
}

fn of(task_type: TaskType, question: &str) -> Ask {
    Ask { task_type, ..Ask::new(question) }
}

/// The figures of all shards together.
async fn stats(client: &Client) -> ShardStats {
    let stats: CacheStats = client.get("/cache/stats").await;
    stats.shards.into_iter().fold(ShardStats::default(), |sum, shard| ShardStats {
        shard: 0,
        kind: shard.kind,
        entries: sum.entries + shard.entries,
        bytes: sum.bytes + shard.bytes,
        capacity_bytes: sum.capacity_bytes + shard.capacity_bytes,
        hits: sum.hits + shard.hits,
        remote_hits: sum.remote_hits + shard.remote_hits,
        misses: sum.misses + shard.misses,
        joined: sum.joined + shard.joined,
        evictions: sum.evictions + shard.evictions,
        filling: sum.filling + shard.filling,
    })
}

async fn invalidate(client: &Client, pattern: &str) -> Invalidated {
    read(dropping(client, pattern)).await
}

fn dropping(client: &Client, pattern: &str) -> RequestBuilder {
    client.request(Method::POST, &with_query("/cache/invalidate", &[("pattern", pattern)]))
}

/// How often Redis took an answer; the writing is not waited for by the answer.
async fn until_written(server: &crate::harness::Server, times: usize) {
    let sample = format!("cache_operations_total{{op=\"remote_set\",result=\"ok\"}} {times}");
    let written = async || {
        let text = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
        text.lines().any(|line| line == sample).then_some(())
    };
    eventually_some(PATIENCE, written).await;
}

/// The same answer, made once.
fn same(one: &Answer, two: &Answer) -> bool {
    (&one.response, &one.provider, &one.model) == (&two.response, &two.provider, &two.model)
        && one.turn_id != two.turn_id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_server_in_redis_until_it_is_invalidated() {
    let Some(redis) = Redis::create().await else { return };
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set("redis.timeout_ms=2000");
    let server = with(launch, &redis).start().await;
    let ada = server.admin().await;
    let (question, audit) = (Ask::new("is all well?"), of(TaskType::StrategyAudit, "is it?"));
    let first = ada.ask(&question).await;
    assert!(!first.cached);
    let again = ada.ask(&question).await;
    assert!(again.cached && same(&first, &again));
    assert_eq!((again.cost_usd, again.conversation_id == first.conversation_id), (0.0, false));
    ada.ask(&audit).await;
    let counted = stats(&ada).await;
    assert_eq!((counted.misses, counted.hits, counted.remote_hits, counted.entries), (2, 1, 0, 2));
    assert!(counted.bytes > 0 && counted.bytes <= counted.capacity_bytes);
    until_written(&server, 2).await;

    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    let kept = ada.ask(&question).await;
    assert!(kept.cached && same(&first, &kept));
    assert!(ada.ask(&question).await.cached);
    let counted = stats(&ada).await;
    assert_eq!((counted.misses, counted.hits, counted.remote_hits, counted.entries), (1, 1, 1, 1));
    assert_eq!(vendor.request_count(), 2);

    // The audit is in Redis alone by now.
    let dropped = invalidate(&ada, "strategy_audit:*").await;
    assert_eq!(dropped, Invalidated { entries: 0, redis_entries: Some(1) });
    let dropped = invalidate(&ada, "log_question:*").await;
    assert_eq!(dropped, Invalidated { entries: 1, redis_entries: Some(1) });
    assert!(!ada.ask(&question).await.cached && !ada.ask(&audit).await.cached);
    assert_eq!(vendor.request_count(), 4);
    until_written(&server, 2).await;
    let dropped = invalidate(&ada, "*").await;
    assert_eq!(dropped, Invalidated { entries: 2, redis_entries: Some(2) });
    assert_eq!(stats(&ada).await.entries, 0);
    for pattern in ["", &"x".repeat(257)] {
        let refused = ada.refused(dropping(&ada, pattern)).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_answers_come_all_the_same() {
    let Some(redis) = Redis::create().await else { return };
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    redis.proxy.cut();
    // It is away when the server starts, too.
    let server = with(launch, &redis).start().await;
    let ada = server.admin().await;
    let level = async || {
        let health: CacheHealth = ada.get("/cache/health").await;
        health.levels.into_iter().find(|level| level.name == "redis").unwrap().health
    };
    assert_eq!(level().await, Health::Degraded);
    let cut = Ask::new("is all well while it is cut off?");
    assert!(!ada.ask(&cut).await.cached);
    assert!(ada.ask(&cut).await.cached, "memory works on");
    assert_eq!(invalidate(&ada, "*").await, Invalidated { entries: 1, redis_entries: None });

    redis.proxy.resume();
    eventually_some(PATIENCE, async || (level().await == Health::Up).then_some(())).await;
    redis.proxy.stall();
    let stalled = Ask::new("is all well while it says nothing?");
    assert!(!ada.ask(&stalled).await.cached);
    assert!(ada.ask(&stalled).await.cached);
    assert_eq!(level().await, Health::Degraded);
    assert_eq!(vendor.request_count(), 2);

    redis.proxy.resume();
    eventually_some(PATIENCE, async || (level().await == Health::Up).then_some(())).await;
    assert!(ada.ask(&stalled).await.cached);
    assert_eq!(vendor.request_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn some_questions_are_always_asked_anew() {
    let vendor = FakeVendor::start().await;
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    let ada = server.admin().await;
    let chat = of(TaskType::Chat, "how are you?");
    assert!(!ada.ask(&chat).await.cached && !ada.ask(&chat).await.cached);
    assert_eq!((vendor.request_count(), stats(&ada).await.entries), (2, 0));
    let found: CacheStats = ada.get("/cache/stats").await;
    let lifetime = |task| found.lifetimes.iter().find(|l| l.task_type == task).unwrap().seconds;
    assert_eq!((lifetime(TaskType::Chat), lifetime(TaskType::LogQuestion)), (0, 300));
    assert!(!found.redis);

    let question = Ask::new("how many failed?");
    assert!(!ada.ask(&question).await.cached);
    let anew = Ask { use_cache: false, ..question.clone() };
    assert!(!ada.ask(&anew).await.cached);
    assert_eq!(vendor.request_count(), 4);
    assert!(ada.ask(&question).await.cached);
    // Whatever shapes the answer is a part of the key.
    let variants = [
        Ask { mode: Some("oracle".into()), ..question.clone() },
        Ask { context: Some("the runbook".into()), ..question.clone() },
        of(TaskType::Collaboration, "how many failed?"),
        Ask { model: Some("fake-1".into()), ..question.clone() },
    ];
    for variant in &variants {
        assert!(!ada.ask(variant).await.cached, "{variant:?}");
    }
    assert_eq!(vendor.request_count(), 8);
    // An answer is everybody's: a question is asked of the same logs.
    let vic = server.user("vic", Role::VIEWER).await;
    assert!(vic.ask(&question).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_outlive_its_evidence() {
    let Some(redis) = Redis::create().await else { return };
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = with(launch, &redis).start().await;
    let ada = server.admin().await;
    let line = |minute: u32, what: &str| format!("2026-11-20T03:{minute:02}:00Z ERROR {what}\n");
    let log = server.write("app.log", line(0, "checkout timed out"));
    server.ingest(&log).await;
    let question = Ask::new("how often did checkout time out?");
    assert!(!ada.ask(&question).await.cached);
    assert!(ada.ask(&question).await.cached);
    // A line that has nothing to do with it leaves the answer as it is.
    let more = line(0, "checkout timed out") + &line(1, "disk full");
    server.ingest(&server.write("app.log", &more)).await;
    assert!(ada.ask(&question).await.cached);
    server.ingest(&server.write("app.log", more + &line(2, "checkout timed out"))).await;
    assert!(!ada.ask(&question).await.cached, "there is a new matching line");
    assert_eq!(vendor.request_count(), 2);
    assert!(vendor.requests()[1].question().contains("03:02:00"));
}
