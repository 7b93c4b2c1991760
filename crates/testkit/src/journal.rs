//! Files of systemd's journal, written by systemd's own tool.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Set by `scripts/with-services`: the program.
const VARIABLE: &str = "CALLBOARD_TEST_JOURNAL_REMOTE";

/// Adds entries, as they are exported, to the journal in a folder. `None`, with a word on stderr, when
/// no program is named by `CALLBOARD_TEST_JOURNAL_REMOTE`. `make test` always names one.
///
/// # Panics
/// When the program does not take them.
pub fn add_to_journal(folder: &Path, exported: &[u8]) -> Option<()> {
    let Some(program) = std::env::var_os(VARIABLE) else {
        eprintln!("{VARIABLE} is not set: not tested with systemd's journal");
        return None;
    };
    let mut child = Command::new(program)
        .arg(format!("--output={}", folder.join("system.journal").display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exported).unwrap();
    assert!(child.wait().unwrap().success());
    Some(())
}
