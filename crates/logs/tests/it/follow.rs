//! Following files: every line once, whatever happens to the files and to us.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use callboard_logs::{Follower, LogStore, Looked, PatternError, Reread};
use callboard_protocol::{LogSearch, SourceId};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::fixture::{config, go_on, now, query};

/// A folder of logs, and an index that follows them.
struct Follow {
    folder: TempDir,
    pattern: String,
    store: LogStore,
    follower: Follower,
    sources: HashMap<PathBuf, SourceId>,
    written: Vec<String>,
}

impl Follow {
    fn new(pattern: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let pattern = logs.join(pattern).to_str().unwrap().to_owned();
        let store = LogStore::open(&folder.path().join("index"), &config()).unwrap();
        let follower = Follower::new(&pattern, &[logs]).unwrap();
        Self { folder, pattern, store, follower, sources: HashMap::new(), written: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// A program that writes to a file; it goes on writing when that is renamed.
    fn writer(&self, name: &str) -> File {
        File::options().create(true).append(true).open(self.path(name)).unwrap()
    }

    /// A line that was never written before.
    fn line(&mut self, file: &mut File) {
        let line = format!("2026-11-20 10:00:00 line number {} of all", self.written.len());
        writeln!(file, "{line}").unwrap();
        self.written.push(line);
    }

    fn lines(&mut self, name: &str, count: usize) {
        let mut file = self.writer(name);
        (0..count).for_each(|_| self.line(&mut file));
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn look(&mut self) -> Looked {
        let sources = &mut self.sources;
        let mut source_of = |path: &Path| {
            let id = *sources.entry(path.to_owned()).or_insert_with(SourceId::new);
            Some((id, path.display().to_string()))
        };
        self.follower.look((&self.store, now()), &mut source_of, &mut go_on).unwrap()
    }

    /// As after a crash or a restart: no file is open, and the index is as it was committed last.
    fn restart(&mut self) {
        let logs = self.folder.path().join("logs");
        self.follower = Follower::new(&self.pattern, &[logs]).unwrap();
        let unused = LogStore::open(&self.folder.path().join("unused"), &config()).unwrap();
        drop(std::mem::replace(&mut self.store, unused));
        self.store = LogStore::open(&self.folder.path().join("index"), &config()).unwrap();
    }

    /// The names of the sources of all lines, and that each line is there once.
    fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut search = LogSearch { limit: Some(500), ..query("") };
        loop {
            let page = self.store.search(&search).unwrap();
            found.extend(page.lines.into_iter().map(|line| (line.text, line.source)));
            search.cursor = page.next_cursor;
            if search.cursor.is_none() {
                break;
            }
        }
        found.sort_unstable();
        let mut texts: Vec<_> = found.iter().map(|(text, _)| text.clone()).collect();
        let mut written = self.written.clone();
        written.sort_unstable();
        assert_eq!(texts, written);
        texts.dedup();
        assert_eq!(texts.len(), written.len(), "a line twice");
        let mut names: Vec<_> = found
            .into_iter()
            .map(|(_, source)| source.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[test]
fn files_that_match_are_followed_each_as_a_source() {
    let mut follow = Follow::new("**/*.log");
    fs::create_dir_all(follow.path("deep/er")).unwrap();
    follow.lines("a.log", 3);
    follow.lines("deep/er/b.log", 2);
    fs::write(follow.path("notes.txt"), "not followed\n").unwrap();
    let looked = follow.look();
    assert_eq!((looked.files, looked.lines, looked.problem), (2, 5, None));
    assert_eq!(follow.check(), ["a.log", "b.log"]);
    assert_eq!(follow.look().lines, 0);
    follow.lines("a.log", 1);
    follow.lines("c.log", 1);
    assert_eq!(follow.look().lines, 2);
    follow.check();
}

#[test]
fn a_partial_line_waits_for_its_end() {
    let mut follow = Follow::new("a.log");
    let mut file = follow.writer("a.log");
    write!(file, "2026-11-20 10:00:00 first ").unwrap();
    assert_eq!(follow.look().lines, 0);
    writeln!(file, "half").unwrap();
    follow.written.push("2026-11-20 10:00:00 first half".to_owned());
    assert_eq!(follow.look().lines, 1);
    follow.check();
}

#[test]
fn a_renamed_file_is_read_to_its_end_while_its_program_writes_on() {
    for pattern in ["a.log", "a.log*"] {
        let mut follow = Follow::new(pattern);
        let mut old = follow.writer("a.log");
        follow.line(&mut old);
        follow.look();
        follow.line(&mut old);
        follow.rename("a.log", "a.log.1");
        follow.line(&mut old);
        let mut new = follow.writer("a.log");
        follow.line(&mut new);
        follow.look();
        // It was not told to open another file yet.
        follow.line(&mut old);
        follow.line(&mut new);
        follow.look();
        assert_eq!(follow.check(), ["a.log"], "{pattern}");
        follow.rename("a.log.1", "a.log.2");
        follow.rename("a.log", "a.log.1");
        follow.line(&mut old);
        follow.line(&mut new);
        follow.lines("a.log", 2);
        follow.look();
        assert_eq!(follow.check(), ["a.log"], "{pattern}");
    }
}

#[test]
fn files_that_came_and_went_between_two_looks_are_found() {
    let mut follow = Follow::new("a.log");
    follow.lines("a.log.0", 3);
    follow.written.clear();
    follow.lines("a.log", 2);
    follow.look();
    follow.check();
    for (rotation, restart) in [(1, false), (4, true), (7, false)] {
        if restart {
            follow.restart();
        }
        for rotation in rotation..rotation + 3 {
            follow.lines("a.log", 2);
            follow.rename("a.log", &format!("a.log.{rotation}"));
        }
        fs::write(follow.path("a.log.9.gz"), b"\x1f\x8b\x08\0\0\0\0").unwrap();
        follow.lines("a.log", 1);
        assert_eq!(follow.look(), Looked { files: 1, lines: 7, problem: None });
        assert_eq!(follow.check(), ["a.log"], "the file of before it was followed stays out");
    }
}

#[test]
fn more_files_than_an_index_remembers_are_read_once() {
    let mut follow = Follow::new("a.log");
    let long_ago = fs::metadata(follow.folder.path()).unwrap().modified().unwrap();
    let mut old = Vec::new();
    for rotation in 0..40 {
        let mut file = follow.writer("a.log");
        follow.line(&mut file);
        follow.look();
        follow.rename("a.log", &format!("a.log.{rotation}"));
        old.push(file);
    }
    follow.lines("a.log", 1);
    follow.look();
    // Their programs write on: also to the one that was forgotten first.
    for file in old.iter_mut().take(20) {
        follow.line(file);
        // Clocks of files are coarse, and their order counts.
        file.set_modified(long_ago).unwrap();
    }
    assert_eq!(follow.look().lines, 20);
    follow.check();
    follow.restart();
    follow.lines("a.log", 1);
    assert_eq!(follow.look().lines, 1);
    follow.check();
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut follow = Follow::new("a.log");
    follow.lines("a.log", 5);
    follow.look();
    // As logrotate's copytruncate does it.
    fs::copy(follow.path("a.log"), follow.path("a.log.1")).unwrap();
    File::options().write(true).open(follow.path("a.log")).unwrap().set_len(0).unwrap();
    follow.look();
    follow.lines("a.log", 2);
    follow.look();
    follow.check();
    // Truncated and rewritten to more than it was, between two looks.
    File::create(follow.path("a.log")).unwrap();
    follow.lines("a.log", 9);
    assert_eq!(follow.look().lines, 9);
    follow.check();
}

#[test]
fn rotation_and_truncation_in_one_go() {
    let mut follow = Follow::new("a.log");
    follow.lines("a.log", 3);
    follow.look();
    follow.lines("a.log", 2);
    follow.rename("a.log", "a.log.1");
    follow.lines("a.log", 4);
    follow.look();
    File::create(follow.path("a.log")).unwrap();
    follow.lines("a.log", 1);
    follow.look();
    follow.check();
}

#[test]
fn what_happened_while_nobody_looked_is_found_at_the_start() {
    // Rotated.
    let mut follow = Follow::new("a.log");
    follow.lines("a.log", 4);
    follow.look();
    follow.restart();
    follow.lines("a.log", 3);
    follow.rename("a.log", "a.log-20261126");
    follow.lines("a.log", 2);
    assert_eq!(follow.look().lines, 5);
    assert_eq!(follow.check(), ["a.log"]);
    follow.restart();
    assert_eq!(follow.look().lines, 0, "and not again");
    // Truncated.
    follow.restart();
    File::create(follow.path("a.log")).unwrap();
    follow.lines("a.log", 1);
    follow.look();
    follow.check();
    // Deleted, and made again.
    follow.restart();
    fs::remove_file(follow.path("a.log")).unwrap();
    follow.lines("a.log", 6);
    assert_eq!(follow.look().lines, 6);
    follow.check();
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_its_name_may_come_again() {
    let mut follow = Follow::new("a.log");
    let mut old = follow.writer("a.log");
    follow.line(&mut old);
    follow.look();
    follow.line(&mut old);
    fs::remove_file(follow.path("a.log")).unwrap();
    let looked = follow.look();
    assert_eq!((looked.files, looked.lines), (0, 1));
    follow.line(&mut old);
    // Its inode may be given to the new one as soon as nobody has the old one open.
    drop(old);
    follow.lines("a.log", 3);
    follow.look();
    follow.check();
}

#[test]
fn a_look_that_is_broken_off_goes_on_at_the_next() {
    let mut follow = Follow::new("a.log");
    follow.lines("a.log", 5_000);
    let source = SourceId::new();
    let mut broken = 0;
    let at = (&follow.store, now());
    let looked = follow.follower.look(at, &mut |_| Some((source, "a.log".to_owned())), &mut |_| {
        broken += 1;
        ControlFlow::Break(())
    });
    let first = looked.unwrap().lines;
    assert!(broken == 1 && (1..5_000).contains(&first), "{first}");
    follow.sources.insert(follow.path("a.log"), source);
    assert_eq!(follow.look().lines, 5_000 - first);
    follow.check();
}

#[test]
fn what_cannot_be_read_is_a_problem_and_not_the_end() {
    let mut follow = Follow::new("*.log");
    follow.lines("a.log", 1);
    fs::write(follow.path("b.log"), b"\x1f\x8b\x08\0\0\0\0").unwrap();
    let looked = follow.look();
    assert_eq!((looked.files, looked.lines), (2, 1));
    assert!(looked.problem.unwrap().contains("b.log is not text"));
    // A link that leads out of what may be followed.
    fs::write(follow.folder.path().join("secret"), "password\n").unwrap();
    std::os::unix::fs::symlink(follow.folder.path().join("secret"), follow.path("c.log")).unwrap();
    let looked = follow.look();
    assert!(looked.problem.unwrap().contains("leads out"));
    follow.check();
}

#[test]
fn a_single_file_may_have_any_name_and_a_relative_path() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().join("own [*] log");
    let relative = Path::new(".").join(path.file_name().unwrap());
    assert!(Follower::of_file(&relative).is_ok());
    let store = LogStore::open(&folder.path().join("index"), &config()).unwrap();
    fs::write(&path, "one\ntwo\n").unwrap();
    fs::write(folder.path().join("own x log"), "three\n").unwrap();
    let mut follower = Follower::of_file(&path).unwrap();
    let mut source_of = |_: &Path| Some((SourceId::new(), "own".to_owned()));
    let looked = follower.look((&store, now()), &mut source_of, &mut go_on).unwrap();
    assert_eq!((looked.files, looked.lines), (1, 2));
}

#[test]
fn only_some_folders_may_be_followed() {
    let roots = [PathBuf::from("/var/log"), PathBuf::from("/srv/logs")];
    assert!(Follower::new("/var/log/**/*.log", &roots).is_ok());
    for pattern in ["/etc/passwd", "/var/log/../../etc/*", "/var/logs/a", "/", "/*"] {
        let refused = Follower::new(pattern, &roots).err().unwrap();
        assert!(matches!(refused, PatternError::Outside(_)), "{pattern}");
        assert_eq!(refused.to_string(), "only files below /var/log, /srv/logs may be followed");
    }
    assert!(matches!(Follower::new("a.log", &roots).err().unwrap(), PatternError::Relative));
    assert!(matches!(
        Follower::new("/var/log/***", &roots).err().unwrap(),
        PatternError::Syntax(_)
    ));
}

#[derive(Clone, Debug)]
enum Act {
    Write(usize),
    WriteToOld,
    Rotate,
    Truncate,
    Look,
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1_usize..4).prop_map(Act::Write),
        1 => Just(Act::WriteToOld),
        2 => Just(Act::Rotate),
        1 => Just(Act::Truncate),
        4 => Just(Act::Look),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Truncation loses by its nature what was not read before; so it is looked before one. And a
    /// file is read on over a restart only under the names that logrotate gives.
    #[test]
    fn in_any_order_no_line_is_lost_and_none_comes_twice(acts in acts()) {
        let mut follow = Follow::new("a.log");
        let mut current = follow.writer("a.log");
        let mut old: Option<File> = None;
        let mut rotations = 0;
        for act in acts {
            match act {
                Act::Write(count) => (0..count).for_each(|_| follow.line(&mut current)),
                Act::WriteToOld => if let Some(old) = &mut old { follow.line(old) },
                Act::Rotate => {
                    rotations += 1;
                    // One of which nothing was read has no way to be known after a restart.
                    follow.line(&mut current);
                    follow.look();
                    follow.rename("a.log", &format!("a.log.{rotations}"));
                    old = Some(std::mem::replace(&mut current, follow.writer("a.log")));
                }
                Act::Truncate => {
                    follow.look();
                    current.set_len(0).unwrap();
                    follow.look();
                }
                Act::Look => drop(follow.look()),
                Act::Restart => follow.restart(),
            }
        }
        follow.look();
        follow.check();
    }
}

#[test]
fn a_stack_trace_that_is_still_being_written_is_one_record() {
    let mut follow = Follow::new("app.log");
    let mut file = follow.writer("app.log");
    let head = "2026-11-20 10:00:00 ERROR it broke";
    let texts = |follow: &Follow| {
        let mut lines = follow.store.search(&query("")).unwrap().lines;
        lines.sort_by_key(|line| line.id);
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    // What is not the beginning of one is there at once.
    writeln!(file, "2026-11-20 09:59:59 INFO all is well").unwrap();
    follow.look();
    assert_eq!(texts(&follow), ["2026-11-20 09:59:59 INFO all is well"]);
    for part in [head, "java.lang.Exception: no", "\tat a.B.c(D.java:7)", "\tat e.F.g(H.java:8)"] {
        writeln!(file, "{part}").unwrap();
        follow.look();
        assert_eq!(texts(&follow).len(), 1, "it may go on");
    }
    // Restarted in between it is still one.
    follow.restart();
    follow.look();
    follow.look();
    let trace =
        format!("{head}\njava.lang.Exception: no\n\tat a.B.c(D.java:7)\n\tat e.F.g(H.java:8)");
    assert_eq!(texts(&follow)[1..], *std::slice::from_ref(&trace), "and then it does not");
    follow.look();
    writeln!(file, "{head} again\n2026-11-20 10:00:01 INFO next").unwrap();
    follow.look();
    let all = texts(&follow);
    assert_eq!(all[1..], [trace, format!("{head} again"), "2026-11-20 10:00:01 INFO next".into()]);
}

#[test]
fn lines_are_read_as_it_is_fixed_also_when_they_are_read_anew() {
    let mut follow = Follow::new("app.log");
    let read_as = follow.store.read_as(Some("text"), Some("+02:00")).unwrap();
    let logs = follow.folder.path().join("logs");
    follow.follower = Follower::new(&follow.pattern, &[logs]).unwrap().reading(read_as);
    let mut file = follow.writer("app.log");
    // Found out, the second line would belong to the first.
    writeln!(file, "2026-11-20 10:00:00 INFO local time\nof its own").unwrap();
    follow.look();
    let known = |follow: &Follow| {
        let mut lines = follow.store.search(&query("")).unwrap().lines;
        lines.sort_by_key(|line| line.id);
        lines.into_iter().map(|line| (line.text, line.timestamp)).collect::<Vec<_>>()
    };
    let at = Some("2026-11-20T08:00:00Z".parse().unwrap());
    let expected =
        [("2026-11-20 10:00:00 INFO local time".to_owned(), at), ("of its own".to_owned(), None)];
    assert_eq!(known(&follow), expected);
    follow.store.reindex(Some(&Reread::default()), &mut go_on).unwrap();
    assert_eq!(known(&follow), expected, "the zone is known to the index");

    for (format, zone) in
        [(Some("no such"), None), (None, Some("Europe/Berlin")), (None, Some("2"))]
    {
        assert!(follow.store.read_as(format, zone).is_err(), "{format:?} {zone:?}");
    }
    for format in ["json lines", "syslog", "syslog (RFC 5424)", "web server access log", "logfmt"] {
        assert!(follow.store.read_as(Some(format), Some("-05:30")).is_ok(), "{format}");
    }
}
