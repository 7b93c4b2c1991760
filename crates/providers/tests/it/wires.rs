//! What holds on every wire, against a fake provider that speaks it.

use std::time::Duration;

use callboard_providers::{
    ChatRequest, Client, ProviderConfig, ProviderErrorKind, ReplyEvent, StopReason, TokenUsage,
};
use callboard_testkit::{FakeVendor, Reply, VendorWire};
use serde_json::json;

use crate::{
    chat::{WIRES, asked, chat_config, client, hear, hear_reply, hear_script, tool_request},
    harness::{SHORT, tokens},
};

#[tokio::test]
async fn an_answer_is_the_same_streamed_and_whole() {
    for kind in WIRES {
        let reply = Reply::text(&["grün", " 😀", "."]).usage(20, 7).cached(8, 0);
        let mut answers = Vec::new();
        for stream in [true, false] {
            let request = ChatRequest { stream, ..asked() };
            let (answer, _) = hear_script(kind, [reply.clone()], request, |_| {}).await;
            answers.push((answer.text(), answer.finish()));
        }
        assert_eq!(answers[0], answers[1], "{kind:?}");
        let (text, (reason, usage, model)) = &answers[0];
        assert_eq!((text.as_str(), reason), ("grün 😀.", &StopReason::Stop), "{kind:?}");
        let cached_input = if kind.as_str() == "ollama" { 0 } else { 8 };
        let expected = TokenUsage { input: 20, output: 7, cached_input, ..TokenUsage::default() };
        assert_eq!(usage, &expected, "{kind:?}");
        assert_eq!(model, "fake-model", "{kind:?}");
    }
}

