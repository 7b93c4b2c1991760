//! Replies to questions that mean the same: found by their vectors, when a request allows it.
//!
//! Everything but the last question must be the same (the **frame**: conversation, tools, format,
//! parameters, targets, and whose it is), and so must the words of it on which an answer hangs though
//! they hardly move a vector: those with digits, and negations ([`marks`]). Vectors are kept in
//! memory alone, the least lately used given up for new ones; the replies are those of the cache.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

/// Questions that are kept; each costs a few kilobytes, and a search some microseconds.
const MOST: usize = 2_048;

/// Words that turn a question around.
const NEGATIONS: [&str; 8] =
    ["no", "not", "never", "without", "none", "except", "cannot", "nobody"];

/// A question, ready to be compared.
pub(super) struct Question {
    frame: [u8; 32],
    marks: Vec<String>,
    /// Of length one.
    vector: Vec<f32>,
}

/// See the module.
pub(crate) struct Similar {
    held: Mutex<LruCache<Arc<str>, Arc<Question>>>,
}

impl Default for Similar {
    fn default() -> Self {
        Self { held: Mutex::new(LruCache::unbounded()) }
    }
}

impl Question {
    /// None for a vector that points nowhere.
    pub(super) fn new(frame: [u8; 32], text: &str, vector: &[f32]) -> Option<Self> {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let vector: Vec<f32> = vector.iter().map(|number| number / length).collect();
        let points = length.is_finite() && length > 0.0;
        points.then(|| Self { frame, marks: marks(text), vector })
    }

    /// The cosine of the angle between two; none when they cannot mean the same.
    fn likeness(&self, other: &Self) -> Option<f32> {
        let comparable = self.frame == other.frame
            && self.marks == other.marks
            && self.vector.len() == other.vector.len();
        comparable.then(|| self.vector.iter().zip(&other.vector).map(|(one, two)| one * two).sum())
    }
}

impl Similar {
    /// The key of the reply to the most similar question, and how similar it is.
    pub(super) fn find(&self, question: &Question, least: f32) -> Option<(Arc<str>, f32)> {
        let mut held = self.held.lock();
        let likeness = |(key, other): (&Arc<str>, &Arc<Question>)| {
            Some((Arc::clone(key), other.likeness(question)?))
        };
        let alike = held.iter().filter_map(likeness).filter(|(_, alike)| *alike >= least);
        let best = alike.max_by(|one, two| one.1.total_cmp(&two.1))?;
        held.promote(&best.0);
        Some(best)
    }

    /// Keeps the question of a reply.
    pub(super) fn keep(&self, key: Arc<str>, question: Arc<Question>) {
        let mut held = self.held.lock();
        held.put(key, question);
        if held.len() > MOST {
            held.pop_lru();
        }
    }

    /// Gives up the question of a reply that is no longer there.
    pub(super) fn forget(&self, key: &str) {
        self.held.lock().pop(key);
    }
}

/// The words of a question that must be the same in another: those with digits, and negations.
fn marks(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(str::to_lowercase);
    let hangs_on = |word: &String| {
        word.chars().any(char::is_numeric)
            || NEGATIONS.contains(&word.as_str())
            || word.ends_with("n't")
    };
    let mut marks: Vec<String> = words.filter(hangs_on).collect();
    marks.sort_unstable();
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(frame: u8, text: &str, vector: &[f32]) -> Question {
        Question::new([frame; 32], text, vector).unwrap()
    }

    #[test]
    fn the_most_similar_one_is_found() {
        let similar = Similar::default();
        for (key, vector) in [("a", [1.0, 0.0]), ("b", [0.8, 0.6]), ("c", [0.0, 1.0])] {
            similar.keep(key.into(), Arc::new(question(1, "why", &vector)));
        }
        let asked = question(1, "how come", &[7.0, 5.0]);
        let (key, alike) = similar.find(&asked, 0.9).unwrap();
        assert_eq!((&*key, alike > 0.99), ("b", true));
        assert!(similar.find(&asked, 0.9999).is_none());
        similar.forget("b");
        assert!(similar.find(&asked, 0.9).is_none());
        assert!(similar.find(&question(2, "why", &[1.0, 0.0]), 0.5).is_none(), "another frame");
        assert!(similar.find(&question(1, "why", &[1.0]), 0.5).is_none(), "another model");
    }

    #[test]
    fn what_an_answer_hangs_on_must_be_the_same() {
        let similar = Similar::default();
        similar.keep("k".into(), Arc::new(question(1, "Why did db-1 fail with 500?", &[1.0])));
        for (text, found) in [
            ("what made DB-1 fail with 500", true),
            ("Why did db-2 fail with 500?", false),
            ("Why did db-1 fail with 404?", false),
            ("Why did db-1 not fail with 500?", false),
            ("Why didn't db-1 fail with 500?", false),
        ] {
            let asked = question(1, text, &[1.0]);
            assert_eq!(similar.find(&asked, 0.9).is_some(), found, "{text}");
        }
    }

    #[test]
    fn the_least_lately_used_are_given_up() {
        let similar = Similar::default();
        for number in 0..MOST {
            similar.keep(number.to_string().into(), Arc::new(question(1, "", &[1.0])));
        }
        similar.keep("new".into(), Arc::new(question(1, "", &[1.0])));
        assert_eq!(similar.held.lock().len(), MOST);
        assert!(!similar.held.lock().contains("0"));
    }

    #[test]
    fn a_vector_that_points_nowhere_is_like_nothing() {
        assert!(Question::new([0; 32], "", &[0.0, 0.0]).is_none());
        assert!(Question::new([0; 32], "", &[f32::NAN]).is_none());
    }
}
