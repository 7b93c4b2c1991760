//! What a job does, as its row says.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use callboard_entities::queries::jobs::ClaimedJob;
use callboard_logs::{IngestError, IngestOptions};
use callboard_protocol::{IngestProgress, SourceId, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::{error, warn};

use super::{JobSeed, Worked, delete_spool, not_text};
use crate::{
    jobs::reindex::Reindex,
    notify::{Notice, Told},
};

/// The kind of a job that indexes a file.
pub(crate) const INGEST: &str = "ingest";

/// The kind of a job that makes the index anew.
pub(crate) const REINDEX: &str = "reindex";

/// The kind of a job that tells somebody of alerts.
pub(crate) const NOTIFY: &str = "notify";

/// What an ingest job needs to know: the payload of its row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ingest {
    pub(crate) path: PathBuf,
    /// The name of the source.
    pub(crate) name: String,
    /// Whether the file is a spooled upload.
    pub(crate) delete_after: bool,
    pub(crate) bytes: u64,
}

/// See the module.
pub(super) enum Task {
    Ingest(Ingest, SourceId),
    Reindex(Reindex),
    Notify(Box<Notice>),
}

impl Task {
    /// None when the row cannot be read.
    pub(super) fn of(claimed: &ClaimedJob) -> Option<Self> {
        match claimed.job.kind.as_str() {
            INGEST => Some(Self::Ingest(payload_of(claimed)?, claimed.job.source_id?)),
            REINDEX => Some(Self::Reindex(payload_of(claimed)?)),
            NOTIFY => Some(Self::Notify(payload_of(claimed)?)),
            kind => {
                error!(kind, "a job is of a kind that is not known");
                None
            }
        }
    }

    /// Runs it to its end, or until it is told to stop. Blocks.
    pub(super) fn run(&self, seed: &JobSeed, stop: &AtomicBool) -> Worked {
        // The server's end is looked at here, too: the actor that passes it on ends with its
        // arbiter.
        let told = || stop.load(Ordering::Relaxed) || seed.stopping.is_cancelled();
        match self {
            Self::Ingest(of, source) => ingest(seed, of, *source, &told),
            Self::Reindex(of) => reindex(seed, of, &told),
            Self::Notify(notice) => notify(seed, notice),
        }
    }

    /// Removes what is of no use when the job is over for good.
    pub(super) async fn clean_up(&self, seed: &JobSeed) {
        match self {
            Self::Ingest(..) => delete_spool(&seed.claimed.payload).await,
            Self::Notify(_) => {}
            Self::Reindex(_) => {
                let logs = seed.shared.logs.clone();
                let discard = move || logs.discard_reindex();
                let discarded = seed.shared.runtime.spawn_blocking(discard).await;
                if let Ok(Err(error)) = discarded {
                    warn!(%error, "what a re-index had made could not be deleted");
                }
            }
        }
    }
}

fn payload_of<T: DeserializeOwned>(claimed: &ClaimedJob) -> Option<T> {
    let read = serde_json::from_value(claimed.payload.clone());
    read.inspect_err(|error| error!(%error, "a job has a payload that cannot be read")).ok()
}

fn ingest(seed: &JobSeed, of: &Ingest, source: SourceId, told: &dyn Fn() -> bool) -> Worked {
    #[cfg(test)]
    seed.shared.trap.spring("ingest");
    let indexed = seed.shared.metrics.log_lines.with_label_values(&[INGEST]);
    let mut counted = 0;
    let mut on_progress = |progress: &IngestProgress| {
        indexed.inc_by(progress.lines.saturating_sub(counted));
        counted = progress.lines;
        seed.progress.lock().clone_from(progress);
        if told() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = IngestOptions::whole(source, of.name.clone(), Timestamp::now());
    match seed.shared.logs.ingest_file(&of.path, &options, &mut on_progress) {
        Ok(_) if told() => Worked::Stopped,
        // One file is the whole job: without it nothing was done.
        Ok(progress) if progress.skipped_files > 0 => {
            seed.progress.lock().clone_from(&progress);
            let error = not_text::reason(&of.path).into();
            Worked::Failed { error, again: false }
        }
        Ok(progress) => Worked::Done(progress),
        Err(error) => failed(error, "a file could not be indexed"),
    }
}

fn reindex(seed: &JobSeed, of: &Reindex, told: &dyn Fn() -> bool) -> Worked {
    let mut on_progress = |progress: &IngestProgress| {
        seed.progress.lock().clone_from(progress);
        if told() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match seed.shared.logs.reindex(of.reread.as_ref(), &mut on_progress) {
        Ok(Some(progress)) => Worked::Done(progress),
        Ok(None) => Worked::Stopped,
        Err(error) => failed(error, "the index could not be made anew"),
    }
}

fn notify(seed: &JobSeed, notice: &Notice) -> Worked {
    let told = Told::new(notice, &seed.shared.logs);
    match seed.shared.runtime.block_on(seed.shared.notifier.tell(&told)) {
        Ok(()) => Worked::Done(IngestProgress::default()),
        Err(error) => {
            let (channel, why) = (&notice.channel, &error.why);
            warn!(channel, why, again = error.again, "somebody could not be told of an alert");
            Worked::Failed { error: error.client().into(), again: error.again }
        }
    }
}

fn failed(error: IngestError, what: &'static str) -> Worked {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    warn!(%error, cause, what, "a job failed");
    let again = !error.is_final();
    Worked::Failed { error: error.client_error().into(), again }
}
