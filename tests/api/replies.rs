//! Replies to programs that come from the cache, from outside: whether the provider is asked, who may
//! be given what, and what the client sees.

use std::time::Duration;

use callboard_protocol::{CacheKind, CacheStats, Invalidated, Role, ShardStats};
use callboard_testkit::{FakeVendor, PATIENCE, Redis, Reply, eventually_some};
use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Database, Launch, Server, read},
    ssh_log::with_query,
};

struct Stage {
    vendor: FakeVendor,
    server: Server,
    ada: Client,
}

async fn stage() -> Stage {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.start().await;
    let ada = server.admin().await;
    vendor.always(Reply::text(&["All", " is", " well."]));
    Stage { vendor, server, ada }
}

/// A request that the cache may answer, with more options of it.
fn cached(question: &str, options: Value) -> Value {
    let mut cache = json!({ "mode": "use" });
    cache.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    json!({
        "model": "fake-1",
        "messages": [{ "role": "user", "content": question }],
        "callboard": { "cache": cache },
    })
}

fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body
}

async fn post_as(server: &Server, client: &Client, path: &str, body: &Value) -> Response {
    let request = reqwest::Client::new().request(Method::POST, server.url(path));
    let reply = request.bearer_auth(&client.token).json(body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK, "{path}");
    reply
}

fn header<'a>(reply: &'a Response, name: &str) -> Option<&'a str> {
    reply.headers().get(name).map(|value| value.to_str().unwrap())
}

impl Stage {
    async fn post(&self, body: &Value) -> Response {
        post_as(&self.server, &self.ada, "/v1/chat/completions", body).await
    }

    /// What the cache had to do with a reply, and what it says.
    async fn ask(&self, body: &Value) -> (String, String) {
        let reply = self.post(body).await;
        let cache = header(&reply, "x-callboard-cache").unwrap().to_owned();
        (cache, said(&reply.text().await.unwrap()))
    }

    async fn hit_or_miss(&self, body: &Value) -> String {
        self.ask(body).await.0
    }
}

