//! Black-box tests: the built `callboard`, a process of its own with a data folder and a database
//! of its own, driven over HTTP, WebSocket and the command line.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod harness;

mod chat;
mod fallback;
mod resume;
mod shutdown;
mod slow_reader;
mod sockets;
