//! What is sent: each wire's own words for a request, and what a wire has no words for.

use callboard_providers::{
    AzureAuth, ChatRequest, EmbedRequest, ImageSource, Message, Part, ProviderErrorKind,
    ProviderKind, RateLimit, ReasoningEffort, ResponseFormat, Role, Schema, ToolChoice,
};
use callboard_testkit::{FakeVendor, RecordedRequest, Reply};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::chat::{
    WIRES, asked, chat_config, client, hear, hear_script, hear_with_key, tool, tool_request,
};

/// What a provider of this kind is sent for `request`.
async fn sent(kind: ProviderKind, request: ChatRequest) -> RecordedRequest {
    let (answer, vendor) = hear_script(kind, [Reply::tokens(1)], request, |config| {
        config.api_key = Some(SecretString::from("sk-test".to_owned()));
        config.model = "asked-model".to_owned();
    })
    .await;
    assert!(answer.failure.is_none(), "{kind:?}: {:?}", answer.failure);
    vendor.requests().remove(0)
}

#[tokio::test]
async fn every_wire_has_its_place_and_shows_its_key() {
    for (kind, line, header, value) in [
        (ProviderKind::OpenAi, "POST /v1/chat/completions", "authorization", "Bearer sk-test"),
        (ProviderKind::OpenAiResponses, "POST /v1/responses", "authorization", "Bearer sk-test"),
        (ProviderKind::Anthropic, "POST /v1/messages", "x-api-key", "sk-test"),
        (ProviderKind::Ollama, "POST /api/chat", "authorization", "Bearer sk-test"),
        (
            ProviderKind::Gemini,
            "POST /v1/models/asked-model:streamGenerateContent?alt=sse",
            "x-goog-api-key",
            "sk-test",
        ),
        (
            ProviderKind::Azure,
            "POST /openai/deployments/asked-model/chat/completions?api-version=2024-10-21",
            "api-key",
            "sk-test",
        ),
    ] {
        let request = sent(kind, asked()).await;
        assert_eq!(request.line, line);
        assert_eq!(request.header(header), Some(value), "{kind:?}");
        assert_eq!(request.header("accept-encoding"), Some("identity"), "{kind:?}");
        let versioned = request.header("anthropic-version") == Some("2023-06-01");
        assert_eq!(versioned, kind == ProviderKind::Anthropic);
    }
    let whole = ChatRequest { stream: false, ..asked() };
    let request = sent(ProviderKind::Gemini, whole).await;
    assert_eq!(request.line, "POST /v1/models/asked-model:generateContent");
}

#[tokio::test]
async fn a_deployment_of_azure_has_a_name_and_a_token() {
    let request = ChatRequest { model: Some("other".to_owned()), ..asked() };
    for (request, deployment) in [(asked(), "mine"), (request, "other")] {
        let (_, vendor) = hear_script(ProviderKind::Azure, [], request, |config| {
            config.deployment = Some("mine".to_owned());
            config.api_version = Some("2025-04-01-preview".to_owned());
            config.azure_auth = Some(AzureAuth::Entra);
            config.api_key = Some(SecretString::from("ey".to_owned()));
        })
        .await;
        let request = &vendor.requests()[0];
        let path = format!("POST /openai/deployments/{deployment}/chat/completions");
        assert_eq!(request.line, format!("{path}?api-version=2025-04-01-preview"));
        assert_eq!(request.header("authorization"), Some("Bearer ey"));
        assert_eq!(request.header("api-key"), None);
    }
}

