//! Background jobs: a durable queue.
//!
//! A job that runs belongs to a [`Claim`]: its id and the number of the attempt. Whoever lost the
//! job (it was silent for too long, and another took over) holds an old claim, and every change
//! through it is refused with `Lost`.

mod run;

use callboard_protocol::{
    IngestProgress, Job, JobError, JobId, JobState, SourceId, Timestamp, UserId,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, LockType},
};
use serde_json::Value;

pub use self::run::{
    Beat, Claim, ClaimedJob, Finish, FinishedJob, Retry, claim_next, finish, heartbeat, recover,
    retry,
};
use crate::{
    Record, Store, StoreError,
    entity::job::{Column, Entity, Model},
    value::{clean, from_name, name_of, to_json},
};

/// A job to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What it does: `ingest`.
    pub kind: String,
    /// For people.
    pub title: String,
    /// What its kind needs to know.
    pub payload: Value,
    /// The source that it feeds.
    pub source_id: Option<SourceId>,
    /// Who asks for it; none for the server itself.
    pub created_by: Option<UserId>,
    /// How often it may be tried, at least once.
    pub max_attempts: u32,
}

/// Puts a job into the queue.
pub async fn enqueue(store: &Store, new: &NewJob, now: Timestamp) -> Result<Job, StoreError> {
    store.run("jobs.enqueue", insert(store.writer(), new, now)).await
}

/// The same in a transaction of others.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    new: &NewJob,
    now: Timestamp,
) -> Result<Job, StoreError> {
    let row = Model {
        id: JobId::new().0,
        kind: clean(&new.kind),
        title: clean(&new.title),
        payload: to_json(&new.payload)?,
        state: name_of(&JobState::Queued)?,
        progress: to_json(&IngestProgress::default())?,
        attempts: 0,
        max_attempts: i32::try_from(new.max_attempts.max(1)).unwrap_or(i32::MAX),
        not_before: now.as_millis(),
        claimed_by: None,
        heartbeat_at: None,
        cancel_requested: false,
        source_id: new.source_id.map(|id| id.0),
        error: None,
        created_by: new.created_by.map(|id| id.0),
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        finished_at: None,
    };
    Entity::insert(row.clone().into_active_model()).exec_without_returning(db).await?;
    job_of(row)
}

/// Forgets the jobs of a kind that ended before; answers how many.
pub async fn purge(store: &Store, kind: &str, before: Timestamp) -> Result<u64, StoreError> {
    store
        .run("jobs.purge", async {
            let purged = Entity::delete_many()
                .filter(Column::Kind.eq(kind))
                .filter(Column::FinishedAt.lt(before.as_millis()))
                .exec(store.writer())
                .await?;
            Ok(purged.rows_affected)
        })
        .await
}

/// One job.
pub async fn get(store: &Store, id: JobId) -> Result<Job, StoreError> {
    store
        .run("jobs.get", async {
            let row = Entity::find_by_id(id.0).one(store.reader()).await?;
            job_of(row.ok_or(StoreError::NotFound(Record::Job))?)
        })
        .await
}

/// What a job was given to work with.
pub async fn payload(store: &Store, id: JobId) -> Result<Value, StoreError> {
    store
        .run("jobs.payload", async {
            let row = Entity::find_by_id(id.0).one(store.reader()).await?;
            Ok(row.ok_or(StoreError::NotFound(Record::Job))?.payload)
        })
        .await
}

/// What the jobs that have not ended were given to work with.
pub async fn unfinished_payloads(store: &Store) -> Result<Vec<Value>, StoreError> {
    store
        .run("jobs.unfinished_payloads", async {
            let unfinished = [name_of(&JobState::Queued)?, name_of(&JobState::Running)?];
            let rows =
                Entity::find().filter(Column::State.is_in(unfinished)).all(store.reader()).await?;
            Ok(rows.into_iter().map(|row| row.payload).collect())
        })
        .await
}

/// The first job of a kind that has not ended.
pub async fn unfinished_of(store: &Store, kind: &str) -> Result<Option<Job>, StoreError> {
    store
        .run("jobs.unfinished_of", async {
            let unfinished = [name_of(&JobState::Queued)?, name_of(&JobState::Running)?];
            let row = Entity::find()
                .filter(Column::Kind.eq(kind))
                .filter(Column::State.is_in(unfinished))
                .order_by_asc(Column::CreatedAt)
                .one(store.reader())
                .await?;
            row.map(job_of).transpose()
        })
        .await
}

/// The latest jobs, the last first.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<Job>, StoreError> {
    store
        .run("jobs.list", async {
            let rows = Entity::find()
                .order_by_desc(Column::CreatedAt)
                .order_by_desc(Column::Id)
                .limit(u64::from(limit))
                .all(store.reader())
                .await?;
            rows.into_iter().map(job_of).collect()
        })
        .await
}

/// Asks for a job to stop. One that waits is cancelled at once; one that runs learns of it by its
/// next [`heartbeat`]; one that has ended stays as it is.
pub async fn request_cancel(store: &Store, id: JobId, now: Timestamp) -> Result<Job, StoreError> {
    store
        .run("jobs.request_cancel", async {
            let tx = store.begin().await?;
            let row = Entity::find_by_id(id.0).lock(LockType::NoKeyUpdate).one(&tx).await?;
            let row = row.ok_or(StoreError::NotFound(Record::Job))?;
            let mut job = job_of(row)?;
            if job.state.is_final() {
                return Ok(job);
            }
            let mut update = Entity::update_many()
                .col_expr(Column::CancelRequested, Expr::value(true))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_millis()))
                .filter(Column::Id.eq(id.0));
            job.updated_at = now;
            if job.state == JobState::Queued {
                job.state = JobState::Cancelled;
                job.finished_at = Some(now);
                update = update
                    .col_expr(Column::State, Expr::value(name_of(&job.state)?))
                    .col_expr(Column::FinishedAt, Expr::value(now.as_millis()));
            }
            update.exec(&tx).await?;
            tx.commit().await?;
            Ok(job)
        })
        .await
}

fn job_of(row: Model) -> Result<Job, StoreError> {
    let error: Option<JobError> = row.error.map(serde_json::from_value).transpose()?;
    Ok(Job {
        id: JobId(row.id),
        kind: row.kind,
        title: row.title,
        state: from_name(&row.state)?,
        progress: serde_json::from_value(row.progress)?,
        source_id: row.source_id.map(SourceId),
        error,
        attempts: row.attempts.unsigned_abs(),
        created_by: row.created_by.map(UserId),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        finished_at: row.finished_at.map(Timestamp::from_millis),
    })
}
