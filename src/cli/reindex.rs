//! `reindex`: makes the log index anew, with a progress bar.

use anyhow::bail;
use callboard_protocol::JobState;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;

use super::{
    client::{Client, Folder},
    job,
};
use crate::{config::Config, wiring};

pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    wiring::block_on(async {
        let client = Client::connect(config, Folder::MustHoldIndex).await?;
        let told = reindex(&client).await;
        client.close().await;
        told
    })
}

async fn reindex(client: &Client) -> anyhow::Result<()> {
    let job = job::begun(client.request(Method::POST, "/logs/reload")).await?;
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} lines {per_sec}")?);
    let job = job::ended(client, job, |job| {
        bar.set_length(job.progress.lines_total.unwrap_or_default());
        bar.set_position(job.progress.lines);
    })
    .await?;
    bar.finish_and_clear();
    match job.state {
        JobState::Succeeded => Ok(say!("{} lines", job.progress.lines)?),
        JobState::Cancelled => bail!("cancelled after {} lines", job.progress.lines),
        JobState::Failed | JobState::Queued | JobState::Running => {
            bail!("{}", job.error.map_or_else(|| "it failed".to_owned(), |error| error.message))
        }
    }
}
