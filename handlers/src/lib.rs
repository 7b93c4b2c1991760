//! The HTTP edge: identity, errors, extractors, the REST routes, the upgrade to a WebSocket, the
//! OpenAPI document and the embedded page.
//!
//! The composition root makes an [`Edge`], puts it into the app (`App::configure(|app|
//! edge.configure(app))`), wraps the app in [`observe`](observe()), and opens the edge when the
//! stores are there. Invariants: only this crate knows HTTP status codes; a handler's right is the
//! type of its argument; every route stands in one table; every error has one shape.

mod audit;
mod blocking;
mod config;
mod edge;
mod error;
mod extract;
mod gateway;
mod headers;
mod identity;
mod observe;
mod openapi;
mod request_id;
mod routes;
#[cfg(test)]
mod tests;
mod upload;
mod web;
mod ws;

pub use config::{
    AttemptLimit, AuthConfig, ConfigError, EdgeConfig, EdgeLimits, MetricsConfig, PasswordCost,
};
pub use edge::{AppState, Edge, Reload, Reloading};
pub use error::{ApiError, error_codes_html, error_codes_markdown, status};
pub use extract::{Allowed, LocalOperator, LocalPeer, Permit, Principal, Via, permit};
pub use identity::{Identity, KeyOfCaller, NewAccount};
pub use observe::observe;
pub use openapi::{document as openapi_document, json as openapi_json};
pub use routes::{Access, Endpoint, Mount, table as route_table};