/// A request that uses whatever most wires have.
fn rich() -> ChatRequest {
    let image = ImageSource::Base64 { media_type: "image/png".to_owned(), data: "aGk=".to_owned() };
    let mut request = tool_request();
    request.messages[0].content.push(Part::Image { source: image });
    ChatRequest {
        tool_choice: ToolChoice::Auto,
        max_output_tokens: Some(77),
        temperature: Some(0.5),
        top_p: Some(0.9),
        user: Some("u-1".to_owned()),
        response_format: ResponseFormat::Schema {
            name: "count".to_owned(),
            schema: Schema::parse(r#"{"type":"object","properties":{"z":{},"a":{}}}"#).unwrap(),
            strict: Some(true),
        },
        ..request
    }
}

#[tokio::test]
async fn chat_completions_and_azure_are_spoken() {
    for kind in [ProviderKind::OpenAi, ProviderKind::Azure] {
        let request = ChatRequest {
            stop: vec!["END".to_owned()],
            seed: Some(7),
            parallel_tool_calls: Some(false),
            tool_choice: ToolChoice::Named("count_logs".to_owned()),
            reasoning_effort: Some(ReasoningEffort::Low),
            ..rich()
        };
        let body = sent(kind, request).await.body;
        let call = |id: &str, name: &str, arguments: &str| {
            json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": arguments}})
        };
        let calls = json!([
            call("c1", "count_logs", r#"{"query": "x"}"#),
            call("c2", "list_sources", "{}")
        ]);
        let image = json!({"type": "image_url",
            "image_url": {"url": "data:image/png;base64,aGk="}});
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "how many?"}, image]},
            {"role": "assistant", "content": null, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "1204"},
            {"role": "tool", "tool_call_id": "c2", "content": "Error: no such thing"},
        ]);
        assert_eq!(body["messages"], messages);
        let choice = json!({"type": "function", "function": {"name": "count_logs"}});
        assert_eq!(body["tool_choice"], choice);
        assert_eq!(body["tools"][0]["function"]["name"], "count_logs");
        assert_eq!(body["tools"][0]["function"]["parameters"]["type"], "object");
        assert_eq!(body["response_format"]["json_schema"]["strict"], true);
        assert_eq!(body["parallel_tool_calls"], false);
        assert_eq!(body["stream_options"], json!({"include_usage": true}));
        let told = json!([
            body["stop"],
            body["seed"],
            body["user"],
            body["temperature"],
            body["top_p"],
            body["reasoning_effort"]
        ]);
        assert_eq!(told, json!([["END"], 7, "u-1", 0.5, 0.9, "low"]));
        let limit =
            if kind == ProviderKind::Azure { "max_completion_tokens" } else { "max_tokens" };
        assert_eq!(body[limit], 77);
    }
}

#[tokio::test]
async fn responses_are_spoken() {
    let body = sent(ProviderKind::OpenAiResponses, rich()).await.body;
    let input = json!([
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "how many?"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
        {"type": "function_call", "call_id": "c1", "name": "count_logs",
            "arguments": r#"{"query": "x"}"#},
        {"type": "function_call", "call_id": "c2", "name": "list_sources", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1204"},
        {"type": "function_call_output", "call_id": "c2", "output": "Error: no such thing"},
    ]);
    assert_eq!(body["input"], input);
    assert_eq!(body["instructions"], "Be brief.");
    assert_eq!(body["store"], false);
    assert_eq!(body["max_output_tokens"], 77);
    assert_eq!(body["tools"][0]["name"], "count_logs");
    assert_eq!(body["tools"][0]["strict"], false);
    assert_eq!(body["text"]["format"]["type"], "json_schema");
}

#[tokio::test]
async fn anthropic_messages_are_spoken() {
    let request = ChatRequest {
        stop: vec!["END".to_owned()],
        tool_choice: ToolChoice::Required,
        parallel_tool_calls: Some(false),
        ..rich()
    };
    let body = sent(ProviderKind::Anthropic, request).await.body;
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "how many?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                "data": "aGk="}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig-1"},
            {"type": "tool_use", "id": "c1", "name": "count_logs", "input": {"query": "x"}},
            {"type": "tool_use", "id": "c2", "name": "list_sources", "input": {}}]},
        // Both results stand in one message, as the wire demands.
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "1204"},
            {"type": "tool_result", "tool_use_id": "c2", "content": "no such thing",
                "is_error": true}]},
    ]);
    assert_eq!(body["messages"], messages);
    assert_eq!(body["system"], "Be brief.");
    assert_eq!(body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    let told = json!([body["max_tokens"], body["stop_sequences"], body["metadata"]["user_id"]]);
    assert_eq!(told, json!([77, ["END"], "u-1"]));
}

#[tokio::test]
async fn ollama_is_spoken() {
    let request = ChatRequest {
        stop: vec!["END".to_owned()],
        seed: Some(7),
        reasoning_effort: Some(ReasoningEffort::None),
        ..rich()
    };
    let body = sent(ProviderKind::Ollama, request).await.body;
    let call = |id: &str, name: &str, arguments: Value| json!({"id": id, "function": {"name": name, "arguments": arguments}});
    let calls = json!([
        call("c1", "count_logs", json!({"query": "x"})),
        call("c2", "list_sources", json!({}))
    ]);
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "how many?", "images": ["aGk="]},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "1204", "tool_name": "count_logs", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: no such thing", "tool_name": "list_sources",
            "tool_call_id": "c2"},
    ]);
    assert_eq!(body["messages"], messages);
    let options = json!({"num_predict": 77, "temperature": 0.5, "top_p": 0.9, "seed": 7,
        "stop": ["END"]});
    assert_eq!(body["options"], options);
    assert_eq!((&body["think"], &body["format"]["type"]), (&json!(false), &json!("object")));
    assert_eq!(body["tools"][0]["type"], "function");
    let unwanted = ChatRequest { tool_choice: ToolChoice::None, ..tool_request() };
    let body = sent(ProviderKind::Ollama, unwanted).await.body;
    assert_eq!(body["tools"], Value::Null, "tools that may not be called are not offered");
}

