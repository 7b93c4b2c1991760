//! `ingest PATH…`: one job for each file, with a progress bar. Success means that something of what
//! was named could be indexed and nothing failed; files that are not text are skipped and named.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use callboard_protocol::{Job, JobState};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::json;

use super::{
    client::{Client, Folder},
    job,
};
use crate::{config::Config, wiring};

/// Files below one folder at most: more is likely the wrong folder.
const MAX_FILES: usize = 10_000;

/// Skipped files that are named in the last line; each was named where it was skipped.
const MAX_NAMED: usize = 20;

/// What became of a file.
enum Outcome {
    Indexed,
    /// It is not text; why.
    Skipped(String),
}

pub(super) fn run(config: &Config, paths: &[PathBuf]) -> anyhow::Result<()> {
    let files = files(paths)?;
    wiring::block_on(async {
        let client = Client::connect(config, Folder::MayBeNew).await?;
        let told = ingest_all(&client, &files).await;
        client.close().await;
        told
    })
}

async fn ingest_all(client: &Client, files: &[PathBuf]) -> anyhow::Result<()> {
    let mut failed = 0;
    let mut skipped = Vec::new();
    for file in files {
        match ingest(client, file).await {
            Ok(Outcome::Indexed) => {}
            Ok(Outcome::Skipped(why)) if files.len() == 1 => {
                bail!("{} was skipped: {why}", file.display());
            }
            Ok(Outcome::Skipped(why)) => {
                skipped.push(name(file));
                say!("{}: skipped: {why}", file.display())?;
            }
            Err(error) => {
                failed += 1;
                say!("{}: {error:#}", file.display())?;
            }
        }
    }
    if skipped.len() == files.len() {
        bail!("nothing was indexed: all {} files were skipped", files.len());
    }
    if !skipped.is_empty() {
        let were = if skipped.len() == 1 { "was" } else { "were" };
        say!(
            "{} of {} files {were} skipped: {}",
            skipped.len(),
            files.len(),
            first_names(&skipped)
        )?;
    }
    if failed > 0 {
        bail!("{failed} of {} files failed", files.len());
    }
    Ok(())
}

fn first_names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// The last part of a path.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The files to index, at least one: folders stand for all files below them, sorted by name.
#[expect(clippy::print_stderr, reason = "a folder without files is worth a word")]
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut empty = Vec::new();
    for path in paths {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            let before = files.len();
            collect(path, &mut files)?;
            if files.len() == before {
                empty.push(format!("the folder {} holds no files", path.display()));
            }
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        bail!("{}", empty.join("; "));
    }
    for folder in empty {
        eprintln!("callboard: {folder}");
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

async fn ingest(client: &Client, file: &Path) -> anyhow::Result<Outcome> {
    let path = std::path::absolute(file)?;
    let path = path.to_str().context("its path is not valid UTF-8; rename it")?;
    let asked = client.request(Method::POST, "/logs/ingest").json(&json!({ "path": path }));
    let job = job::begun(asked).await?;
    let bar = ProgressBar::new(job.progress.bytes_total);
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.set_message(name(file));
    let job = job::ended(client, job, |job| {
        bar.set_length(job.progress.bytes_total);
        bar.set_position(job.progress.bytes_done);
    })
    .await?;
    bar.finish_and_clear();
    report(file, &job)
}

fn report(file: &Path, job: &Job) -> anyhow::Result<Outcome> {
    let progress = &job.progress;
    let error = job.error.as_ref().map_or("it failed", |error| error.message.as_str());
    match job.state {
        JobState::Succeeded => {}
        JobState::Cancelled => bail!("cancelled after {} lines", progress.lines),
        JobState::Failed if progress.skipped_files > 0 => {
            return Ok(Outcome::Skipped(error.to_owned()));
        }
        JobState::Failed | JobState::Queued | JobState::Running => bail!("{error}"),
    }
    let mut notes = Vec::new();
    for (count, what) in [
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
    Ok(Outcome::Indexed)
}
