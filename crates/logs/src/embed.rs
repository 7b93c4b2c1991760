//! Likeness of meaning: texts as vectors, made by whoever is configured to.
//!
//! A line is known by its pattern's template, so that a million lines need as many vectors as there are
//! templates. Vectors are kept in memory, the last that were used. Nothing depends on them: without an
//! embedder, or when it fails, words alone decide.

#[cfg(feature = "local-embeddings")]
mod local;

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;

#[cfg(feature = "local-embeddings")]
pub use self::local::LocalEmbedder;
use crate::{mining, search::started};

/// Texts whose vectors are kept: with 384 numbers each, 30 MB.
const KEPT: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// Bytes of a text that are embedded; models read little more.
const LONGEST: usize = 512;

/// New texts are embedded for so long; what is left is for the next question. A search has ten seconds.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });

/// Makes vectors of texts, which are the nearer the more alike the texts are.
pub trait Embedder: Send + Sync {
    /// One vector for each text, in their order, all of one length. Blocks.
    ///
    /// # Errors
    /// When it cannot now.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// As many texts as are embedded in a moment; after each such call the patience of whoever asks may
    /// have come to its end.
    fn at_once(&self) -> usize {
        usize::MAX
    }
}

/// Why there are no vectors. For the log: it may hold an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EmbedError(pub String);

/// The vectors of texts, of length 1.
pub(crate) struct Vectors(Mutex<LruCache<Box<str>, Arc<[f32]>>>);

impl Default for Vectors {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }
}

impl Vectors {
    /// How much like the question each text is, from -1 to 1. Of texts that are not known yet, the
    /// first `most` are embedded; for the others there is nothing.
    pub(crate) fn likeness(
        &self,
        embedder: &dyn Embedder,
        question: &str,
        texts: &[String],
        most: usize,
    ) -> Result<Vec<Option<f32>>, EmbedError> {
        let question = cut(question);
        let mut known: HashMap<&str, Arc<[f32]>> = HashMap::new();
        let mut unknown: Vec<&str> = Vec::new();
        {
            let mut kept = self.0.lock();
            for text in std::iter::once(question).chain(texts.iter().map(|text| cut(text))) {
                if known.contains_key(text) || unknown.contains(&text) {
                    continue;
                }
                match kept.get(text) {
                    Some(vector) => drop(known.insert(text, Arc::clone(vector))),
                    None if unknown.len() <= most && !text.is_empty() => unknown.push(text),
                    None => {}
                }
            }
        }
        if !unknown.is_empty() {
            let started = started();
            for texts in unknown.chunks(embedder.at_once().max(1)) {
                let vectors = embedder.embed(texts)?;
                if vectors.len() != texts.len() {
                    return Err(EmbedError("as many vectors as texts were expected".to_owned()));
                }
                let mut kept = self.0.lock();
                for (text, vector) in texts.iter().zip(vectors) {
                    let vector = unit(vector);
                    kept.put((*text).into(), Arc::clone(&vector));
                    known.insert(*text, vector);
                }
                drop(kept);
                if started.elapsed() > PATIENCE {
                    break;
                }
            }
        }
        let Some(question) = known.get(question).cloned() else {
            return Err(EmbedError("the question is empty".to_owned()));
        };
        let of = |text: &String| known.get(cut(text)).and_then(|vector| dot(&question, vector));
        Ok(texts.iter().map(of).collect())
    }
}

/// The words of a template: what varies says nothing.
pub(crate) fn words_of(template: &str) -> String {
    template.replace(mining::VALUE, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

fn unit(mut vector: Vec<f32>) -> Arc<[f32]> {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector.into()
}

/// None when they are of different lengths, or no numbers.
fn dot(a: &[f32], b: &[f32]) -> Option<f32> {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    (a.len() == b.len() && dot.is_finite()).then_some(dot)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts letters, and how many texts it was given.
    #[derive(Default)]
    struct Letters(AtomicUsize);

    /// The same, and takes longer than anybody waits for three texts.
    struct Slow(Letters);

    impl Embedder for Slow {
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            assert!(texts.len() <= self.at_once());
            std::thread::sleep(PATIENCE);
            self.0.embed(texts)
        }

        fn at_once(&self) -> usize {
            3
        }
    }

    impl Embedder for Letters {
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
            self.0.fetch_add(texts.len(), Ordering::Relaxed);
            let count = |text: &str, letter| text.chars().filter(|c| *c == letter).count() as f32;
            Ok(texts.iter().map(|text| ('a'..='z').map(|c| count(text, c)).collect()).collect())
        }
    }

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn likeness_is_told_and_vectors_are_made_once() {
        let (vectors, letters) = (Vectors::default(), Letters::default());
        let texts = texts(&["abc", "xyz", "abc", "aab"]);
        let alike = vectors.likeness(&letters, "cba", &texts, 10).unwrap();
        assert!((alike[0].unwrap() - 1.0).abs() < 1e-6 && alike[0] == alike[2]);
        assert!(alike[1].unwrap().abs() < 1e-6);
        assert_eq!(letters.0.load(Ordering::Relaxed), 4);
        vectors.likeness(&letters, "cba", &texts, 10).unwrap();
        assert_eq!(letters.0.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn no_more_are_embedded_than_may() {
        let (vectors, letters) = (Vectors::default(), Letters::default());
        let texts = texts(&["a", "b", "c", ""]);
        let alike = vectors.likeness(&letters, "q", &texts, 2).unwrap();
        assert_eq!(
            alike.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        let alike = vectors.likeness(&letters, "q", &texts, 2).unwrap();
        assert_eq!(
            alike.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, true, false]
        );
        assert!(vectors.likeness(&letters, "", &texts, 2).is_err());
    }

    #[test]
    fn patience_has_an_end_and_what_is_left_comes_next() {
        let (vectors, slow) = (Vectors::default(), Slow(Letters::default()));
        let texts = texts(&["a", "b", "c"]);
        let told = |alike: Vec<Option<f32>>| alike.iter().flatten().count();
        assert_eq!(told(vectors.likeness(&slow, "q", &texts, 10).unwrap()), 2);
        assert_eq!(told(vectors.likeness(&slow, "q", &texts, 10).unwrap()), 3);
    }

    #[test]
    fn what_makes_no_sense_is_no_likeness() {
        assert_eq!(dot(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(dot(&[f32::NAN], &[1.0]), None);
        assert_eq!(&*unit(vec![0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(words_of("Failed password for <*> from <*>:<*>"), "Failed password for from :");
    }
}
