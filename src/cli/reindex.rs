//! `reindex`: makes the log index anew, with a progress bar.

use anyhow::bail;
use callboard_protocol::JobState;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, Url};

use super::{
    client::{Client, Folder},
    job,
};
use crate::{config::Config, wiring};

/// Which lines are read anew; all when nothing is said.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Read the times and levels of the lines of these sources anew: a name, or a pattern such as
    /// `/var/log/nginx/*`
    #[arg(long, value_name = "NAMES")]
    sources: Option<String>,
    /// … from this instant on (a date, or RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// … to before this one, or to the end of this day
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

pub(super) fn run(config: &Config, which: &Which) -> anyhow::Result<()> {
    wiring::block_on(async {
        let client = Client::connect(config, Folder::MustHoldIndex).await?;
        let told = reindex(&client, which).await;
        client.close().await;
        told
    })
}

async fn reindex(client: &Client, which: &Which) -> anyhow::Result<()> {
    let Which { sources, from, to } = which;
    let scope = [("sources", sources), ("from", from), ("to", to)];
    let scope = scope.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let url = Url::parse_with_params("http://callboard/logs/reload", scope)?;
    let path = format!("/logs/reload?{}", url.query().unwrap_or_default());
    let job = job::begun(client.request(Method::POST, &path)).await?;
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
