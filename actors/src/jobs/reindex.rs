//! The job that makes the log index anew: asked for by people, and by the server itself.

use callboard_entities::{
    Store, StoreError,
    queries::jobs::{self, NewJob},
};
use callboard_logs::Reread;
use callboard_protocol::{ClientError, ErrorCode, Job, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Jobs, MAX_ATTEMPTS};
use crate::{job::REINDEX, storage::store_failed};

/// What the job needs to know: the payload of its row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reindex {
    /// Lines that are read anew as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reread: Option<Reread>,
}

impl Jobs {
    /// Makes the log index anew, and reads the lines of `reread` anew. `by` is none for the server
    /// itself. One for the same that has not ended yet is enough.
    ///
    /// # Errors
    /// `conflict` while it is made anew for something else; that the database is away.
    pub async fn enqueue_reindex(
        &self,
        by: Option<UserId>,
        reread: Option<Reread>,
    ) -> Result<Job, ClientError> {
        let job = enqueue(&self.shared.store, by, reread).await?;
        self.wake();
        Ok(job)
    }

    /// Makes the log index anew when it is of an older version.
    pub(crate) async fn remake_outdated(&self) {
        if self.shared.logs.is_outdated()
            && let Err(error) = self.enqueue_reindex(None, None).await
        {
            warn!(%error, "the log index is of an older version, and cannot be made anew yet");
        }
    }
}

/// The same for who has no handle of the jobs: it is found within seconds.
pub(crate) async fn enqueue(
    store: &Store,
    by: Option<UserId>,
    reread: Option<Reread>,
) -> Result<Job, ClientError> {
    let wanted = Reindex { reread };
    let enqueued = async {
        if let Some(job) = jobs::unfinished_of(store, REINDEX).await? {
            let known: Reindex = serde_json::from_value(jobs::payload(store, job.id).await?)?;
            return Ok((known == wanted).then_some(job));
        }
        let title = match &wanted.reread {
            None => "make the log index anew".to_owned(),
            Some(Reread { sources: None, .. }) => "read the log lines anew".to_owned(),
            Some(Reread { sources: Some(names), .. }) => format!("read the lines of {names} anew"),
        };
        let new = NewJob {
            kind: REINDEX.into(),
            title,
            payload: serde_json::to_value(&wanted)?,
            source_id: None,
            created_by: by,
            max_attempts: MAX_ATTEMPTS,
        };
        Ok::<_, StoreError>(Some(jobs::enqueue(store, &new, Timestamp::now()).await?))
    };
    let job = enqueued.await.map_err(|error| {
        store_failed("enqueue a re-index", &error);
        error.client()
    })?;
    let message = "The log index is being made anew for something else; wait until that has ended.";
    job.ok_or_else(|| ClientError::new(ErrorCode::Conflict, message))
}
