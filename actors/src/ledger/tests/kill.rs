//! The end of the server at any moment, and what the next start makes of it.

use super::*;

db::on_both! {
    a_kill_at_any_byte_loses_nothing_that_was_written
    a_second_replay_changes_nothing
    a_replay_that_is_itself_killed_is_gone_on_with
    a_long_call_outlives_many_files
}

/// The lines of a journal: where each ends, whose it is, and whether it closes.
fn lines(bytes: &[u8]) -> Vec<(usize, CallId, bool)> {
    let mut ends = Vec::new();
    let mut start = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let (id, closes) = match record::decode(&bytes[start..at]).unwrap() {
            record::Entry::Opened(call) => (call.id, false),
            record::Entry::Closed(call, _) => (call.id, true),
        };
        // The end of the line may be missing without any loss of what it says; but a line is only
        // known to be whole by its end.
        ends.push((at + 1, id, closes));
        start = at + 1;
    }
    ends
}

async fn a_kill_at_any_byte_loses_nothing_that_was_written(db: Db) {
    let bench = Bench::new(LedgerConfig::default());
    let first = bench.ledger.open(call()).unwrap();
    let second = bench.ledger.open(call()).unwrap();
    second.close(outcome(CallStatus::Answered, 1, 1));
    let third = bench.ledger.open(call()).unwrap();
    first.close(outcome(CallStatus::Answered, 1, 1));
    bench.written().await;
    let killed = bench.killed();
    drop(third);
    let path = files(killed.path()).remove(0);
    let name = path.file_name().unwrap().to_owned();
    let bytes = fs::read(&path).unwrap();
    let lines = lines(&bytes);
    assert_eq!(lines.len(), 5);
    // From within the third record on, so that all states are met.
    let step = if db.is_remote() { 23 } else { 1 };
    for cut in (lines[1].0..=bytes.len()).rev().step_by(step) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&name), &bytes[..cut]).unwrap();
        let whole: Vec<_> = lines.iter().filter(|(end, ..)| *end <= cut).collect();
        let closed: Vec<_> = whole.iter().filter(|line| line.2).map(|line| line.1).collect();
        let opened: Vec<_> = whole.iter().filter(|line| !line.2).map(|line| line.1).collect();
        replay(folder.path(), &db).await;
        let rows = all(&db).await;
        // A closed call has an opened one before it, so all are there.
        assert_eq!(rows.len(), opened.len(), "cut at {cut}");
        for row in rows {
            let expected = if closed.contains(&row.id) {
                (CallStatus::Answered, 7, 1, 1)
            } else {
                (CallStatus::Lost, 11, 0, 13)
            };
            assert!(opened.contains(&row.id));
            let found = (row.status, row.tokens.input, row.tokens.output, row.cost_micro_usd);
            assert_eq!(found, expected, "cut at {cut}");
        }
        usage::purge(&db.store, Timestamp::now().plus(Duration::from_secs(60)), 100).await.unwrap();
    }
}

/// A journal of several files with calls of all kinds, two of them open.
async fn left_behind() -> TempDir {
    let bench = Bench::new(LedgerConfig { max_journal_bytes: 1 << 20, ..LedgerConfig::default() });
    let _open = [bench.ledger.open(call()).unwrap(), bench.ledger.open(call()).unwrap()];
    for number in 0..600 {
        bench.ledger.open(call()).unwrap().close(outcome(CallStatus::Answered, number, 2));
        if number % 20 == 0 {
            bench.written().await;
        }
    }
    bench.written().await;
    let killed = bench.killed();
    assert!(files(killed.path()).len() > 2, "{:?}", files(killed.path()));
    killed
}

async fn a_second_replay_changes_nothing(db: Db) {
    let (once, twice) = (left_behind().await, tempfile::tempdir().unwrap());
    for path in files(once.path()) {
        fs::copy(&path, twice.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(replay(once.path(), &db).await, 2);
    let after = total(&db).await;
    assert_eq!((after.counts.calls, after.counts.lost), (602, 2));
    assert_eq!(after.cost_micro_usd, 600 * 2 + 2 * 13);
    assert_eq!(replay(twice.path(), &db).await, 0);
    assert_eq!(total(&db).await, after);
}

async fn a_replay_that_is_itself_killed_is_gone_on_with(db: Db) {
    let mut folder = left_behind().await;
    // Each start takes a few steps and is then killed; it leaves what it found, and a file more.
    for steps in 0..12 {
        let ledger = start(LedgerConfig::default(), folder.path());
        for _ in 0..steps {
            committer::step(&ledger.handle.inner, &db.store).await.unwrap();
        }
        let bench = Bench { folder, ledger };
        folder = bench.killed();
    }
    replay(folder.path(), &db).await;
    let after = total(&db).await;
    assert_eq!((after.counts.calls, after.counts.answered, after.counts.lost), (602, 600, 2));
}

async fn a_long_call_outlives_many_files(db: Db) {
    let bench = Bench::new(LedgerConfig { max_journal_bytes: 1 << 20, ..LedgerConfig::default() });
    let long = bench.ledger.open(call()).unwrap();
    let cut = bench.ledger.open(call()).unwrap();
    let committing = bench.committing(&db);
    for round in 0..2_000 {
        bench.ledger.open(call()).unwrap().close(outcome(CallStatus::Answered, round, 1));
        if round % 25 == 0 {
            bench.written().await;
            until(|| bench.ledger.observe().journal_bytes < 512 << 10).await;
        }
    }
    long.close(outcome(CallStatus::Answered, 1, 1_000));
    bench.written().await;
    until(|| bench.ledger.observe().pending == 0).await;
    drop(committing);
    let number = files(bench.folder.path()).last().unwrap().display().to_string();
    assert!(!number.ends_with("usage-0000000001.journal"), "{number}");
    assert!(bench.ledger.observe().journal_files <= 4, "{:?}", bench.ledger.observe());
    let killed = bench.killed();
    drop(cut);
    assert_eq!(replay(killed.path(), &db).await, 1);
    let total = total(&db).await;
    assert_eq!((total.counts.answered, total.counts.lost), (2_001, 1));
    assert_eq!(total.cost_micro_usd, 2_000 + 1_000 + 13);
}

#[test]
fn damage_in_the_middle_costs_the_damaged_lines_alone() {
    let mut bytes = Vec::new();
    for _ in 0..3 {
        let call = Arc::new(call());
        assert!(record::encode(&Record::Opened(call), &mut bytes));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        fs::write(file.path(), &damaged).unwrap();
        let span = reader::Span { from: 0, until: damaged.len() as u64, most: 9, opened: true };
        let piece = reader::read(file.path(), span).unwrap();
        // A line's end that is damaged takes the next line with it.
        assert!(!piece.entries.is_empty() && piece.damaged >= 1, "at {at}: {piece:?}");
        assert_eq!(piece.next, damaged.len() as u64);
    }
}
