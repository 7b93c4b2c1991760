//! Running a job: claim, heartbeat, finish or retry, and recovery of those left behind.

use callboard_protocol::{ErrorCode, IngestProgress, Job, JobError, JobId, JobState, Timestamp};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockBehavior, LockType},
};
use serde_json::Value;
use uuid::Uuid;

use super::job_of;
use crate::{
    Store, StoreError,
    entity::job::{ActiveModel, Column, Entity, Model},
    value::{clean, name_of, to_json},
};

/// The right to run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job_id: JobId,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// A job to run now.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedJob {
    /// For all that follows.
    pub claim: Claim,
    /// The job.
    pub job: Job,
    /// What its kind needs to know.
    pub payload: Value,
}

/// The reply to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Go on.
    Continue,
    /// Somebody asked for the job to stop: finish it with [`Finish::Cancelled`].
    Cancel,
    /// The job is no longer the caller's: stop, and change nothing.
    Lost,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Done.
    Succeeded,
    /// Given up.
    Failed(JobError),
    /// Stopped by a person.
    Cancelled,
}

/// What came of finishing a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishedJob {
    /// It is stored.
    Stored,
    /// The job is no longer the caller's.
    Lost,
}

/// What came of putting a job back after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will be tried again.
    Queued,
    /// It was tried as often as it may be, and has failed.
    GivenUp,
    /// Somebody had asked for it to stop, and it is cancelled.
    Cancelled,
    /// The job is no longer the caller's.
    Lost,
}

/// Takes the job of one of these kinds that has waited longest and may run now. Of several callers
/// at once, each gets another job. `worker` is for people.
pub async fn claim_next(
    store: &Store,
    kinds: &[&str],
    worker: &str,
    now: Timestamp,
) -> Result<Option<ClaimedJob>, StoreError> {
    store
        .run("jobs.claim_next", async {
            let tx = store.begin().await?;
            let next = Entity::find()
                .filter(Column::State.eq(name_of(&JobState::Queued)?))
                .filter(Column::Kind.is_in(kinds.iter().copied()))
                .filter(Column::NotBefore.lte(now.as_millis()))
                .order_by_asc(Column::NotBefore)
                .order_by_asc(Column::Id)
                .limit(1)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .one(&tx)
                .await?;
            let Some(mut row) = next else { return Ok(None) };
            row.state = name_of(&JobState::Running)?;
            row.attempts = row.attempts.saturating_add(1);
            row.updated_at = now.as_millis();
            Entity::update_many()
                .col_expr(Column::State, Expr::value(row.state.clone()))
                .col_expr(Column::Attempts, Expr::value(row.attempts))
                .col_expr(Column::ClaimedBy, Expr::value(clean(worker)))
                .col_expr(Column::HeartbeatAt, Expr::value(now.as_millis()))
                .col_expr(Column::UpdatedAt, Expr::value(row.updated_at))
                .filter(Column::Id.eq(row.id))
                .exec(&tx)
                .await?;
            tx.commit().await?;
            let claim = Claim { job_id: JobId(row.id), attempt: row.attempts.unsigned_abs() };
            let payload = row.payload.clone();
            Ok(Some(ClaimedJob { claim, job: job_of(row)?, payload }))
        })
        .await
}

/// Says that the job is alive and how far it is, and learns whether to go on.
pub async fn heartbeat(
    store: &Store,
    claim: Claim,
    progress: &IngestProgress,
    now: Timestamp,
) -> Result<Beat, StoreError> {
    store
        .run("jobs.heartbeat", async {
            let rows = Entity::update_many()
                .col_expr(Column::HeartbeatAt, Expr::value(now.as_millis()))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_millis()))
                .col_expr(Column::Progress, Expr::value(to_json(progress)?))
                .filter(Column::Id.eq(claim.job_id.0))
                .filter(Column::State.eq(name_of(&JobState::Running)?))
                .filter(Column::Attempts.eq(claim.attempt))
                .exec_with_returning(store.writer())
                .await?;
            Ok(match rows.first() {
                None => Beat::Lost,
                Some(row) if row.cancel_requested => Beat::Cancel,
                Some(_) => Beat::Continue,
            })
        })
        .await
}

