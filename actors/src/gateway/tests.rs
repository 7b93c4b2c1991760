//! The gateway with a whole system behind it, while its actors are killed.

use std::sync::atomic::{AtomicUsize, Ordering};

use callboard_entities::queries::audit;
use callboard_protocol::{RequestId, UsageEndpoint};
use callboard_providers::{ChatRequest, Message, ProviderConfig, ReplyEvent};
use callboard_testkit::{FakeVendor, Reply};
use futures_util::{StreamExt as _, future::join_all};

use super::*;
use crate::{
    provider::testing::Crash,
    testing::{World, eventually, run},
};

/// Kills of the provider's actor.
const KILLS: usize = 100;

/// Callers at once; the provider takes fewer, so that some always wait in its actor.
const CALLERS: usize = 12;

fn caller(world: &World) -> Caller {
    Caller {
        user: world.user.id,
        key: None,
        payer: Arc::new(Payer::new(&world.user, None)),
        request: RequestId::new(),
        endpoint: UsageEndpoint::ChatCompletions,
        turn: None,
        task: None,
        priority: Priority::Interactive,
    }
}

#[test]
fn whoever_calls_while_the_provider_is_killed_again_and_again_gets_an_answer_or_a_clear_error() {
    run(async {
        let vendor = FakeVendor::start().await;
        vendor.always(Reply::tokens(5));
        let base_url = Some(vendor.base_url());
        let world = World::start_with(|parts| {
            let config = ProviderConfig {
                name: "fake".into(),
                model: "m".into(),
                base_url,
                max_concurrency: 3,
                ..ProviderConfig::default()
            };
            parts.providers.insert(0, config);
            // As many restarts as there are kills, and no wait that would end them.
            parts.restarts.max_restarts = u32::MAX;
            parts.restarts.backoff_max = Duration::from_millis(10);
        })
        .await;
        let link = &world.system.shared().routing.now().links[0];
        let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (stop, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let calls = join_all((0..CALLERS).map(|_| async {
            while stop.load(Ordering::Relaxed) == 0 {
                let messages = vec![Message::user("hi")];
                let request = ChatRequest { messages, ..ChatRequest::default() };
                match world
                    .system
                    .gateway_chat(caller(&world), request, CacheOrder::default())
                    .await
                {
                    Ok(reply) => {
                        let events: Vec<_> = reply.events.collect().await;
                        let whole = events
                            .last()
                            .is_some_and(|last| matches!(last, Ok(ReplyEvent::Finish { .. })));
                        assert!(whole, "a kill does not touch a stream: {events:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        let clear = [ErrorCode::ProviderUnavailable, ErrorCode::RateLimited];
                        assert!(clear.contains(&error.client.code), "{error:?}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
        // Other tests run in this process: the figure says something when this one runs alone.
        let mut resident = Vec::new();
        let kills = async {
            for kill in 0..KILLS {
                if kill % 20 == 10 {
                    resident.push(resident_mb());
                }
                assert!(link.entrance.kill().send(Crash).await.is_err());
                killed.fetch_add(1, Ordering::Relaxed);
                // Somebody is served between two kills.
                let before = answered.load(Ordering::Relaxed);
                while answered.load(Ordering::Relaxed) == before {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            stop.store(1, Ordering::Relaxed);
        };
        futures_util::join!(calls, kills);
        eprintln!("MB resident, every twenty kills: {resident:?}");
        assert_eq!(killed.into_inner(), KILLS);
        assert!(answered.load(Ordering::Relaxed) >= KILLS);
        let readings = link.entrance.gate().observe();
        assert_eq!((readings.in_flight, readings.waiting), (0, 0), "no lease is lost");
        assert_eq!(world.system.shared().ledger.observe().open, 0, "no call is left open");
        let restarts = world.system.keeper().restarts("provider:fake");
        assert_eq!(restarts, KILLS as u64);
    });
}

/// Resident memory of this process.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn what_is_taken_out_of_a_prompt_is_counted_in_the_audit_trail() {
    run(async {
        let vendor = FakeVendor::start().await;
        vendor.always(Reply::tokens(1));
        let base_url = Some(vendor.base_url());
        let world = World::start_with(|parts| {
            let (name, model) = ("fake".into(), "m".into());
            let trusted = Some(false);
            let config =
                ProviderConfig { name, model, base_url, trusted, ..ProviderConfig::default() };
            parts.providers.insert(0, config);
        })
        .await;
        let ask = async |text: &str| {
            let messages = vec![Message::user(text)];
            let request = ChatRequest { messages, ..ChatRequest::default() };
            let whole = (CacheOrder::default(), 1_000);
            world.system.gateway_whole(caller(&world), request, whole).await.unwrap();
        };
        ask("how are you?").await;
        ask("mail ann@example.org and bob@example.org").await;
        let noted = eventually(async || {
            let events = audit::list(&world.store, 10).await.unwrap();
            events.into_iter().find(|event| event.action == "prompt.redacted")
        })
        .await;
        assert_eq!(noted.actor, Some(world.user.id));
        assert_eq!(noted.details, serde_json::json!({ "model": "m", "redacted": { "email": 2 } }));
        let events = audit::list(&world.store, 10).await.unwrap();
        let count = events.iter().filter(|event| event.action == "prompt.redacted").count();
        assert_eq!(count, 1, "a prompt without secrets leaves no note");
    });
}
