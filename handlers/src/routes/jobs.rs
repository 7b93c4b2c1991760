//! `/jobs`: background work.

use actix_web::web;
use callboard_protocol::{Job, JobId, JobPage};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};
use callboard_entities::queries::jobs;

/// How many jobs are listed: the latest.
const LISTED: u32 = 100;

/// The latest jobs.
#[utoipa::path(get, path = "/jobs", tag = "jobs", responses((status = 200, body = JobPage)))]
pub(crate) async fn list_jobs(
    _: Allowed<permit::JobsRead>,
    state: State,
) -> Result<web::Json<JobPage>, ApiError> {
    let items = jobs::list(&state.store, LISTED).await?;
    Ok(web::Json(JobPage { items }))
}

/// One job.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
pub(crate) async fn read_job(
    _: Allowed<permit::JobsRead>,
    state: State,
    id: web::Path<JobId>,
) -> Result<web::Json<Job>, ApiError> {
    Ok(web::Json(jobs::get(&state.store, *id).await?))
}

/// Stop a job. Stopping one that has ended changes nothing.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "jobs", params(("id" = JobId, Path)),
    responses((status = 200, body = Job)))]
pub(crate) async fn cancel_job(
    caller: Allowed<permit::JobsManage>,
    (state, trail): (State, Trail),
    id: web::Path<JobId>,
) -> Result<web::Json<Job>, ApiError> {
    let job = state.system.jobs().cancel(*id).await?;
    trail.note(&caller.user, "job.cancel", job.id).await;
    Ok(web::Json(job))
}
