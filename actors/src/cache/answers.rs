//! Answers of turns: what is kept of them, and the key by which they are found again.

use std::sync::Arc;

use callboard_protocol::{CacheKind, Evidence, FinishReason, LineId, TaskType, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::{Kind, Value};
use crate::turn_log::TurnLog;

/// Answers of turns; whoever waits for one reads along in the log of the turn that makes it.
pub(crate) enum Answers {}

impl Kind for Answers {
    const NAME: &'static str = "cache_shard";
    const KIND: CacheKind = CacheKind::Answers;
    type Value = CachedAnswer;
    type Flight = TurnLog;
}

/// An answer as the cache keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CachedAnswer {
    /// Markdown. Its citations are found again in the evidence, which is the same.
    pub response: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Who made it.
    pub provider: String,
    /// Who made it.
    pub model: String,
}

impl Value for CachedAnswer {
    fn bytes(&self) -> u64 {
        let names = self.provider.len() + self.model.len();
        (size_of::<Self>() + self.response.len() + names) as u64
    }
}

/// Everything that shapes an answer; two questions with the same key have the same answer.
#[derive(Serialize)]
pub(crate) struct KeyParts<'a> {
    pub(crate) question: &'a str,
    pub(crate) context: Option<&'a str>,
    pub(crate) system: &'a str,
    pub(crate) model: Option<&'a str>,
    /// The conversation so far, as the model would see it.
    pub(crate) history: &'a [String],
    /// What the engine found, so that an answer never outlives its evidence.
    #[serde(serialize_with = "fingerprint")]
    pub(crate) evidence: Option<&'a Evidence>,
    /// The sources that the asker may see: the answer may tell what a tool found in any of them.
    pub(crate) sources: String,
    /// The configured chain, so that a new configuration asks anew.
    pub(crate) chain: &'a [String],
}

/// What an answer can be told from: all but the figures that change with lines that do not match
/// (the generation of the index, and how many lines were searched), so that the server's own log
/// does not void every answer each second. The searched span counts to the minute.
fn fingerprint<S: Serializer>(evidence: &Option<&Evidence>, to: S) -> Result<S::Ok, S::Error> {
    let minute = |at: Option<Timestamp>| at.map(|at| at.as_millis().div_euclid(60_000));
    evidence
        .map(|evidence| {
            let searched = &evidence.searched;
            let lines: Vec<LineId> = evidence.lines.iter().map(|line| line.id).collect();
            (
                (&searched.query, minute(searched.range.from), minute(searched.range.to)),
                (searched.matched, searched.counted, searched.covered),
                (&evidence.rankings, &evidence.levels, lines),
            )
        })
        .serialize(to)
}

/// `task_type:hash`: invalidation by pattern can name a task type.
pub(crate) fn key(
    task_type: TaskType,
    parts: &KeyParts<'_>,
) -> Result<Arc<str>, serde_json::Error> {
    let digest = Sha256::digest(serde_json::to_vec(parts)?);
    let mut key = format!("{}:", task_type.as_str());
    for byte in digest {
        use std::fmt::Write as _;
        // Writing to a String does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use callboard_protocol::{LineOrder, SearchedEvidence, TimeRange, Wanted};

    use super::*;

    fn evidence(matched: u64) -> Evidence {
        Evidence {
            searched: SearchedEvidence {
                query: "failed".into(),
                reading: "lines with failed".into(),
                left_out: Vec::new(),
                range: TimeRange::default(),
                covered: TimeRange::default(),
                matched,
                searched: 10,
                counted: matched,
            },
            rankings: Vec::new(),
            histogram: Vec::new(),
            bucket_ms: 0,
            levels: Vec::new(),
            lines: Vec::new(),
            order: LineOrder::Best,
            wanted: Wanted::default(),
            generation: 1,
        }
    }

    #[test]
    fn lines_that_do_not_match_leave_the_key_as_it_is() {
        let (old, mut new) = (evidence(3), evidence(3));
        new.generation = 2;
        new.searched.searched = 11;
        let key_of = |evidence: &Evidence| {
            let parts = KeyParts {
                question: "why",
                context: None,
                system: "",
                model: None,
                history: &[],
                evidence: Some(evidence),
                sources: String::new(),
                chain: &[],
            };
            key(TaskType::LogQuestion, &parts).unwrap()
        };
        assert_eq!(key_of(&old), key_of(&new));
        new.searched.matched = 4;
        assert_ne!(key_of(&old), key_of(&new));
    }

    #[test]
    fn every_part_shapes_the_key() {
        let chain = ["openai".to_owned()];
        let history = ["user: hi".to_owned()];
        let found = evidence(1);
        let more = evidence(2);
        let base = || KeyParts {
            question: "why",
            context: None,
            system: "s",
            model: None,
            history: &[],
            evidence: Some(&found),
            sources: "web*".to_owned(),
            chain: &chain,
        };
        let variants = [
            base(),
            KeyParts { question: "how", ..base() },
            KeyParts { context: Some("c"), ..base() },
            KeyParts { system: "t", ..base() },
            KeyParts { model: Some("m"), ..base() },
            KeyParts { history: &history, ..base() },
            KeyParts { evidence: Some(&more), ..base() },
            KeyParts { evidence: None, ..base() },
            KeyParts { sources: "db*".to_owned(), ..base() },
            KeyParts { chain: &[], ..base() },
        ];
        let keys: std::collections::HashSet<Arc<str>> =
            variants.iter().map(|parts| key(TaskType::LogQuestion, parts).unwrap()).collect();
        assert_eq!(keys.len(), variants.len());
        assert!(keys.iter().all(|key| key.starts_with("log_question:")));
    }
}
