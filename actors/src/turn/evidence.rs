//! The first step of a turn: what the log engine has to say to the question.

use std::{sync::Arc, time::Duration};

use callboard_logs::InvestigateOptions;
use callboard_protocol::{Evidence, StepState, Timestamp};
use tokio::time::timeout;
use tracing::warn;

use super::Running;
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
    let logs = running.shared.logs.clone();
    let question = running.ask.content.clone();
    let now = Timestamp::now();
    let permit = Arc::clone(&running.shared.searches).acquire_owned();
    let search = async {
        // The semaphore is never closed; and without its permit there is no search.
        let permit = permit.await.ok()?;
        let search = move || {
            // Held by the thread: a search that nobody waits for any more still takes its place.
            let _permit = permit;
            let own = Some(OWN_LOG);
            logs.investigate(&question, &InvestigateOptions { own, ..InvestigateOptions::at(now) })
        };
        running.shared.runtime.spawn_blocking(search).await.ok()
    };
    let cancelled = running.log.cancelled().cancelled();
    let found = tokio::select! {
        biased;
        () = cancelled => return None,
        found = timeout(SEARCH_TIMEOUT, search) => found,
    };
    match found {
        Ok(Some(Ok(evidence))) => {
            let searched = &evidence.searched;
            let summary = format!(
                "{}: {} of {} lines match",
                searched.reading, searched.matched, searched.searched
            );
            step(StepState::Done, summary);
            Some(Arc::new(evidence))
        }
        Ok(Some(Err(error))) => {
            warn!(%error, "the logs could not be searched for a turn");
            step(StepState::Failed, "the logs could not be searched".into());
            None
        }
        Ok(None) | Err(_) => {
            warn!("the search for a turn took too long or broke off");
            step(StepState::Failed, "the search took too long".into());
            None
        }
    }
}
