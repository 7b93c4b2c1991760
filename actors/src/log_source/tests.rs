use std::io::Write as _;

use callboard_logs::{IngestOptions, LogStore, LogsConfig};
use callboard_protocol::Health;

use super::*;
use crate::testing::{World, eventually, run};

#[test]
fn a_rotated_file_is_read_when_another_one_stands_in_its_place() {
    run(async {
        let world = World::start().await;
        let (path, old) = (world.own_log(), world.own_log().with_extension("log.1"));
        let lines = async |count: u64| {
            eventually(async || (world.logs.stats().lines == count).then_some(())).await;
        };
        std::fs::write(&path, "first line of the first file\n").unwrap();
        lines(1).await;
        // Between two looks a line comes and the file is renamed; more than once.
        for (round, count) in [(1, 3), (2, 5), (3, 7)] {
            let mut file = std::fs::File::options().append(true).open(&path).unwrap();
            file.write_all(b"the last line of a file\n").unwrap();
            std::fs::rename(&path, &old).unwrap();
            std::fs::write(&path, format!("{round} is the number of this file\n")).unwrap();
            lines(count).await;
        }
    });
}

#[test]
fn readiness_tells_of_an_index_that_cannot_be_written() {
    run(async {
        let world = World::start().await;
        let health = async || {
            let readiness = world.system.readiness().await;
            let index = readiness.dependencies.iter().find(|entry| entry.name == "log_index");
            index.unwrap().health
        };
        assert_eq!(health().await, Health::Up);
        // Another process holds the lock of the index.
        let other = LogStore::open(&world.folder.path().join("index"), &LogsConfig::default());
        let other = other.unwrap();
        let theirs = world.folder.path().join("theirs.log");
        std::fs::write(&theirs, "a line\n").unwrap();
        let options = IngestOptions::whole(SourceId::new(), "theirs", Timestamp::now());
        other.ingest_file(&theirs, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        std::fs::write(world.own_log(), "a line of ours\n").unwrap();
        let until = async |wanted| {
            eventually(async || (health().await == wanted).then_some(())).await;
        };
        until(Health::Degraded).await;
        drop(other);
        until(Health::Up).await;
        assert_eq!(world.logs.stats().lines, 2);
    });
}