#[tokio::test]
async fn gemini_is_spoken() {
    let mut request = ChatRequest {
        stop: vec!["END".to_owned()],
        seed: Some(7),
        tool_choice: ToolChoice::Named("count_logs".to_owned()),
        reasoning_effort: Some(ReasoningEffort::Medium),
        ..rich()
    };
    if let Part::ToolCall(call) = &mut request.messages[1].content[1] {
        call.signature = Some("sig".to_owned());
    }
    let body = sent(ProviderKind::Gemini, request).await.body;
    let contents = json!([
        {"role": "user", "parts": [{"text": "how many?"},
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "count_logs", "args": {"query": "x"}},
                "thoughtSignature": "sig"},
            {"functionCall": {"name": "list_sources", "args": {}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "count_logs", "response": {"output": "1204"}}},
            {"functionResponse": {"name": "list_sources",
                "response": {"error": "no such thing"}}}]},
    ]);
    assert_eq!(body["contents"], contents);
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    let calling = json!({"mode": "ANY", "allowedFunctionNames": ["count_logs"]});
    assert_eq!(body["toolConfig"], json!({"functionCallingConfig": calling}));
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(declared["parametersJsonSchema"]["type"], "object");
    let config = &body["generationConfig"];
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseJsonSchema"]["type"], "object");
    assert_eq!(config["thinkingConfig"], json!({"thinkingBudget": 8_192}));
    let told = json!([config["maxOutputTokens"], config["seed"], config["stopSequences"]]);
    assert_eq!(told, json!([77, 7, ["END"]]));
}

