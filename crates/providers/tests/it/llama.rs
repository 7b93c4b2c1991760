//! Three wires against a real server, llama.cpp's: `crates/providers/tests/llama.py` serves a tiny
//! model of random weights and prints its address.
//!
//!     pip install xllamacpp gguf numpy
//!     python crates/providers/tests/llama.py &
//!     CALLBOARD_TEST_LLAMA=http://127.0.0.1:PORT cargo test -p callboard-providers -- --ignored

#![expect(clippy::disallowed_methods, reason = "the address of the server comes from outside")]

use callboard_providers::{
    ChatRequest, Client, ProviderConfig, ProviderErrorKind, ProviderKind, ResponseFormat, Schema,
    StopReason,
};

use crate::chat::{asked, hear, tool_request};

fn client(kind: ProviderKind) -> Client {
    let server = std::env::var("CALLBOARD_TEST_LLAMA").expect("CALLBOARD_TEST_LLAMA is the URL");
    let config = ProviderConfig {
        name: "llama".to_owned(),
        kind,
        base_url: Some(format!("{server}/v1")),
        model: "tiny".to_owned(),
        max_output_tokens: 200,
        ..ProviderConfig::default()
    };
    Client::new(&config).unwrap()
}

#[tokio::test]
#[ignore = "needs llama.cpp's server"]
async fn llama_answers_on_three_wires_streamed_and_whole() {
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        for stream in [true, false] {
            let request = ChatRequest { stream, temperature: Some(0.0), ..asked() };
            let answer = hear(&client(kind), request).await;
            let (reason, usage, _) = answer.finish();
            assert!(matches!(reason, StopReason::Length | StopReason::Stop), "{reason:?}");
            assert!(!answer.text().is_empty());
            // On Anthropic's wire it leaves out what it read when the first token is no character.
            let told = !usage.estimated || kind == ProviderKind::Anthropic;
            assert!(told && usage.input > 0, "{kind:?}, stream: {stream}: {usage:?}");
            assert!((1..=200).contains(&usage.output), "{usage:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs llama.cpp's server"]
async fn llama_reads_a_loop_of_tools() {
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        let answer = hear(&client(kind), tool_request()).await;
        assert!(answer.failure.is_none(), "{kind:?}: {}", answer.cause());
    }
}

#[tokio::test]
#[ignore = "needs llama.cpp's server"]
async fn llama_keeps_to_a_schema() {
    let schema = Schema::parse(r#"{"enum": ["yes"]}"#).unwrap();
    let request = ChatRequest {
        response_format: ResponseFormat::Schema { name: "a".to_owned(), schema, strict: None },
        ..asked()
    };
    let answer = hear(&client(ProviderKind::OpenAi), request).await;
    assert_eq!(answer.text(), r#""yes""#);
}

#[tokio::test]
#[ignore = "needs llama.cpp's server"]
async fn llama_refuses_what_is_too_long() {
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        let mut request = asked();
        request.messages[0] = callboard_providers::Message::user("a b c ".repeat(3_000));
        let error = hear(&client(kind), request).await.error();
        assert_eq!(error, ProviderErrorKind::ContextTooLong, "{kind:?}");
    }
}
