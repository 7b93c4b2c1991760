//! The wall: what providers do wrong, each fault over both wires and seen through every door, with
//! what the client sees, what is billed, what the breaker does, and how often the provider is asked.
//!
//! `docs/wall.md` is written by the first of these tests when `CALLBOARD_WRITE_WALL` is set, and
//! compared with what was seen otherwise. `make wall` runs all of it a thousand times.

mod door;
mod fault;
mod leaks;
mod moving;
mod readers;
mod sees;
mod stage;
mod table;

use std::path::Path;

use futures_util::{StreamExt as _, stream};

use self::{
    door::Door,
    fault::FAULTS,
    leaks::Leaks,
    stage::{Breakers, Lane, Stage, WIRES},
    table::Table,
};

/// Cases that run at once in the test of the table: few enough that a busy machine keeps the times.
const AT_ONCE: usize = 12;

/// Where the table is kept.
const PAGE: &str = "docs/wall.md";

/// Every case: a fault, a wire, a door.
fn lanes() -> Vec<Lane> {
    let mut lanes = Vec::new();
    for fault in FAULTS {
        for wire in WIRES {
            lanes.extend(Door::ALL.map(|door| Lane { fault, wire, door }));
        }
    }
    lanes
}

/// How often each fault is met in the test of leaks, over all wires and doors together.
fn repetitions() -> usize {
    let asked = std::env::var("CALLBOARD_WALL_REPETITIONS").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_ends_as_the_table_says() {
    let stage = Stage::set(Breakers::OpenAtOnce).await;
    let seen = stream::iter(lanes())
        .map(|lane| {
            let stage = &stage;
            async move { stage.meet(lane).await }
        })
        .buffered(AT_ONCE);
    let mut met: Vec<_> = seen.collect().await;
    let wrong: Vec<String> = met.iter().filter_map(|met| met.wrong()).collect();
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), stage.server.log());
    stage.bill(&mut met).await;
    let table = Table::of(&met).to_string();
    println!("{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var("CALLBOARD_WRITE_WALL").is_ok() {
        std::fs::write(&path, &table).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(table, kept, "{PAGE} is not what was seen: set CALLBOARD_WRITE_WALL=1 to write it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_however_often_a_fault_is_met() {
    let stage = Stage::set(Breakers::StayClosed).await;
    stage.forget_requests();
    let doors = WIRES.len() * Door::ALL.len();
    let times = repetitions().div_ceil(doors);
    let mut leaks = Leaks::default();
    // The first round fills pools and caches; the halves after it are compared.
    for (round, times) in [1, times.div_ceil(2), times / 2].into_iter().enumerate() {
        let met = stream::iter(lanes()).map(|lane| stage.repeat(lane, times));
        let wrong: Vec<String> = met.buffer_unordered(64).concat().await;
        assert!(wrong.is_empty(), "round {round}:\n{}", wrong.join("\n"));
        stage.quiet().await;
        leaks.measure(&stage);
    }
    stage.balance().await;
    leaks.check();
}
