//! A real server of models: llama.cpp's own, with a tiny model of random weights.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::time::timeout;

use crate::PATIENCE;

/// The folder into which `scripts/install-clients` installs it, beside the official clients.
const FOLDER: &str = "CALLBOARD_TEST_CLIENTS";

/// Its process. Dropping it ends it, by its id.
#[derive(Debug)]
pub struct Llama {
    process: Child,
    address: String,
}

impl Llama {
    /// Starts one on a free port; nothing, with a word on stderr, where none is installed. It has one
    /// place and reads 2,048 tokens.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub async fn start() -> Option<Self> {
        let Ok(folder) = std::env::var(FOLDER) else {
            eprintln!("skipped: {FOLDER} is not set; scripts/install-clients says what to set");
            return None;
        };
        let mut process = Command::new(Path::new(&folder).join("venv/bin/python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("llama.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Its end is the end of its input.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let mut server = Self { process, address: String::new() };
        let line = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next());
        let line = timeout(PATIENCE, line).await.expect("llama.cpp's server starts").unwrap();
        server.address = line.expect("it says where it is").unwrap();
        Some(server)
    }

    /// What to configure as `base_url`, for each of its wires.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.address)
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
