//! The OpenAI-compatible client against a fake provider, one test for every fault.

mod answers;
mod faults;
mod harness;
mod timeouts;
