//! Files are indexed once and completely, whatever happens to them in between.

use std::{
    fs,
    io::{self, Read},
    ops::ControlFlow,
};

use callboard_logs::{IngestError, IngestOptions, LogStore, LogsConfig};
use callboard_protocol::{ErrorCode, SourceId};

use crate::fixture::{Fixture, config, go_on, now};

/// Numbered lines, each after the other by a second.
fn lines(range: std::ops::Range<u32>) -> String {
    range
        .map(|n| {
            format!("2026-11-20 {:02}:{:02}:{:02} INFO line {n}\n", n / 3600, n / 60 % 60, n % 60)
        })
        .collect()
}

#[test]
fn the_same_file_again_adds_nothing_and_a_grown_one_its_new_lines() {
    let fixture = Fixture::new();
    fixture.write(lines(0..100));
    assert_eq!(fixture.whole().unwrap().lines, 100);
    let generation = fixture.store.generation();
    assert_eq!(fixture.whole().unwrap().lines, 0);
    assert_eq!(fixture.store.generation(), generation);
    let fixture = fixture.reopened();
    assert_eq!(fixture.store.generation(), generation);
    fixture.write(lines(0..150));
    assert_eq!(fixture.whole().unwrap().lines, 50);
    assert!(fixture.store.generation() > generation);
    assert_eq!(fixture.texts(), lines(0..150).lines().collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_replaced_starts_at_its_beginning_and_ids_go_on() {
    let fixture = Fixture::new();
    fixture.write(lines(0..10));
    fixture.whole().unwrap();
    fs::rename(fixture.path(), fixture.folder.path().join("app.log.1")).unwrap();
    fixture.write(lines(10..15));
    assert_eq!(fixture.whole().unwrap().lines, 5);
    let page = fixture.search("");
    assert_eq!((page.lines[0].id.0, page.matched), (15, 15));
    assert_eq!(fixture.store.stats().sources.len(), 1);
}

#[test]
fn a_file_that_was_truncated_starts_at_its_beginning() {
    let fixture = Fixture::new();
    let banner = format!("# {}\n", "b".repeat(1100));
    fixture.write(format!("{banner}{}", lines(0..10)));
    fixture.whole().unwrap();
    fixture.write(format!("{banner}{}", lines(20..22)));
    assert_eq!(fixture.whole().unwrap().lines, 3);
}

#[test]
fn following_leaves_an_unfinished_line_for_the_next_time() {
    let fixture = Fixture::new();
    fixture.write("one\ntw");
    assert_eq!(fixture.follow().lines, 1);
    assert_eq!(fixture.follow().lines, 0);
    fixture.write("one\ntwo\nthree");
    assert_eq!(fixture.follow().lines, 1);
    assert_eq!(fixture.whole().unwrap().lines, 1);
    assert_eq!(fixture.texts(), ["one", "two", "three"]);
}

#[test]
fn a_cancelled_ingest_keeps_what_it_read_and_goes_on_there() {
    let fixture = Fixture::new();
    fixture.write(lines(0..5000));
    let options = IngestOptions::whole(fixture.source, "app.log", now());
    let mut calls = 0;
    let progress = fixture
        .store
        .ingest_file(&fixture.path(), &options, &mut |progress| {
            calls += 1;
            assert!(progress.bytes_done <= progress.bytes_total);
            if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(progress.lines, 2000);
    assert_eq!(fixture.search("").matched, 2000);
    let fixture = fixture.reopened();
    assert_eq!(fixture.whole().unwrap().lines, 3000);
    assert_eq!(fixture.search("").matched, 5000);
}

/// Breaks off after some bytes, as a lost connection does.
struct Breaking<'a>(&'a [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn a_broken_stream_keeps_what_it_brought_and_the_next_one_goes_on_there() {
    let fixture = Fixture::new();
    let text = lines(0..4000);
    let options = IngestOptions::whole(fixture.source, "upload", now());
    let broken = Breaking(&text.as_bytes()[..100_000]);
    let error = fixture.store.ingest_reader(broken, &options, &mut go_on).unwrap_err();
    assert!(matches!(error, IngestError::Read { offset: 1.., .. }), "{error}");
    let kept = fixture.search("").matched;
    assert!(kept > 1000, "{kept}");
    let progress = fixture.store.ingest_reader(text.as_bytes(), &options, &mut go_on).unwrap();
    assert_eq!(progress.lines + kept, 4000);
    assert_eq!(fixture.search("").matched, 4000);
}

#[test]
fn every_commit_holds_the_lines_and_their_offset_together() {
    let mut settings = config();
    settings.commit_every_lines = 1000;
    let fixture = Fixture::with(settings);
    fixture.write(lines(0..3500));
    let options = IngestOptions::whole(fixture.source, "app.log", now());
    let index = fixture.folder.path().join("index");
    let mut seen = Vec::new();
    let ingested = fixture.store.ingest_file(&fixture.path(), &options, &mut |_| {
        // What a process would find that starts after this one was killed here.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(index.join("CURRENT"), copy.path().join("CURRENT")).unwrap();
        fs::create_dir(copy.path().join("1")).unwrap();
        for file in fs::read_dir(index.join("1")).unwrap() {
            let file = file.unwrap();
            // A file may be merged away in between.
            let _ = fs::copy(file.path(), copy.path().join("1").join(file.file_name()));
        }
        let survivor = LogStore::open(copy.path(), &config()).unwrap();
        let before = survivor.stats().lines;
        let rest = survivor.ingest_file(&fixture.path(), &options, &mut go_on).unwrap();
        assert_eq!(before + rest.lines, 3500);
        assert_eq!(survivor.stats().lines, 3500);
        seen.push(before);
        ControlFlow::Continue(())
    });
    assert_eq!(ingested.unwrap().lines, 3500);
    assert!(seen.contains(&1000) && seen.contains(&3000), "{seen:?}");
}

#[test]
fn bad_bytes_are_indexed_or_skipped_with_a_count() {
    let fixture = Fixture::with(LogsConfig { max_line_bytes: 1024, ..config() });
    let mut bytes = b"\xef\xbb\xbffirst\ncaf\xe9 closed\na\0b nul\n".to_vec();
    bytes.extend(vec![b'x'; 1 << 20]);
    bytes.extend(b"\nlast");
    fixture.write(&bytes);
    let progress = fixture.whole().unwrap();
    assert_eq!((progress.lines, progress.invalid_utf8, progress.truncated), (5, 1, 1));
    assert_eq!(progress.bytes_done, bytes.len() as u64);
    let texts = fixture.texts();
    assert_eq!(texts[..3], ["first", "caf\u{fffd} closed", "a␀b nul"]);
    assert_eq!((texts[3].len(), texts[4].as_str()), (1024, "last"));
    let cut: Vec<bool> =
        fixture.search("xxx OR last").lines.iter().map(|line| line.truncated).collect();
    assert_eq!(cut, [false]);
}

#[test]
fn a_binary_file_is_skipped_and_an_empty_one_is_fine() {
    let fixture = Fixture::new();
    fixture.write([0_u8, 1, 2, 3].repeat(5000));
    let progress = fixture.whole().unwrap();
    assert_eq!((progress.skipped_files, progress.lines), (1, 0));
    fixture.write("");
    assert_eq!(fixture.whole().unwrap().lines, 0);
    assert_eq!(fixture.store.stats().lines, 0);
}

#[test]
fn a_missing_file_and_a_folder_are_errors_for_people() {
    let fixture = Fixture::new();
    let error = fixture.whole().unwrap_err();
    assert_eq!(error.client_error().code, ErrorCode::NotFound);
    let options = IngestOptions::whole(fixture.source, "x", now());
    let error = fixture.store.ingest_file(fixture.folder.path(), &options, &mut go_on).unwrap_err();
    let shown = error.client_error();
    assert_eq!(shown.code, ErrorCode::BadRequest);
    assert!(!shown.message.contains('/'), "{shown}");
}

#[test]
fn a_second_writer_is_refused_and_a_second_reader_is_not() {
    let fixture = Fixture::of("one\n");
    let index = fixture.folder.path().join("index");
    let second = LogStore::open(&index, &config()).unwrap();
    assert_eq!(second.stats().lines, 1);
    let options = IngestOptions::whole(SourceId::new(), "b", now());
    let error = second.ingest_reader(&b"two\n"[..], &options, &mut go_on).unwrap_err();
    assert!(matches!(error, IngestError::Busy), "{error}");
    assert_eq!(error.client_error().code, ErrorCode::Conflict);
}

#[test]
fn sources_are_ingested_side_by_side() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let fixture = &fixture;
            scope.spawn(move || fixture.ingest(name, &lines(0..3000)));
        }
    });
    let stats = fixture.store.stats();
    assert_eq!((stats.lines, stats.sources.len()), (9000, 3));
    assert!(stats.sources.iter().all(|source| source.lines == 3000));
    assert_eq!(fixture.search("source:b").matched, 3000);
    let page = fixture.search("source:b");
    let context = fixture.store.context(page.lines[0].id, 3, 3).unwrap();
    assert!(context.before.iter().all(|line| line.source == "b"));
    assert_eq!((context.before.len(), context.after.len()), (3, 0));
}

#[test]
fn the_format_and_the_levels_are_found() {
    let fixture = Fixture::new();
    let progress = fixture.ingest(
        "app",
        "{\"level\":30,\"time\":1795230855926,\"msg\":\"ok\"}\n{\"level\":50,\"time\":1795230856926,\"msg\":\"no\"}\n",
    );
    assert_eq!(progress.format.as_deref(), Some("json lines"));
    let stats = fixture.store.stats();
    let levels: Vec<_> =
        stats.levels.iter().map(|count| (count.level.as_str(), count.count)).collect();
    assert_eq!(levels, [("info", 1), ("error", 1)]);
    assert_eq!(stats.covered.from.unwrap().to_string(), "2026-11-21T03:14:15.926Z");
    assert!(stats.index_bytes > 0);
}
