//! How well questions find their lines, and how exact their counts are: what the built-in provider
//! answers from, and what models are shown. With no model at all, and with a sentence model (`--model`).
//!
//! `make bench-retrieval` runs it. The logs are of one week of a small shop, written here; the set of
//! questions is in `questions`, each with the lines that answer it. Measures, per kind of question:
//! - R@1, R@10: the share of questions with a line that answers it first, or among the first ten;
//! - MRR: the mean of one over the rank of the first such line (Voorhees, TREC-8, 1999);
//! - exact: the share of counts that are right to the line, and of questions about what never happened
//!   that found nothing.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and may fail loudly"
)]

mod questions;
mod week;

use std::{collections::BTreeMap, path::Path, time::Instant};

use callboard_logs::{Embedder, InvestigateOptions, LocalEmbedder, LogStore, LogsConfig};
use callboard_protocol::LineId;

use self::{
    questions::{Gold, Question},
    week::Week,
};

/// What came of the questions of a kind.
#[derive(Default)]
struct Scores {
    asked: u32,
    ranked: u32,
    first: u32,
    among_ten: u32,
    reciprocal: f64,
    checked: u32,
    exact: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let verbose = arguments.iter().any(|argument| argument == "--misses");
    let model = arguments.iter().skip_while(|argument| *argument != "--model").nth(1);
    let folder = tempfile::tempdir().expect("a folder");
    let store = LogStore::open(folder.path(), &LogsConfig::default()).expect("a store");
    let week = Week::write(&store);
    let questions = questions::all(&week);
    println!("{} questions over {} lines.", questions.len(), week.lines.len());
    println!("\nNo model:\n");
    ask(&store, &questions, None, verbose);
    if let Some(model) = model {
        let begun = now();
        let embedder = LocalEmbedder::open(Path::new(model)).expect("a model");
        println!("\nWith {model}, loaded in {:.1} s:\n", begun.elapsed().as_secs_f64());
        ask(&store, &questions, Some(&embedder), verbose);
        println!("\nThe same again, with the vectors of the patterns known:\n");
        ask(&store, &questions, Some(&embedder), false);
    }
}

/// Asks all questions, and prints what came of it.
fn ask(store: &LogStore, questions: &[Question], embedder: Option<&dyn Embedder>, verbose: bool) {
    let mut by_kind: BTreeMap<&str, Scores> = BTreeMap::new();
    let mut took = Vec::with_capacity(questions.len());
    for question in questions {
        let begun = now();
        let options = InvestigateOptions { embedder, ..InvestigateOptions::at(week::now()) };
        let evidence = store.investigate(&question.text, &options).expect("evidence");
        took.push(begun.elapsed());
        let ids: Vec<LineId> = evidence.lines.iter().map(|line| line.id).collect();
        let scores = by_kind.entry(question.kind).or_default();
        if scores.add(question, &ids, evidence.searched.matched) && verbose {
            let first = evidence.lines.first().map_or("nothing", |line| line.text.as_str());
            println!(
                "- {} “{}”: {} lines by `{}`, first “{first}”; wanted {}",
                question.kind,
                question.text,
                evidence.searched.matched,
                evidence.searched.query,
                question.gold,
            );
        }
    }
    println!("| kind | questions | R@1 | R@10 | MRR | exact |");
    println!("|---|---|---|---|---|---|");
    let mut all = Scores::default();
    for (kind, scores) in &by_kind {
        println!("| {kind} {scores} |");
        all.merge(scores);
    }
    println!("| all {all} |");
    took.sort_unstable();
    let millis = |at: usize| took[at].as_secs_f64() * 1_000.0;
    println!(
        "\nMilliseconds a question, p50 / p95: {:.1} / {:.1}.",
        millis(took.len() / 2),
        millis(took.len() * 95 / 100)
    );
}

impl Scores {
    /// Adds what a question came to; whether it missed.
    fn add(&mut self, question: &Question, ids: &[LineId], matched: u64) -> bool {
        self.asked += 1;
        match &question.gold {
            Gold::Lines(gold) => {
                self.ranked += 1;
                let rank = ids.iter().position(|id| gold.contains(id));
                self.first += u32::from(rank == Some(0));
                self.among_ten += u32::from(rank.is_some_and(|rank| rank < 10));
                self.reciprocal += rank.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0));
                rank != Some(0)
            }
            Gold::Count(count) => {
                self.checked += 1;
                self.exact += u32::from(matched == *count);
                matched != *count
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.asked += other.asked;
        self.ranked += other.ranked;
        self.first += other.first;
        self.among_ten += other.among_ten;
        self.reciprocal += other.reciprocal;
        self.checked += other.checked;
        self.exact += other.exact;
    }
}

impl std::fmt::Display for Scores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |part: f64, whole: u32| match whole {
            0 => "–".to_owned(),
            whole => format!("{:.3}", part / f64::from(whole)),
        };
        write!(
            formatter,
            "| {} | {} | {} | {} | {}",
            self.asked,
            share(f64::from(self.first), self.ranked),
            share(f64::from(self.among_ten), self.ranked),
            share(self.reciprocal, self.ranked),
            share(f64::from(self.exact), self.checked),
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}
