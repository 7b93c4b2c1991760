use callboard_providers::{
    ImageSource, Message, Part, ResponseFormat, Role, Schema, ToolCall, ToolChoice, ToolSpec,
};

use super::*;
use crate::gateway::OnCut;

const FULL: &str = r#"{
    "model": "fast",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be "},
            {"type": "text", "text": "kind."}]},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "What is \"this\"?\n"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA",
                "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
        {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
            "reasoning_signature": "proof",
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                "function": {"name": "look", "arguments": "{\"q\":1}"},
                "extra_content": {"google": {"thought_signature": "sig"}}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "A cat."},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat."},
            {"type": "refusal", "refusal": " No more."}]},
        {"role": "user", "content": "Sure?"}],
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "Looks.",
            "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}, "strict": true}},
        {"type": "function", "function": {"name": "now"}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": false,
    "response_format": {"type": "json_schema", "json_schema": {"name": "cat", "strict": true,
        "description": "A cat.", "schema": {"type": "object"}}},
    "max_completion_tokens": 100, "temperature": 1, "top_p": 0.5, "stop": ["END", "STOP"],
    "seed": -7, "n": 1, "user": "u1", "reasoning_effort": "low", "stream": true,
    "stream_options": {"include_usage": true, "include_obfuscation": false},
    "frequency_penalty": 0.5, "presence_penalty": -1, "logit_bias": {"50256": -100},
    "verbosity": "low", "logprobs": false, "modalities": ["text"],
    "metadata": {"a": "b"}, "store": true, "service_tier": "auto", "prompt_cache_key": "k",
    "callboard": {"on_cut": "restart"}
}"#;

fn schema(json: &str) -> Schema {
    Schema::parse(json).unwrap()
}

fn full() -> ChatRequest {
    let text = |text: &str| Part::Text { text: text.to_owned() };
    let tool = |name: &str, description, parameters: &str, strict| ToolSpec {
        name: name.to_owned(),
        description,
        parameters: schema(parameters),
        strict,
    };
    let base64 =
        ImageSource::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
    let call = ToolCall {
        id: "call_1".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"q\":1}".to_owned(),
        signature: Some("sig".to_owned()),
    };
    let thoughts = Part::Reasoning { text: "hm".to_owned(), signature: Some("proof".to_owned()) };
    let extra = serde_json::json!({"frequency_penalty": 0.5, "presence_penalty": -1.0,
        "logit_bias": {"50256": -100}, "verbosity": "low"});
    ChatRequest {
        model: Some("fast".to_owned()),
        system: Some("Be brief.\n\nBe kind.".to_owned()),
        messages: vec![
            Message {
                role: Role::User,
                content: vec![
                    text("What is \"this\"?\n"),
                    Part::Image { source: base64 },
                    Part::Image {
                        source: ImageSource::Url("https://example.org/a.png".to_owned()),
                    },
                ],
            },
            Message { role: Role::Assistant, content: vec![thoughts, Part::ToolCall(call)] },
            Message::tool_result("call_1", "A cat."),
            Message::assistant("A cat. No more."),
            Message::user("Sure?"),
        ],
        tools: vec![
            tool(
                "look",
                Some("Looks.".to_owned()),
                r#"{"type":"object","properties":{"z":{},"a":{}}}"#,
                Some(true),
            ),
            tool("now", None, r#"{"type":"object","properties":{}}"#, None),
        ],
        tool_choice: ToolChoice::Named("look".to_owned()),
        parallel_tool_calls: Some(false),
        response_format: ResponseFormat::Schema {
            name: "cat".to_owned(),
            schema: schema(r#"{"description":"A cat.","type":"object"}"#),
            strict: Some(true),
        },
        max_output_tokens: Some(100),
        temperature: Some(1.0),
        top_p: Some(0.5),
        stop: vec!["END".to_owned(), "STOP".to_owned()],
        seed: Some(-7),
        reasoning_effort: Some(ReasoningEffort::Low),
        user: Some("u1".to_owned()),
        extra: extra.as_object().unwrap().clone(),
        stream: true,
    }
}

#[test]
fn every_field_is_read() {
    let parsed = parse(FULL.as_bytes()).unwrap();
    assert_eq!(parsed.request, full());
    assert!(parsed.request.check().is_ok());
    assert!(parsed.stream && parsed.include_usage);
    assert_eq!(parsed.options, CallOptions { on_cut: OnCut::Restart, ..CallOptions::default() });
}

#[test]
fn little_is_needed() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5,
        "stop":"END","tools":null,"temperature":null,"n":null,"response_format":{"type":"text"}}"#;
    let parsed = parse(body).unwrap();
    let expected = ChatRequest {
        model: Some("m".to_owned()),
        messages: vec![Message::user("x")],
        max_output_tokens: Some(5),
        stop: vec!["END".to_owned()],
        stream: false,
        ..ChatRequest::default()
    };
    assert_eq!(parsed.request, expected);
    assert!(!parsed.stream && !parsed.include_usage);
    assert_eq!(parsed.options, CallOptions::default());
}