#[tokio::test]
async fn calls_of_other_models_are_signed_for_the_gemini_that_wants_it() {
    for (model, expected) in [
        ("gemini-2.5-flash", Value::Null),
        ("models/gemini-3-pro-preview", json!("skip_thought_signature_validator")),
    ] {
        let request = ChatRequest { model: Some(model.to_owned()), ..tool_request() };
        let body = sent(ProviderKind::Gemini, request).await.body;
        let parts = &body["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], expected, "{model}");
        assert_eq!(parts[1]["thoughtSignature"], Value::Null, "the first one's is enough");
    }
}

#[tokio::test]
async fn what_a_wire_cannot_say_is_refused_with_a_reason_and_not_sent() {
    let image = Message {
        role: Role::User,
        content: vec![Part::Image { source: ImageSource::Url("https://x/y.png".to_owned()) }],
    };
    let tools = || ChatRequest { tools: vec![tool("count_logs")], ..asked() };
    let seed = ChatRequest { seed: Some(1), ..asked() };
    let stop = ChatRequest { stop: vec!["END".to_owned()], ..asked() };
    let json_mode = ChatRequest { response_format: ResponseFormat::Json, ..asked() };
    let required = ChatRequest { tool_choice: ToolChoice::Required, ..tools() };
    let one_by_one = ChatRequest { parallel_tool_calls: Some(false), ..tools() };
    let picture = ChatRequest { messages: vec![image], ..asked() };
    let hot = ChatRequest { temperature: Some(1.5), ..asked() };
    let orphan = ChatRequest {
        messages: vec![Message::user("x"), Message::tool_result("c9", "y")],
        ..asked()
    };
    for (kind, request, reason) in [
        (ProviderKind::OpenAiResponses, &seed, "a seed"),
        (ProviderKind::OpenAiResponses, &stop, "`stop`"),
        (ProviderKind::Anthropic, &seed, "a seed"),
        (ProviderKind::Anthropic, &json_mode, "JSON without a schema"),
        (ProviderKind::Anthropic, &hot, "a temperature above 1"),
        (ProviderKind::Ollama, &required, "must be called"),
        (ProviderKind::Ollama, &one_by_one, "one by one"),
        (ProviderKind::Ollama, &picture, "an image at a URL"),
        (ProviderKind::Gemini, &one_by_one, "one by one"),
        (ProviderKind::Gemini, &picture, "an image at a URL"),
        (ProviderKind::Gemini, &orphan, "answers no call"),
    ] {
        let (answer, vendor) = hear_script(kind, [], request.clone(), |_| {}).await;
        assert_eq!(answer.error(), ProviderErrorKind::BadRequest, "{kind:?}");
        let message = answer.failure.unwrap().message;
        assert!(message.contains(reason), "{kind:?}: {message}");
        assert_eq!(vendor.request_count(), 0);
    }
}

#[tokio::test]
async fn fields_of_the_wires_own_are_passed_on() {
    let extra = json!({"logit_bias": {"5": 1}}).as_object().cloned().unwrap();
    let body = sent(ProviderKind::OpenAi, ChatRequest { extra, ..asked() }).await.body;
    assert_eq!(body["logit_bias"], json!({"5": 1}));
    let extra = json!({"max_tokens": 9}).as_object().cloned().unwrap();
    let request = ChatRequest { extra, ..asked() };
    let (answer, _) = hear_script(ProviderKind::OpenAi, [], request, |_| {}).await;
    assert_eq!(answer.error(), ProviderErrorKind::BadRequest);
}

#[tokio::test]
async fn keys_take_turns_as_the_caller_says() {
    let vendor = FakeVendor::start().await;
    let key = |text: &str| SecretString::from(text.to_owned());
    let mut config = chat_config(ProviderKind::Anthropic, &vendor);
    assert_eq!(client(ProviderKind::Anthropic, &vendor).key_count(), 1, "none is one, too");
    config.api_key = Some(key("sk-0"));
    config.api_keys = vec![key("sk-1"), key("sk-2")];
    let client = callboard_providers::Client::new(&config).unwrap();
    assert_eq!(client.key_count(), 3);
    vendor.script([Reply::tokens(1), Reply::rate_limited(Some("1")), Reply::tokens(1)]);
    let first = hear_with_key(&client, asked(), 2).await;
    assert_eq!(first.head.unwrap().key, 2);
    // With another key at hand a rate limit is the caller's to deal with, at once.
    let refused = hear_with_key(&client, asked(), 1).await;
    assert!(matches!(refused.error(), ProviderErrorKind::RateLimited { .. }));
    hear(&client, asked()).await.finish();
    let seen: Vec<_> = vendor.requests();
    let seen: Vec<_> = seen.iter().map(|request| request.header("x-api-key").unwrap()).collect();
    assert_eq!(seen, ["sk-2", "sk-1", "sk-0"]);
    assert_eq!(hear_with_key(&client, asked(), 9).await.error(), ProviderErrorKind::Auth);
}

#[tokio::test]
async fn the_head_tells_the_limits() {
    for kind in WIRES {
        let reply = Reply::tokens(1)
            .header("x-ratelimit-remaining-requests", "41")
            .header("x-ratelimit-limit-requests", "60")
            .header("anthropic-ratelimit-tokens-remaining", "900")
            .header("x-request-id", "req_7");
        let (answer, _) = hear_script(kind, [reply], asked(), |_| {}).await;
        let head = answer.head.unwrap();
        let expected = RateLimit { limit: Some(60), remaining: Some(41), reset: None };
        assert_eq!(head.rate_limits.requests, expected, "{kind:?}");
        assert_eq!(head.rate_limits.tokens.remaining, Some(900), "{kind:?}");
        assert_eq!((head.request_id.as_deref(), head.attempts), (Some("req_7"), 1), "{kind:?}");
    }
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_their_texts() {
    let request = EmbedRequest {
        input: vec!["one".to_owned(), "two words".to_owned()],
        dimensions: Some(8),
        ..EmbedRequest::default()
    };
    for (kind, line) in [
        (ProviderKind::OpenAi, "POST /v1/embeddings"),
        (ProviderKind::OpenAiResponses, "POST /v1/embeddings"),
        (ProviderKind::Ollama, "POST /api/embed"),
        (ProviderKind::Gemini, "POST /v1/models/asked-model:batchEmbedContents"),
        (
            ProviderKind::Azure,
            "POST /openai/deployments/asked-model/embeddings?api-version=2024-10-21",
        ),
    ] {
        let vendor = FakeVendor::start().await;
        let client = client(kind, &vendor);
        let found = client.embed(request.clone()).await.unwrap();
        assert_eq!(vendor.requests()[0].line, line);
        assert_eq!(found.vectors.len(), 2);
        assert!(found.vectors.iter().all(|vector| vector.len() == 8), "{kind:?}");
        assert_ne!(found.vectors[0], found.vectors[1]);
        assert_eq!(found.model, "asked-model");
        if kind == ProviderKind::Gemini {
            assert!(found.usage.estimated, "the wire counts nothing");
        } else {
            vendor.until_finished(1).await;
            assert_eq!(found.usage.input, vendor.billed()[0].input, "{kind:?}");
        }
        vendor.script([Reply::rate_limited(Some("60")), Reply::body("application/json", "{}")]);
        let error = client.embed(request.clone()).await.unwrap_err();
        assert!(matches!(error.kind, ProviderErrorKind::RateLimited { .. }), "{kind:?}");
        let error = client.embed(request.clone()).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Malformed, "{kind:?}");
        let none = client.embed(EmbedRequest::default()).await.unwrap_err();
        assert_eq!(none.kind, ProviderErrorKind::BadRequest);
    }
    let vendor = FakeVendor::start().await;
    let error = client(ProviderKind::Anthropic, &vendor).embed(request).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::BadRequest);
    assert!(error.message.contains("embeddings"), "{}", error.message);
}
