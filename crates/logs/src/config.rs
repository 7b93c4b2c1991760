//! The `[logs]` part of the configuration. Read by the composition root, checked in
//! [`LogStore::open`](crate::LogStore::open).

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use crate::{
    Embedder, FormatConfig, KeepRule, OpenError,
    format::custom::{Format, Formats},
};

/// Limits of reading, indexing and searching logs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// A line longer than this is cut, and marked as truncated. 256 to 16 MiB.
    pub max_line_bytes: usize,
    /// A record of several lines (a stack trace) ends after this many.
    pub max_record_lines: usize,
    /// A record of several lines ends before it grows over this.
    pub max_record_bytes: usize,
    /// More than this is not read of what is packed in a file, in MiB.
    pub unpacked_mb: u64,
    /// Memory for building the index, shared by all writing threads. 16 to 4096.
    pub writer_memory_mb: usize,
    /// Threads that build the index. 1 to 8; fewer when the memory is too small for so many.
    pub writer_threads: usize,
    /// Records become durable and searchable at the latest after this many.
    pub commit_every_lines: u64,
    /// Records become durable and searchable at the latest after this much was read.
    pub commit_every_mb: u64,
    /// At most this many matching lines are read to count the values of a question.
    pub count_limit: u64,
    /// At most this many lines are read by a query for what the index cannot tell by their words.
    pub scan_limit: u64,
    /// Folders whose files may be followed; a web administrator must not read all of the machine.
    pub follow_below: Vec<PathBuf>,
    /// Lines leave the index so many days after they came in; 0 is never.
    pub keep_days: u32,
    /// The oldest lines leave the index when it takes more, in GiB; 0 is never.
    pub keep_gb: u64,
    /// Sources whose lines are kept otherwise.
    pub keep: Vec<KeepRule>,
    /// Formats of the operator's own.
    pub formats: Vec<FormatConfig>,
    /// Of what programs push to one source so much may wait to be indexed, in MiB.
    pub spool_mb: u64,
    /// Where logs are taken that come by other ways than HTTP.
    pub listen: ListenConfig,
    /// How systemd's journal is read.
    pub journal: JournalConfig,
    /// How other machines are asked for their files.
    pub ssh: SshConfig,
    /// Who tells likeness of meaning.
    pub embeddings: EmbeddingsConfig,
}

/// `[logs.embeddings]`: one of the two, or none. The folder is taken when both are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingsConfig {
    /// The folder of a sentence model, which is run here.
    pub model_dir: Option<PathBuf>,
    /// A model that a provider runs.
    pub model: Option<String>,
}

impl EmbeddingsConfig {
    /// Loads the model on this machine, if there is one.
    pub(crate) fn open(&self) -> Result<Option<Box<dyn Embedder>>, OpenError> {
        let wrong = |problem: String| {
            let key = "embeddings.model_dir".to_owned();
            OpenError::Config { key, problem }
        };
        let Some(folder) = &self.model_dir else { return Ok(None) };
        #[cfg(feature = "local-embeddings")]
        return match crate::LocalEmbedder::open(folder) {
            Ok(embedder) => Ok(Some(Box::new(embedder))),
            Err(error) => Err(wrong(format!("cannot be loaded: {error}"))),
        };
        #[cfg(not(feature = "local-embeddings"))]
        Err(wrong(format!("needs a build with `local-embeddings`, for {}", folder.display())))
    }
}

/// `[logs.listen]`: addresses with ports; nothing listens where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// Syslog in datagrams.
    pub syslog_udp: Option<SocketAddr>,
    /// Syslog in streams.
    pub syslog_tcp: Option<SocketAddr>,
    /// GELF in datagrams.
    pub gelf_udp: Option<SocketAddr>,
    /// GELF in streams.
    pub gelf_tcp: Option<SocketAddr>,
}

