//! Questions and uploads over plain HTTP, answered by the extractive provider.

use actix_web::{http::StatusCode, test::TestRequest};
use callboard_protocol::{Answer, FinishReason, Job, Role, ServerFrame};
use serde_json::{Value, json};

use super::support::{Reply, Server, auth_config, bearer, get, post};
use crate::{EdgeConfig, EdgeLimits};

const CHAT: &str = "/api/v1/assistant/chat";

fn question(id: &str) -> Value {
    json!({ "content": "how many errors were there?", "client_message_id": id })
}

/// The frames of a reply, each of which must stand under its own type.
fn frames(reply: &Reply) -> Vec<ServerFrame> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(reply.header("content-type").starts_with("text/event-stream"));
    let mut frames = Vec::new();
    for event in reply.text.split_terminator("\n\n").filter(|event| !event.starts_with(':')) {
        let (kind, data) = event.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let json: Value = serde_json::from_str(data).unwrap();
        assert_eq!(kind, format!("event: {}", json["type"].as_str().unwrap()));
        frames.push(serde_json::from_str(data).unwrap());
    }
    frames
}

#[actix_web::test]
async fn a_question_is_answered_whole_and_the_same_question_once() {
    let server = Server::start().await;
    let token = server.signed_in(Role::VIEWER).await.access_token.unwrap();
    let reply = server.call(bearer(post(CHAT, question("q1")), &token)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let answer: Answer = serde_json::from_str(&reply.text).unwrap();
    assert_eq!(
        (answer.finish_reason, answer.provider.as_str()),
        (FinishReason::Stop, "extractive")
    );
    assert!(!answer.response.is_empty());

    let mut again = question("q1");
    again["conversation_id"] = json!(answer.conversation_id);
    let again = server.call(bearer(post(CHAT, again), &token)).await;
    assert_eq!(serde_json::from_str::<Answer>(&again.text).unwrap(), answer);

    let uri = format!("/api/v1/conversations/{}/messages", answer.conversation_id);
    let messages = server.call(bearer(get(&uri), &token)).await.json();
    assert_eq!(messages["items"].as_array().unwrap().len(), 2, "{messages}");
}

#[actix_web::test]
async fn a_question_is_answered_as_events() {
    let server = Server::start().await;
    let token = server.signed_in(Role::VIEWER).await.access_token.unwrap();
    let ask = post(CHAT, question("q1")).insert_header(("accept", "text/event-stream"));
    let frames = frames(&server.call(bearer(ask, &token)).await);
    assert!(matches!(frames.first(), Some(ServerFrame::Accepted { .. })), "{frames:?}");
    assert!(frames.iter().any(|frame| matches!(frame, ServerFrame::StreamStart { .. })));
    let chunk = |frame: &ServerFrame| {
        let ServerFrame::StreamChunk { content, .. } = frame else { return String::new() };
        content.clone()
    };
    let text: String = frames.iter().map(chunk).collect();
    match frames.last() {
        Some(ServerFrame::Response { response, .. }) => assert_eq!(*response, text),
        other => panic!("the last frame is {other:?}"),
    }
}

#[actix_web::test]
async fn an_empty_question_is_none() {
    let server = Server::start().await;
    let token = server.signed_in(Role::VIEWER).await.access_token.unwrap();
    for content in ["", "  \n"] {
        let reply = server.call(bearer(post(CHAT, json!({ "content": content })), &token)).await;
        assert_eq!(reply.code(), "validation_failed", "{}", reply.text);
    }
}

#[actix_web::test]
async fn an_upload_becomes_a_job() {
    let limits = EdgeLimits { upload_bytes: 100, ..EdgeLimits::default() };
    let config = EdgeConfig { limits, ..EdgeConfig::default() };
    let server = Server::with(config, auth_config()).await;
    let token = server.signed_in(Role::ADMIN).await.access_token.unwrap();
    let upload = |bytes: usize| {
        TestRequest::post()
            .uri("/api/v1/logs/upload?name=app.log")
            .set_payload("2026-11-21T03:14:15Z ERROR disk full\n".repeat(5)[..bytes].to_owned())
    };
    let large = server.call(bearer(upload(101), &token)).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "payload_too_large"));
    let told = upload(10).insert_header(("content-length", "1000000"));
    assert_eq!(server.call(bearer(told, &token)).await.code(), "payload_too_large");

    let reply = server.call(bearer(upload(100), &token)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
    let job: Job = serde_json::from_str(&reply.text).unwrap();
    let read = server.call(bearer(get(&format!("/api/v1/jobs/{}", job.id)), &token)).await;
    assert_eq!(read.json()["id"], json!(job.id));
    let listed = server.call(bearer(get("/api/v1/jobs"), &token)).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let stop = format!("/api/v1/jobs/{}/cancel", job.id);
    let stop = TestRequest::post().uri(&stop);
    let stopped = server.call(bearer(stop, &token)).await;
    assert_eq!(stopped.status, StatusCode::OK, "{}", stopped.text);
}
