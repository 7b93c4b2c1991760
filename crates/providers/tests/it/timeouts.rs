//! Every wait has an end, also when the server says nothing at all.

use std::time::Duration;

use callboard_protocol::FinishReason;
use callboard_providers::{ProviderConfig, ProviderErrorKind};
use callboard_testkit::Reply;
use tokio::time::Instant;

use crate::harness::{SHORT, ask_script, tokens};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn short_first(config: &mut ProviderConfig) {
    config.first_token_timeout_ms = millis(SHORT);
}

fn short_idle(config: &mut ProviderConfig) {
    config.idle_timeout_ms = millis(SHORT);
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_one_attempt() {
    let (outcome, vendor) = ask_script([Reply::silent()], short_first).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Timeout);
    vendor.until_left(1).await;
    assert_eq!(vendor.request_count(), 1);
}

#[tokio::test]
async fn a_slow_first_token_is_given_up_although_the_reply_has_begun() {
    for reply in [Reply::tokens(3), Reply::tokens(3).pings()] {
        let slow = reply.first_token_after(Duration::from_secs(600));
        let (outcome, vendor) = ask_script([slow], short_first).await;
        assert_eq!(outcome.error(), ProviderErrorKind::Timeout);
        assert!(outcome.cause().contains("first_token_timeout_ms"), "{}", outcome.cause());
        vendor.until_left(1).await;
    }
}

#[tokio::test]
async fn a_stall_in_the_middle_is_given_up_although_pings_come() {
    for reply in [Reply::tokens(9), Reply::tokens(9).pings()] {
        let (outcome, vendor) = ask_script([reply.stall_after(4)], short_idle).await;
        assert_eq!((outcome.text(), outcome.error()), (tokens(4), ProviderErrorKind::Timeout));
        assert!(outcome.cause().contains("idle_timeout_ms"), "{}", outcome.cause());
        vendor.until_left(1).await;
    }
}

#[tokio::test]
async fn a_steady_answer_outlives_its_inter_token_limit() {
    // All tokens together take twice the limit for one.
    let reply = Reply::tokens(40).delay(Duration::from_millis(20));
    let (outcome, _vendor) = ask_script([reply], short_idle).await;
    assert_eq!((outcome.text(), outcome.reason()), (tokens(40), FinishReason::Stop));
}

#[tokio::test]
async fn an_answer_that_never_ends_meets_the_total_limit() {
    let reply = Reply::endless().delay(Duration::from_millis(10));
    let (outcome, vendor) =
        ask_script([reply], |config| config.total_timeout_ms = millis(SHORT)).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Timeout);
    assert!(outcome.cause().contains("total_timeout_ms"), "{}", outcome.cause());
    assert!(!outcome.deltas.is_empty());
    vendor.until_left(1).await;
}

#[tokio::test]
async fn an_end_that_was_announced_is_not_waited_for() {
    // The reason came; neither usage, nor `[DONE]`, nor the end of the body ever does.
    let body =
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let begun = Instant::now();
    let reply = Reply::body("text/event-stream", body).header("Content-Length", "9999");
    let (outcome, _vendor) = ask_script([reply], |_| {}).await;
    assert_eq!((outcome.text().as_str(), outcome.reason()), ("hi", FinishReason::Stop));
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn retries_do_not_outlast_the_first_token_limit() {
    let begun = Instant::now();
    let script = vec![Reply::error(503, "server_error", "down"); 9];
    let (outcome, vendor) = ask_script(script, short_first).await;
    assert_eq!(outcome.error(), ProviderErrorKind::Timeout);
    assert!(vendor.request_count() <= 3);
    assert!(begun.elapsed() < Duration::from_secs(2));
}
