//! The client against a fake provider, on every wire, one test for every fault.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends by a panic"
)]

mod answers;
mod chat;
mod faults;
mod harness;
mod http2;
mod llama;
mod requests;
mod timeouts;
mod wires;
