//! The queue of background jobs.

use std::collections::HashSet;

use callboard_entities::{
    Record, StoreError,
    queries::{
        jobs::{self, Beat, Claim, Finish, FinishedJob, NewJob, Retry},
        sources,
    },
};
use callboard_protocol::{ErrorCode, IngestProgress, JobError, JobId, JobState};
use serde_json::json;

use crate::harness::{Db, at, on_both, user};

on_both! {
    a_job_runs_from_queue_to_end
    jobs_are_claimed_in_order_by_kind_and_not_before_their_time
    of_many_workers_each_gets_its_own_job
    a_fault_is_retried_and_then_given_up
    cancelling_stops_what_waits_and_tells_what_runs
    a_silent_job_is_recovered_and_its_old_worker_has_lost_it
    a_job_that_kills_its_server_is_given_up
}

fn new_job(kind: &str) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        title: format!("index {kind}"),
        payload: json!({"path": "/var/log/a\0b"}),
        source_id: None,
        created_by: None,
        max_attempts: 2,
    }
}

fn progress(lines: u64) -> IngestProgress {
    IngestProgress { lines, ..IngestProgress::default() }
}

fn fault() -> JobError {
    JobError { code: ErrorCode::StorageUnavailable, message: "the disk is gone".to_owned() }
}

async fn claim(db: &Db, seconds: i64) -> Option<Claim> {
    let claimed = jobs::claim_next(&db.store, &["ingest"], "w", at(seconds)).await.unwrap();
    claimed.map(|claimed| claimed.claim)
}

async fn state(db: &Db, id: JobId) -> JobState {
    jobs::get(&db.store, id).await.unwrap().state
}

async fn a_job_runs_from_queue_to_end(db: Db) {
    let ada = user(&db, "ada").await;
    let source = sources::ensure(&db.store, "upload", "a.log", &json!({}), at(0)).await.unwrap();
    let (source_id, created_by) = (Some(source.id), Some(ada.id));
    let new = NewJob { source_id, created_by, ..new_job("ingest") };
    let queued = jobs::enqueue(&db.store, &new, at(1)).await.unwrap();
    assert_eq!(jobs::get(&db.store, queued.id).await.unwrap(), queued);
    assert_eq!((queued.state, queued.attempts), (JobState::Queued, 0));
    let claimed = jobs::claim_next(&db.store, &["ingest"], "w", at(2)).await.unwrap().unwrap();
    assert_eq!(claimed.payload, json!({"path": "/var/log/a\u{fffd}b"}));
    assert_eq!(claimed.job, jobs::get(&db.store, queued.id).await.unwrap());
    assert_eq!((claimed.job.state, claimed.job.attempts), (JobState::Running, 1));
    let beat = jobs::heartbeat(&db.store, claimed.claim, &progress(10), at(3)).await.unwrap();
    assert_eq!(beat, Beat::Continue);
    assert_eq!(jobs::get(&db.store, queued.id).await.unwrap().progress, progress(10));
    let (end, read) = (Finish::Succeeded, progress(20));
    let end = jobs::finish(&db.store, claimed.claim, &end, &read, at(4)).await.unwrap();
    assert_eq!(end, FinishedJob::Stored);
    let done = jobs::get(&db.store, queued.id).await.unwrap();
    assert_eq!((done.state, done.finished_at), (JobState::Succeeded, Some(at(4))));
    assert_eq!((done.progress, done.source_id), (progress(20), Some(source.id)));
    let late = Finish::Failed(fault());
    let late = jobs::finish(&db.store, claimed.claim, &late, &progress(0), at(5)).await.unwrap();
    assert_eq!(late, FinishedJob::Lost);
    assert_eq!(state(&db, queued.id).await, JobState::Succeeded);
    let missing = jobs::get(&db.store, JobId::new()).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::Job))));
}

async fn jobs_are_claimed_in_order_by_kind_and_not_before_their_time(db: Db) {
    let other = jobs::enqueue(&db.store, &new_job("other"), at(0)).await.unwrap();
    let later = jobs::enqueue(&db.store, &new_job("ingest"), at(9)).await.unwrap();
    let first = jobs::enqueue(&db.store, &new_job("ingest"), at(1)).await.unwrap();
    let second = jobs::enqueue(&db.store, &new_job("ingest"), at(1)).await.unwrap();
    assert_eq!(claim(&db, 0).await, None);
    for expected in [&first, &second] {
        assert_eq!(claim(&db, 8).await.unwrap().job_id, expected.id);
    }
    assert_eq!(claim(&db, 8).await, None);
    assert_eq!(claim(&db, 9).await.unwrap().job_id, later.id);
    assert!(jobs::claim_next(&db.store, &[], "w", at(9)).await.unwrap().is_none());
    assert_eq!(state(&db, other.id).await, JobState::Queued);
    let listed = jobs::list(&db.store, 3).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|job| job.id).collect();
    assert_eq!(ids, [later.id, second.id, first.id], "the latest first");
}

