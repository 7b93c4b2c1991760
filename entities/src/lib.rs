//! The database: the store, its entities, and the only SQL in the system.
//!
//! [`Store`] is opened once by the composition root, after `callboard_migration::up`. Everything
//! else goes through [`queries`], which take the store and return protocol types. Invariants: rows
//! and SQL stay in this crate; instants are arguments, never read from a clock; every query is
//! timed and reported under a fixed name; nobody reads another user's conversation, because the
//! owner stands in the query.

mod config;
#[expect(unreachable_pub, reason = "sea-orm's derives need and make `pub` items")]
mod entity;
mod error;
pub mod queries;
mod store;
mod value;

pub use config::DatabaseConfig;
pub use error::{Clash, Record, StoreError};
pub use store::{OpenError, Store};
pub use value::{Cursor, TokenHash};