/// `[logs.journal]`: paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// The program `journalctl`; the journal is not read without it.
    pub journalctl: Option<PathBuf>,
    /// The folder of the journal, when it is not that of this machine.
    pub directory: Option<PathBuf>,
}

/// `[logs.ssh]`: paths. A machine is asked when its key is known, and there is a key to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SshConfig {
    /// The keys of the machines that are asked, as OpenSSH writes them.
    pub known_hosts: Option<PathBuf>,
    /// The private key that is shown to them.
    pub private_key: Option<PathBuf>,
    /// The socket of an agent that holds further keys.
    pub agent: Option<PathBuf>,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            max_line_bytes: 64 * 1024,
            max_record_lines: 1000,
            max_record_bytes: 256 * 1024,
            unpacked_mb: 65_536,
            writer_memory_mb: 256,
            writer_threads: 2,
            commit_every_lines: 2_000_000,
            commit_every_mb: 256,
            count_limit: 1_000_000,
            scan_limit: 2_000_000,
            follow_below: vec![PathBuf::from("/var/log")],
            keep_days: 0,
            keep_gb: 0,
            keep: Vec::new(),
            formats: Vec::new(),
            spool_mb: 256,
            listen: ListenConfig::default(),
            journal: JournalConfig::default(),
            ssh: SshConfig::default(),
            embeddings: EmbeddingsConfig::default(),
        }
    }
}

impl LogsConfig {
    /// Every key with a value that cannot be used, and what is wrong with it.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let bounds = self.check_bounds().err().map(|(key, problem)| (key.to_owned(), problem));
        let formats = self.formats.iter().enumerate().filter_map(|(index, format)| {
            let problem = Format::new(format).err()?;
            Some((format!("formats[{index}].pattern"), problem))
        });
        bounds.into_iter().chain(formats).collect()
    }

    /// The formats, ready to be used.
    ///
    /// # Errors
    /// The first that cannot be.
    pub(crate) fn formats(&self) -> Result<Formats, OpenError> {
        if let Some((key, problem)) = self.check().into_iter().next() {
            return Err(OpenError::Config { key, problem });
        }
        // Each of them was read just now.
        Ok(self.formats.iter().filter_map(|format| Format::new(format).ok()).collect())
    }

    fn check_bounds(&self) -> Result<(), (&'static str, String)> {
        let bounds = [
            ("max_line_bytes", self.max_line_bytes as u64, 256, 16 << 20),
            ("max_record_lines", self.max_record_lines as u64, 1, 100_000),
            ("max_record_bytes", self.max_record_bytes as u64, 256, 64 << 20),
            ("unpacked_mb", self.unpacked_mb, 1, u64::MAX >> 20),
            ("writer_memory_mb", self.writer_memory_mb as u64, 16, 4096),
            ("writer_threads", self.writer_threads as u64, 1, 8),
            ("commit_every_lines", self.commit_every_lines, 1, u64::MAX),
            ("commit_every_mb", self.commit_every_mb, 1, u64::MAX >> 20),
            ("count_limit", self.count_limit, 1, u64::MAX),
            ("scan_limit", self.scan_limit, 1, u64::MAX),
            ("spool_mb", self.spool_mb, 8, u64::MAX >> 20),
        ];
        match bounds.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            Some((key, value, low, high)) => {
                Err((key, format!("is {value}, and must be between {low} and {high}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_others_are_named() {
        assert!(LogsConfig::default().check().is_empty());
        let config = LogsConfig { writer_memory_mb: 1, ..LogsConfig::default() };
        let message = config.formats().unwrap_err().to_string();
        assert_eq!(message, "logs.writer_memory_mb is 1, and must be between 16 and 4096");
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let config = serde_json::from_str::<LogsConfig>(r#"{"max_line_bytes": 4096}"#).unwrap();
        assert_eq!(config.max_line_bytes, 4096);
        assert!(serde_json::from_str::<LogsConfig>(r#"{"max_line": 4096}"#).is_err());
    }
}
