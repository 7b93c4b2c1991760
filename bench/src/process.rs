//! What a process has used, from `/proc`.

use std::time::Duration;

use anyhow::Context as _;

/// Clock ticks per second in `/proc`: `USER_HZ`, 100 on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// One reading. Memory is what the process maps; what the kernel holds for its sockets is not
/// in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of all its threads, user and system.
    pub(crate) cpu: Duration,
    /// Resident memory, in kB.
    pub(crate) rss_kb: u64,
    /// The most that it ever was, in kB.
    pub(crate) peak_kb: u64,
}

impl Usage {
    /// Of a process that runs.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        Self::parse(&read("stat")?, &read("status")?).context("/proc says something unknown")
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name of the program stands in brackets, and may itself hold blanks and brackets.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u32 = fields.next()?.parse().ok()?;
        let system: u32 = fields.next()?.parse().ok()?;
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse().ok()
        };
        Some(Self {
            cpu: Duration::from_secs_f64(f64::from(user + system) / TICKS_PER_SECOND),
            rss_kb: kb("VmRSS:")?,
            peak_kb: kb("VmHWM:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_kernel_writes() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 2 0 0 0 150 50 0 0 20 0 3 0 5 1 1";
        let status = "Name:\ta\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        let read = Usage { cpu: Duration::from_secs(2), rss_kb: 1_024, peak_kb: 2_048 };
        assert_eq!(Usage::parse(stat, status), Some(read));
        assert_eq!(Usage::parse("42 (a) S 1", status), None);
        assert_eq!(Usage::parse(stat, "Name:\ta\n"), None);
    }

    #[test]
    fn it_reads_this_process() {
        let own = Usage::of(std::process::id()).unwrap();
        assert!(own.rss_kb > 0 && own.peak_kb >= own.rss_kb, "{own:?}");
    }
}
