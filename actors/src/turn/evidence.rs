//! The first step of a turn: what the log engine has to say to the question.

use std::{sync::Arc, time::Duration};

use callboard_logs::{Embedder, InvestigateOptions};
use callboard_protocol::{Evidence, StepState, Timestamp};
use tracing::warn;

use super::{Running, embedder::TurnEmbedder, tools::in_engine};
use crate::{log_source::OWN_LOG, turn_log::TurnEvent};

/// The longest search for a turn. The turn goes on without evidence after it.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The name of the step, as the page shows it.
const TOOL: &str = "search";

/// Searches the logs for the question. `None` when nothing is indexed or the search failed; the
/// step says which.
pub(super) async fn retrieve(running: &Running<'_>) -> Option<Arc<Evidence>> {
    let step = |state, summary: String| {
        running.log.append(TurnEvent::Step { tool: TOOL, state, summary });
    };
    step(StepState::Started, "searching the logs".into());
    let question = running.ask.content.clone();
    let now = Timestamp::now();
    let embedder = TurnEmbedder::of(running);
    let search = in_engine(running.shared, running.rights, SEARCH_TIMEOUT, move |logs| {
        let embedder = embedder.as_ref().map(|embedder| embedder as &dyn Embedder);
        let own = Some(OWN_LOG);
        let options = InvestigateOptions { own, embedder, ..InvestigateOptions::at(now) };
        logs.investigate(&question, &options)
    });
    let cancelled = running.log.cancelled().cancelled();
    let found = tokio::select! {
        biased;
        () = cancelled => return None,
        found = search => found,
    };
    match found {
        Some(Ok(evidence)) => {
            let searched = &evidence.searched;
            let summary = format!(
                "{}: {} of {} lines match",
                searched.reading, searched.matched, searched.searched
            );
            step(StepState::Done, summary);
            Some(Arc::new(evidence))
        }
        Some(Err(error)) => {
            warn!(%error, "the logs could not be searched for a turn");
            step(StepState::Failed, "the logs could not be searched".into());
            None
        }
        None => {
            warn!("the search for a turn took too long or broke off");
            step(StepState::Failed, "the search took too long".into());
            None
        }
    }
}
