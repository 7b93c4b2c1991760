//! How fast lines enter the index, how fast a word is found, and what redaction costs. Run with
//! `cargo bench -p callboard-logs`.

#![expect(clippy::expect_used, reason = "a bench may fail loudly")]

use std::{fmt::Write as _, hint::black_box, ops::ControlFlow};

use callboard_logs::{IngestOptions, LogStore, LogsConfig, Redactor};
use callboard_protocol::{LogSearch, SearchOrder, SourceId, Timestamp};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

/// Lines like those of a Java server, with identifiers that do not repeat.
fn lines(count: u64) -> String {
    let mut text = String::new();
    for n in 0..count {
        let at = Timestamp::from_millis(1_795_230_855_000 + i64::try_from(n).unwrap_or(0) * 7);
        let level = if n % 100 == 0 { "WARN" } else { "INFO" };
        let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let _ = writeln!(
            text,
            "{at} {level} dfs.DataNode$PacketResponder: Received block blk_{hash} of size {} from /10.251.{}.{}:50010",
            hash % 67_108_864,
            n % 200,
            hash % 250,
        );
    }
    text
}

fn ingest(store: &LogStore, text: &str) {
    let options =
        IngestOptions::whole(SourceId::new(), "bench", Timestamp::from_millis(1_795_240_000_000));
    let mut go_on = |_: &_| ControlFlow::Continue(());
    store.ingest_reader(text.as_bytes(), &options, &mut go_on).expect("ingest");
}

fn bench(criterion: &mut Criterion) {
    let text = lines(400_000);
    let mut group = criterion.benchmark_group("ingest");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("400 000 lines", |bencher| {
        bencher.iter(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let store = LogStore::open(folder.path(), &LogsConfig::default()).expect("a store");
            ingest(&store, &text);
        });
    });
    group.finish();

    let folder = tempfile::tempdir().expect("a folder");
    let store = LogStore::open(folder.path(), &LogsConfig::default()).expect("a store");
    ingest(&store, &text);
    let stats = store.stats();
    let ratio = f64::from(u32::try_from(stats.index_bytes * 1000 / text.len() as u64).unwrap_or(0))
        / 1000.0;
    let mut group = criterion.benchmark_group(format!("search, index {ratio} of raw"));
    for (name, q, order) in [
        ("rare word, newest", "10.251.7.7", SearchOrder::Newest),
        ("common word, newest", "warn", SearchOrder::Newest),
        ("common word, best", "warn", SearchOrder::Best),
        ("everything, newest", "", SearchOrder::Newest),
    ] {
        let search = LogSearch { q: q.to_owned(), order, limit: Some(20), ..LogSearch::default() };
        group.bench_function(name, |bencher| {
            bencher.iter(|| store.search(black_box(&search)).expect("a page"));
        });
    }
    group.finish();
}

fn redaction(criterion: &mut Criterion) {
    let clean = lines(20_000);
    let dirty = clean.replace("size 1", "password=hunter1 for mail to alice@example.com, size 1");
    let mut group = criterion.benchmark_group("redaction");
    for (name, text) in [("clean lines", &clean), ("a tenth with secrets", &dirty)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| Redactor::new().redact(black_box(text)).len());
        });
    }
    group.finish();
}

criterion_group!(benches, bench, redaction);
criterion_main!(benches);
