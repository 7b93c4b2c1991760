//! The OpenAI-compatible client against a fake provider, one test for every fault.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by a panic")]

mod answers;
mod faults;
mod harness;
mod timeouts;
