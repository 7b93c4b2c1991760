//! A file that is written by a thread of its own, behind a bounded queue.
//!
//! Made by [`install`](super::install). Whoever logs never waits for the disk: a line that finds
//! the queue full is dropped and counted, and the file says later how many are missing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use callboard_protocol::Timestamp;

use super::OwnLogConfig;

enum Order {
    Write(Vec<u8>),
    Stop,
}

/// The open file. Dropping it writes what still waits, and ends the thread.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    queue: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl LogFile {
    /// Opens or makes the file and its folder, and starts the thread.
    pub(super) fn open(path: PathBuf, config: &OwnLogConfig) -> io::Result<Self> {
        let file = RotatingFile::open(path.clone(), config.max_bytes)?;
        // The queue holds a burst of `queue_lines`; when it is full, lines are dropped: a server
        // that cannot log must go on serving.
        let (queue, orders) = sync_channel(config.queue_lines);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        let thread = std::thread::Builder::new()
            .name("own-log".to_owned())
            .spawn(move || Writer { file, orders, dropped: counted, told: 0 }.run())?;
        Ok(Self { path, queue, dropped, thread: Some(thread) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes lines without waiting.
    pub(super) fn writer(&self) -> impl Fn(Vec<u8>) + Send + Sync + 'static {
        let queue = self.queue.clone();
        let dropped = Arc::clone(&self.dropped);
        move |line| {
            if queue.try_send(Order::Write(line)).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // Waits for a place in the queue: the thread is emptying it.
        let _ = self.queue.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    file: RotatingFile,
    orders: Receiver<Order>,
    dropped: Arc<AtomicU64>,
    /// How many of the dropped lines the file has been told of.
    told: u64,
}

impl Writer {
    fn run(mut self) {
        while let Ok(order) = self.orders.recv() {
            let mut next = Some(order);
            while let Some(order) = next {
                let Order::Write(line) = order else { return self.flush() };
                self.write(&line);
                next = self.orders.try_recv().ok();
            }
            // Whatever came in a burst goes to the disk at once, and a lone line immediately.
            self.flush();
        }
    }

    fn write(&mut self, line: &[u8]) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let note = serde_json::json!({
                "timestamp": Timestamp::now().to_string(),
                "level": "WARN",
                "target": "callboard::telemetry",
                "message": "log lines dropped",
                "dropped": dropped - self.told,
            });
            if self.file.write(format!("{note}\n").as_bytes()).is_ok() {
                self.told = dropped;
            }
        }
        if self.file.write(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&mut self) {
        // What a full disk refuses stays in the buffer, and goes out with a later flush.
        let _ = self.file.out.flush();
    }
}

/// A file that is renamed to `….1` before it grows over a size.
struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    bytes: u64,
    out: BufWriter<File>,
}

impl RotatingFile {
    fn open(path: PathBuf, max_bytes: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, max_bytes, bytes, out: BufWriter::new(file) })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.max_bytes {
            self.rotate()?;
        }
        self.out.write_all(line)?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        fs::rename(&self.path, old)?;
        self.out = BufWriter::new(append(&self.path)?);
        self.bytes = 0;
        Ok(())
    }
}

/// Only the server's own user may read its log.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(max_bytes: u64, queue_lines: usize) -> OwnLogConfig {
        OwnLogConfig { enabled: true, max_bytes, queue_lines }
    }

    #[test]
    fn it_rotates_by_size_and_loses_nothing_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/own.jsonl");
        let file = LogFile::open(path.clone(), &config(100, 64)).unwrap();
        let write = file.writer();
        for number in 0..10 {
            write(format!("line {number:4}\n").into_bytes()); // 10 bytes each
        }
        for number in 10..15 {
            write(format!("line {number:4}\n").into_bytes());
        }
        drop(file);
        let old = fs::read_to_string(folder.path().join("log/own.jsonl.1")).unwrap();
        let new = fs::read_to_string(&path).unwrap();
        assert_eq!(old.lines().count(), 10);
        assert_eq!(new.lines().count(), 5);
        assert!(new.starts_with("line   10\n"));
    }

    #[test]
    fn it_appends_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jsonl");
        for line in ["first\n", "second\n"] {
            let file = LogFile::open(path.clone(), &config(1_000, 8)).unwrap();
            file.writer()(line.into());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\n");
    }

    #[test]
    fn a_full_queue_drops_counts_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jsonl");
        let file = RotatingFile::open(path.clone(), 1_000_000).unwrap();
        let (queue, orders) = sync_channel(2);
        let dropped = Arc::new(AtomicU64::new(0));
        // No thread yet: the queue fills up.
        let log =
            LogFile { path: path.clone(), queue, dropped: Arc::clone(&dropped), thread: None };
        let write = log.writer();
        for _ in 0..5 {
            write(b"line\n".to_vec());
        }
        assert_eq!(log.dropped(), 3);
        let thread = std::thread::spawn(move || Writer { file, orders, dropped, told: 0 }.run());
        drop(log);
        thread.join().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("line\n").count(), 2);
        assert!(text.contains(r#""dropped":3"#), "{text}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log"), "a file").unwrap();
        assert!(LogFile::open(folder.path().join("log/own.jsonl"), &config(100, 1)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.jsonl");
        drop(LogFile::open(path.clone(), &config(100, 1)).unwrap());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
