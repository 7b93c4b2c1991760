//! The contract between Callboard and everything that talks to it: ids, WebSocket frames, REST
//! request and response types, evidence, and the table of error codes.
//!
//! Every other crate may import this one; it imports nothing of ours and does no work beyond
//! parsing and printing its own values. The OpenAPI document, and through it the TypeScript types
//! of the page, are generated from here.

mod account;
mod alert;
mod api;
mod audit;
mod auth;
mod chat;
mod error;
mod evidence;
mod frame;
mod id;
mod job;
mod key;
mod log;
mod log_query;
mod log_source;
mod permission;
mod role;
mod timestamp;
mod usage;

pub use account::*;
pub use alert::*;
pub use api::*;
pub use audit::*;
pub use auth::*;
pub use chat::*;
pub use error::*;
pub use evidence::*;
pub use frame::*;
pub use id::*;
pub use job::*;
pub use key::*;
pub use log::*;
pub use log_query::*;
pub use log_source::*;
pub use permission::*;
pub use role::*;
pub use timestamp::*;
pub use usage::*;

/// The version of the WebSocket protocol, sent in [`ServerFrame::Connected`]. It changes when a
/// frame changes its meaning, not when a field or a frame is added.
pub const PROTOCOL_VERSION: u32 = 1;
