//! Tests through the whole edge: requests go through the route table, the extractors and `observe`
//! to a store and a log index in a temporary folder.

mod chat;
mod edge;
mod keys;
mod session;
mod shape;
mod support;
mod walk;
