//! Questions whose words no line has, asked with somebody who knows what words mean.

use callboard_logs::{EmbedError, Embedder, InvestigateOptions};
use callboard_protocol::Evidence;

use crate::fixture::{Fixture, now};

/// Knows three things that one can talk about.
struct Thesaurus;

const ABOUT: [&[&str]; 3] =
    [&["disk", "space", "storage", "volume"], &["car", "lorry", "engine"], &["login", "password"]];

impl Embedder for Thesaurus {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let about = |text: &str, words: &[&str]| {
            words.iter().filter(|word| text.to_lowercase().contains(**word)).count() as f32
        };
        let vector =
            |text: &&str| ABOUT.iter().map(|words| about(text, words)).chain([0.1]).collect();
        Ok(texts.iter().map(vector).collect())
    }
}

/// Is not there.
struct Away;

impl Embedder for Away {
    fn embed(&self, _: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Err(EmbedError("away".to_owned()))
    }
}

fn logs() -> Fixture {
    let fixture = Fixture::of(
        "2026-11-20T10:00:00Z ERROR no space left on disk sda\n\
         2026-11-20T10:01:00Z INFO the engine of lorry 12 was started by ada\n\
         2026-11-20T10:02:00Z WARN wrong password for login bob\n\
         2026-11-20T10:03:00Z INFO started worker 7\n",
    );
    fixture.ingest("callboard", "2026-11-20T10:04:00Z INFO the car wash of our own log\n");
    fixture
}

fn ask(fixture: &Fixture, question: &str, embedder: Option<&dyn Embedder>) -> Evidence {
    let options =
        InvestigateOptions { embedder, own: Some("callboard"), ..InvestigateOptions::at(now()) };
    fixture.store.investigate(question, &options).unwrap()
}

#[test]
fn a_line_is_found_by_what_it_means() {
    let fixture = logs();
    let question = "is any automobile or car broken?";
    let found = ask(&fixture, question, Some(&Thesaurus));
    assert_eq!(found.searched.matched, 0, "what was counted stays what it was");
    assert!(found.lines[0].text.contains("lorry 12"), "{:?}", found.lines);
    assert!(
        found.searched.reading.contains("by words and by meaning"),
        "{}",
        found.searched.reading
    );
    assert!(found.lines.iter().all(|line| line.source != "callboard"));
    let without = ask(&fixture, question, None);
    assert!(without.lines.iter().all(|line| !line.text.contains("lorry")), "{:?}", without.lines);
}

#[test]
fn words_decide_when_nobody_knows_what_they_mean() {
    let fixture = logs();
    for question in ["is any automobile or car broken?", "started", "who started the worker?"] {
        assert_eq!(ask(&fixture, question, Some(&Away)), ask(&fixture, question, None));
    }
}

#[test]
fn of_lines_with_the_words_the_one_that_is_meant_comes_first() {
    let fixture = logs();
    let found = ask(&fixture, "started lorry engine", Some(&Thesaurus));
    assert!(found.lines[0].text.contains("lorry 12"), "{:?}", found.lines);
}
