//! `/assistant/chat`: a question over plain HTTP, answered whole or as server-sent events.
//!
//! The events are the frames of the WebSocket, each under its `type`. A client that leaves does not
//! stop the turn; it can follow it over the socket or read it from the conversation. What stops it
//! is `/assistant/turns/{id}/cancel`.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header, web};
use bytes::Bytes;
use callboard_actors::{Asker, Begun, Ended};
use callboard_entities::queries::messages;
use callboard_protocol::{Answer, Ask, ErrorCode, ServerFrame, TurnId, UserId};
use futures_util::{Stream, StreamExt, future, stream};

use crate::{
    ApiError,
    edge::State,
    extract::{Allowed, permit},
};

/// After so long without an event a comment is sent, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Ask, and get the whole answer; or, with `Accept: text/event-stream`, the frames of the turn as
/// they come.
#[utoipa::path(post, path = "/assistant/chat", tag = "assistant", request_body = Ask,
    responses((status = 200, content(
        (Answer = "application/json"),
        (ServerFrame = "text/event-stream"),
    ))))]
pub(crate) async fn chat(
    caller: Allowed<permit::ChatUse>,
    state: State,
    request: HttpRequest,
    body: web::Json<Ask>,
) -> Result<HttpResponse, ApiError> {
    let user = caller.user.id;
    let begun = state
        .system
        .ask(Asker::new(&caller.user, Arc::clone(&caller.rights), None), body.into_inner())
        .await?;
    if wants_events(&request) {
        return events(&state, user, begun).await;
    }
    let answer = match &begun.log {
        Some(log) => {
            let wait = Duration::from_secs(state.edge().config().limits.answer_timeout_s);
            let ended = tokio::time::timeout(wait, log.ended()).await;
            match ended.map_err(|_| ErrorCode::Timeout)? {
                Ended::Answered(answer) => *answer,
                Ended::Failed(error) => return Err(error.into()),
            }
        }
        None => stored(&state, user, &begun).await?,
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// Stop a turn of one's own and keep what was written.
///
/// Like the frame `cancel`. Stopping one that has ended changes nothing.
#[utoipa::path(post, path = "/assistant/turns/{id}/cancel", tag = "assistant",
    params(("id" = TurnId, Path)), responses((status = 204)))]
pub(crate) async fn cancel_turn(
    caller: Allowed<permit::ChatUse>,
    state: State,
    id: web::Path<TurnId>,
) -> Result<HttpResponse, ApiError> {
    let log = state.system.turn(caller.user.id, *id).ok_or(ErrorCode::TurnNotFound)?;
    log.cancel();
    Ok(HttpResponse::NoContent().finish())
}

/// Whether the client reads server-sent events.
fn wants_events(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT).filter_map(|v| v.to_str().ok());
    accepted.flat_map(|line| line.split(',')).any(|item| {
        let kind = item.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// The answer of a turn that ended too long ago to be followed.
async fn stored(state: &State, user: UserId, begun: &Begun) -> Result<Answer, ApiError> {
    let found = messages::find_answer(&state.store, user, begun.turn_id).await?;
    let answer = found.and_then(messages::StoredAnswer::into_answer);
    answer.ok_or_else(|| ErrorCode::TurnNotFound.into())
}

async fn events(state: &State, user: UserId, begun: Begun) -> Result<HttpResponse, ApiError> {
    let accepted = ServerFrame::Accepted {
        client_message_id: begun.client_message_id.clone(),
        conversation_id: begun.conversation_id,
        message_id: begun.message_id,
        turn_id: begun.turn_id,
    };
    let accepted = stream::once(future::ready(accepted));
    let frames = match &begun.log {
        Some(log) => accepted.chain(log.follow(0)).boxed(),
        None => {
            let answer = stored(state, user, &begun).await?;
            accepted.chain(stream::once(future::ready(response(answer)))).boxed()
        }
    };
    Ok(event_stream().streaming(with_keep_alive(frames.map(|frame| event(&frame)))))
}

/// A response of server-sent events.
pub(super) fn event_stream() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        // Or nginx gathers the events before it passes them on.
        .insert_header(("x-accel-buffering", "no"));
    response
}

fn response(answer: Answer) -> ServerFrame {
    ServerFrame::Response {
        turn_id: answer.turn_id,
        // A reader that has seen nothing of the turn knows no `seq` that this could repeat.
        seq: 1,
        message_id: answer.message_id,
        response: answer.response,
        citations: answer.citations,
        suggestions: answer.suggestions,
    }
}

/// One event. JSON holds no line breaks, so the data is a single line.
fn event(frame: &ServerFrame) -> Result<Bytes, ApiError> {
    let json = serde_json::to_value(frame).map_err(ApiError::internal)?;
    let kind = json["type"].as_str().unwrap_or("message");
    Ok(Bytes::from(format!("event: {kind}\ndata: {json}\n\n")))
}

pub(super) fn with_keep_alive(
    events: impl Stream<Item = Result<Bytes, ApiError>> + Unpin + 'static,
) -> impl Stream<Item = Result<Bytes, ApiError>> + 'static {
    stream::unfold(events, |mut events| async move {
        match tokio::time::timeout(KEEP_ALIVE, events.next()).await {
            Ok(Some(event)) => Some((event, events)),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": still here\n\n")), events)),
        }
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn events_are_sent_to_those_who_ask_for_them() {
        let wants = |accept| {
            wants_events(&TestRequest::post().insert_header(("accept", accept)).to_http_request())
        };
        assert!(wants("text/event-stream"));
        assert!(wants("application/json;q=0.5, Text/Event-Stream;q=0.9"));
        assert!(!wants("application/json"));
        assert!(!wants("*/*"));
    }

    #[test]
    fn an_event_is_one_line_of_json_under_its_type() {
        let content = "two\nlines".to_owned();
        let frame = ServerFrame::StreamChunk { turn_id: TurnId::new(), seq: 1, content };
        let text = String::from_utf8(event(&frame).unwrap().to_vec()).unwrap();
        let (kind, data) = text.split_once('\n').unwrap();
        assert_eq!(kind, "event: stream_chunk");
        let json = data.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        assert_eq!(serde_json::from_str::<ServerFrame>(json).unwrap(), frame);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_kept_alive() {
        let events = stream::once(async {
            tokio::time::sleep(KEEP_ALIVE * 2 + Duration::from_secs(1)).await;
            Ok(Bytes::from_static(b"event"))
        });
        let sent: Vec<Bytes> =
            with_keep_alive(events.boxed()).map(|piece| piece.unwrap()).collect().await;
        assert_eq!(sent, [": still here\n\n", ": still here\n\n", "event"]);
    }
}