async fn of_many_workers_each_gets_its_own_job(db: Db) {
    for _ in 0..30 {
        jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    }
    let claims = db
        .race(8, |number, store| async move {
            let mut mine = Vec::new();
            let worker = format!("w{number}");
            while let Some(claimed) =
                jobs::claim_next(&store, &["ingest"], &worker, at(1)).await.unwrap()
            {
                mine.push(claimed.claim.job_id);
            }
            mine
        })
        .await;
    let all: Vec<JobId> = claims.into_iter().flatten().collect();
    assert_eq!(all.len(), 30);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 30);
}

async fn a_fault_is_retried_and_then_given_up(db: Db) {
    let job = jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    let first = claim(&db, 1).await.unwrap();
    let retry = jobs::retry(&db.store, first, &fault(), at(30), at(2)).await.unwrap();
    assert_eq!(retry, Retry::Queued);
    assert_eq!(jobs::get(&db.store, job.id).await.unwrap().error, Some(fault()));
    assert_eq!(claim(&db, 29).await, None, "it waits");
    let second = claim(&db, 30).await.unwrap();
    assert_eq!(second, Claim { job_id: job.id, attempt: 2 });
    let stale = jobs::retry(&db.store, first, &fault(), at(40), at(31)).await.unwrap();
    assert_eq!(stale, Retry::Lost);
    let retry = jobs::retry(&db.store, second, &fault(), at(60), at(31)).await.unwrap();
    assert_eq!(retry, Retry::GivenUp);
    let failed = jobs::get(&db.store, job.id).await.unwrap();
    assert_eq!((failed.state, failed.error), (JobState::Failed, Some(fault())));
    assert_eq!(failed.finished_at, Some(at(31)));
    assert_eq!(claim(&db, 99).await, None);
}

async fn cancelling_stops_what_waits_and_tells_what_runs(db: Db) {
    let running = jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    let waiting = jobs::enqueue(&db.store, &new_job("ingest"), at(1)).await.unwrap();
    let claimed = claim(&db, 1).await.unwrap();
    let cancelled = jobs::request_cancel(&db.store, waiting.id, at(2)).await.unwrap();
    assert_eq!(cancelled, jobs::get(&db.store, waiting.id).await.unwrap());
    assert_eq!((cancelled.state, cancelled.finished_at), (JobState::Cancelled, Some(at(2))));
    let asked = jobs::request_cancel(&db.store, running.id, at(2)).await.unwrap();
    assert_eq!(asked.state, JobState::Running);
    let beat = jobs::heartbeat(&db.store, claimed, &progress(1), at(3)).await.unwrap();
    assert_eq!(beat, Beat::Cancel);
    let retry = jobs::retry(&db.store, claimed, &fault(), at(9), at(4)).await.unwrap();
    assert_eq!(retry, Retry::Cancelled, "a cancelled job is not tried again");
    assert_eq!(state(&db, running.id).await, JobState::Cancelled);
    let again = jobs::request_cancel(&db.store, running.id, at(5)).await.unwrap();
    assert_eq!(again.finished_at, Some(at(4)), "one that has ended stays as it is");
    let missing = jobs::request_cancel(&db.store, JobId::new(), at(5)).await;
    assert!(matches!(missing, Err(StoreError::NotFound(Record::Job))));
}

async fn a_silent_job_is_recovered_and_its_old_worker_has_lost_it(db: Db) {
    jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    let alive = jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    let silent = claim(&db, 1).await.unwrap();
    let beating = claim(&db, 1).await.unwrap();
    jobs::heartbeat(&db.store, beating, &progress(1), at(50)).await.unwrap();
    assert_eq!(jobs::recover(&db.store, at(50), at(60)).await.unwrap(), 1);
    assert_eq!(jobs::recover(&db.store, at(50), at(60)).await.unwrap(), 0);
    assert_eq!(state(&db, alive.id).await, JobState::Running);
    let beat = jobs::heartbeat(&db.store, silent, &progress(9), at(61)).await.unwrap();
    assert_eq!(beat, Beat::Lost);
    let anew = claim(&db, 61).await.unwrap();
    assert_eq!(anew, Claim { attempt: 2, ..silent });
    let beat = jobs::heartbeat(&db.store, silent, &progress(9), at(62)).await.unwrap();
    assert_eq!(beat, Beat::Lost, "the old claim does not hold for the new attempt");
    assert_eq!(jobs::get(&db.store, anew.job_id).await.unwrap().progress, progress(0));
}

async fn a_job_that_kills_its_server_is_given_up(db: Db) {
    let job = jobs::enqueue(&db.store, &new_job("ingest"), at(0)).await.unwrap();
    for round in [10, 20] {
        claim(&db, round).await.unwrap();
        let found = jobs::recover(&db.store, at(round + 1), at(round + 1)).await.unwrap();
        assert_eq!(found, 1);
    }
    let failed = jobs::get(&db.store, job.id).await.unwrap();
    assert_eq!(failed.state, JobState::Failed);
    assert_eq!(failed.error.unwrap().code, ErrorCode::Internal);
}
