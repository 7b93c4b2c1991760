//! Targets that come and go: one that flaps, and all of them out at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callboard_testkit::{FakeVendor, PATIENCE, Reply, eventually_some};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, interval, sleep};

use super::{
    door::Door,
    fault::good,
    sees::{Sees, Who},
};
use crate::harness::{Client, Database, Launch, Server};

/// How long the breaker stays open. The sixteen faults have 30 s of it and 60 s of flapping; here a
/// second is 20 ms of it.
const OPEN: Duration = Duration::from_millis(300);

/// How long the target is up, and then down.
const UP_AND_DOWN: Duration = Duration::from_millis(400);

const FLAPPING: Duration = Duration::from_millis(3_000);

/// Two targets behind the model `both`.
struct Pair {
    vendors: [FakeVendor; 2],
    server: Server,
    ada: Client,
    http: reqwest::Client,
}

impl Pair {
    async fn set(open_ms: [u128; 2], settings: &[&str]) -> Self {
        let vendors = [FakeVendor::start().await, FakeVendor::start().await];
        let mut launch = Launch::on(Database::Sqlite).await;
        for (index, (vendor, open_ms)) in vendors.iter().zip(open_ms).enumerate() {
            let name = ["a", "b"][index];
            launch = launch
                .set(format!("providers.{index}.name={name}"))
                .set(format!("providers.{index}.base_url={}", vendor.base_url()))
                .set(format!("providers.{index}.model=m-{name}"))
                .set(format!(
                    "providers.{index}.breaker={{ window = 4, min_calls = 2, open_ms = {open_ms} }}"
                ));
        }
        let targets = r#"[{ provider = "a" }, { provider = "b" }]"#;
        launch = launch.set(format!(r#"models=[{{ name = "both", targets = {targets} }}]"#));
        let launch = settings.iter().fold(launch, |launch, setting| launch.set(*setting));
        let server = launch.start().await;
        let ada = server.admin().await;
        Self { vendors, server, ada, http: reqwest::Client::new() }
    }

    async fn ask(&self, door: Door) -> Sees {
        let base = self.server.url("");
        let prompt = "what forty letters ask is ten tokens ...";
        door.ask(&self.http, &self.ada, (&base, "both", prompt)).await
    }
}

/// As this one, in the name of the model that was asked for.
fn answers(vendor: &FakeVendor, who: Who) {
    vendor.choose(move |request| good(who).model(request.body["model"].as_str().unwrap()));
}

fn down() -> Reply {
    // No status that the transport tries again by itself: each request is an attempt.
    Reply::error(504, "timeout", "no")
}

/// S15.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_flaps_loses_nobody_and_is_taken_back() {
    let pair = Pair::set([OPEN.as_millis(), 60_000], &[]).await;
    let up = Arc::new(AtomicBool::new(true));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let (is_up, failures) = (Arc::clone(&up), Arc::clone(&failed));
    pair.vendors[0].choose(move |request| {
        if is_up.load(Ordering::Relaxed) {
            return good(Who::First).model(request.body["model"].as_str().unwrap());
        }
        failures.lock().unwrap().push(Instant::now());
        down()
    });
    answers(&pair.vendors[1], Who::Second);
    let begun = Instant::now();
    let flapping = async {
        let mut flaps = interval(UP_AND_DOWN);
        while begun.elapsed() < FLAPPING {
            flaps.tick().await;
            up.fetch_xor(true, Ordering::Relaxed);
        }
        up.store(true, Ordering::Relaxed);
    };
    let asking = stream::iter(0..).take_while(|_| std::future::ready(begun.elapsed() < FLAPPING));
    let asking = asking.map(|number: usize| {
        let door = Door::ALL[number % Door::ALL.len()];
        let pair = &pair;
        async move {
            sleep(Duration::from_millis(10)).await;
            (door, pair.ask(door).await)
        }
    });
    let served = asking.buffer_unordered(4).collect::<Vec<_>>();
    let ((), served) = tokio::join!(flapping, served);
    let lost: Vec<_> = served.iter().filter(|(_, sees)| !matches!(sees, Sees::Whole(_))).collect();
    assert!(lost.is_empty(), "of {}: {lost:?}", served.len());
    let both = [Who::First, Who::Second]
        .map(|who| served.iter().filter(|(_, sees)| *sees == Sees::Whole(who)).count());
    assert!(both[0] > 0 && both[1] > 0, "{both:?}");
    // After its first failures it is asked once for each time that the breaker was open; those
    // that were out together when it opened are not held against it.
    let failed = failed.lock().unwrap().clone();
    let mut probes = 0;
    for pair in failed.windows(2) {
        let apart = pair[1] - pair[0];
        probes += usize::from(apart > OPEN / 2);
    }
    let spells = (FLAPPING.as_millis() / OPEN.as_millis()) as usize;
    assert!(probes <= spells, "{probes} probes");
    let downs = (FLAPPING.as_millis() / UP_AND_DOWN.as_millis() / 2) as usize + 1;
    // Each time it goes down: two failures open the breaker, with four callers at once five at most.
    assert!(failed.len() <= downs * 5 + probes, "asked {} times while it was down", failed.len());
    // It is back: within half of the flapping's time (30 s of 60) everybody is served by it again.
    let back = Instant::now();
    eventually_some(PATIENCE, async || {
        (pair.ask(Door::OpenAiStreamed).await == Sees::Whole(Who::First)).then_some(())
    })
    .await;
    // The longest that a breaker stays open is eight times its setting.
    assert!(back.elapsed() < OPEN * 8 + FLAPPING / 2, "{:?}", back.elapsed());
    assert_eq!(pair.ask(Door::AnthropicWhole).await, Sees::Whole(Who::First));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_out_everybody_waits_for_the_first_to_recover() {
    let pair = Pair::set([700, 60_000], &["gateway.patience_ms=5000"]).await;
    pair.vendors[0].always(down());
    pair.vendors[1].always(down());
    for _ in 0..2 {
        let refused = pair.ask(Door::OpenAiStreamed).await;
        assert!(matches!(refused, Sees::Odd(_) | Sees::Refused(_)), "{refused}");
    }
    answers(&pair.vendors[0], Who::First);
    let before = pair.vendors[1].request_count();
    let programs = Door::ALL.into_iter().filter(|door| *door != Door::Turn);
    let waiting = programs.flat_map(|door| [door; 3]).map(|door| pair.ask(door));
    let served = futures_util::future::join_all(waiting).await;
    assert!(served.iter().all(|sees| *sees == Sees::Whole(Who::First)), "{served:?}");
    assert_eq!(pair.vendors[1].request_count(), before, "it stays alone while it is out");
}
