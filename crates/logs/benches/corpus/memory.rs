//! The most memory that the process took for a while.

use std::{
    fmt, fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Megabytes: what was asked for, and with the pages of mapped files.
#[derive(Clone, Copy, Default)]
pub(crate) struct Peak {
    anonymous: u64,
    all: u64,
}

impl fmt::Display for Peak {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} / {}", self.anonymous, self.all)
    }
}

/// Looks at the process until it is stopped.
pub(crate) struct Watch {
    stopped: Arc<AtomicBool>,
    looking: JoinHandle<Peak>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stopped);
        let looking = thread::spawn(move || {
            let mut peak = Peak::default();
            while !until.load(Ordering::Relaxed) {
                let now = look();
                peak.anonymous = peak.anonymous.max(now.anonymous);
                peak.all = peak.all.max(now.all);
                thread::sleep(Duration::from_millis(50));
            }
            peak
        });
        Self { stopped, looking }
    }

    pub(crate) fn stop(self) -> Peak {
        self.stopped.store(true, Ordering::Relaxed);
        self.looking.join().expect("a thread that only reads")
    }
}

/// What the kernel says; zeros where it says nothing.
pub(crate) fn look() -> Peak {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kilobytes.map_or(0, |kilobytes: u64| kilobytes / 1_000)
    };
    Peak { anonymous: of("RssAnon"), all: of("VmRSS") }
}
