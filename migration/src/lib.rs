//! The schema, and the way to it: one set of migrations for SQLite and PostgreSQL.
//!
//! The composition root calls [`up`] before it opens the store, and the command line calls
//! [`up`] and [`status`]. Invariants: this crate imports nothing of ours, so that a migration
//! keeps its meaning when an entity changes; a migration that has been released is never edited;
//! all pending migrations of a run are applied in one transaction, or none of them is; any number
//! of processes may migrate one database at once.

mod column;
mod lock;
mod m20261121_000001_create_users;
mod m20261121_000002_create_api_keys;
mod m20261121_000003_create_refresh_tokens;
mod m20261121_000004_create_conversations;
mod m20261121_000005_create_messages;
mod m20261121_000006_create_log_sources;
mod m20261121_000007_create_jobs;
mod m20261121_000008_create_audit_events;
mod m20261121_000009_create_settings;
mod m20261121_000010_extend_api_keys;
mod m20261121_000011_create_usage_events;
mod m20261127_000012_create_alerts;
mod m20261127_000013_create_log_holds;
mod m20261127_000014_create_roles_and_sign_ins;
mod m20261127_000015_chain_audit_events;
mod m20261127_000016_create_second_factors;
mod run;

pub use run::{MigrateError, MigrationState, status, up};
