//! OpenAI's wire, seen from the server: <https://platform.openai.com/docs/api-reference>.

pub(crate) mod embeddings;
pub(crate) mod error;
mod messages;
pub(crate) mod models;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod responses;
mod tools;

pub(super) use self::tools::check_choice;
