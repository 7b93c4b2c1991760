//! Anthropic's wire, seen from the server: <https://docs.claude.com/en/api/messages>.

pub(crate) mod error;
mod messages;
pub(crate) mod reply;
pub(crate) mod request;
