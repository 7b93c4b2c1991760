//! Background jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ClientError, ErrorCode, JobId, SourceId, Timestamp, UserId};

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Runs.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Stopped by a person.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// What an ingest job has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestProgress {
    /// Bytes to read, as far as known.
    pub bytes_total: u64,
    /// Bytes read.
    pub bytes_done: u64,
    /// Records indexed.
    pub lines: u64,
    /// Records to index, where that is known before.
    #[serde(default)]
    #[schema(required)]
    pub lines_total: Option<u64>,
    /// Records cut at the longest line allowed.
    pub truncated: u64,
    /// Records with invalid UTF-8, indexed with replacement characters.
    pub invalid_utf8: u64,
    /// Files skipped because they are not text.
    pub skipped_files: u64,
    /// The format found, such as `syslog`.
    #[schema(required)]
    pub format: Option<String>,
}

/// A run of background work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does: `ingest`, `reindex` or `notify`.
    pub kind: String,
    /// For people: `index OpenSSH_2k.log`.
    pub title: String,
    /// How far it has come.
    pub state: JobState,
    /// What it has done.
    pub progress: IngestProgress,
    /// The source that it feeds.
    #[schema(required)]
    pub source_id: Option<SourceId>,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<JobError>,
    /// How often it was tried.
    pub attempts: u32,
    /// Who asked for it; none for the server itself.
    #[schema(required)]
    pub created_by: Option<UserId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[schema(required)]
    pub finished_at: Option<Timestamp>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobError {
    /// From the table of codes.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl From<ClientError> for JobError {
    fn from(error: ClientError) -> Self {
        Self { code: error.code, message: error.message }
    }
}