/// Ends a job.
pub async fn finish(
    store: &Store,
    claim: Claim,
    finish: &Finish,
    progress: &IngestProgress,
    now: Timestamp,
) -> Result<FinishedJob, StoreError> {
    store
        .run("jobs.finish", async {
            let tx = store.begin().await?;
            if held(&tx, claim).await?.is_none() {
                return Ok(FinishedJob::Lost);
            }
            let mut change = ended(finish, now)?;
            change.progress = sea_orm::Set(to_json(progress)?);
            update(&tx, claim.job_id.0, change).await?;
            tx.commit().await?;
            Ok(FinishedJob::Stored)
        })
        .await
}

/// Puts a job back after a fault, to be tried again at `not_before` at the earliest; gives it up
/// if it was tried as often as it may be.
pub async fn retry(
    store: &Store,
    claim: Claim,
    error: &JobError,
    not_before: Timestamp,
    now: Timestamp,
) -> Result<Retry, StoreError> {
    store
        .run("jobs.retry", async {
            let tx = store.begin().await?;
            let Some(row) = held(&tx, claim).await? else { return Ok(Retry::Lost) };
            let (change, outcome) = put_back(&row, error, not_before, now)?;
            update(&tx, row.id, change).await?;
            tx.commit().await?;
            Ok(outcome)
        })
        .await
}

/// Puts back the running jobs that were last heard of before `silent_since`: their server ended.
/// Those that were tried as often as they may be have failed. Tells how many there were.
pub async fn recover(
    store: &Store,
    silent_since: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    store
        .run("jobs.recover", async {
            let tx = store.begin().await?;
            let rows = Entity::find()
                .filter(Column::State.eq(name_of(&JobState::Running)?))
                .filter(Column::HeartbeatAt.lt(silent_since.as_millis()))
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .all(&tx)
                .await?;
            let error = JobError {
                code: ErrorCode::Internal,
                message: "The server ended while the job was running.".to_owned(),
            };
            for row in &rows {
                let (change, _) = put_back(row, &error, now, now)?;
                update(&tx, row.id, change).await?;
            }
            tx.commit().await?;
            Ok(rows.len() as u64)
        })
        .await
}

/// The job, if the claim still holds; nobody else changes it until the transaction ends.
async fn held(tx: &DatabaseTransaction, claim: Claim) -> Result<Option<Model>, StoreError> {
    let row = Entity::find_by_id(claim.job_id.0)
        .filter(Column::State.eq(name_of(&JobState::Running)?))
        .filter(Column::Attempts.eq(claim.attempt))
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    Ok(row)
}

async fn update(tx: &DatabaseTransaction, id: Uuid, change: ActiveModel) -> Result<(), StoreError> {
    Entity::update_many().set(change).filter(Column::Id.eq(id)).exec(tx).await?;
    Ok(())
}

/// What becomes of a job whose attempt came to nothing.
fn put_back(
    row: &Model,
    error: &JobError,
    not_before: Timestamp,
    now: Timestamp,
) -> Result<(ActiveModel, Retry), StoreError> {
    if row.cancel_requested {
        return Ok((ended(&Finish::Cancelled, now)?, Retry::Cancelled));
    }
    if row.attempts >= row.max_attempts {
        return Ok((ended(&Finish::Failed(error.clone()), now)?, Retry::GivenUp));
    }
    let change = ActiveModel {
        state: sea_orm::Set(name_of(&JobState::Queued)?),
        not_before: sea_orm::Set(not_before.as_millis()),
        claimed_by: sea_orm::Set(None),
        heartbeat_at: sea_orm::Set(None),
        error: sea_orm::Set(Some(to_json(error)?)),
        updated_at: sea_orm::Set(now.as_millis()),
        ..ActiveModel::default()
    };
    Ok((change, Retry::Queued))
}

fn ended(finish: &Finish, now: Timestamp) -> Result<ActiveModel, StoreError> {
    let (state, error) = match finish {
        Finish::Succeeded => (JobState::Succeeded, None),
        Finish::Failed(error) => (JobState::Failed, Some(to_json(error)?)),
        Finish::Cancelled => (JobState::Cancelled, None),
    };
    Ok(ActiveModel {
        state: sea_orm::Set(name_of(&state)?),
        error: sea_orm::Set(error),
        claimed_by: sea_orm::Set(None),
        heartbeat_at: sea_orm::Set(None),
        updated_at: sea_orm::Set(now.as_millis()),
        finished_at: sea_orm::Set(Some(now.as_millis())),
        ..ActiveModel::default()
    })
}
