//! What can go wrong. Each error prints for the log, with its cause as its source; what a client
//! may see comes from `client_error`, which never holds a path or the index's own words.

use std::{io, path::PathBuf};

use callboard_protocol::{ClientError, ErrorCode, LineId};

/// Why the index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A value of the configuration cannot be used.
    #[error("logs.{key} {problem}")]
    Config {
        /// The key below `logs`.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// The folder cannot be made or read.
    #[error("cannot use the log folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index in the folder is damaged or of another version.
    #[error("cannot open the log index in {path}")]
    Index {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: tantivy::TantivyError,
    },
    /// The index holds no catalogue, or one that this version cannot read.
    #[error("the log index was written by another version, or is damaged: {0}")]
    Catalogue(#[source] serde_json::Error),
}

/// Why lines could not be indexed. What was committed before stays, and the next attempt goes on
/// from there.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading stopped in the middle.
    #[error("reading failed after {offset} bytes")]
    Read {
        /// How far reading came.
        offset: u64,
        /// Why it stopped.
        source: io::Error,
    },
    /// Another process writes to the index.
    #[error("another process is writing to the log index")]
    Busy,
    /// The same file is read by another ingest, or that one's failure undid what this one read.
    #[error("the file was read by another ingest at the same time")]
    Overtaken,
    /// The index is being made anew by another call.
    #[error("the log index is being made anew already")]
    Remaking,
    /// The catalogue that another process left cannot be read.
    #[error("the log index was written by another version, or is damaged: {0}")]
    Catalogue(#[source] serde_json::Error),
    /// The index refused.
    #[error("writing to the log index failed")]
    Index(#[from] tantivy::TantivyError),
}

impl IngestError {
    /// Whether trying again is of no use.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Open { .. } => true,
            Self::Read { source, .. } => is_damage(source),
            Self::Busy | Self::Overtaken | Self::Remaking | Self::Catalogue(_) | Self::Index(_) => {
                false
            }
        }
    }

    /// What a client may know of it.
    #[must_use]
    pub fn client_error(&self) -> ClientError {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ClientError::new(ErrorCode::NotFound, "There is no such file.")
            }
            Self::Open { .. } => {
                ClientError::new(ErrorCode::BadRequest, "The file cannot be opened.")
            }
            Self::Read { offset, source } if is_damage(source) => ClientError::new(
                ErrorCode::BadRequest,
                format!(
                    "What is packed in the file cannot be read to its end: {source}. {offset} bytes of \
                     it are indexed."
                ),
            ),
            Self::Read { offset, .. } => ClientError::new(
                ErrorCode::BadRequest,
                format!("Reading stopped after {offset} bytes; what was read is indexed."),
            ),
            Self::Busy => ClientError::new(
                ErrorCode::Conflict,
                "Another process is writing to the log index; stop it, or ask it to ingest.",
            ),
            Self::Overtaken => ClientError::new(
                ErrorCode::Conflict,
                "The same file is being read already; try again when that has ended.",
            ),
            Self::Remaking => {
                ClientError::new(ErrorCode::Conflict, "The index is being made anew already.")
            }
            Self::Catalogue(_) | Self::Index(_) => ErrorCode::Internal.into(),
        }
    }
}

/// Whether the file itself is wrong, and not the way to it.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The query cannot be read.
    #[error("column {column}: {message}")]
    InvalidQuery {
        /// The character where reading failed, from 1.
        column: usize,
        /// Why, for people.
        message: String,
    },
    /// The limit or the cursor is no good.
    #[error("{0}")]
    InvalidParameter(&'static str),
    /// It would have to read more lines than one query may.
    #[error("too many lines would have to be read")]
    TooExpensive,
    /// There is no line of this id.
    #[error("there is no line {0}")]
    LineNotFound(LineId),
    /// The index refused.
    #[error("searching the log index failed")]
    Index(#[from] tantivy::TantivyError),
}

impl SearchError {
    /// What a client may know of it.
    #[must_use]
    pub fn client_error(&self) -> ClientError {
        match self {
            Self::InvalidQuery { .. } => {
                ClientError::new(ErrorCode::InvalidQuery, self.to_string())
            }
            Self::InvalidParameter(message) => {
                ClientError::new(ErrorCode::InvalidParameter, *message)
            }
            Self::TooExpensive => ClientError::new(
                ErrorCode::QueryTooExpensive,
                "Too many lines would have to be read: name a shorter time, a source, or a word that \
                 the lines have.",
            ),
            Self::LineNotFound(id) => {
                ClientError::new(ErrorCode::LineNotFound, format!("There is no line {id}."))
            }
            Self::Index(_) => ErrorCode::Internal.into(),
        }
    }
}
