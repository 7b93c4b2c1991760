//! Lines that a thread of its own writes, behind a bounded queue.
//!
//! Made by [`install`](super::install) for the log file and for the terminal. Whoever logs never
//! waits, neither for a disk nor for a terminal that nobody reads: a line that finds the queue full
//! is dropped and counted, and a line says later how many are missing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Where lines go.
pub(super) trait Sink: Send + 'static {
    /// Writes one line, which ends with its newline.
    fn write(&mut self, line: &[u8]) -> io::Result<()>;
    /// Called when nothing waits any more.
    fn flush(&mut self);
    /// A line that says how many are missing.
    fn missing(&self, lines: u64) -> Vec<u8>;
}

enum Order {
    Write(Vec<u8>),
    Stop,
}

/// The queue and its thread. Dropping it writes what still waits, for at most its patience.
#[derive(Debug)]
pub(super) struct LineQueue {
    queue: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

impl LineQueue {
    /// Starts the thread. The queue holds a burst of `lines`.
    pub(super) fn start(
        name: &str,
        lines: usize,
        patience: Duration,
        sink: impl Sink,
    ) -> io::Result<Self> {
        let (queue, orders) = sync_channel(lines);
        let (alive, ended) = sync_channel(1);
        let (dropped, stopping) = (Arc::default(), Arc::default());
        let writer = Writer {
            sink,
            orders,
            dropped: Arc::clone(&dropped),
            stopping: Arc::clone(&stopping),
            told: 0,
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            writer.run();
            drop(alive);
        })?;
        Ok(Self { queue, dropped, stopping, ended, thread: Some(thread), patience })
    }

    /// How many lines were not written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes lines without waiting.
    pub(super) fn writer(&self) -> impl Fn(Vec<u8>) + Clone + Send + Sync + use<> + 'static {
        let queue = self.queue.clone();
        let dropped = Arc::clone(&self.dropped);
        move |line| {
            if queue.try_send(Order::Write(line)).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for LineQueue {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // A full queue does not take it; then the thread is at work, and looks when it is through.
        let _ = self.queue.try_send(Order::Stop);
        // Whoever stopped reading must not keep the program from ending.
        if self.ended.recv_timeout(self.patience) == Err(RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

struct Writer<S> {
    sink: S,
    orders: Receiver<Order>,
    dropped: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    /// How many of the dropped lines the sink has been told of.
    told: u64,
}

impl<S: Sink> Writer<S> {
    fn run(mut self) {
        while let Ok(order) = self.orders.recv() {
            let mut next = Some(order);
            while let Some(order) = next {
                let Order::Write(line) = order else { return self.sink.flush() };
                self.write(&line);
                next = self.orders.try_recv().ok();
            }
            // Whatever came in a burst goes out at once, and a lone line immediately.
            self.sink.flush();
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let note = self.sink.missing(dropped - self.told);
            if self.sink.write(&note).is_ok() {
                self.told = dropped;
            }
        }
        if self.sink.write(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes nothing before its gate is opened.
    struct Gated {
        gate: Receiver<()>,
        written: Arc<Mutex<String>>,
    }

    impl Sink for Gated {
        fn write(&mut self, line: &[u8]) -> io::Result<()> {
            let _ = self.gate.recv();
            self.written.lock().unwrap().push_str(std::str::from_utf8(line).unwrap());
            Ok(())
        }

        fn flush(&mut self) {}

        fn missing(&self, lines: u64) -> Vec<u8> {
            format!("{lines} missing\n").into_bytes()
        }
    }

    fn gated(patience: Duration) -> (SyncSender<()>, Arc<Mutex<String>>, LineQueue) {
        let (open, gate) = sync_channel(1);
        let written = Arc::default();
        let sink = Gated { gate, written: Arc::clone(&written) };
        (open, written, LineQueue::start("test", 2, patience, sink).unwrap())
    }

    /// Fills the queue of two: what the thread has taken out already makes room for one more.
    fn fill(queue: &LineQueue) -> usize {
        let write = queue.writer();
        let mut taken = 0;
        while queue.dropped() < 3 {
            write(b"line\n".to_vec());
            taken += 1;
            std::thread::yield_now();
        }
        taken - 3
    }

    #[test]
    fn a_full_queue_drops_counts_and_says_so() {
        let (open, written, queue) = gated(Duration::from_secs(60));
        let taken = fill(&queue);
        assert!((2..=3).contains(&taken), "{taken}");
        drop(open);
        drop(queue);
        let written = written.lock().unwrap();
        assert_eq!(written.matches("line\n").count(), taken);
        assert!(written.contains("3 missing\n"), "{written}");
    }

    #[test]
    fn a_sink_that_takes_nothing_does_not_keep_the_program_from_ending() {
        let (open, written, queue) = gated(Duration::from_millis(50));
        fill(&queue);
        drop(queue);
        assert_eq!(*written.lock().unwrap(), "");
        drop(open);
    }

    #[test]
    fn the_last_lines_are_written_at_the_end() {
        let (open, written, queue) = gated(Duration::from_secs(60));
        let write = queue.writer();
        write(b"one\n".to_vec());
        write(b"two\n".to_vec());
        drop(open);
        drop(queue);
        assert_eq!(*written.lock().unwrap(), "one\ntwo\n");
        write(b"late\n".to_vec());
    }
}
