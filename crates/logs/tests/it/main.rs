//! The log index from outside: ingest, search, and questions, on real folders.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may unwrap, as tests may")]

mod alerts;
mod fields;
mod fixture;
mod follow;
mod ingest;
mod investigate;
mod meaning;
mod model;
mod patterns;
mod questions;
mod redaction;
mod reindex;
mod retention;
mod search;
mod visibility;
