//! Black-box tests: the built `callboard`, a process of its own with a data folder and a database
//! of its own, driven over HTTP, WebSocket and the command line.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "these are tests"
)]

mod harness;
mod ssh;
mod ssh_log;

mod accounts;
mod admin;
mod alerts;
mod ask;
mod audit;
mod behind_nginx;
mod bills;
mod budgets;
mod cache;
mod chat;
mod cli;
mod clients;
mod export;
mod fallback;
mod frames;
mod gateway;
mod ingest;
mod injection;
mod journal;
mod keys;
mod llama;
mod meaning;
mod observability;
mod push;
mod reindex;
mod replies;
mod resume;
mod roles;
mod routing;
mod second_factor;
mod shutdown;
mod signin;
mod slow_reader;
mod sockets;
mod sources;
mod tail;
mod tools;
mod upload;
mod visibility;
mod wall;
