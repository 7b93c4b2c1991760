//! How fast many lines enter the index, how much room they take, and how fast they are found again;
//! beside plain tantivy, built from the same lines in the same run.
//!
//! `make bench-logs` runs it over 800 MB that it writes itself, the same bytes each time:
//! `make bench-logs LOGS="100"` over 100 MB.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

mod generate;
mod memory;
mod plain;
mod queries;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use callboard_logs::{IngestOptions, LogStore, LogsConfig};
use callboard_protocol::{LogSearch, SourceId, Timestamp};

use self::{memory::Watch, plain::Plain};

/// As in the program that is shipped.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// As much as the targets are stated for.
const MEGABYTES: u64 = 800;

/// When the last line was written.
const END_MS: i64 = 1_795_240_000_000;

fn main() {
    if let [_, command, folder] = &std::env::args().collect::<Vec<_>>()[..]
        && command == IDLE
    {
        return be_idle(Path::new(folder));
    }
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let bytes = asked.unwrap_or(MEGABYTES) * 1_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("raw");
    fs::create_dir(&raw).expect("a folder");
    let (files, lines) = generate::write(&raw, bytes);
    let bytes = files.iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
    println!("{:.0} MB, {lines} lines in {} files\n", megabytes(bytes), files.len());

    let ours = folder.path().join("ours");
    println!("| | MB/s | lines/s | index and raw text, of raw | memory, anonymous / all, MB |");
    println!("|---|---|---|---|---|");
    let store = open(&ours);
    let sources: Vec<SourceId> = files.iter().map(|_| SourceId::new()).collect();
    let watch = Watch::start();
    let (took, _) = timed(|| ingest(&store, &files, &sources));
    row("Callboard", took, (lines, bytes), size_of(&ours), watch.stop());
    let (took, again) = timed(|| ingest(&store, &files, &sources));
    let known = format!("{again} lines read again in {:.0} ms", millis(took));
    drop(store);
    let (took, store) = timed(|| open(&ours));
    let opened = format!("opened in {:.0} ms", millis(took));
    let idle = idle_elsewhere(&ours);

    let watch = Watch::start();
    let (took, plain) = timed(|| Plain::build(&folder.path().join("plain"), &files));
    let size = size_of(&folder.path().join("plain"));
    row("plain tantivy", took, (lines, bytes), size, watch.stop());
    println!("\nRestart: {opened}, {known}; memory when idle {idle} MB (anonymous / all).");
    println!("{} patterns.", store.stats().patterns);
    println!("Hundredths of the raw text, by kind of file: {}.", by_kind(&ours, bytes));
    println!("Plain tantivy: {}.\n", by_kind(&folder.path().join("plain"), bytes));
    queries::compare(&store, &plain);
}

/// Tells this program to open an index, search once, and tell its memory.
const IDLE: &str = "--idle";

/// What another process takes that has just been started.
fn idle_elsewhere(folder: &Path) -> String {
    let program = std::env::current_exe().expect("a program");
    let told = Command::new(program).arg(IDLE).arg(folder).output().expect("a process");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

fn be_idle(folder: &Path) {
    let store = open(folder);
    let everything = LogSearch::default();
    store.search(&everything).expect("a page");
    println!("{}", memory::look());
}

fn open(folder: &Path) -> LogStore {
    LogStore::open(folder, &LogsConfig::default()).expect("a store")
}

/// Indexes what is new in the files; how many records that were.
fn ingest(store: &LogStore, files: &[PathBuf], sources: &[SourceId]) -> u64 {
    let mut lines = 0;
    for (path, source) in files.iter().zip(sources) {
        let name = path.file_name().expect("a name").to_string_lossy();
        let options = IngestOptions::whole(*source, name, Timestamp::from_millis(END_MS));
        let file = File::open(path).expect("a file");
        let mut go_on = |_: &_| ControlFlow::Continue(());
        lines += store.ingest_open(&file, &options, &mut go_on).expect("an index").lines;
    }
    lines
}

fn row(name: &str, took: Duration, (lines, bytes): (u64, u64), size: u64, memory: memory::Peak) {
    let seconds = took.as_secs_f64();
    println!(
        "| {name} | {:.1} | {:.0} | {:.3} | {memory} |",
        megabytes(bytes) / seconds,
        number(lines) / seconds,
        number(size) / number(bytes),
    );
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let size = |entry: fs::DirEntry| match entry.metadata().expect("a file") {
        metadata if metadata.is_dir() => size_of(&entry.path()),
        metadata => metadata.len(),
    };
    entries.map(size).sum()
}

/// Bytes by the kind of file, in hundredths of the raw text.
fn by_kind(folder: &Path, bytes: u64) -> String {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let metadata = entry.metadata().expect("a file");
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let kind = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            *kinds.entry(kind).or_default() += metadata.len();
        }
    }
    let kinds = kinds.into_iter().map(|(kind, size)| (number(size) / number(bytes) * 100.0, kind));
    let told = kinds.filter(|(part, _)| *part >= 0.1);
    told.map(|(part, kind)| format!("{kind} {part:.1}")).collect::<Vec<_>>().join(", ")
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = now();
    let result = work();
    (begun.elapsed(), result)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
