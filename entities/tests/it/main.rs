//! Every query, on SQLite and on PostgreSQL. A failing race shows here, not in production: races
//! run on two stores, as of two nodes, with a task for each caller.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod audit;
mod conversations;
mod harness;
mod jobs;
mod keys;
mod messages;
mod second_factors;
mod sources;
mod store;
mod tokens;
mod turns;
mod usage;
mod users;
