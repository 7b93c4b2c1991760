//! The API for programs, as the official clients of OpenAI and Anthropic speak it: their requests
//! into ours, our events into their replies, our errors into theirs.
//!
//! Called by the routes below `/v1`. Everything here is a function or a small state machine:
//! nothing waits, nothing knows a connection. Invariants: a parameter is read, refused by its name,
//! or named in a doc comment as one that is ignored; a reply that was cut never looks whole.

mod answer;
pub(crate) mod anthropic;
mod dialect;
mod fault;
mod fields;
pub(crate) mod openai;
mod options;
mod stream;
#[cfg(test)]
mod testing;
mod tree;
mod write;

pub(crate) use self::{
    answer::Answer,
    dialect::{Dialect, in_words_of},
    fault::{ErrorReply, Fault, Flaw},
    options::{CallOptions, OnCut},
    stream::Body,
};

/// What a reply says of itself beside the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The reply's own id: `chatcmpl-…`, `msg_…`, `resp_…`.
    pub(crate) id: &'a str,
    /// When it was made, in seconds since 1970.
    pub(crate) created: u64,
    /// The model that answers.
    pub(crate) model: &'a str,
    /// What the gateway says of the call (provider, attempts), as a rendered JSON value.
    pub(crate) callboard: Option<&'a str>,
}
