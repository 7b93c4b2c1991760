//! How well template mining finds the patterns that people found, and how fast.
//!
//! `make bench-patterns` runs it over labelled samples laid out as loghub's are (Zhu et al., ISSRE
//! 2023): a folder for each system, and in it `NAME_2k.log_structured_corrected.csv` with the columns
//! `Content` and `EventTemplate`. One configuration for all: there is none. Measures, from 0 to 1
//! (Khan et al., ICSE 2022; Jiang et al., ISSTA 2024):
//! - GA: lines whose group holds exactly the lines that it should;
//! - FGA: the harmonic mean of precision and recall over groups;
//! - PA: lines whose template is the right one, word by word;
//! - FTA: as FGA, over groups whose template is right as well.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

use std::{
    collections::{HashMap, HashSet},
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

use callboard_logs::{Miner, PatternId};

/// What drain3 reaches on the same samples (GA, FGA, PA, FTA), tuned for each system.
const DRAIN3_TUNED: [f64; 4] = [0.862, 0.747, 0.511, 0.409];

/// Speed is measured for as long as this.
const AT_LEAST: Duration = Duration::from_millis(500);

struct Labelled {
    message: String,
    template: String,
}

/// The measures, in the order of the table.
#[derive(Clone, Copy, Default)]
struct Scores([f64; 4]);

fn main() {
    // Cargo adds `--bench`.
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let systems = folder.as_deref().map(|folder| systems(Path::new(folder))).unwrap_or_default();
    if systems.is_empty() {
        println!("no labelled logs: name a folder that holds them (make bench-patterns LOGHUB=…)");
        return;
    }
    println!("| system | GA | FGA | PA | FTA | patterns, ours / theirs | lines/s |");
    println!("|---|---|---|---|---|---|---|");
    let mut sum = Scores::default();
    for path in &systems {
        let lines = read(path);
        let (scores, ours, theirs) = measure(&lines);
        sum.0.iter_mut().zip(scores.0).for_each(|(sum, score)| *sum += score);
        let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        println!("| {name} {scores} | {ours} / {theirs} | {:.0} |", speed(&lines));
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of systems")]
    let mean = Scores(sum.0.map(|sum| sum / systems.len() as f64));
    println!("| mean {mean} | | |");
    println!("| drain3, tuned for each {} | | |", Scores(DRAIN3_TUNED));
}

impl std::fmt::Display for Scores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|score| write!(formatter, "| {score:.3} "))?;
        Ok(())
    }
}

/// The labelled file of each system.
fn systems(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let labelled = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let path = entry.path().join(format!("{name}_2k.log_structured_corrected.csv"));
        path.is_file().then_some(path)
    });
    let mut all: Vec<PathBuf> = labelled.collect();
    all.sort();
    all
}

fn measure(lines: &[Labelled]) -> (Scores, usize, usize) {
    let mut miner = Miner::default();
    let given: Vec<PatternId> = lines.iter().map(|line| miner.observe(&line.message)).collect();
    let ids: Vec<PatternId> = given.into_iter().map(|id| miner.resolve(id)).collect();
    let ours = grouped(ids.iter().copied());
    let theirs = grouped(lines.iter().map(|line| words(&line.template)));
    let template = |id: PatternId| words(&miner.template(id).expect("a pattern that was given"));
    let right: HashMap<&[usize], &String> =
        theirs.iter().map(|(template, lines)| (lines.as_slice(), template)).collect();
    let (mut grouped_lines, mut groups, mut exact) = (0, 0, 0);
    for (id, members) in &ours {
        if let Some(wanted) = right.get(members.as_slice()) {
            grouped_lines += members.len();
            groups += 1;
            exact += usize::from(template(*id) == **wanted);
        }
    }
    let right = ids.iter().zip(lines).filter(|(id, line)| template(**id) == words(&line.template));
    let scores = Scores([
        share(grouped_lines, lines.len()),
        harmonic(groups, ours.len(), theirs.len()),
        share(right.count(), lines.len()),
        harmonic(exact, ours.len(), theirs.len()),
    ]);
    (scores, ours.len(), theirs.len())
}

/// The lines of each group, by their numbers.
fn grouped<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, Vec<usize>> {
    let mut groups: HashMap<K, Vec<usize>> = HashMap::new();
    for (number, key) in keys.enumerate() {
        groups.entry(key).or_default().push(number);
    }
    groups
}

/// White space does not count.
fn words(template: &str) -> String {
    template.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "thousands of lines")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn harmonic(right: usize, ours: usize, theirs: usize) -> f64 {
    share(2 * right, ours + theirs)
}

/// Lines a second on one core, when the patterns are known.
fn speed(lines: &[Labelled]) -> f64 {
    let mut miner = Miner::default();
    lines.iter().for_each(|line| {
        miner.observe(&line.message);
    });
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    let begun = std::time::Instant::now();
    let mut seen = 0_usize;
    while begun.elapsed() < AT_LEAST {
        lines.iter().for_each(|line| {
            black_box(miner.observe(&line.message));
        });
        seen += lines.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "millions of lines")]
    let seen = seen as f64;
    seen / begun.elapsed().as_secs_f64()
}

/// The labelled lines of a file.
fn read(path: &Path) -> Vec<Labelled> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    let mut rows = csv(&text).into_iter();
    let head = rows.next().expect("a line of names");
    let column = |name: &str| head.iter().position(|column| column == name).expect("a column");
    let (message, template) = (column("Content"), column("EventTemplate"));
    let lines = rows.map(|mut row| Labelled {
        message: std::mem::take(&mut row[message]),
        template: std::mem::take(&mut row[template]),
    });
    let lines: Vec<Labelled> = lines.collect();
    let known: HashSet<&str> = lines.iter().map(|line| line.template.as_str()).collect();
    assert!(!known.contains(""), "a line without a template in {}", path.display());
    lines
}

/// Rows of RFC 4180.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    rows
}
