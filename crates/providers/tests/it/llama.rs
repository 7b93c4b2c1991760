//! Three wires against a real server, llama.cpp's, with a tiny model of random weights.
//!
//! `scripts/install-clients` installs it and `make test` names its folder; run without it, these tests
//! skip with a word on stderr.

use callboard_providers::{
    ChatRequest, Client, ProviderConfig, ProviderErrorKind, ProviderKind, ResponseFormat, Schema,
    StopReason,
};

use callboard_testkit::Llama;

use crate::chat::{asked, hear, tool_request};

fn client(llama: &Llama, kind: ProviderKind) -> Client {
    let config = ProviderConfig {
        name: "llama".to_owned(),
        kind,
        base_url: Some(llama.base_url()),
        model: "tiny".to_owned(),
        max_output_tokens: 200,
        ..ProviderConfig::default()
    };
    Client::new(&config).unwrap()
}

#[tokio::test]
async fn llama_answers_on_three_wires_streamed_and_whole() {
    let Some(llama) = Llama::start().await else { return };
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        for stream in [true, false] {
            let request = ChatRequest { stream, temperature: Some(0.0), ..asked() };
            let answer = hear(&client(&llama, kind), request).await;
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
async fn llama_reads_a_loop_of_tools() {
    let Some(llama) = Llama::start().await else { return };
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        // Its weights are random: hotter, it may write what its server takes for a broken call.
        let request = ChatRequest { temperature: Some(0.0), ..tool_request() };
        let answer = hear(&client(&llama, kind), request).await;
        assert!(answer.failure.is_none(), "{kind:?}: {}", answer.cause());
    }
}

#[tokio::test]
async fn llama_keeps_to_a_schema() {
    let Some(llama) = Llama::start().await else { return };
    let schema = Schema::parse(r#"{"enum": ["yes"]}"#).unwrap();
    let request = ChatRequest {
        response_format: ResponseFormat::Schema { name: "a".to_owned(), schema, strict: None },
        ..asked()
    };
    let answer = hear(&client(&llama, ProviderKind::OpenAi), request).await;
    assert_eq!(answer.text(), r#""yes""#);
}

#[tokio::test]
async fn llama_refuses_what_is_too_long() {
    let Some(llama) = Llama::start().await else { return };
    for kind in [ProviderKind::OpenAi, ProviderKind::OpenAiResponses, ProviderKind::Anthropic] {
        let mut request = asked();
        request.messages[0] = callboard_providers::Message::user("a b c ".repeat(3_000));
        let error = hear(&client(&llama, kind), request).await.error();
        assert_eq!(error, ProviderErrorKind::ContextTooLong, "{kind:?}");
    }
}
