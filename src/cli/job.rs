//! A background job, waited for by a command.

use std::time::Duration;

use callboard_protocol::Job;
use reqwest::{Method, RequestBuilder};
use tokio::time::sleep;

use super::client::{Client, accepted, body};

/// How often the progress is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// The job that a request begins.
pub(super) async fn begun(request: RequestBuilder) -> anyhow::Result<Job> {
    Ok(serde_json::from_slice(&body(accepted(request.send().await?).await?).await?)?)
}

/// The job at its end; `on_progress` is told how far it is until then.
pub(super) async fn ended(
    client: &Client,
    mut job: Job,
    on_progress: impl Fn(&Job),
) -> anyhow::Result<Job> {
    while !job.state.is_final() {
        sleep(LOOK).await;
        job = begun(client.request(Method::GET, &format!("/jobs/{}", job.id))).await?;
        on_progress(&job);
    }
    Ok(job)
}
