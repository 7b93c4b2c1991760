//! The log on standard error, behind a [`LineQueue`]: a terminal that was stopped, or a pipe that
//! nobody reads, must not stop the program.

use std::{
    io::{self, Write},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::{
    line_queue::{LineQueue, Sink},
    log_file,
};

/// Lines that may wait; of usual length they take some two megabytes.
const QUEUE_LINES: usize = 8_192;

/// How long the end of the program waits for whoever reads.
const PATIENCE: Duration = Duration::from_secs(1);

struct StandardError {
    pretty: bool,
}

impl Sink for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(line)
    }

    fn flush(&mut self) {}

    fn missing(&self, lines: u64) -> Vec<u8> {
        if self.pretty {
            format!("{lines} log lines dropped\n").into_bytes()
        } else {
            log_file::missing(lines)
        }
    }
}

/// Starts the thread; `pretty` says for whom lines about missing lines are.
pub(super) fn start(pretty: bool) -> io::Result<LineQueue> {
    LineQueue::start("terminal-log", QUEUE_LINES, PATIENCE, StandardError { pretty })
}

/// Hands each event, which comes in one piece, to the queue.
pub(super) struct ToQueue<W>(pub(super) W);

impl<'a, W: Fn(Vec<u8>) + Clone + 'a> MakeWriter<'a> for ToQueue<W> {
    type Writer = Event<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Event(self.0.clone())
    }
}

/// Writes one event.
pub(super) struct Event<W>(W);

impl<W: Fn(Vec<u8>)> Write for Event<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