/// The text of a reply, whole or streamed, that came to its end.
fn said(reply: &str) -> String {
    if let Ok(whole) = serde_json::from_str::<Value>(reply) {
        return whole["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    }
    assert!(reply.trim_end().ends_with("data: [DONE]"), "{reply}");
    let data = reply.lines().filter_map(|line| line.strip_prefix("data: {"));
    let piece = |data: &str| {
        let chunk: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    data.map(piece).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_made_once_and_streams_like_a_fresh_one() {
    let stage = stage().await;
    let question = cached("is all well?", json!({}));
    let fresh = stage.post(&streamed(question.clone())).await;
    assert_eq!(header(&fresh, "x-callboard-cache"), Some("miss"));
    assert_eq!(header(&fresh, "age"), None);
    let fresh = fresh.text().await.unwrap();
    let again = stage.post(&streamed(question.clone())).await;
    assert_eq!(header(&again, "x-callboard-cache"), Some("hit"));
    assert_eq!(header(&again, "age"), Some("0"));
    let again = again.text().await.unwrap();
    // The same frames, but for the id, the time, and what the gateway says of the call.
    let frames = |text: &str| -> Vec<Value> {
        let data = text.lines().filter_map(|line| line.strip_prefix("data: {"));
        let frame = |data: &str| {
            let mut frame: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
            for key in ["id", "created", "callboard"] {
                frame.as_object_mut().unwrap().remove(key);
            }
            frame
        };
        data.map(frame).collect()
    };
    assert_eq!(frames(&fresh), frames(&again));
    // Whole, too, with what it used once; and in the words of the other vendor.
    let whole: Value = stage.post(&question).await.json().await.unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "All is well.");
    assert_eq!(
        (&whole["usage"]["completion_tokens"], &whole["callboard"]["cache"]),
        (&json!(3), &json!("hit"))
    );
    let message = json!({ "max_tokens": 9, "model": "fake-1", "callboard": question["callboard"],
        "messages": [{ "role": "user", "content": "is all well?" }] });
    for cache in ["miss", "hit"] {
        let reply = post_as(&stage.server, &stage.ada, "/v1/messages", &message).await;
        assert_eq!(header(&reply, "x-callboard-cache"), Some(cache));
        let reply: Value = reply.json().await.unwrap();
        assert_eq!(reply["content"][0]["text"], "All is well.");
    }
    assert_eq!(stage.vendor.request_count(), 2);
    let usage: Value = stage.ada.get("/usage").await;
    let total = eventually_some(PATIENCE, async || {
        let usage: Value = stage.ada.get("/usage").await;
        (usage["total"]["counts"]["calls"] == 5).then(|| usage["total"].clone())
    });
    let total = total.await;
    assert_eq!(
        (&total["counts"]["cached"], &total["counts"]["answered"]),
        (&json!(3), &json!(2)),
        "{usage}"
    );
    assert_eq!(total["tokens"]["output"], 6, "the second time it costs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_ask_the_same_one_is_asked_for() {
    let stage = stage().await;
    stage.vendor.hold();
    stage.vendor.always(Reply::text(&["a", "b", "c", "d"]).gate_after(2));
    let question = cached("is all well?", json!({}));
    let asked = (0..20).map(|nth| {
        let body = if nth % 2 == 0 { streamed(question.clone()) } else { question.clone() };
        let stage = &stage;
        async move { stage.ask(&body).await }
    });
    let all_joined = async {
        eventually_some(PATIENCE, async || {
            let stats: CacheStats = stage.ada.get("/cache/stats").await;
            let joined: u64 = replies(stats).map(|shard| shard.joined).sum();
            (joined == 19).then_some(())
        })
        .await;
        stage.vendor.release();
    };
    let (replies, ()) = tokio::join!(join_all(asked), all_joined);
    let count = |cache: &str| replies.iter().filter(|(found, _)| found == cache).count();
    assert_eq!((count("miss"), count("joined")), (1, 19));
    assert!(replies.iter().all(|(_, said)| said == "abcd"));
    assert_eq!(stage.vendor.request_count(), 1);
}

fn replies(stats: CacheStats) -> impl Iterator<Item = ShardStats> {
    stats.shards.into_iter().filter(|shard| shard.kind == CacheKind::Replies)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_may_leave_and_the_last_to_leave_ends_it() {
    let stage = stage().await;
    stage.vendor.hold();
    stage.vendor.always(Reply::text(&["a", "b", "c", "d"]).gate_after(2));
    let question = streamed(cached("is all well?", json!({})));
    let read_two = async |mut reply: reqwest::Response| {
        let mut text = String::new();
        while !text.contains("\"b\"") {
            text.push_str(&String::from_utf8_lossy(&reply.chunk().await.unwrap().unwrap()));
        }
        (reply, text)
    };
    let (leader, _) = read_two(stage.post(&question).await).await;
    let follower = stage.post(&question).await;
    assert_eq!(header(&follower, "x-callboard-cache"), Some("joined"));
    drop(leader);
    let (mut follower, mut text) = read_two(follower).await;
    stage.vendor.release();
    while let Some(piece) = follower.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert_eq!(said(&text), "abcd");
    assert_eq!(stage.hit_or_miss(&question).await, "hit");

    stage.vendor.hold();
    let other = streamed(cached("and now?", json!({})));
    let (one, _) = read_two(stage.post(&other).await).await;
    let (two, _) = read_two(stage.post(&other).await).await;
    drop(one);
    drop(two);
    stage.vendor.until_left(1).await;
    stage.vendor.release();
    assert_eq!(stage.hit_or_miss(&other).await, "miss");
    assert_eq!(stage.vendor.request_count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_its_askers_unless_it_is_shared() {
    let stage = stage().await;
    let vic = stage.server.user("vic", Role::ANALYST).await;
    let as_vic = async |body: &Value| {
        let reply = post_as(&stage.server, &vic, "/v1/chat/completions", body).await;
        header(&reply, "x-callboard-cache").unwrap().to_owned()
    };
    let own = cached("is all well?", json!({}));
    assert_eq!(stage.hit_or_miss(&own).await, "miss");
    assert_eq!(as_vic(&own).await, "miss");
    let shared = cached("is all well?", json!({ "shared": true }));
    assert_eq!(as_vic(&shared).await, "miss", "what is one's own is not shared by asking");
    assert_eq!(stage.hit_or_miss(&shared).await, "hit");
    assert_eq!(stage.vendor.request_count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shapes_a_reply_and_how_it_is_dropped() {
    let stage = stage().await;
    let question = cached("is all well?", json!({ "tag": "runbook" }));
    assert_eq!(stage.hit_or_miss(&question).await, "miss");
    let variants = [
        ("temperature", json!(0.5)),
        ("seed", json!(7)),
        ("max_tokens", json!(50)),
        ("stop", json!(["x"])),
        ("messages", json!([{ "role": "user", "content": "is all well!" }])),
        ("response_format", json!({ "type": "text" })),
    ];
    for (key, value) in variants {
        let mut variant = question.clone();
        variant[key] = value;
        let found = stage.hit_or_miss(&variant).await;
        assert_eq!(found, if key == "response_format" { "hit" } else { "miss" }, "{key}");
    }
    // Who is meant and how it travels does not shape it.
    let mut named = streamed(question.clone());
    named["user"] = json!("u1");
    assert_eq!(stage.hit_or_miss(&named).await, "hit");
    let anew = cached("is all well?", json!({ "tag": "runbook", "mode": "refresh" }));
    stage.vendor.always(Reply::text(&["No."]));
    assert_eq!(stage.ask(&anew).await, ("miss".to_owned(), "No.".to_owned()));
    assert_eq!(stage.ask(&question).await, ("hit".to_owned(), "No.".to_owned()));
    let off = cached("is all well?", json!({ "tag": "runbook", "mode": "off" }));
    assert_eq!(stage.hit_or_miss(&off).await, "bypass");

    let dropping = |key: &str, value: &str| {
        stage.ada.request(Method::POST, &with_query("/cache/invalidate", &[(key, value)]))
    };
    let none = Invalidated { entries: 0, redis_entries: None };
    assert_eq!(read::<Invalidated>(dropping("tag", "run")).await, none);
    assert_eq!(read::<Invalidated>(dropping("tag", "runbook")).await.entries, 6);
    assert_eq!(stage.hit_or_miss(&question).await, "miss");
    assert_eq!(read::<Invalidated>(dropping("model", "fake")).await, none);
    assert_eq!(read::<Invalidated>(dropping("model", "fake-1")).await.entries, 1);
    assert_eq!(stage.hit_or_miss(&question).await, "miss");
    for query in [&[("tag", "a:b")][..], &[], &[("tag", "a"), ("model", "b")]] {
        let path = with_query("/cache/invalidate", query);
        let (status, _) = stage.ada.refused(stage.ada.request(Method::POST, &path)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_whole_good_reply_is_not_kept() {
    let stage = stage().await;
    let text = Reply::text(&["{\"a\":"]);
    for (name, reply, json) in [
        ("long", text.clone().finish("length"), false),
        ("filtered", text.clone().finish("content_filter"), false),
        ("malformed", text, true),
    ] {
        stage.vendor.always(reply);
        let mut question = cached(name, json!({}));
        if json {
            question["response_format"] = json!({ "type": "json_object" });
        }
        for _ in 0..2 {
            assert_eq!(stage.hit_or_miss(&question).await, "miss", "{name}");
        }
    }
    // Nor is one that is cut; and those who joined are told, too.
    stage.vendor.always(Reply::text(&["a", "b"]).cut_after(1));
    let question = streamed(cached("cut", json!({})));
    for _ in 0..2 {
        let text = stage.post(&question).await.text().await.unwrap();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    }
    assert_eq!(stage.vendor.request_count(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_outlives_the_server_in_redis() {
    let Some(redis) = Redis::create().await else { return };
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["All is well."]));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set(format!("redis.url={}", redis.url()));
    let launch = launch.set(format!("redis.prefix={}", redis.prefix()));
    let launch = launch.set("redis.timeout_ms=2000").set("gateway.cache.mode=use");
    let server = launch.start().await;
    let ada = server.admin().await;
    let question = json!({ "model": "fake-1", "messages": [{ "role": "user", "content": "?" }] });
    let found = async |server: &Server, ada: &Client| {
        let reply = post_as(server, ada, "/v1/chat/completions", &question).await;
        header(&reply, "x-callboard-cache").unwrap().to_owned()
    };
    assert_eq!(found(&server, &ada).await, "miss");
    let written = async || {
        let text = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
        let sample = "cache_operations_total{op=\"remote_set\",result=\"ok\"} 1";
        text.lines().any(|line| line == sample).then_some(())
    };
    eventually_some(PATIENCE, written).await;
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    assert_eq!(found(&server, &ada).await, "hit");
    let stats: CacheStats = ada.get("/cache/stats").await;
    assert_eq!(replies(stats).map(|shard| shard.remote_hits).sum::<u64>(), 1);
    assert_eq!(found(&server, &ada).await, "hit");
    assert_eq!(vendor.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_says_nothing_is_left_alone() {
    let Some(redis) = Redis::create().await else { return };
    let vendor = FakeVendor::start().await;
    vendor.always(Reply::text(&["All is well."]));
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let launch = launch.set(format!("redis.url={}", redis.url()));
    let server = launch.set(format!("redis.prefix={}", redis.prefix())).start().await;
    let ada = server.admin().await;
    redis.proxy.stall();
    let sum = async |result: &str| {
        let text = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
        let of = |op: &str| {
            let start = format!("cache_operations_total{{op=\"{op}\",result=\"{result}\"}} ");
            let found = text.lines().find_map(|line| line.strip_prefix(&start));
            found.map_or(0, |count| count.parse::<u64>().unwrap())
        };
        of("remote_get") + of("remote_set")
    };
    let mut asked = 0;
    while sum("skipped").await == 0 {
        assert!(asked < 200, "the breaker never opened");
        asked += 1;
        let question = cached(&asked.to_string(), json!({}));
        let reply = post_as(&server, &ada, "/v1/chat/completions", &question).await;
        assert_eq!(header(&reply, "x-callboard-cache"), Some("miss"));
    }
    assert!(sum("error").await >= 5);
    redis.proxy.resume();
    let back = async || {
        asked += 1;
        let question = cached(&asked.to_string(), json!({}));
        drop(post_as(&server, &ada, "/v1/chat/completions", &question).await);
        (sum("miss").await > 0).then_some(())
    };
    tokio::time::timeout(PATIENCE + Duration::from_secs(5), async {
        eventually_some(PATIENCE, back).await;
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_question_that_means_the_same_will_do() {
    let vendor = FakeVendor::start().await;
    let launch = Launch::on(Database::Sqlite).await.provider(&vendor);
    let server = launch.set("gateway.cache.embedder=fake/embed-1").start().await;
    let ada = server.admin().await;
    vendor.always(Reply::text(&["The disk was full."]));
    let stage = Stage { vendor, server, ada };
    let similar = |question: &str| cached(question, json!({ "similar": 0.8 }));
    let first = similar("why did the host db-1 fail in the night");
    assert_eq!(stage.hit_or_miss(&first).await, "miss");
    let reply = stage.post(&similar("Why in the night did the host db-1 fail?")).await;
    assert_eq!(header(&reply, "x-callboard-cache"), Some("similar"));
    assert_eq!(header(&reply, "x-callboard-similarity"), Some("1.000"));
    assert_eq!(said(&reply.text().await.unwrap()), "The disk was full.");
    for other in [
        "why did the host db-2 fail in the night",
        "why did the host db-1 not fail in the night",
        "what is the weather like in db-1 today",
    ] {
        assert_eq!(stage.hit_or_miss(&similar(other)).await, "miss", "{other}");
    }
    // Whoever does not ask for similar ones is given none, and other accounts neither.
    let exact = cached("Why in the night did the host db-1 fail?", json!({}));
    assert_eq!(stage.hit_or_miss(&exact).await, "miss");
    let vic = stage.server.user("vic", Role::ANALYST).await;
    let reply = post_as(&stage.server, &vic, "/v1/chat/completions", &first).await;
    assert_eq!(header(&reply, "x-callboard-cache"), Some("miss"));
    // What is dropped is not found by its question either.
    let dropping = with_query("/cache/invalidate", &[("pattern", "reply:*")]);
    read::<Invalidated>(stage.ada.request(Method::POST, &dropping)).await;
    assert_eq!(
        stage.hit_or_miss(&similar("in the night why did the host db-1 fail")).await,
        "miss"
    );
    // An embedder that fails costs the look, not the reply.
    let broken = |request: &callboard_testkit::RecordedRequest| match request.body["model"].as_str()
    {
        Some("embed-1") => Reply::status(400, &json!({ "error": { "message": "no" } })),
        _ => Reply::text(&["It was."]),
    };
    stage.vendor.choose(broken);
    let (cache, text) = stage.ask(&similar("was the host db-1 the one to fail in the night")).await;
    assert_eq!((cache.as_str(), text.as_str()), ("miss", "It was."));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_embedder_nothing_is_similar() {
    let stage = stage().await;
    let body = cached("why?", json!({ "similar": 0.9 }));
    let request = reqwest::Client::new().post(stage.server.url("/v1/chat/completions"));
    let reply = request.bearer_auth(&stage.ada.token).json(&body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    assert!(reply.text().await.unwrap().contains("gateway.cache.embedder"));
}
