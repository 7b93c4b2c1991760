//! What tests need: fake providers with scripted faults and a real one, throwaway databases, a proxy that breaks
//! connections, and a WebSocket client. A dev-dependency only.
//!
//! Everything here panics when a test's premise does not hold, and every wait has an end: a test
//! waits for a condition, never for a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests use this crate, and a test ends by a panic"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests have no tracker to spawn through, and learn of their databases from the environment"
)]

mod eventually;
mod journal;
mod llama;
mod nginx;
mod postgres;
mod proxy;
mod receiver;
mod redis;
mod sshd;
mod vendor;
mod ws;

pub use eventually::{PATIENCE, eventually, eventually_some};
pub use journal::add_to_journal;
pub use llama::Llama;
pub use nginx::{Nginx, Place};
pub use postgres::Postgres;
pub use proxy::FlakyProxy;
pub use receiver::Receiver;
pub use redis::Redis;
pub use sshd::Sshd;
pub use vendor::{Billed, FakeVendor, RecordedRequest, Reply, VendorWire};
pub use ws::{Closed, Refused, WsClient, WsTarget};
