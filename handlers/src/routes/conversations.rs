//! `/conversations`: one's own threads. The owner stands in every query, so that another user's
//! conversation is one that does not exist.

use actix_web::{HttpResponse, web};
use callboard_entities::{
    Cursor,
    queries::{conversations, messages},
};
use callboard_protocol::{
    Conversation, ConversationId, ConversationPage, ErrorCode, MessageHits, MessagePage,
    RenameConversation,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// Entries on a page when the query does not say.
const PAGE: u32 = 50;
/// The most entries on a page.
const LARGEST_PAGE: u32 = 200;
/// The longest words of a search, in bytes.
const LONGEST_QUERY: usize = 1024;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 200;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// At most so many; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// From the page before.
    cursor: Option<String>,
}

impl Paging {
    fn limit(&self) -> Result<u32, ApiError> {
        checked_limit(self.limit)
    }

    fn cursor(&self) -> Result<Option<Cursor>, ApiError> {
        self.cursor.as_deref().map(checked_cursor).transpose()
    }
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Words {
    /// Words that occur in a message.
    #[param(min_length = 1, max_length = 1024)]
    q: String,
    /// At most so many; 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// One's conversations, the latest first.
#[utoipa::path(get, path = "/conversations", tag = "conversations", params(Paging),
    responses((status = 200, body = ConversationPage)))]
pub(crate) async fn list_conversations(
    caller: Allowed<permit::ChatUse>,
    state: State,
    paging: web::Query<Paging>,
) -> Result<web::Json<ConversationPage>, ApiError> {
    let (limit, cursor) = (paging.limit()?, paging.cursor()?);
    Ok(web::Json(conversations::page(&state.store, caller.user.id, cursor.as_ref(), limit).await?))
}

/// Messages of one's conversations that hold the words, the latest first.
#[utoipa::path(get, path = "/conversations/search", tag = "conversations", params(Words),
    responses((status = 200, body = MessageHits)))]
pub(crate) async fn search_conversations(
    caller: Allowed<permit::ChatUse>,
    state: State,
    query: web::Query<Words>,
) -> Result<web::Json<MessageHits>, ApiError> {
    let words = query.q.trim();
    if !(1..=LONGEST_QUERY).contains(&words.len()) {
        let message = format!("q has 1 to {LONGEST_QUERY} bytes");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    let limit = checked_limit(query.limit)?;
    let hits = messages::search(&state.store, caller.user.id, words, limit).await?;
    Ok(web::Json(hits))
}

/// One conversation.
#[utoipa::path(get, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path)), responses((status = 200, body = Conversation)))]
pub(crate) async fn read_conversation(
    caller: Allowed<permit::ChatUse>,
    state: State,
    id: web::Path<ConversationId>,
) -> Result<web::Json<Conversation>, ApiError> {
    Ok(web::Json(conversations::get(&state.store, caller.user.id, *id).await?))
}

/// Give a conversation another title.
#[utoipa::path(patch, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path)), request_body = RenameConversation,
    responses((status = 200, body = Conversation)))]
pub(crate) async fn rename_conversation(
    caller: Allowed<permit::ChatUse>,
    state: State,
    id: web::Path<ConversationId>,
    body: web::Json<RenameConversation>,
) -> Result<web::Json<Conversation>, ApiError> {
    let title = body.title.trim();
    if !(1..=LONGEST_TITLE).contains(&title.chars().count()) {
        let message = format!("a title has 1 to {LONGEST_TITLE} characters");
        return Err(ApiError::invalid("title", message));
    }
    Ok(web::Json(conversations::rename(&state.store, caller.user.id, *id, title).await?))
}

/// Delete a conversation with all its messages.
#[utoipa::path(delete, path = "/conversations/{id}", tag = "conversations",
    params(("id" = ConversationId, Path)), responses((status = 204)))]
pub(crate) async fn delete_conversation(
    caller: Allowed<permit::ChatUse>,
    (state, trail): (State, Trail),
    id: web::Path<ConversationId>,
) -> Result<HttpResponse, ApiError> {
    conversations::delete(&state.store, caller.user.id, *id).await?;
    state.system.cancel_turns(*id);
    trail.note(&caller.user, "conversation.delete", *id).await;
    Ok(HttpResponse::NoContent().finish())
}

/// The messages of a conversation, the oldest first; the first page is the latest.
#[utoipa::path(get, path = "/conversations/{id}/messages", tag = "conversations",
    params(("id" = ConversationId, Path), Paging),
    responses((status = 200, body = MessagePage)))]
pub(crate) async fn list_messages(
    caller: Allowed<permit::ChatUse>,
    state: State,
    id: web::Path<ConversationId>,
    paging: web::Query<Paging>,
) -> Result<web::Json<MessagePage>, ApiError> {
    let (limit, cursor) = (paging.limit()?, paging.cursor()?);
    let mut page =
        messages::page(&state.store, caller.user.id, *id, cursor.as_ref(), limit).await?;
    page.running_turn = state.system.running_turn(*id);
    Ok(web::Json(page))
}

pub(super) fn checked_cursor(text: &str) -> Result<Cursor, ApiError> {
    text.parse().map_err(|reason| ApiError::new(ErrorCode::InvalidParameter, reason))
}

pub(super) fn checked_limit(limit: Option<u32>) -> Result<u32, ApiError> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        let message = format!("limit lies between 1 and {LARGEST_PAGE}");
        return Err(ApiError::new(ErrorCode::InvalidParameter, message));
    }
    Ok(limit)
}
