//! `ingest PATH…`: one job for each file, with a progress bar.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use callboard_protocol::{Job, JobState};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use super::client::{Client, accepted, body};
use crate::{config::Config, wiring};

/// How often the progress is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// Files below one folder at most: more is likely the wrong folder.
const MAX_FILES: usize = 10_000;

pub(super) fn run(config: &Config, paths: &[PathBuf]) -> anyhow::Result<()> {
    let files = files(paths)?;
    wiring::block_on(async {
        let client = Client::connect(config).await?;
        let mut failed = 0;
        for file in &files {
            if let Err(error) = ingest(&client, file).await {
                failed += 1;
                say!("{}: {error:#}", file.display())?;
            }
        }
        client.close().await;
        if failed > 0 {
            bail!("{failed} of {} files failed", files.len());
        }
        Ok(())
    })
}

/// The files to index: folders stand for all files below them, sorted by name.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            collect(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let in_folder = || format!("cannot read the folder {}", folder.display());
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).with_context(in_folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        // Links are not followed: a loop of folders would have no end.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
        if files.len() > MAX_FILES {
            bail!("there are more than {MAX_FILES} files below {}", folder.display());
        }
    }
    Ok(())
}

async fn ingest(client: &Client, file: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(file)?;
    let path = path.to_str().context("its path is not valid UTF-8; rename it")?;
    let asked = client.request(Method::POST, "/logs/ingest").json(&json!({ "path": path }));
    let mut job: Job = read(asked).await?;
    let bar = ProgressBar::new(job.progress.bytes_total);
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.set_message(file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned());
    while !job.state.is_final() {
        sleep(LOOK).await;
        job = read(client.request(Method::GET, &format!("/jobs/{}", job.id))).await?;
        bar.set_length(job.progress.bytes_total);
        bar.set_position(job.progress.bytes_done);
    }
    bar.finish_and_clear();
    report(file, &job)
}

async fn read(request: reqwest::RequestBuilder) -> anyhow::Result<Job> {
    Ok(serde_json::from_slice(&body(accepted(request.send().await?).await?).await?)?)
}

fn report(file: &Path, job: &Job) -> anyhow::Result<()> {
    let progress = &job.progress;
    match job.state {
        JobState::Succeeded => {}
        JobState::Cancelled => bail!("cancelled after {} lines", progress.lines),
        JobState::Failed | JobState::Queued | JobState::Running => {
            let error = job.error.as_ref();
            bail!("{}", error.map_or("it failed", |error| error.message.as_str()));
        }
    }
    let mut notes = Vec::new();
    for (count, what) in [
        (progress.skipped_files, "skipped: not a text file"),
        (progress.truncated, "lines cut at the longest allowed"),
        (progress.invalid_utf8, "lines with invalid UTF-8"),
    ] {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    }
    let format = progress.format.as_deref().unwrap_or("no format");
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    say!("{}: {} lines, {format}{notes}", file.display(), progress.lines)?;
    Ok(())
}
