//! The server's own log as a file, behind a [`LineQueue`], and renamed when it is full.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use callboard_protocol::Timestamp;

use super::{
    OwnLogConfig,
    line_queue::{LineQueue, Sink},
};

/// How long the end of the program waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The open file. Dropping it writes what still waits, and ends the thread.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    queue: LineQueue,
}

impl LogFile {
    /// Opens or makes the file and its folder, and starts the thread.
    pub(super) fn open(path: PathBuf, config: &OwnLogConfig) -> io::Result<Self> {
        let file = RotatingFile::open(path.clone(), config.max_bytes)?;
        // The queue holds a burst of `queue_lines`; when it is full, lines are dropped: a server
        // that cannot log must go on serving.
        let queue = LineQueue::start("own-log", config.queue_lines, PATIENCE, file)?;
        Ok(Self { path, queue })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Takes lines without waiting.
    pub(super) fn writer(&self) -> impl Fn(Vec<u8>) + Clone + Send + Sync + use<> + 'static {
        self.queue.writer()
    }
}

/// The line that says how many are missing, as JSON.
pub(super) fn missing(lines: u64) -> Vec<u8> {
    let note = serde_json::json!({
        "timestamp": Timestamp::now().to_string(),
        "level": "WARN",
        "target": "callboard::telemetry",
        "message": "log lines dropped",
        "dropped": lines,
    });
    format!("{note}\n").into_bytes()
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

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
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

impl Sink for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.put(line)
    }

    fn flush(&mut self) {
        // What a full disk refuses stays in the buffer, and goes out with a later flush.
        let _ = self.out.flush();
    }

    fn missing(&self, lines: u64) -> Vec<u8> {
        missing(lines)
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
