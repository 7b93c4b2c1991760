//! Who vouches for a provider.

use std::{fmt::Display, fs::File, io::Read as _};

use reqwest::Certificate;

use super::{ConfigError, ProviderConfig};

/// All the world's authorities are a quarter of this.
const MOST_BYTES: u64 = 1024 * 1024;

impl ProviderConfig {
    /// The certificates of `ca_file`; none without one.
    ///
    /// # Errors
    /// When it cannot be read, or holds none.
    pub(crate) fn certificates(&self) -> Result<Vec<Certificate>, ConfigError> {
        let Some(path) = &self.ca_file else { return Ok(Vec::new()) };
        let bad = |problem: &dyn Display| {
            ConfigError::new("ca_file", format!("{}: {problem}", path.display()))
        };
        let mut pem = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut pem));
        read.map_err(|error| bad(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| bad(&error))?;
        if certificates.is_empty() {
            return Err(bad(&"holds no certificate"));
        }
        Ok(certificates)
    }
}
