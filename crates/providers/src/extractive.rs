//! The built-in provider: an answer from the evidence alone, without a model.
//!
//! [`Client`](crate::Client) calls it; it ends every fallback chain, so that Callboard answers
//! with no model at all. It says what was read from the question, counts and ranks as the engine
//! did, cites the lines, and says that no model took part. Log text stands in code spans; a line
//! is cited only if it stands in the evidence.

mod phrase;
mod report;

use std::collections::VecDeque;

use callboard_protocol::Evidence;
use futures_util::stream;

use crate::{
    CompletionRequest, ReplyEvent, ReplyHead, ReplyStream, StopReason, TokenUsage, markdown::fold,
};

/// Says what this provider is for, when there is nothing to answer from.
const NO_EVIDENCE: [&str; 3] = [
    "No language model could be asked, so I can only answer questions about the indexed logs, ",
    "and no logs were searched for this message.\n\n",
    "Ask about the logs, for example: *which errors came most often in the last hour?*\n",
];

/// Answers `request`; `model` is the name that the finish gives.
pub(crate) fn answer(request: &CompletionRequest, model: String) -> ReplyStream {
    let pieces = match &request.evidence {
        Some(evidence) => report::compose(evidence),
        None => NO_EVIDENCE.map(str::to_owned).to_vec(),
    };
    let usage = TokenUsage {
        input: words(&request.question),
        output: pieces.iter().map(|piece| words(piece)).sum(),
        ..TokenUsage::default()
    };
    let deltas = pieces.into_iter().filter(|piece| !piece.is_empty()).map(ReplyEvent::Text);
    let finish = ReplyEvent::Finish { reason: StopReason::Stop, usage, model };
    let events: VecDeque<ReplyEvent> = deltas.chain([finish]).collect();
    let events = stream::unfold(events, |mut events| async move {
        let event = events.pop_front()?;
        // The whole answer is there at once: others get their turn between its pieces.
        tokio::task::yield_now().await;
        Some((Ok(event), events))
    });
    ReplyStream::new(ReplyHead::default(), events)
}

/// Up to three questions that might come next, from what the evidence shows.
#[must_use]
pub fn suggestions(evidence: &Evidence) -> Vec<String> {
    let mut questions = Vec::new();
    if evidence.searched.matched == 0 {
        questions.push("Which errors came most often?".to_owned());
        return questions;
    }
    let top = evidence.rankings.iter().find_map(|ranking| ranking.top.first());
    if let Some(top) = top {
        questions.push(format!("What else is logged about {}?", fold(&top.value, 60)));
    }
    if let Some(peak) = phrase::peak(evidence) {
        questions.push(format!("What else happened {}?", phrase::slice(peak, evidence.bucket_ms)));
    }
    let grave = |level: callboard_protocol::Level| level >= callboard_protocol::Level::Error;
    let graves = evidence.levels.iter().any(|level| grave(level.level) && level.count > 0);
    questions.push(if graves {
        "Which errors came most often?".to_owned()
    } else {
        "Were there errors at the same time?".to_owned()
    });
    questions
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

#[cfg(test)]
mod tests;
