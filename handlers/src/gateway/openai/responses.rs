//! `POST /v1/responses`: <https://platform.openai.com/docs/api-reference/responses>.
//!
//! Nothing is kept here: a request carries its whole conversation, and what would need a memory
//! (`previous_response_id`, `conversation`, `background`) is refused.

mod input;
pub(crate) mod reply;
pub(crate) mod request;
