//! Refusals, broken connections and broken replies.

use std::time::Duration;

use callboard_protocol::FinishReason;
use callboard_providers::{Client, ProviderConfig, ProviderErrorKind};
use callboard_testkit::Reply;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Outcome, ask, ask_reply, ask_script, question, tokens};

async fn ask_with_count(script: Vec<Reply>) -> (Outcome, usize) {
    let (outcome, vendor) = ask_script(script, |_| {}).await;
    (outcome, vendor.request_count())
}

#[tokio::test]
async fn a_retry_after_is_handed_on_at_once() {
    let (outcome, requests) = ask_with_count(vec![Reply::rate_limited(Some("30"))]).await;
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(outcome.error(), ProviderErrorKind::RateLimited { retry_after });
    assert_eq!(requests, 1);
    assert_eq!(outcome.end.unwrap_err().to_client().retry_after_ms, Some(30_000));
}

#[tokio::test]
async fn a_rate_limit_without_a_time_is_not_hammered() {
    let (outcome, requests) = ask_with_count(vec![Reply::rate_limited(None)]).await;
    assert_eq!(outcome.error(), ProviderErrorKind::RateLimited { retry_after: None });
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn one_500_is_cured_by_another_attempt() {
    let script = vec![Reply::error(500, "server_error", "oops"), Reply::tokens(3)];
    let (outcome, requests) = ask_with_count(script).await;
    assert_eq!((outcome.text(), requests), (tokens(3), 2));
}

#[tokio::test]
async fn a_503_for_ever_is_given_up_after_three_attempts() {
    let script = vec![Reply::error(503, "unavailable", "busy"); 9];
    let (outcome, requests) = ask_with_count(script).await;
    assert_eq!((outcome.error(), requests), (ProviderErrorKind::Overloaded, 3));
    assert!(outcome.cause().contains("503"), "{}", outcome.cause());
}

#[tokio::test]
async fn a_reset_before_the_reply_is_tried_again() {
    let (outcome, requests) = ask_with_count(vec![Reply::reset(), Reply::tokens(3)]).await;
    assert_eq!((outcome.text(), requests), (tokens(3), 2));
    let (outcome, requests) = ask_with_count(vec![Reply::reset(); 9]).await;
    assert_eq!((outcome.error(), requests), (ProviderErrorKind::Unreachable, 3));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let config = ProviderConfig {
        name: "gone".to_owned(),
        base_url: Some(base_url),
        model: "m".to_owned(),
        ..ProviderConfig::default()
    };
    let outcome = ask(&Client::new(&config).unwrap(), question()).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Unreachable);
    assert!(!outcome.end.unwrap_err().to_client().message.contains("127.0.0.1"));
}

#[tokio::test]
async fn what_no_attempt_can_cure_is_tried_once() {
    for (reply, expected) in [
        (Reply::context_too_long(), ProviderErrorKind::ContextTooLong),
        (Reply::content_filtered(), ProviderErrorKind::ContentFiltered),
        (Reply::error(401, "invalid_api_key", "no"), ProviderErrorKind::Auth),
        (Reply::error(404, "model_not_found", "no"), ProviderErrorKind::BadRequest),
        (Reply::error(400, "invalid_request_error", "no"), ProviderErrorKind::BadRequest),
        (Reply::error(307, "", "").header("Location", "/elsewhere"), ProviderErrorKind::Malformed),
    ] {
        let (outcome, requests) = ask_with_count(vec![reply]).await;
        assert_eq!((outcome.error(), requests), (expected, 1));
    }
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_is_never_whole() {
    let (outcome, requests) = ask_with_count(vec![Reply::tokens(60).cut_after(40)]).await;
    assert_eq!(outcome.text(), tokens(40), "what came is given");
    assert_eq!((outcome.error(), requests), (ProviderErrorKind::Interrupted, 1));
}

#[tokio::test]
async fn an_end_without_a_reason_or_done_is_a_cut() {
    let outcome = ask_reply(Reply::tokens(4).without_finish().without_done()).await;
    assert_eq!((outcome.text(), outcome.error()), (tokens(4), ProviderErrorKind::Interrupted));
}

#[tokio::test]
async fn a_cut_after_the_reason_costs_nothing() {
    let reply = Reply::tokens(4).without_usage().without_done();
    let outcome = ask_reply(reply).await;
    assert_eq!((outcome.text(), outcome.reason()), (tokens(4), FinishReason::Stop));
}

#[tokio::test]
async fn a_finish_reason_that_means_failure_is_one() {
    let outcome = ask_reply(Reply::tokens(4).finish("error")).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Interrupted);
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    for (error, expected) in [
        (json!({"code": 502, "message": "upstream"}), ProviderErrorKind::Overloaded),
        (json!({"code": "context_length_exceeded"}), ProviderErrorKind::ContextTooLong),
        (json!("it broke"), ProviderErrorKind::Overloaded),
    ] {
        let (outcome, requests) =
            ask_with_count(vec![Reply::tokens(9).error_after(2, error)]).await;
        assert_eq!((outcome.text(), outcome.error()), (tokens(2), expected));
        assert_eq!(requests, 1);
    }
    let whole = json!({"error": {"message": "out of memory", "type": "server_error"}});
    let outcome = ask_reply(Reply::status(200, &whole)).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Overloaded);
}

#[tokio::test]
async fn a_200_that_holds_no_answer_is_malformed() {
    for reply in [
        Reply::body("text/event-stream", ""),
        Reply::body("text/event-stream", "data: [DONE]\n\n"),
        Reply::body("text/html", "<html><body>Sign in to the hotel's network</body></html>"),
        Reply::body("application/json", "{\"choices\": ["),
        Reply::body("application/json", "   "),
        Reply::text(&[]),
    ] {
        let (outcome, requests) = ask_with_count(vec![reply]).await;
        assert_eq!((outcome.error(), requests), (ProviderErrorKind::Malformed, 1));
    }
}

#[tokio::test]
async fn no_answer_shows_the_client_what_the_provider_said() {
    let (outcome, _) =
        ask_with_count(vec![Reply::error(400, "bad", "secret-host-17 is full")]).await;
    assert!(outcome.cause().contains("secret-host-17"));
    assert!(!outcome.end.unwrap_err().to_client().to_string().contains("secret-host-17"));
}