#[tokio::test]
async fn bytes_split_anywhere_with_pings_and_crlf_give_the_same_answer() {
    for kind in WIRES {
        let reply = Reply::text(&["gr", "ü", "n", " 😀"]).pings();
        for reply in [reply.clone(), reply.crlf()] {
            for bytes in [1, 3, 64] {
                let answer = hear_reply(kind, reply.clone().split(bytes)).await;
                assert_eq!(answer.texts(), ["gr", "ü", "n", " 😀"], "{kind:?} {bytes}");
                assert_eq!(answer.finish().0, StopReason::Stop, "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn tools_are_offered_called_and_answered() {
    for kind in WIRES {
        for stream in [true, false] {
            let reply = Reply::text(&["Let me look."])
                .reasoning(&["hm", "…"])
                .tool_call("call_1", "count_logs", r#"{"query":"über"}"#)
                .tool_call("call_2", "list_sources", "{}")
                .usage(30, 12)
                .reasoning_tokens(4);
            let request = ChatRequest { stream, ..tool_request() };
            let (answer, vendor) = hear_script(kind, [reply], request, |_| {}).await;
            let at = format!("{kind:?}, stream: {stream}");
            assert_eq!(answer.text(), "Let me look.", "{at}");
            assert_eq!(answer.thoughts(), "hm…", "{at}");
            let calls = answer.calls();
            let calls: Vec<_> =
                calls.iter().map(|(id, name, args)| (&**id, &**name, args)).collect();
            let expected = json!({"query": "über"});
            assert_eq!(
                calls,
                [("call_1", "count_logs", &expected), ("call_2", "list_sources", &json!({}))],
                "{at}"
            );
            assert_eq!(answer.finish().0, StopReason::ToolCalls, "{at}");
            let body = vendor.requests()[0].body.to_string();
            for part in ["count_logs", "list_sources", "1204", "no such thing", "Be brief."] {
                assert!(body.contains(part), "{at}: {part} in {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_malformed_chunk_is_skipped() {
    for kind in WIRES {
        let answer = hear_reply(kind, Reply::tokens(5).malformed_at(2)).await;
        assert_eq!((answer.text(), answer.finish().0), (tokens(5), StopReason::Stop), "{kind:?}");
    }
}

#[tokio::test]
async fn a_missing_last_word_costs_nothing() {
    for kind in WIRES {
        let answer = hear_reply(kind, Reply::tokens(5).without_done()).await;
        assert_eq!((answer.text(), answer.finish().0), (tokens(5), StopReason::Stop), "{kind:?}");
        assert_eq!(answer.finish().1.output, 5, "{kind:?}");
    }
}

#[tokio::test]
async fn a_cut_is_never_success() {
    for kind in WIRES {
        for reply in [
            Reply::tokens(60).cut_after(40),
            Reply::tokens(40).without_finish().without_done().without_usage(),
        ] {
            let (answer, vendor) = hear_script(kind, [reply], asked(), |_| {}).await;
            let found = (answer.text(), answer.error(), vendor.request_count());
            assert_eq!(found, (tokens(40), ProviderErrorKind::Interrupted, 1), "{kind:?}");
        }
        let whole = ChatRequest { stream: false, ..asked() };
        let (answer, _) = hear_script(kind, [Reply::tokens(9).cut_after(4)], whole, |_| {}).await;
        assert_eq!(answer.error(), ProviderErrorKind::Interrupted, "{kind:?}");
    }
}

#[tokio::test]
async fn the_reason_of_the_end_is_passed_on() {
    for kind in WIRES {
        let answer = hear_reply(kind, Reply::tokens(2).finish("length")).await;
        assert_eq!(answer.finish().0, StopReason::Length, "{kind:?}");
        if kind.as_str() != "ollama" {
            let answer = hear_reply(kind, Reply::tokens(2).finish("content_filter")).await;
            assert_eq!(answer.finish().0, StopReason::ContentFilter, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn usage_that_is_not_said_is_estimated_and_says_so() {
    for kind in WIRES {
        let reply = Reply::text(&["12345678", "9"]).without_usage();
        let usage = hear_reply(kind, reply).await.finish().1;
        assert_eq!((usage.output, usage.estimated), (3, true), "{kind:?}");
        assert!(usage.input > 0, "{kind:?}");
    }
}

#[tokio::test]
async fn refusals_have_a_kind() {
    let limited = |wait| ProviderErrorKind::RateLimited { retry_after: wait };
    let half_minute = Some(Duration::from_secs(30));
    for kind in WIRES {
        for (reply, expected) in [
            (Reply::rate_limited(None), limited(None)),
            (Reply::rate_limited(Some("30")), limited(half_minute)),
            (Reply::rate_limited(None).header("retry-after-ms", "30000"), limited(half_minute)),
            (Reply::context_too_long(), ProviderErrorKind::ContextTooLong),
            (Reply::error(401, "invalid_api_key", "no"), ProviderErrorKind::Auth),
            (Reply::error(404, "model_not_found", "no"), ProviderErrorKind::BadRequest),
            (Reply::error(400, "invalid_request_error", "no"), ProviderErrorKind::BadRequest),
            (Reply::error(504, "timeout", "slow"), ProviderErrorKind::Timeout),
        ] {
            let (answer, vendor) = hear_script(kind, [reply], asked(), |_| {}).await;
            assert_eq!((answer.error(), vendor.request_count()), (expected, 1), "{kind:?}");
        }
        if kind.as_str() != "ollama" {
            let answer = hear_reply(kind, Reply::content_filtered()).await;
            assert_eq!(answer.error(), ProviderErrorKind::ContentFiltered, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn one_overload_is_cured_by_another_attempt() {
    for kind in WIRES {
        let script = [Reply::overloaded(), Reply::tokens(3)];
        let (answer, vendor) = hear_script(kind, script, asked(), |_| {}).await;
        assert_eq!((answer.text(), vendor.request_count()), (tokens(3), 2), "{kind:?}");
        assert_eq!(answer.head.as_ref().unwrap().attempts, 2, "{kind:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_stream_comes_behind_what_was_said() {
    for kind in WIRES {
        for (error, expected) in [
            (json!({"type": "overloaded_error", "message": "x"}), ProviderErrorKind::Overloaded),
            (
                json!({"type": "invalid_request_error", "message": "maximum context length"}),
                ProviderErrorKind::ContextTooLong,
            ),
        ] {
            let reply = Reply::tokens(9).error_after(2, error);
            let (answer, vendor) = hear_script(kind, [reply], asked(), |_| {}).await;
            let found = (answer.text(), answer.error(), vendor.request_count());
            assert_eq!(found, (tokens(2), expected, 1), "{kind:?}");
        }
        let whole = ChatRequest { stream: false, ..asked() };
        let reply = Reply::tokens(1).error_after(0, json!({"message": "out of memory"}));
        let (answer, _) = hear_script(kind, [reply], whole, |_| {}).await;
        assert_eq!(answer.error(), ProviderErrorKind::Overloaded, "{kind:?}");
    }
}

#[tokio::test]
async fn a_200_that_holds_no_answer_is_malformed() {
    for kind in WIRES {
        for reply in [
            Reply::body("text/event-stream", ""),
            Reply::body("text/html", "<html><body>Sign in to the hotel's network</body></html>"),
            Reply::body("application/json", "{\"choices\": ["),
            Reply::body("application/json", "   "),
            Reply::text(&[]),
        ] {
            let (answer, vendor) = hear_script(kind, [reply], asked(), |_| {}).await;
            let found = (answer.error(), vendor.request_count());
            assert_eq!(found, (ProviderErrorKind::Malformed, 1), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn every_wait_has_an_end() {
    let short = u64::try_from(SHORT.as_millis()).unwrap();
    for kind in WIRES {
        let first = |config: &mut ProviderConfig| {
            config.first_token_timeout_ms = short;
        };
        let slow = Reply::tokens(3).pings().first_token_after(Duration::from_secs(600));
        for reply in [Reply::silent(), slow] {
            let (answer, vendor) = hear_script(kind, [reply], asked(), first).await;
            assert_eq!(answer.error(), ProviderErrorKind::Timeout, "{kind:?}");
            assert!(answer.cause().contains("first_token_timeout_ms"), "{}", answer.cause());
            vendor.until_left(1).await;
        }
        let reply = Reply::tokens(9).pings().stall_after(4);
        let (answer, vendor) =
            hear_script(kind, [reply], asked(), |config| config.idle_timeout_ms = short).await;
        let found = (answer.text(), answer.error());
        assert_eq!(found, (tokens(4), ProviderErrorKind::Timeout), "{kind:?}");
        vendor.until_left(1).await;
        let whole = ChatRequest { stream: false, ..asked() };
        let (answer, vendor) = hear_script(kind, [Reply::silent()], whole, |config| {
            config.first_token_timeout_ms = 1;
            config.total_timeout_ms = short;
        })
        .await;
        assert_eq!(answer.error(), ProviderErrorKind::Timeout, "{kind:?}");
        assert!(answer.cause().contains("total_timeout_ms"), "{}", answer.cause());
        vendor.until_left(1).await;
    }
}

#[tokio::test]
async fn an_answer_over_its_bound_is_cut_there_and_the_server_is_told_to_stop() {
    for kind in WIRES {
        let (answer, vendor) = hear_script(kind, [Reply::endless()], asked(), |config| {
            config.max_output_tokens = 100;
        })
        .await;
        assert_eq!(answer.finish().0, StopReason::Length, "{kind:?}");
        assert!(answer.text().len() < 100 * 16 + 64, "{kind:?}");
        vendor.until_left(1).await;
    }
}

#[tokio::test]
async fn a_reader_who_leaves_stops_the_server() {
    use futures_util::StreamExt as _;

    for kind in WIRES {
        let vendor = FakeVendor::start().await;
        vendor.script([Reply::endless()]);
        let mut stream = client(kind, &vendor).chat(asked()).await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(ReplyEvent::Text(_)))), "{kind:?}");
        let usage = stream.usage_so_far();
        assert!(usage.estimated && usage.input > 0 && usage.output > 0, "{kind:?}: {usage:?}");
        drop(stream);
        vendor.until_left(1).await;
        let billed = vendor.billed();
        assert!(!billed[0].complete && billed[0].output > 0, "{kind:?}: {billed:?}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    for kind in WIRES {
        let vendor = FakeVendor::start().await;
        let client = client(kind, &vendor);
        for stream in [true, false, true] {
            let request = ChatRequest { stream, ..asked() };
            hear(&client, request).await.finish();
        }
        let counts = (vendor.request_count(), vendor.connection_count());
        assert_eq!(counts, (3, 1), "{kind:?}");
    }
}

#[tokio::test]
async fn our_usage_is_the_vendors_bill() {
    for kind in WIRES {
        let vendor = FakeVendor::start().await;
        let client = client(kind, &vendor);
        let mut ours = Vec::new();
        for stream in [true, false] {
            for count in 1..6 {
                let reply = Reply::tokens(count).usage(100 + count as u64, 10 + count as u64);
                vendor.script([reply.cached(count as u64, 0).reasoning_tokens(3)]);
                let request = ChatRequest { stream, ..asked() };
                let (_, usage, _) = hear(&client, request).await.finish();
                ours.push((usage.input, usage.output));
            }
        }
        vendor.until_finished(10).await;
        let billed = vendor.billed();
        let theirs: Vec<_> = billed.iter().map(|bill| (bill.input, bill.output)).collect();
        assert_eq!(ours, theirs, "{kind:?}");
        let wire = match kind.as_str() {
            "openai" => VendorWire::OpenAi,
            "openai_responses" => VendorWire::Responses,
            "anthropic" => VendorWire::Anthropic,
            "ollama" => VendorWire::Ollama,
            "gemini" => VendorWire::Gemini,
            _ => VendorWire::Azure,
        };
        assert!(billed.iter().all(|bill| bill.wire == wire && bill.complete), "{billed:?}");
        assert!(billed.iter().all(|bill| bill.asked == "asked-model"), "{billed:?}");
    }
}

#[tokio::test]
async fn a_cut_answer_is_billed_for_what_was_sent() {
    for kind in WIRES {
        let vendor = FakeVendor::start().await;
        vendor.script([Reply::tokens(60).cut_after(40)]);
        hear(&client(kind, &vendor), asked()).await.error();
        vendor.until_finished(1).await;
        let bill = vendor.billed().remove(0);
        assert_eq!((bill.output, bill.complete), (40, false), "{kind:?}");
    }
}

#[tokio::test]
async fn the_assistant_is_answered_on_every_wire() {
    use futures_util::StreamExt as _;

    for kind in WIRES {
        let vendor = FakeVendor::start().await;
        vendor.script([Reply::tokens(3).reasoning(&["hm"])]);
        let client = Client::new(&chat_config(kind, &vendor)).unwrap();
        let stream = client.complete(&crate::harness::question()).await.unwrap();
        let is_thought = |event: &ReplyEvent| {
            matches!(event, ReplyEvent::Reasoning(_) | ReplyEvent::ReasoningSignature(_))
        };
        let events: Vec<_> = stream.map(Result::unwrap).collect().await;
        let events: Vec<_> = events.into_iter().filter(|event| !is_thought(event)).collect();
        assert_eq!(events.len(), 4, "{kind:?}: three tokens and the end: {events:?}");
        let question = vendor.requests()[0].question().to_owned();
        assert!(question.ends_with("Question: what failed?"), "{kind:?}: {question}");
    }
}