/// A good request with more fields.
fn with(fields: &str) -> Result<Parsed, Fault> {
    parse(
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{fields}}}"#)
            .as_bytes(),
    )
}

#[test]
fn words_have_their_meaning() {
    let choice = |word: &str| {
        let tools = r#""tools":[{"type":"function","function":{"name":"t"}}]"#;
        with(&format!(r#"{tools},"tool_choice":"{word}""#)).unwrap().request.tool_choice
    };
    assert_eq!(choice("auto"), ToolChoice::Auto);
    assert_eq!(choice("none"), ToolChoice::None);
    assert_eq!(choice("required"), ToolChoice::Required);
    for (word, effort) in EFFORTS {
        let parsed = with(&format!(r#""reasoning_effort":"{word}""#)).unwrap();
        assert_eq!(parsed.request.reasoning_effort, Some(effort));
    }
    let json = with(r#""response_format":{"type":"json_object"}"#).unwrap();
    assert_eq!(json.request.response_format, ResponseFormat::Json);
    let named = with(r#""safety_identifier":"s""#).unwrap();
    assert_eq!(named.request.user.as_deref(), Some("s"));
}

#[test]
fn a_refusal_names_its_parameter() {
    for (fields, param) in [
        (r#""banana":1"#, "banana"),
        (r#""temperature":2.5"#, "temperature"),
        (r#""temperature":"hot""#, "temperature"),
        (r#""top_p":-0.1"#, "top_p"),
        (r#""n":2"#, "n"),
        (r#""logprobs":true"#, "logprobs"),
        (r#""max_tokens":0"#, "max_tokens"),
        (r#""max_tokens":1,"max_completion_tokens":1"#, "max_tokens"),
        (r#""frequency_penalty":3"#, "frequency_penalty"),
        (r#""logit_bias":[]"#, "logit_bias"),
        (r#""stop":["a",""]"#, "stop.[1]"),
        (r#""stop":7"#, "stop"),
        (r#""seed":1.5"#, "seed"),
        (r#""stream":"yes""#, "stream"),
        (r#""stream_options":{"x":1}"#, "stream_options.x"),
        (r#""reasoning_effort":"huge""#, "reasoning_effort"),
        (r#""functions":[]"#, "functions"),
        (r#""function_call":"auto""#, "function_call"),
        (r#""modalities":["text","audio"]"#, "modalities.[1]"),
        (r#""tools":[{"type":"custom"}]"#, "tools.[0].type"),
        (r#""tools":[{"type":"function","function":{"name":"a b"}}]"#, "tools.[0].function.name"),
        (
            r#""tools":[{"type":"function","function":{"name":"a","parameters":3}}]"#,
            "tools.[0].function.parameters",
        ),
        (r#""tool_choice":"required""#, "tool_choice"),
        (r#""tool_choice":"maybe""#, "tool_choice"),
        (r#""tool_choice":{"type":"function","function":{"name":"a"}}"#, "tool_choice"),
        (r#""response_format":{"type":"yaml"}"#, "response_format.type"),
        (r#""response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
        (r#""callboard":{"on_cut":"never"}"#, "callboard.on_cut"),
        (r#""model":"n""#, "model"),
    ] {
        let fault = with(fields).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{fields}");
        assert!(fault.message.contains(param), "{}", fault.message);
    }
}

#[test]
fn a_refused_message_is_named() {
    for (messages, param) in [
        ("[]", "messages"),
        (r#"[{"role":"system","content":"x"}]"#, "messages"),
        (r#"{"role":"user"}"#, "messages"),
        ("[3]", "messages.[0]"),
        (r#"[{"content":"x"}]"#, "messages.[0].role"),
        (r#"[{"role":"robot","content":"x"}]"#, "messages.[0].role"),
        (r#"[{"role":"user"}]"#, "messages.[0].content"),
        (r#"[{"role":"user","content":[]}]"#, "messages.[0].content"),
        (r#"[{"role":"user","content":5}]"#, "messages.[0].content"),
        (r#"[{"role":"user","content":"x","mood":1}]"#, "messages.[0].mood"),
        (r#"[{"role":"user","content":[{"type":"file"}]}]"#, "messages.[0].content.[0].type"),
        (
            r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x.png"}}]}]"#,
            "messages.[0].content.[0].image_url.url",
        ),
        (
            r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]"#,
            "messages.[0].content.[0].image_url.url",
        ),
        (r#"[{"role":"assistant","content":""}]"#, "messages.[0].content"),
        (r#"[{"role":"assistant","reasoning_content":"x"}]"#, "messages.[0].content"),
        (
            r#"[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"n",
                "arguments":"[]"}}]}]"#,
            "messages.[0].tool_calls.[0].function.arguments",
        ),
        (r#"[{"role":"tool","content":"x"}]"#, "messages.[0].tool_call_id"),
        (
            r#"[{"role":"user","content":"x"},{"role":"assistant","content":"x",
                "function_call":{}}]"#,
            "messages.[1].function_call",
        ),
    ] {
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        let fault = parse(body.as_bytes()).unwrap_err();
        assert_eq!(fault.param.as_deref(), Some(param), "{messages}");
    }
}

#[test]
fn numbers_of_things_have_an_end() {
    let message = r#"{"role":"user","content":"x"},"#.repeat(messages::MAX_MESSAGES);
    let body = format!(r#"{{"model":"m","messages":[{message}3]}}"#);
    assert_eq!(parse(body.as_bytes()).unwrap_err().param.as_deref(), Some("messages"));
    let tool = r#"{"type":"function","function":{"name":"a"}},"#.repeat(tools::MAX_TOOLS);
    let fault = with(&format!(r#""tools":[{tool}3]"#)).unwrap_err();
    assert_eq!(fault.message, "The parameter 'tools' has 129 items; at most 128 are allowed.");
}

#[test]
fn what_is_no_object_is_refused() {
    let code = |body: &[u8]| parse(body).unwrap_err().code.as_str();
    assert_eq!(code(b"{"), "invalid_json");
    assert_eq!(code(b""), "invalid_json");
    assert_eq!(code(b"[1]"), "validation_failed");
    let deep = format!(r#"{{"model":{}1{}}}"#, "[".repeat(99), "]".repeat(99));
    assert_eq!(code(deep.as_bytes()), "invalid_json");
}

#[test]
fn any_text_survives() {
    for hard in crate::gateway::testing::hard_texts() {
        let body = serde_json::json!({"model": "m", "messages": [{"role": "user",
            "content": hard}]});
        let parsed = parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(parsed.request.messages, [Message::user(hard)]);
    }
}

#[test]
fn a_damaged_body_is_read_or_refused() {
    for body in crate::gateway::testing::damaged(FULL) {
        if let Err(fault) = parse(&body) {
            assert!(!fault.message.is_empty());
        }
    }
}
