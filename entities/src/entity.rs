//! The rows as sea-orm sees them. They never leave this crate: queries return protocol types.

pub(crate) mod account_link;
pub(crate) mod alert;
pub(crate) mod alert_rule;
pub(crate) mod api_key;
pub(crate) mod audit_event;
pub(crate) mod conversation;
pub(crate) mod job;
pub(crate) mod log_hold;
pub(crate) mod log_source;
pub(crate) mod message;
pub(crate) mod refresh_token;
pub(crate) mod role;
pub(crate) mod second_factor;
pub(crate) mod setting;
pub(crate) mod sign_in;
pub(crate) mod usage_event;
pub(crate) mod user;
