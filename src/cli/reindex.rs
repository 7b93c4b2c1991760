//! `reindex`: makes the log index anew, with a progress bar.

use std::time::Duration;

use anyhow::bail;
use callboard_protocol::{Job, JobState};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, RequestBuilder};
use tokio::time::sleep;

use super::client::{Client, Folder, accepted, body};
use crate::{config::Config, wiring};

/// How often the progress is asked for.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    wiring::block_on(async {
        let client = Client::connect(config, Folder::MustHoldIndex).await?;
        let told = reindex(&client).await;
        client.close().await;
        told
    })
}

async fn reindex(client: &Client) -> anyhow::Result<()> {
    let mut job: Job = read(client.request(Method::POST, "/logs/reload")).await?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} lines {per_sec}")?);
    while !job.state.is_final() {
        sleep(LOOK).await;
        job = read(client.request(Method::GET, &format!("/jobs/{}", job.id))).await?;
        bar.set_length(job.progress.lines_total.unwrap_or_default());
        bar.set_position(job.progress.lines);
    }
    bar.finish_and_clear();
    match job.state {
        JobState::Succeeded => Ok(say!("{} lines", job.progress.lines)?),
        JobState::Cancelled => bail!("cancelled after {} lines", job.progress.lines),
        JobState::Failed | JobState::Queued | JobState::Running => {
            bail!("{}", job.error.map_or_else(|| "it failed".to_owned(), |error| error.message))
        }
    }
}

async fn read(request: RequestBuilder) -> anyhow::Result<Job> {
    Ok(serde_json::from_slice(&body(accepted(request.send().await?).await?).await?)?)
}
