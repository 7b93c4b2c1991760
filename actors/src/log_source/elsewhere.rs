//! What sources share whose lines lie elsewhere, and are fetched into a folder of this disk.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Where lines are fetched, and until when.
#[derive(Clone, Copy)]
pub(crate) struct Fetching<'a> {
    pub(crate) runtime: &'a Handle,
    pub(crate) stopping: &'a CancellationToken,
}

impl Fetching<'_> {
    /// Runs `fetch` to its end, or until the source is to end. Blocks.
    pub(crate) fn run<E>(self, fetch: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => Ok(()),
                fetched = fetch => fetched,
            }
        })
    }
}

/// The folder below `mirrors` of what is called like this.
pub(crate) fn folder_of(mirrors: &Path, source: &str) -> PathBuf {
    let hash = Sha256::digest(source.as_bytes());
    let name: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    mirrors.join(name)
}
