//! The log engine: reads logs, indexes them, finds lines, and gathers the evidence for a question.
//!
//! A synchronous library without HTTP, database or actors; its callers run it on threads that may
//! block. [`LogStore`] is all of it: [`LogStore::ingest_file`] and [`LogStore::ingest_reader`] fill
//! the index, [`LogStore::search`], [`LogStore::line`] and [`LogStore::context`] read it, and
//! [`LogStore::investigate`] answers a question with counts and lines.
//!
//! The way of a line: it stands in a file, comes `packed`, or was pushed (`push` makes lines of what
//! shippers send, `spool` keeps them until they are indexed), or was fetched (`mirror`,
//! `batches`). `lines` cuts the stream, `format` reads
//! its head, `record` joins what belongs together, `writer` gives it its number and its place,
//! `mining` its pattern, `tokenizer` cuts it into words, `chunks` keep its text, `survey` counts it
//! when it matches, and `retention` lets it go. Invariants:
//!
//! - Lines and the offset up to which a file was read become durable in one commit.
//! - A line's number is never given to another line.
//! - All answers of one call come from one snapshot of the index.
//! - No bytes of a log, and no text of a query or a question, make anything here panic.
//! - Nothing here reads the clock for its meaning: callers say what "now" is.

mod alert;
mod batches;
mod catalogue;
mod checkpoint;
mod chunks;
mod compare;
mod config;
mod count;
mod embed;
mod error;
mod facets;
mod fields;
mod folders;
mod follow;
mod format;
mod histogram;
mod ingest;
mod investigate;
mod lines;
mod mining;
mod mirror;
mod names;
mod packed;
mod pattern_counts;
mod patterns;
mod preview;
pub mod push;
mod query;
mod read_as;
mod record;
mod redaction;
mod regular;
mod reindex;
mod reread;
mod retention;
mod schema;
mod search;
mod spool;
mod store;
mod survey;
mod tail;
mod text;
mod texts;
mod timeline;
mod tokenizer;
mod writer;

pub use alert::Evaluated;
pub use batches::Batches;
pub use config::{JournalConfig, ListenConfig, LogsConfig, SshConfig};
#[cfg(feature = "local-embeddings")]
pub use embed::LocalEmbedder;
pub use embed::{EmbedError, Embedder};
pub use error::{IngestError, OpenError, SearchError};
pub use follow::{Follower, Looked, PatternError, SourceOf};
pub use format::custom::FormatConfig;
pub use ingest::{IngestMode, IngestOptions, OnProgress};
pub use investigate::InvestigateOptions;
pub use mining::{Miner, PatternId, VALUE};
pub use mirror::{MIRROR_HEAD_BYTES, Mirror};
pub use names::{SourceAccess, SourceNames};
pub use read_as::ReadAs;
pub use redaction::{Redactor, Restorer};
pub use reread::Reread;
pub use retention::{KeepRule, Retention};
pub use spool::{Spool, SpoolError};
pub use store::LogStore;
