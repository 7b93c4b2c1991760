//! The keys of a provider: read from the configuration or from files, and never printed.

use std::{fmt, io::Read as _, path::Path};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, Serializer};

use super::{ConfigError, ProviderConfig};

/// A key is a line of text; a larger file is the wrong file.
const MAX_KEY_BYTES: u64 = 16 * 1024;

impl ProviderConfig {
    /// All keys, from wherever they are configured: `api_key` or `api_key_file`, `api_keys`,
    /// `api_key_files`.
    ///
    /// # Errors
    /// When a file cannot be read or holds no key; the error's key stands without its place.
    pub fn keys(&self) -> Result<Vec<SecretString>, ConfigError> {
        let mut keys = Vec::new();
        match (&self.api_key, &self.api_key_file) {
            (Some(_), Some(_)) => {
                let problem = "must not be set together with `api_key`";
                return Err(ConfigError::new("api_key_file", problem));
            }
            (Some(key), None) => keys.push(checked(key.expose_secret(), "api_key")?),
            (None, Some(path)) => keys.push(from_file(path, "api_key_file")?),
            (None, None) => {}
        }
        for (index, key) in self.api_keys.iter().enumerate() {
            keys.push(checked(key.expose_secret(), &format!("api_keys[{index}]"))?);
        }
        for (index, path) in self.api_key_files.iter().enumerate() {
            keys.push(from_file(path, &format!("api_key_files[{index}]"))?);
        }
        Ok(keys)
    }
}

fn checked(key: &str, at: &str) -> Result<SecretString, ConfigError> {
    let key = key.trim();
    let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(SecretString::from(key.to_owned()))
    } else {
        Err(ConfigError::new(at, "must hold a key of visible ASCII characters"))
    }
}

fn from_file(path: &Path, at: &str) -> Result<SecretString, ConfigError> {
    let shown = path.display();
    let fail = |problem: String| ConfigError::new(at, problem);
    let file = std::fs::File::open(path)
        .map_err(|error| fail(format!("cannot be read ({shown}): {error}")))?;
    let mut key = String::new();
    let read = file.take(MAX_KEY_BYTES + 1).read_to_string(&mut key);
    read.map_err(|error| fail(format!("cannot be read ({shown}): {error}")))?;
    if key.len() as u64 > MAX_KEY_BYTES {
        return Err(fail(format!("is too large for a key ({shown})")));
    }
    checked(&key, at)
}

pub(super) fn masked<S: Serializer>(
    key: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|_| Mask).serialize(serializer)
}

pub(super) fn all_masked<S: Serializer>(
    keys: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(|_| Mask))
}

/// What `callboard config print` shows of a secret.
struct Mask;

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
